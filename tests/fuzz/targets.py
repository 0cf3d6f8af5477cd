"""What is fuzzed, and what must hold of it: one function a parser, which takes bytes and raises if something is wrong.

An input is refused or accepted, and never raises; and what is accepted stands up to a second look by other means.
"""

import json
import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.types import Options

from gateway.policy.denial import Denial
from gateway.policy.headers import IDENTITY_FIELDS, ReceivedHead, read_head, read_response
from gateway.policy.model import BearerToken, TrustedIssuer
from gateway.policy.paths import CanonicalTarget, canonical_target
from gateway.tokens.keys import ALGORITHMS, read_key_set
from gateway.tokens.verify import UnknownKey, Verification, by_iss, verify

NOW = 1_800_000_000
AUDIENCE, ISSUER = "api", "https://a.example"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
"""Always the same, so that kept inputs stay what they are."""

_JWK = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(KEY.public_key())) | {"kid": "one", "alg": "EdDSA"}
_JWK.pop("key_ops", None)
KEYS = read_key_set({"keys": [_JWK]})
TRUSTED = by_iss([TrustedIssuer("a", ISSUER, frozenset({AUDIENCE}), frozenset(ALGORITHMS))])
_PYJWT: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_sub": False,
    "verify_jti": False,
}
"""Times are another clock's; the rest are checks that PyJWT does in addition."""


def token(data: bytes) -> None:
    """A bearer token; one that begins with `!` is header, NUL and payload, to be signed: so claims are reached, too."""
    header, nul, payload = data[1:].partition(b"\0")
    text = signed(header, payload) if nul and data.startswith(b"!") else data
    outcome = verify(BearerToken(text), TRUSTED, lambda _: KEYS, NOW)
    if isinstance(outcome, Denial | UnknownKey):
        return
    _is_what_pyjwt_reads(text, outcome)


def signed(header: bytes, payload: bytes) -> bytes:
    """A token of these parts, whatever they are, with a good signature."""
    signing_input = b".".join(map(jwt.utils.base64url_encode, (header, payload)))
    return signing_input + b"." + jwt.utils.base64url_encode(KEY.sign(signing_input))


def _is_what_pyjwt_reads(text: bytes, outcome: Verification) -> None:
    claims = jwt.decode(text, KEY.public_key(), ["EdDSA", "Ed25519"], audience=AUDIENCE, issuer=ISSUER, options=_PYJWT)
    assert outcome.claims.expires_at == claims["exp"] > NOW
    assert outcome.claims.issuer == claims["iss"]
    assert outcome.claims.subject == claims.get("sub", "")
    assert "cnf" not in claims
    assert re.fullmatch(rb"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}", text)


def target(data: bytes) -> None:
    """A request target, as the parser hands it over: bytes that are not UTF-8 as surrogates."""
    text = data.decode("utf-8", "surrogateescape")
    outcome = canonical_target(text)
    if isinstance(outcome, Denial):
        return
    assert text.isascii()
    assert outcome.path.startswith("/")
    _leads_nowhere_else(text.partition("?")[0], outcome)
    again = canonical_target(outcome.path)
    assert isinstance(again, CanonicalTarget)
    assert again.path == outcome.path


def _leads_nowhere_else(path: str, outcome: CanonicalTarget) -> None:
    """However often a server decodes it, no segment climbs, and nothing separates segments that did not at first."""
    decoded = path.encode()
    for _ in range(4):
        segments = re.split(rb"[/\\]", decoded)
        assert not {b".", b".."}.intersection(segments)
        assert not {b"..", b"."}.intersection(segment.partition(b";")[0] for segment in segments)
        if "encoded_slash" not in outcome.oddities:
            assert decoded.count(b"/") == path.count("/")
        assert not re.search(rb"[\x00-\x1f\x7f\\]", decoded)
        decoded = unquote_to_bytes(decoded)


_OURS = frozenset(name.lower() for name in IDENTITY_FIELDS)
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"})


def head(data: bytes) -> None:
    """A list of fields: a target, then a line for each, name and value parted by a colon."""
    first, *lines = data.split(b"\n")
    fields = [(name, value) for name, _, value in (line.partition(b":") for line in lines)]
    found = read_head("GET", first.decode("utf-8", "surrogateescape"), (1, 1), fields)
    if isinstance(found, ReceivedHead):
        names = {line.partition(b":")[0] for line in found.end_to_end.split(b"\r\n")}
        spelt = {re.sub(rb"[_.]", b"-", name.lower()) for name in names}
        assert not spelt & _OURS
        assert not {name.lower() for name in names} & _HOP_BY_HOP
        assert not (found.chunked and found.content_length is not None)
        assert b"authorization" not in spelt
    answer = read_response(fields)
    if not isinstance(answer, Denial):
        assert answer.lines.count(b"\r") == answer.lines.count(b"\n") == answer.lines.count(b"\r\n")
        assert b"\0" not in answer.lines


TARGETS: dict[str, Callable[[bytes], None]] = {"token": token, "target": target, "head": head}
