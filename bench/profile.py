"""`make profile`: what each step of a request costs, one by one, and the whole journey without a network.

Each step runs many times in a row, which keeps its code and data in the processor's caches: in a journey they cost
about half as much again. Quoted is the best of many repetitions, since disturbance only ever adds.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import uvloop
from aiohttp.http_parser import HttpRequestParser, HttpResponseParser
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import materials
from gateway import build
from gateway.app import Gateway
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.downstream.connection import ClientConnection
from gateway.parsing import UNBOUNDED
from gateway.policy.bearer import take_token
from gateway.policy.decision import Evidence, decide
from gateway.policy.headers import ReceivedHead, read_head, read_response
from gateway.policy.model import BearerToken, Route, Rule, TrustedIssuer
from gateway.policy.routes import RouteTable
from gateway.strict_json import read_object
from gateway.tokens.compact import CompactToken, read_compact
from gateway.tokens.introspection import Active, UnknownToken
from gateway.tokens.keys import KeySet, read_key_set
from gateway.tokens.verifier import TokenVerifier, VerifiedToken
from gateway.tokens.verify import by_iss, verify
from gateway.upstream.connection import UpstreamConnection

REPETITIONS = 40
BATCH = 500

ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 112\r\nConnection: keep-alive\r\n\r\n" + b"x" * 112
)


def best(step: Callable[[], object]) -> float:
    """Microseconds of one run of a step: the best batch."""
    shortest = float("inf")
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        for _ in range(BATCH):
            step()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest / BATCH * 1e6


class _FlowControl:
    """What a parser's stream calls."""

    def pause_reading(self) -> None:
        """Nothing is paused."""

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's signature
        """Nothing is resumed."""


class _Wire:
    """A transport that leads nowhere."""

    written = 0

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 1) if name == "peername" else None

    def write(self, _data: bytes) -> None:
        self.written += 1

    def is_closing(self) -> bool:
        return False

    def ignore(self) -> None:
        """Pausing, resuming and closing mean nothing here."""

    pause_reading = resume_reading = close = abort = ignore


def request_bytes(token: str) -> bytes:
    """A request as the benchmark sends it."""
    head = f"GET {materials.PATH} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer {token}\r\n\r\n"
    return head.encode()


def table_of(count: int) -> RouteTable:
    """A table of so many routes, the last of which fits."""
    rule = Rule(issuers=frozenset({"bench"}), all_of=(materials.SCOPE,))
    methods = frozenset({"GET"})
    unused = [Route(f"r{n}", f"/unused/{n}/{{x}}", methods, rule, "up") for n in range(count - 1)]
    return RouteTable([*unused, Route("jobs", "/maintenance/jobs/{job}", methods, rule, "up")])


def steps(made: materials.Materials) -> dict[str, Callable[[], object]]:
    """Every step by its name."""
    loop = asyncio.get_running_loop()
    token, now = BearerToken(made.good.encode()), time.time()
    raw = request_bytes(made.good)
    flow = cast("asyncio.BaseProtocol", _FlowControl())
    requests = HttpRequestParser(flow, loop, UNBOUNDED, max_field_size=32768, max_msg_queue_size=1)  # type: ignore[arg-type]  # only flow control is called
    answers = HttpResponseParser(flow, loop, UNBOUNDED, read_until_eof=True, auto_decompress=False)  # type: ignore[arg-type]  # likewise

    def parse_request() -> object:
        found = requests.feed_data(raw)[0][0][0]
        requests.message_consumed()
        return found

    def parse_answer() -> object:
        message, payload = answers.feed_data(ANSWER)[0][0]
        payload.read_nowait()
        return message

    message, answer = parse_request(), parse_answer()
    fields, answer_fields = message.raw_headers, answer.raw_headers  # type: ignore[attr-defined]  # the parsers' messages
    received = read_head("GET", materials.PATH, (1, 1), fields)
    keys = read_key_set(read_object(made.jwks.read_bytes()))
    issuer = TrustedIssuer("bench", materials.ISSUER, frozenset({materials.AUDIENCE}), frozenset({"RS256"}))
    verifier = TokenVerifier([issuer], {"bench": _Keys(keys)}, capacity=10, log_key=b"profile")
    verified, compact = verifier.verify(token, now), read_compact(token.value)
    if not (
        isinstance(received, ReceivedHead) and isinstance(verified, VerifiedToken) and isinstance(compact, CompactToken)
    ):
        raise TypeError("the profile's own request is refused")
    few, many = table_of(10), table_of(1000)
    key = cast("RSAPublicKey", keys.keys[0].key)
    scheme, digest = padding.PKCS1v15(), hashes.SHA256()
    issuers = by_iss([issuer])
    rule = few.routes[-1].rule
    return {
        "parse a request (aiohttp's C parser)": parse_request,
        "sort its fields, judge its target": lambda: read_head("GET", materials.PATH, (1, 1), fields),
        "the same, fields known from the last request": lambda: received.of("GET", materials.PATH, ()),
        "match, 10 routes": lambda: few.match(received.head),
        "match, 1,000 routes": lambda: many.match(received.head),
        "take the token": lambda: take_token(received.head),
        "recall a verified token": lambda: verifier.recall(token, now),
        "check that a known one still holds": lambda: verifier.holds(verified, now),
        "verify a new token": lambda: verify(token, issuers, lambda _: keys, now),
        "of that: the bare signature check": lambda: key.verify(
            compact.signature, compact.signing_input, scheme, digest
        ),
        "decide": lambda: decide(rule, Evidence(verified.claims)),
        "parse an answer (aiohttp's C parser)": parse_answer,
        "sort its fields": lambda: read_response(answer_fields),
    }


