"""DPoP: the proof, with a request, that its sender holds the key that a token is bound to (RFC 9449).

A pure function of the field `DPoP`, the request and the time. Whether the proof was seen before is the caller's to ask:
see `replay`.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from gateway.tokens.compact import FormError, SignedParts, read_signed
from gateway.tokens.keys import ALGORITHMS, KeySetError, VerificationKey, read_key_set

MAX_PROOF = 8192
"""Characters of a proof; a real one has 400 to 1,200."""

PROOF_TYPE = "dpop+jwt"
_JWK_ALLOWED = frozenset({"jwk"})
_KEY_MEMBERS = ("alg", "crv", "e", "kty", "n", "x", "y")
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FAR = 1e12
_VISIBLE = re.compile(r"[\x21-\x7E]+")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


@dataclass(frozen=True, slots=True)
class DpopRules:
    """What a server takes.

    Attributes:
        algorithms: of signatures, all of them asymmetric.
        max_age: seconds since `iat` for which a proof is good.
        max_ahead: seconds by which the client's clock may be ahead.
        nonce_is_good: judges the server's nonce in a proof (§8); None where the server gives none.
    """

    algorithms: frozenset[str] = frozenset(ALGORITHMS)
    max_age: float = 60.0
    max_ahead: float = 10.0
    nonce_is_good: Callable[[str], bool] | None = None


class ProvenRequest(NamedTuple):
    """The request that a proof has to fit.

    Attributes:
        method: as in the request line.
        url: under which the client knows the target; query and fragment do not matter.
        access_token: that the request carries, None at the token endpoint.
        thumbprint: the key that the access token is bound to (`cnf.jkt`), None where there is no token.
    """

    method: str
    url: str
    access_token: bytes | None = None
    thumbprint: str | None = None


class DpopProof(NamedTuple):
    """A proof that fits its request.

    Attributes:
        thumbprint: of the key that signed it: what a bound token says in `cnf.jkt` (§6.1).
        digest: what the proof is, under which a replay is found; hashed, as its `jti` may be long (§11.1).
        until: when it stops being good, in seconds since the epoch: so long must it not be taken again.
    """

    thumbprint: str
    digest: bytes
    until: float


class ProofFault(NamedTuple):
    """Why a proof is refused.

    Attributes:
        detail: in words that quote nothing of it.
        check: which of PROOF_CHECKS failed.
        expected: by it, in a few words.
        found: likewise; it comes from the client, and may be long.
        wants_nonce: whether the client should try again with the server's nonce (`use_dpop_nonce`, §8).
    """

    detail: str
    check: str
    expected: str
    found: str
    wants_nonce: bool = False


PROOF_CHECKS = (
    "proof",
    "proof form",
    "proof typ",
    "proof alg",
    "proof key",
    "proof signature",
    "proof htm",
    "proof htu",
    "proof iat",
    "proof ath",
    "proof binding",
    "proof jti",
    "proof nonce",
    "proof replay",
)
"""What is checked of a proof, in this order."""


class _UnfitError(Exception):
    """The proof's form or key is none that is taken."""

    def __init__(self, detail: str, check: str, expected: str, found: str) -> None:
        super().__init__(detail)
        self.fault = ProofFault(f"the proof is not well-formed: {detail}", check, expected, found)


def check_proof(
    fields: Sequence[bytes], request: ProvenRequest, rules: DpopRules, now: float
) -> DpopProof | ProofFault:
    """The checks of RFC 9449 §4.3.

    Args:
        fields: the value of each field `DPoP` of the request.
        request: what the proof has to be for.
        rules: what is taken.
        now: seconds since the epoch.
    """
    read = _read(fields, rules)
    if isinstance(read, ProofFault):
        return read
    parts, key = read
    thumbprint, claims = _base64url(bytes.fromhex(key.thumbprint)), parts.payload
    jti, iat = claims.get("jti"), claims.get("iat")
    fault = (
        _target_fault(claims, request) or _time_fault(iat, rules, now) or _binding_fault(claims, request, thumbprint)
    )
    if fault is not None:
        return fault
    if not isinstance(jti, str) or not jti:
        return ProofFault("the proof has no jti", "proof jti", "a name of its own", "none")
    if rules.nonce_is_good is not None and not _has_nonce(claims, rules.nonce_is_good):
        found = "none" if claims.get("nonce") is None else "another"
        return ProofFault("the proof needs the server's nonce", "proof nonce", "one of this server", found, True)
    digest = hashlib.sha256(f"{thumbprint}\0{jti}".encode()).digest()
    return DpopProof(thumbprint, digest, float(cast("float", iat)) + rules.max_age)


def _read(fields: Sequence[bytes], rules: DpopRules) -> tuple[SignedParts, VerificationKey] | ProofFault:
    """The proof and its key, once that has proven to be the key that signed it."""
    try:
        parts, key = _read_proof(fields, rules)
    except _UnfitError as error:
        return error.fault
    except FormError as error:
        return ProofFault(f"the proof is not well-formed: {error}", "proof form", "a signed JWT", str(error))
    except KeySetError as error:
        return ProofFault(f"the proof is not well-formed: {error}", "proof key", "a public key in jwk", str(error))
    if not key.verifies(parts.header.alg, parts.signing_input, parts.signature):
        detail = "the proof's signature is not that of its key"
        return ProofFault(detail, "proof signature", "that of the key in jwk", "another")
    return parts, key


