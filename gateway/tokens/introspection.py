"""What an issuer's answer about a token means (RFC 7662 §2.2, RFC 9701 §5). No I/O.

An answer that cannot be understood is the issuer's fault, never the client's: nothing is known of the token then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.client.fetch import BodyAnswer
from gateway.client.introspection_request import JSON, SIGNED
from gateway.policy.claims import check_claims
from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.model import BearerToken, Claims, TrustedIssuer
from gateway.strict_json import JsonError, read_object
from gateway.tokens.compact import CompactToken, JoseHeader, read_compact
from gateway.tokens.keys import KeySet

Jwts = Literal["verify", "ask", "refuse"]
"""What becomes of an issuer's JWTs, where opaque tokens are asked about."""

MAX_TOKEN = 8192
"""Characters of an opaque token; a real one has 20 to 2000."""

ANSWER_AGE = 300.0
"""Seconds by which the `iat` of a signed answer may differ from now, leeway not included."""

_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*\Z")
_JSON_OBJECT = re.compile(rb"e[w-z0-9_-]")
"""How base64url begins whose text begins with a brace."""


class UnknownToken(NamedTuple):
    """A token that only its issuer can tell about.

    Attributes:
        issuer: the name of the TrustedIssuer that has to be asked.
        token: as it was sent.
        known: whether the issuer called it active before.
    """

    issuer: str
    token: BearerToken
    known: bool


class Active(NamedTuple):
    """The issuer calls the token active, and its terms are met.

    Attributes:
        claims: what it says of the token.
        asked_at: seconds since the epoch.
    """

    claims: Claims
    asked_at: float


class Unclear(NamedTuple):
    """Nothing is known of the token.

    Attributes:
        detail: why; it quotes nothing of the answer.
        lacks_key: whether that is because no key at hand made the answer's signature: one that is newer may have.
        kid: that key's name, where no key at hand bears it.
    """

    detail: str
    lacks_key: bool = False
    kid: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerTerms:
    """What an answer has to be.

    Attributes:
        issuer: who gives it.
        signed: whether as a JWT (RFC 9701).
        audience: whom a signed one is for: this gateway, as a client of the issuer.
    """

    issuer: TrustedIssuer
    signed: bool
    audience: str


def looks_like_jwt(token: bytes) -> bool:
    """Whether a token is three parts of which the first could be a JOSE header, be they well-formed or not."""
    return token.count(b".") == 2 and _JSON_OBJECT.match(token) is not None


def is_token68(token: bytes) -> bool:
    """Whether a token is of the one form that tokens have (RFC 6750 §2.1), and no longer than one may be."""
    return len(token) <= MAX_TOKEN and _TOKEN.match(token) is not None


def read_answer(answer: BodyAnswer, terms: AnswerTerms, keys: KeySet | None, now: float) -> dict[str, object] | Unclear:
    """The members of an answer, of which `active` is a boolean.

    Args:
        answer: as it came.
        terms: what it has to be.
        keys: of the issuer, for an answer that is signed.
        now: seconds since the epoch.
    """
    if answer.status != 200:
        is_stranger = answer.status == 401 or _is_invalid_client(answer.body)
        refused = "does not take the gateway's own credentials"
        return Unclear(f"it {refused} ({answer.status})" if is_stranger else f"it answered {answer.status}")
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != (SIGNED if terms.signed else JSON):
        return Unclear(f"its answer is not {SIGNED if terms.signed else JSON}")
    document = _signed(answer.body.strip(), terms, keys, now) if terms.signed else _plain(answer.body)
    if isinstance(document, dict) and not isinstance(document.get("active"), bool):
        return Unclear("its answer has no member 'active' that is true or false")
    return document


def _is_invalid_client(body: bytes) -> bool:
    """Whether the client could not authenticate: 401 only where it did so in Authorization (RFC 6749 §5.2)."""
    document = _plain(body)
    return isinstance(document, dict) and document.get("error") == "invalid_client"


def _plain(body: bytes) -> dict[str, object] | Unclear:
    try:
        return read_object(body)
    except JsonError as error:
        return Unclear(f"its answer cannot be read: {error}")


def _signed(body: bytes, terms: AnswerTerms, keys: KeySet | None, now: float) -> dict[str, object] | Unclear:
    """The claim `token_introspection` of a JWT that this issuer made for this gateway, now (RFC 9701 §5)."""
    compact = read_compact(body)
    if isinstance(compact, Denial):
        return Unclear(f"its answer is no signed JWT: {compact.detail}")
    if (fault := _header_fault(compact.header, terms)) is not None:
        return Unclear(f"its signed answer {fault}")
    if (unclear := _signature_fault(compact, keys)) is not None:
        return unclear
    if (fault := _claims_fault(compact.payload, terms, now)) is not None:
        return Unclear(f"its signed answer {fault}")
    document = compact.payload.get("token_introspection")
    return document if isinstance(document, dict) else Unclear("its signed answer has no token_introspection")


def _header_fault(header: JoseHeader, terms: AnswerTerms) -> str | None:
    if header.typ != "token-introspection+jwt":
        return "is not of the typ token-introspection+jwt"
    if header.alg not in terms.issuer.algorithms:
        return f"is not signed with {', '.join(sorted(terms.issuer.algorithms))}"
    return None


def _signature_fault(compact: CompactToken, keys: KeySet | None) -> Unclear | None:
    """Like a token's, it may be of a key that is not at hand yet, be it under a new name or an old one."""
    header = compact.header
    candidates = () if keys is None else keys.candidates(header.kid, header.alg)
    if not candidates:
        return Unclear("its signed answer is signed with a key that is not at hand", lacks_key=True, kid=header.kid)
    if not any(key.verifies(header.alg, compact.signing_input, compact.signature) for key in candidates):
        return Unclear("its signed answer has a signature that is not its key's", lacks_key=True)
    return None


def _claims_fault(payload: Mapping[str, object], terms: AnswerTerms, now: float) -> str | None:
    audience, issued_at = payload.get("aud"), payload.get("iat")
    if payload.get("iss") != terms.issuer.issuer:
        return f"does not name {terms.issuer.issuer} as iss"
    if terms.audience not in (audience if isinstance(audience, list) else [audience]):
        return f"is not for the client {terms.audience} (aud)"
    if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
        return "has no iat that is a number"
    if not abs(now - issued_at) <= ANSWER_AGE + terms.issuer.leeway:
        return "was not made just now (iat)"
    return None


_INACTIVE = unmet(
    Reason.TOKEN_REVOKED,
    "activity",
    "active by its issuer's word",
    "not active: expired, revoked, or none of that issuer's",
)


def judge_answer(document: Mapping[str, object], issuer: TrustedIssuer, now: float) -> Active | Denial:
    """Judge a token by its issuer's answer, on the same terms as a JWT.

    The issuer need not repeat its own name (RFC 7662 §2.2); if it does, it has to be the right one.
    """
    if not document["active"]:
        return _INACTIVE
    claims = check_claims({"iss": issuer.issuer, **document}, issuer, now)
    return claims if isinstance(claims, Denial) else Active(claims, now)
