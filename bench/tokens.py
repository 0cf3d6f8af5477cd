"""`make bench-tokens`: what a token costs by its algorithm and kind, new and known, without a network.

A verification stands beside the bare signature check, by the same library, of the same token. Steps take turns, and
quoted is each one's best of many turns, since disturbance only ever adds.
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Callable
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import materials
from gateway.client.client_keys import read_key
from gateway.client.dpop_proof import DpopKey
from gateway.policy.headers import ReceivedHead, read_head
from gateway.policy.model import BearerToken, RequestHead, TrustedIssuer
from gateway.tokens.compact import CompactToken, read_compact
from gateway.tokens.introspection import Active, UnknownToken, judge_answer
from gateway.tokens.introspector import IntrospectionSettings
from gateway.tokens.keys import ALGORITHMS, KeySet, read_key_set
from gateway.tokens.proof import ProofTerms, prove
from gateway.tokens.replay import ReplayStore
from gateway.tokens.verifier import TokenVerifier, VerifiedToken
from gateway.tokens.verify import by_iss, verify

TURNS = 60
BATCH = 200

Step = Callable[[], object]


def fastest(steps: dict[str, Step]) -> dict[str, float]:
    """Microseconds of one run of each step: its best batch, the steps taking turns."""
    shortest = dict.fromkeys(steps, float("inf"))
    console = Console(stderr=True)
    for _ in track(range(TURNS), "turns", console=console, disable=not console.is_terminal, transient=True):
        for name, step in steps.items():
            started = time.perf_counter()
            for _ in range(BATCH):
                step()
            shortest[name] = min(shortest[name], time.perf_counter() - started)
    return {name: spent / BATCH * 1e6 for name, spent in shortest.items()}


class _Keys:
    def __init__(self, current: KeySet) -> None:
        self.current = current


class _Asked:
    settings = IntrospectionSettings("bench", materials.ISSUER)

    def recall(self, token: bytes, now: float) -> None:
        """Nothing was refused."""


def _private_key(algorithm: str) -> Any:
    if algorithm[:2] in {"RS", "PS"}:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    curves: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    curve = curves.get(algorithm)
    return ed25519.Ed25519PrivateKey.generate() if curve is None else ec.generate_private_key(curve)


def _key_set(algorithm: str, key: Any) -> KeySet:
    kinds: dict[str, Any] = {"R": RSAAlgorithm, "P": RSAAlgorithm}
    kind = OKPAlgorithm if algorithm.startswith("Ed") else kinds.get(algorithm[0], ECAlgorithm)
    jwk = json.loads(kind.to_jwk(key.public_key())) | {"kid": materials.KID, "alg": algorithm}
    jwk.pop("key_ops", None)
    return read_key_set({"keys": [jwk]})


def _two_tokens(algorithm: str, key: Any, **more: Any) -> list[BearerToken]:
    """Two, since a verifier remembers the digest of the token that it saw last."""
    signed = [jwt.encode(materials.claims(n, **more), key, algorithm, materials.HEADER) for n in range(2)]
    return [BearerToken(token.encode()) for token in signed]


def _recalls(verifier: TokenVerifier, tokens: list[BearerToken], asks: str | None = None) -> Step:
    now, turn = time.time(), itertools.cycle(tokens)
    for token in tokens:
        if not isinstance(verifier.recall(token, now, asks), VerifiedToken):
            raise TypeError("the benchmark's own token is not remembered")
    return lambda: verifier.recall(next(turn), now, asks)


def by_algorithm(algorithm: str) -> dict[str, Step]:
    """The bare signature check, a verification and a recall of one algorithm's tokens."""
    key = _private_key(algorithm)
    keys = _key_set(algorithm, key)
    issuer = TrustedIssuer("bench", materials.ISSUER, frozenset({materials.AUDIENCE}), frozenset({algorithm}))
    tokens, now, issuers = _two_tokens(algorithm, key), time.time(), by_iss([issuer])
    verifier = TokenVerifier([issuer], {"bench": _Keys(keys)}, capacity=10, log_key=b"bench")
    for token in tokens:
        if not isinstance(verifier.verify(token, now), VerifiedToken):
            raise TypeError(f"the benchmark's own token is refused: {algorithm}")
    compact = cast("CompactToken", read_compact(tokens[0].value))
    public, check = keys.keys[0].key, ALGORITHMS[algorithm].verify
    return {
        f"{algorithm} bare": lambda: check(compact.signing_input, public, compact.signature),
        f"{algorithm} new": lambda: verify(tokens[0], issuers, lambda _: keys, now),
        f"{algorithm} known": _recalls(verifier, tokens),
    }


