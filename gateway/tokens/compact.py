"""The JWS compact form in its one spelling (RFC 7515 §7.1, RFC 8725 §3).

PyJWT and most libraries accept several spellings of one token: padding, stray characters, non-zero trailing bits. A
token that has several spellings escapes from caches, revocation and replay stores, so there is one here.
"""

from __future__ import annotations

from binascii import Error as BinasciiError, a2b_base64
from functools import lru_cache
from typing import NamedTuple

from gateway.policy.denial import Denial, Reason, unmet
from gateway.strict_json import JsonError, read_object

MAX_HEADER = 4096
"""Characters of an encoded header; a real one has some 120."""

_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
"""To the alphabet that the standard library decodes; what base64url does not have becomes what base64 does not have."""

_LAST_OF_TWO = frozenset(b"AQgw")
_LAST_OF_THREE = frozenset(b"AEIMQUYcgkosw048")
_REFUSED_PARAMETERS = {
    "b64": "an unencoded payload (RFC 7797)",
    "crit": "a critical extension",
    "enc": "encryption",
    "jku": "a key address of its own",
    "jwk": "a key of its own",
    "x5u": "a certificate address of its own",
    "zip": "compression",
}


class JoseHeader(NamedTuple):
    """The parameters of a JOSE header that matter to verification.

    Attributes:
        alg: algorithm.
        kid: key identifier, or None.
        typ: media type in lower case without `application/`, or "".
    """

    alg: str
    kid: str | None
    typ: str


class CompactToken(NamedTuple):
    """A token taken apart; nothing of it is verified yet."""

    header: JoseHeader
    payload: dict[str, object]
    signing_input: bytes
    signature: bytes


class SignedParts(NamedTuple):
    """A JWS that is no access token, taken apart: nothing of it is verified yet.

    Attributes:
        header: the parameters that every kind has.
        members: all parameters of the header, for those that one kind has: `jwk`, `x5t`.
    """

    header: JoseHeader
    members: dict[str, object]
    payload: dict[str, object]
    signing_input: bytes
    signature: bytes


class FormError(ValueError):
    """The token is not in the one form; the message says what is wrong and quotes nothing of it."""


def decode_base64url(text: bytes) -> bytes:
    """Decode base64url without padding (RFC 7515 §2).

    Raises:
        FormError: a foreign character, a length that no encoding has, or trailing bits that are not zero.
    """
    surplus = len(text) % 4
    padding = b""
    if surplus:
        if surplus == 1 or text[-1] not in (_LAST_OF_TWO if surplus == 2 else _LAST_OF_THREE):
            raise FormError("its base64url has a wrong length or non-zero trailing bits")
        padding = b"==" if surplus == 2 else b"="
    try:
        return a2b_base64(text.translate(_TO_STANDARD) + padding, strict_mode=True)
    except BinasciiError as error:
        raise FormError("it holds a character that base64url does not have") from error


def read_compact(token: bytes) -> CompactToken | Denial:
    """Take a token apart.

    Returns:
        The parts, or a Denial token_malformed.
    """
    parts = token.split(b".")
    if len(parts) != 3 or not all(parts):
        return _malformed("it is not three base64url parts joined by dots")
    encoded_header, encoded_payload, encoded_signature = parts
    try:
        header = _read_header(encoded_header)
        payload = read_object(decode_base64url(encoded_payload))
        signature = decode_base64url(encoded_signature)
    except (FormError, JsonError) as error:
        return _malformed(str(error))
    return CompactToken(header, payload, token[: -len(encoded_signature) - 1], signature)


def read_signed(token: bytes, allowed: frozenset[str] = frozenset()) -> SignedParts:
    """Take apart a JWS whose sender speaks for itself: a client's assertion (RFC 7523), a DPoP proof (RFC 9449).

    Args:
        token: in the compact form.
        allowed: parameters of the header that are refused in access tokens, and belong to this kind.

    Raises:
        FormError: it is not in the one form.
    """
    parts = token.split(b".")
    if len(parts) != 3 or not all(parts):
        raise FormError("it is not three base64url parts joined by dots")
    encoded_header, encoded_payload, encoded_signature = parts
    members = _header_members(encoded_header)
    header = _jose_header(members, allowed)
    try:
        payload = read_object(decode_base64url(encoded_payload))
    except JsonError as error:
        raise FormError(str(error)) from error
    signature = decode_base64url(encoded_signature)
    return SignedParts(header, members, payload, token[: -len(encoded_signature) - 1], signature)


def _header_members(encoded: bytes) -> dict[str, object]:
    """Decode a header (RFC 7515 §4).

    Raises:
        FormError: it is too long, or no strict JSON object.
    """
    if len(encoded) > MAX_HEADER:
        raise FormError(f"its header is longer than {MAX_HEADER} characters")
    try:
        return read_object(decode_base64url(encoded))
    except JsonError as error:
        raise FormError(str(error)) from error


@lru_cache(maxsize=1024)
def _read_header(encoded: bytes) -> JoseHeader:
    """Read a header; issuers send the same one in every token, so it is read once."""
    return _jose_header(_header_members(encoded), frozenset())


def _jose_header(header: dict[str, object], allowed: frozenset[str]) -> JoseHeader:
    for name, meaning in _REFUSED_PARAMETERS.items():
        if name in header and name not in allowed:
            raise FormError(f"its header asks for {meaning} ({name})")
    alg, kid, typ, cty = (header.get(name) for name in ("alg", "kid", "typ", "cty"))
    if not isinstance(alg, str):
        raise FormError("its header has no alg, or one that is not a string")
    if "kid" in header and not isinstance(kid, str):
        raise FormError("its kid is not a string")
    if typ is not None and not isinstance(typ, str):
        raise FormError("its typ is not a string")
    if cty is not None:
        raise FormError("it is a token within a token (cty)")
    return JoseHeader(alg, kid if isinstance(kid, str) else None, (typ or "").lower().removeprefix("application/"))


def _malformed(detail: str) -> Denial:
    return unmet(Reason.TOKEN_MALFORMED, "form", "a signed JWT in the compact form", detail)
