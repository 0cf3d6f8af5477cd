"""Sender-constrained tokens: does the sender hold the key that its token is bound to (RFC 9449, RFC 8705)?"""

from __future__ import annotations

import hmac
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Protocol

from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.forwarding import TrustedProxies
from gateway.policy.model import BearerToken, Claims, Proof, RequestHead
from gateway.tokens.dpop import DpopRules, ProofFault, ProvenRequest, check_proof
from gateway.tokens.replay import Admission, Replays

MAX_CERTIFICATE = 16384
"""Characters of a Client-Cert field; a real one has 1,000 to 4,000."""

NONCE_SECONDS = 120.0
"""For which a nonce is given out; it is good for as long again."""


class Sender(Protocol):
    """The connection that a request came by.

    Attributes:
        peer: the other side's address.
        scheme: http or https.
        client_certificate: SHA-256 of its verified certificate (DER), None without one.
    """

    peer: str
    scheme: str
    client_certificate: bytes | None


class Nonces:
    """Nonces that need no memory: a keyed hash of the time (RFC 9449 §8)."""

    def __init__(self, key: bytes, clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock

    def current(self) -> str:
        """The nonce to be given out now."""
        return self._of(int(self._clock() // NONCE_SECONDS))

    def is_good(self, nonce: str) -> bool:
        """Whether it was given out lately."""
        period = int(self._clock() // NONCE_SECONDS)
        return any(hmac.compare_digest(nonce.encode(), self._of(each).encode()) for each in (period, period - 1))

    def _of(self, period: int) -> str:
        digest = hmac.digest(self._key, b"dpop-nonce %d" % period, "sha256")
        return urlsafe_b64encode(digest[:18]).decode()


@dataclass(frozen=True, slots=True)
class ProofTerms:
    """How proofs are judged.

    Attributes:
        replays: the proofs that were seen.
        rules: of DPoP.
        public_url: under which clients know this gateway, such as https://api.example; None for what each request says.
        nonces: that proofs have to bear; None where they have to bear none.
        certificate_field: whether trusted proxies tell of their client's certificate (Client-Cert, RFC 9440).
        trusted_proxies: those whose word is taken.
    """

    replays: Replays
    rules: DpopRules = field(default_factory=DpopRules)
    public_url: str | None = None
    nonces: Nonces | None = None
    certificate_field: bool = False
    trusted_proxies: TrustedProxies = field(default_factory=lambda: TrustedProxies(()))

    @property
    def algorithms(self) -> str:
        """The algorithms that a challenge offers (RFC 9449 §7.1)."""
        return " ".join(sorted(self.rules.algorithms))

    def origin(self, sender: Sender, host: str) -> str:
        """Scheme, host and port under which the client knows this gateway."""
        return self.public_url or f"{sender.scheme}://{host}"


NO_PROOFS: frozenset[Proof] = frozenset()


def prove(  # noqa: PLR0913, PLR0917 - what a proof is of
    token: BearerToken, claims: Claims, head: RequestHead, sender: Sender, terms: ProofTerms, now: float
) -> frozenset[Proof] | Denial:
    """Judge the proofs that a token needs.

    A bound token without its proof is refused, and so is one that is bound to a DPoP key and comes as Bearer (RFC 9449
    §7.2), or the reverse.

    Returns:
        Which proofs were given; or a Denial proof_invalid.
    """
    bound = claims.confirmation
    if bound is None or bound.jkt is None:
        if token.scheme == "DPoP":
            return _refused("scheme", "Bearer, since the token is bound to no DPoP key", "DPoP", terms)
    elif token.scheme != "DPoP":
        return _refused("scheme", "DPoP, since the token is bound to a DPoP key", "Bearer", terms)
    elif (fault := _dpop_fault(token, bound.jkt, head, sender, terms, now)) is not None:
        return fault
    if bound is None:
        return NO_PROOFS
    if bound.x5t_s256 is not None and (shown := _certificate(head, sender, terms)) != bound.x5t_s256:
        return unmet(Reason.PROOF_INVALID, "certificate", f"the one with SHA-256 {bound.x5t_s256}", shown or "none")
    given: dict[Proof, str | None] = {"dpop": bound.jkt, "mtls": bound.x5t_s256}
    return frozenset(proof for proof, thumbprint in given.items() if thumbprint is not None)


def _dpop_fault(  # noqa: PLR0913, PLR0917 - what a proof is checked against
    token: BearerToken, thumbprint: str, head: RequestHead, sender: Sender, terms: ProofTerms, now: float
) -> Denial | None:
    origin = terms.origin(sender, head.host)
    path = head.target.partition("?")[0]
    proven = check_proof(
        head.dpop, ProvenRequest(head.method, origin + path, token.value, thumbprint), terms.rules, now
    )
    if isinstance(proven, ProofFault):
        return _refused(proven.check, proven.expected, proven.found, terms, wants_nonce=proven.wants_nonce)
    admission = terms.replays.admit(proven.digest, proven.until)
    if admission is Admission.REPLAYED:
        return _refused("proof replay", "a proof that was not used before", "one that was", terms)
    if admission is Admission.FULL:
        return Denial(
            Reason.OVERLOADED, "no room to remember further proofs, and what is not remembered can be replayed"
        )
    return None


def _certificate(head: RequestHead, sender: Sender, terms: ProofTerms) -> str | None:
    """The thumbprint of the certificate that the client showed, as `cnf` has it."""
    found = sender.client_certificate
    if found is None and terms.certificate_field and terms.trusted_proxies.trusts(sender.peer):
        found = _told(head.client_cert)
    return None if found is None else urlsafe_b64encode(found).rstrip(b"=").decode()


def _told(values: tuple[bytes, ...]) -> bytes | None:
    """The certificate's SHA-256 that a proxy tells of: one byte sequence, between colons (RFC 9440 §2.1, RFC 9651)."""
    if len(values) != 1 or len(values[0]) > MAX_CERTIFICATE:
        return None
    value = values[0].strip()
    if len(value) < 2 or not value.startswith(b":") or not value.endswith(b":"):
        return None
    try:
        return sha256(b64decode(value[1:-1], validate=True)).digest()
    except ValueError:
        return None


def _refused(check: str, expected: str, found: str, terms: ProofTerms, *, wants_nonce: bool = False) -> Denial:
    return replace(
        unmet(Reason.PROOF_INVALID, check, expected, found),
        scheme="DPoP",
        error="use_dpop_nonce" if wants_nonce else None,
        parameters=(("algs", terms.algorithms),),
        nonce=terms.nonces.current() if wants_nonce and terms.nonces is not None else None,
    )