class _Keys:
    def __init__(self, current: KeySet) -> None:
        self.current = current


OPAQUE = "mF_9.B5f-4.1JqM-a-token-that-its-issuer-was-asked-about"
_ASKED = """, introspection: {credentials: own, endpoint: 'http://127.0.0.1:1', cache: {for: 1h}}}
credentials:
  own: {issuer: 'http://127.0.0.1:1', client_id: bench, client_secret: bench}"""


async def journey(made: materials.Materials, tokens: list[str]) -> float:
    """Microseconds of the whole journey, access record included, between wires that lead nowhere.

    The opaque token among them is one that its issuer called active a moment ago, as the first JWT's claims have it.
    """
    asked = _ASKED if OPAQUE in tokens else "}"
    config = parse(
        f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\naccess_log: {made.folder}/profile.jsonl\ntoken_cache: 5000\n"
        f"issuers:\n  bench: {{issuer: '{materials.ISSUER}', audience: '{materials.AUDIENCE}', "
        f"jwks_file: jwks.json{asked}\n"
        "upstreams:\n  up: {url: 'http://127.0.0.1:1'}\n"
        f"routes:\n  - {{id: jobs, path: '/maintenance/{{rest...}}', scopes: ['{materials.SCOPE}'], upstream: up}}\n"
    )
    if not isinstance(config, GatewayConfig):
        raise TypeError(config)
    gateway = Gateway(build.plan(config, made.folder, "profile"))
    await gateway.start()
    if OPAQUE in tokens:
        verifier, now = gateway._figures.rules.verifier, time.time()  # noqa: SLF001 - likewise
        known = verifier.verify(BearerToken(read(made.hot)[0].encode()), now)
        if not isinstance(known, VerifiedToken):
            raise TypeError("the profile's own token is refused")
        verifier.admit(UnknownToken("bench", BearerToken(OPAQUE.encode()), known=False), Active(known.claims, now))
    upstream = gateway._figures.rules.upstreams["up"]  # noqa: SLF001 - a profile looks where no user looks
    listener = gateway._listener  # noqa: SLF001 - likewise
    back = UpstreamConnection(upstream.targets[0])
    back.connection_made(cast("asyncio.Transport", _Wire()))
    back.hand_back()
    front = ClientConnection(listener._service, listener)  # noqa: SLF001 - likewise
    front.connection_made(cast("asyncio.Transport", _Wire()))
    requests = itertools.cycle([request_bytes(token) for token in tokens])
    waiting = gateway._access_log._waiting  # noqa: SLF001 - likewise

    def once() -> None:
        front.data_received(next(requests))
        back.data_received(ANSWER)
        if len(waiting) > BATCH:
            waiting.clear()

    found = best(once)
    front.connection_lost(None)
    back.connection_lost(None)
    await gateway.close()
    return found


def read(tokens: Path) -> list[str]:
    """The tokens of a file."""
    return tokens.read_text().splitlines()


async def main() -> None:
    """Measure everything and print it."""
    with tempfile.TemporaryDirectory(prefix="scopegate-profile-") as folder:
        made = materials.make(Path(folder))
        shown = Table("step", title="microseconds, the best of many")
        shown.add_column("µs", justify="right")
        costs: dict[str, float] = {}
        console = Console(stderr=True)
        for name, step in track(steps(made).items(), "steps", console=console, disable=not console.is_terminal):
            costs[name] = best(step)
            shown.add_row(name, f"{costs[name]:.2f}")
        ratio = costs["verify a new token"] / costs["of that: the bare signature check"]
        shown.add_row("a verification, by the bare signature check", f"{ratio:.2f} times")
        shown.add_section()
        for name, tokens in (
            ("one hot token", made.hot),
            ("3,000 tokens", made.rotating),
            ("every token new", made.new),
        ):
            shown.add_row(f"the journey in memory: {name}", f"{await journey(made, read(tokens)):.1f}")
        shown.add_row("the journey in memory: one hot opaque token", f"{await journey(made, [OPAQUE]):.1f}")
        Console(width=90).print(shown)


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
