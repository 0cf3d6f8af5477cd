"""Verification: is this token one that a trusted issuer signed, and is it valid here and now?

A pure function of token, issuers, keys and time. PyJWT checks the signature; everything that PyJWT leaves open (the
spelling of the compact form, duplicate members, types of claims, the key's purpose and strength) is closed by the
modules beside this one. The order is that of RFC 8725 §3: form, issuer, algorithm, key, signature, claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from gateway.policy.claims import ABSENT, check_claims, claim_at, fits, shown_claim
from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.model import BearerToken, Claims, TrustedIssuer
from gateway.policy.printable import brief
from gateway.tokens.compact import CompactToken, read_compact
from gateway.tokens.keys import KeySet, VerificationKey


class UnknownKey(NamedTuple):
    """The token can't be judged with the keys at hand: its issuer has to be asked.

    Attributes:
        issuer: the TrustedIssuer's name.
        kid: the key that the token names, or None.
    """

    issuer: str
    kid: str | None


class Verification(NamedTuple):
    """A token that passed: its claims, and by which key and algorithm."""

    claims: Claims
    key: VerificationKey
    algorithm: str


_LONGEST_KID = 80

IssuersByIss = Mapping[str, tuple[TrustedIssuer, ...]]
"""The value of `iss` to the entries that take it: more than one where a shared issuer's tenants are told apart."""

Seen = Callable[[str, object], None]
"""Is told the issuer's name and the `iat`, whatever that is, of each token whose signature is good."""

KeysOf = Callable[[str], KeySet | None]
"""An issuer's name to its keys at this moment, None where none could be had yet."""


def by_iss(issuers: Iterable[TrustedIssuer]) -> IssuersByIss:
    """The issuers as `verify` takes them, those that share an `iss` in their order."""
    found: dict[str, tuple[TrustedIssuer, ...]] = {}
    for issuer in issuers:
        found[issuer.issuer] = (*found.get(issuer.issuer, ()), issuer)
    return found


def issuer_of(payload: Mapping[str, object], issuers: IssuersByIss) -> TrustedIssuer | None:
    """The entry that a payload belongs to, if any: the one whose conditions it meets, where several share its `iss`."""
    name = payload.get("iss")
    entries = issuers.get(name, ()) if isinstance(name, str) else ()
    if len(entries) > 1:
        return next((entry for entry in entries if fits(payload, entry)), None)
    return entries[0] if entries else None


def verify(
    token: BearerToken, issuers: IssuersByIss, keys_of: KeysOf, now: float, seen: Seen | None = None
) -> Verification | UnknownKey | Denial:
    """Verify a bearer token.

    Args:
        token: as it was sent.
        issuers: by the value of their `iss`.
        keys_of: an issuer's keys.
        now: seconds since the epoch.
        seen: whoever learns of the issuer's clock.

    Returns:
        A Verification; UnknownKey where the issuer's keys have to be looked for; or a Denial.
    """
    compact = read_compact(token.value)
    if isinstance(compact, Denial):
        return compact
    issuer = issuer_of(compact.payload, issuers)
    if issuer is None:
        return _untrusted(compact.payload, issuers)
    if (denial := _check_header(compact, issuer)) is not None:
        return denial
    key = _signing_key(compact, issuer, keys_of(issuer.name))
    if not isinstance(key, VerificationKey):
        return key
    if seen is not None:
        seen(issuer.name, compact.payload.get("iat"))
    claims = check_claims(compact.payload, issuer, now)
    return claims if isinstance(claims, Denial) else Verification(claims, key, compact.header.alg)


def _untrusted(payload: Mapping[str, object], issuers: IssuersByIss) -> Denial:
    entries = issuers.get(str(payload.get("iss")), ())
    if entries:
        conditions = " or ".join(
            f"{entry.name} ({', '.join(f'{path} {_either(values)}' for path, values in entry.conditions)})"
            for entry in entries
        )
        paths = dict.fromkeys(path for entry in entries for path, _ in entry.conditions)
        found = ", ".join(f"{path} {shown_claim(claim_at(payload, path))}" for path in paths)
        return unmet(Reason.ISSUER_UNTRUSTED, "issuer", conditions, found)
    return unmet(Reason.ISSUER_UNTRUSTED, "issuer", _either(issuers), shown_claim(payload.get("iss", ABSENT)))


def _either(names: Iterable[object]) -> str:
    return " or ".join(map(str, names))


def _check_header(compact: CompactToken, issuer: TrustedIssuer) -> Denial | None:
    header = compact.header
    if header.alg not in issuer.algorithms:
        return unmet(Reason.ALGORITHM_NOT_ALLOWED, "algorithm", _either(sorted(issuer.algorithms)), header.alg)
    if issuer.token_types and header.typ not in issuer.token_types:
        return unmet(Reason.CLAIM_INVALID, "type", _either(sorted(issuer.token_types)), header.typ or "none")
    return None


def _signing_key(
    compact: CompactToken, issuer: TrustedIssuer, keys: KeySet | None
) -> VerificationKey | UnknownKey | Denial:
    header = compact.header
    if keys is None:
        return UnknownKey(issuer.name, header.kid)
    candidates = keys.candidates(header.kid, header.alg)
    for key in candidates:
        if key.verifies(header.alg, compact.signing_input, compact.signature):
            return key
    if candidates:
        expected = f"that of {_named(header.kid)}"
        return unmet(Reason.SIGNATURE_INVALID, "signature", expected, "another", issuer=issuer.name)
    if keys.knows(header.kid):
        found = f"{_named(header.kid)}, which is for another"
        return unmet(Reason.ALGORITHM_NOT_ALLOWED, "key", f"one for {header.alg}", found)
    return UnknownKey(issuer.name, header.kid)


def _named(kid: str | None) -> str:
    return "the key without a name" if kid is None else f"the key {brief(kid, _LONGEST_KID)}"
