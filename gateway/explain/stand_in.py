"""Claims without a signature, as a token: signed by a stand-in key that is made for this one judgement.

So claims are judged by the same verification as tokens, from their strict JSON to their times.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.explain.grounds import Grounds
from gateway.explain.words import shown
from gateway.policy.model import Route, TrustedIssuer
from gateway.tokens.keys import KeySet, read_key_set

ALGORITHM = "Ed25519"
LIFETIME = 3600
"""Seconds that claims without `exp` are assumed to be valid."""


class Held(NamedTuple):
    """A key set that is simply there."""

    current: KeySet


@dataclass(frozen=True, slots=True)
class StandIn:
    """Claims made fit for verification.

    Attributes:
        token: the claims, signed.
        issuers: the trusted issuers, who accept that signature; all else is as configured.
        keys: of each issuer by name.
        assumed: what was filled in, in words.
    """

    token: bytes
    issuers: tuple[TrustedIssuer, ...]
    keys: Mapping[str, Held]
    assumed: tuple[str, ...]


def stand_in(payload: Mapping[str, object], route: Route | None, grounds: Grounds, now: float) -> StandIn:
    """Sign claims for one judgement; what is missing of iss, aud and exp is assumed where only one issuer fits."""
    private = Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": _base64url(private.public_key().public_bytes_raw())}
    held = Held(read_key_set({"keys": [jwk]}))
    fitting = _fitting(payload, route, grounds)
    missing = missing_claims(payload, route, grounds, now)
    types = fitting[0].token_types if fitting else frozenset()
    header = {"alg": ALGORITHM, "typ": next(iter(types), "JWT")}
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, {**payload, **missing}))
    return StandIn(
        token=f"{signed}.{_base64url(private.sign(signed.encode()))}".encode(),
        issuers=tuple(replace(issuer, algorithms=frozenset({ALGORITHM})) for issuer in grounds.issuers),
        keys=dict.fromkeys((issuer.name for issuer in grounds.issuers), held),
        assumed=tuple(_in_words(name, value) for name, value in missing.items()),
    )


def missing_claims(
    payload: Mapping[str, object], route: Route | None, grounds: Grounds, now: float
) -> dict[str, object]:
    """What is assumed of iss, aud and exp, where they are missing and only one issuer fits."""
    fitting = _fitting(payload, route, grounds)
    return _missing(payload, fitting[0], route, grounds, now) if len(fitting) == 1 else {}


def _fitting(payload: Mapping[str, object], route: Route | None, grounds: Grounds) -> list[TrustedIssuer]:
    if "iss" in payload:
        return [issuer for issuer in grounds.issuers if issuer.issuer == payload["iss"]]
    return [issuer for issuer in grounds.issuers if route is None or issuer.name in route.rule.issuers]


def _missing(
    payload: Mapping[str, object], issuer: TrustedIssuer, route: Route | None, grounds: Grounds, now: float
) -> dict[str, object]:
    audiences = grounds.audiences(issuer.name, route)
    assumed = {
        "iss": issuer.issuer,
        "aud": audiences[0] if route is not None or len(audiences) == 1 else list(audiences),
        "exp": int(now) + LIFETIME,
    }
    return {name: value for name, value in assumed.items() if name not in payload}


def _in_words(name: str, value: object) -> str:
    return "exp is in one hour" if name == "exp" else f"{name} is {shown(value)}"


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