def opaque() -> dict[str, Step]:
    """An opaque token that was asked about: the judgement of an answer, and the recall."""
    issuer = TrustedIssuer("bench", materials.ISSUER, frozenset({materials.AUDIENCE}), frozenset({"RS256"}))
    verifier = TokenVerifier([issuer], {}, capacity=10, log_key=b"bench", asked={"bench": _Asked()})
    tokens, now = [BearerToken(secrets.token_urlsafe(32).encode()) for _ in range(2)], time.time()
    for number, token in enumerate(tokens):
        unknown = verifier.verify(token, now, "bench")
        active = judge_answer({"active": True} | materials.claims(number), issuer, now)
        if not isinstance(unknown, UnknownToken) or not isinstance(active, Active):
            raise TypeError("the benchmark's own opaque token is refused")
        verifier.admit(unknown, active)
    answer = {"active": True} | materials.claims(0)
    return {
        "opaque, its answer judged": lambda: judge_answer(answer, issuer, now),
        "opaque known": _recalls(verifier, tokens, "bench"),
    }


def dpop(algorithm: str) -> dict[str, Step]:
    """A proof that is judged: each a new one, as every request has to bring its own."""
    key = _private_key(algorithm)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    holder = DpopKey(read_key(pem, algorithm))
    token = _two_tokens(algorithm, key, cnf={"jkt": holder.thumbprint})[0]._replace(scheme="DPoP")
    issuer = TrustedIssuer("bench", materials.ISSUER, frozenset({materials.AUDIENCE}), frozenset({algorithm}))
    verifier = TokenVerifier([issuer], {"bench": _Keys(_key_set(algorithm, key))}, capacity=10, log_key=b"bench")
    now = time.time()
    verified = verifier.verify(token, now)
    if not isinstance(verified, VerifiedToken):
        raise TypeError("the benchmark's own bound token is refused")
    terms = ProofTerms(ReplayStore(lambda: now, TURNS * BATCH + 1))
    heads = iter([_head(holder, token, now) for _ in range(TURNS * BATCH + 1)])

    def step() -> object:
        return prove(token, verified.claims, next(heads), _Client(), terms, now)

    if step() != frozenset({"dpop"}):
        raise TypeError("the benchmark's own proof is refused")
    return {f"DPoP {algorithm}": step}


class _Client:
    peer, scheme = "127.0.0.1", "http"
    client_certificate: bytes | None = None


def _head(holder: DpopKey, token: BearerToken, now: float) -> RequestHead:
    proof = holder.proof("GET", f"http://api{materials.PATH}", now, access_token=token.value.decode())
    fields = ((b"Host", b"api"), (b"Authorization", b"DPoP " + token.value), (b"DPoP", proof.encode()))
    received = read_head("GET", materials.PATH, (1, 1), fields)
    if not isinstance(received, ReceivedHead):
        raise TypeError("the benchmark's own request is refused")
    return received.head


def main() -> None:
    """Measure everything and print it; Ed25519 is left out, which is EdDSA by another name."""
    shown = Table("algorithm", title="microseconds a token, the best of many")
    for column in ("bare signature check", "new", "by the bare check", "known"):
        shown.add_column(column, justify="right")
    for algorithm in sorted(ALGORITHMS.keys() - {"Ed25519"}):
        bare, new, known = fastest(by_algorithm(algorithm)).values()
        shown.add_row(algorithm, f"{bare:.1f}", f"{new:.1f}", f"{new / bare:.2f}", f"{known:.2f}")
    shown.add_section()
    judged, known = fastest(opaque()).values()
    shown.add_row("opaque (without the question)", "", f"{judged:.1f}", "", f"{known:.2f}")
    shown.add_section()
    for algorithm in ("ES256", "EdDSA", "RS256"):
        (proven,) = fastest(dpop(algorithm)).values()
        shown.add_row(f"a DPoP proof by {algorithm}, each request", "", f"{proven:.1f}", "", "")
    Console(width=100).print(shown)


if __name__ == "__main__":
    main()