@lru_cache(maxsize=1024)
def normal_url(url: str) -> str | None:
    """An http or https URL without query and fragment in its normal form (RFC 3986 §6.2.2, §6.2.3); None for others."""
    if not _VISIBLE.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = host if port in {None, _DEFAULT_PORTS[parts.scheme]} else f"{host}:{port}"
    return f"{parts.scheme}://{authority}{_normal_path(parts.path)}"


def _normal_path(path: str) -> str:
    segments: list[str] = []
    *before, last = _ESCAPE.sub(_normal_escape, path).split("/")[1:] or [""]
    for segment in before:
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
    if last == "..":
        del segments[-1:]
    return "/" + "/".join([*segments, "" if last in {".", ".."} else last])


def _normal_escape(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


def _read_proof(fields: Sequence[bytes], rules: DpopRules) -> tuple[SignedParts, VerificationKey]:
    """The proof, and the key that it brings along, if it is one that may sign it."""
    if len(fields) != 1:
        raise _UnfitError(f"there are {len(fields)} DPoP fields, not one", "proof", "one DPoP field", f"{len(fields)}")
    if len(fields[0]) > MAX_PROOF:
        raise _UnfitError(
            f"it is longer than {MAX_PROOF} characters",
            "proof form",
            f"{MAX_PROOF} characters at most",
            f"{len(fields[0])}",
        )
    parts = read_signed(fields[0], _JWK_ALLOWED)
    if parts.header.typ != PROOF_TYPE:
        raise _UnfitError(f"its typ is not {PROOF_TYPE}", "proof typ", PROOF_TYPE, parts.header.typ or "none")
    if parts.header.alg not in rules.algorithms:
        expected = " or ".join(sorted(rules.algorithms))
        raise _UnfitError("its alg is not one that is taken", "proof alg", expected, parts.header.alg)
    jwk = parts.members.get("jwk")
    if not isinstance(jwk, dict):
        raise _UnfitError("its header has no jwk, or one that is no object", "proof key", "a public key in jwk", "none")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise _UnfitError(
            "its jwk is a private or symmetric key", "proof key", "a public key in jwk", "a private or symmetric one"
        )
    key = _read_jwk(tuple((name, jwk[name]) for name in _KEY_MEMBERS if isinstance(jwk.get(name), str)))
    if parts.header.alg not in key.algorithms:
        expected = " or ".join(sorted(key.algorithms))
        raise _UnfitError("its alg is not one of its key", "proof alg", expected, parts.header.alg)
    return parts, key


@lru_cache(maxsize=1024)
def _read_jwk(members: tuple[tuple[str, str], ...]) -> VerificationKey:
    """Read a key; a client brings the same one with each request, so it is read once."""
    return read_key_set({"keys": [dict(members)]}).keys[0]


def _target_fault(claims: Mapping[str, object], request: ProvenRequest) -> ProofFault | None:
    htu = claims.get("htu")
    if claims.get("htm") != request.method:
        return _fault("the proof is for another method (htm)", "proof htm", request.method, claims.get("htm"))
    if not isinstance(htu, str) or (url := normal_url(htu)) is None or url != normal_url(request.url):
        wanted = normal_url(request.url) or "an address that can be compared"
        return _fault("the proof is for another address (htu)", "proof htu", wanted, _without_query(htu))
    return None


def _time_fault(iat: object, rules: DpopRules, now: float) -> ProofFault | None:
    if not isinstance(iat, int | float) or isinstance(iat, bool):
        return _fault("the proof has no time (iat)", "proof iat", "a time", iat)
    if iat > now + rules.max_ahead:
        detail = "the proof is from the future (iat): compare the clocks"
        return _fault(
            detail, "proof iat", f"{rules.max_ahead:.0f} s ahead at most", f"{min(iat, _FAR) - now:.0f} s ahead"
        )
    if iat < now - rules.max_age:
        detail = "the proof is too old (iat): make one for each request, and compare the clocks"
        return _fault(detail, "proof iat", f"{rules.max_age:.0f} s ago at most", f"{now - max(iat, -_FAR):.0f} s ago")
    return None


def _fault(detail: str, check: str, expected: str, found: object) -> ProofFault:
    text = found if isinstance(found, str) else "none" if found is None else json.dumps(found)
    return ProofFault(detail, check, expected, text)


def _without_query(url: object) -> object:
    """Nobody has to read what stands in a query."""
    return url.partition("?")[0] if isinstance(url, str) else url


def _binding_fault(claims: Mapping[str, object], request: ProvenRequest, thumbprint: str) -> ProofFault | None:
    """The checks where an access token goes with the proof (§4.3 item 12)."""
    token = request.access_token
    if token is not None and claims.get("ath") != _base64url(hashlib.sha256(token).digest()):
        found = "none" if claims.get("ath") is None else "that of another"
        detail = "the proof is for another access token (ath)"
        return _fault(detail, "proof ath", "the hash of the token that is sent", found)
    if request.thumbprint is not None and request.thumbprint != thumbprint:
        detail = "the access token is bound to another key (cnf.jkt)"
        return _fault(detail, "proof binding", f"the key {request.thumbprint}", thumbprint)
    return None


def _has_nonce(claims: Mapping[str, object], is_good: Callable[[str], bool]) -> bool:
    nonce = claims.get("nonce")
    return isinstance(nonce, str) and is_good(nonce)


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
