"""A running gateway between a raw client and a raw upstream, and what it left behind."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway import build
from gateway.access.record import AccessRecord
from gateway.app import Gateway
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.plan import Plan

from .minting import AUDIENCE, ISSUER, NOW, OTHER_ISSUER, authorization, ec_key, jwk, key_set, mint, rsa_key
from .patience import PATIENCE, eventually
from .raw_client import Answer, RawClient
from .raw_upstream import RawUpstream

MEMBERS = set(AccessRecord.__annotations__)
"""Of a record; `test_record` compares them with the contract's list."""

ROUTES: list[dict[str, Any]] = [
    {"id": "open", "path": "/public/{rest...}", "public": True, "upstream": "api"},
    {"id": "admin", "path": "/admin/{rest...}", "scopes": ["admin"], "upstream": "api"},
    {"id": "token", "path": "/token/{rest...}", "scopes": ["admin"], "forward_token": True, "upstream": "api"},
    {"id": "read", "path": "/jobs/{job}", "methods": ["GET", "HEAD"], "scopes": ["jobs.read"], "upstream": "api"},
    {"id": "run", "path": "/jobs/{job}", "methods": ["POST"], "scopes": {"any": ["jobs.run"]}, "upstream": "api"},
    {"id": "partner", "path": "/partner", "issuers": ["other"], "scopes": ["admin"], "upstream": "api"},
]
PUBLISHED = key_set(jwk(rsa_key(), kid="rsa", alg="RS256"), jwk(ec_key(), kid="ec"), jwk(ec_key("P-384"), kid="ec384"))
OTHER_PUBLISHED = key_set(jwk(rsa_key("other"), kid="rsa"))


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Gate:
    """What a test holds in its hands.

    Attributes:
        answers: every final answer that a client read.
        secrets: what must be seen in no output.
        reads_all: whether the test reads the answer to every request that it does not abort.
        stopped: whether the test has stopped the gateway.
    """

    gateway: Gateway
    upstream: RawUpstream
    clock: Clock
    log: Path
    answers: list[Answer] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    reads_all: bool = True
    stopped: bool = False

    def connect(self, *, limit: int = 1 << 20, address: str = "127.0.0.1") -> RawClient:
        return RawClient(self.gateway.port, self.answers, limit, address)

    async def ask(self, data: bytes, address: str = "127.0.0.1") -> Answer:
        """One request on a connection of its own, from an address of this machine."""
        async with self.connect(address=address) as client:
            return await client.ask(data)

    def bearer(self, token: str | None = None, /, **changes: Any) -> str:
        """An Authorization field line, of a good token unless told otherwise; it must never be seen in any output."""
        token = mint(**changes) if token is None else token
        self.secrets.extend(part for part in token.split(".") if len(part) > 20)
        return authorization(token)

    async def operator(self, path: str, host: str = "127.0.0.1") -> Answer:
        """Ask the admin listener."""
        async with RawClient(self.gateway.admin_port) as client:
            return await client.ask(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    async def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((await self.operator("/status.json")).body)
        return document

    async def until(self, reached: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until the operator's status says so."""
        async with asyncio.timeout(PATIENCE):
            while not reached(status := await self.status()):  # noqa: ASYNC110 - the page has to be asked
                await asyncio.sleep(0.01)
        return status

    async def records(self, count: int) -> list[dict[str, Any]]:
        """The access log, as soon as it has that many lines."""
        await eventually(lambda: len(self.lines) >= count)
        assert len(self.lines) == count
        return [json.loads(line) for line in self.lines]

    async def record(self) -> dict[str, Any]:
        """The only record."""
        return (await self.records(1))[0]

    @property
    def has_log(self) -> bool:
        return self.log.is_file()

    @property
    def lines(self) -> list[bytes]:
        return self.log.read_bytes().splitlines(keepends=True) if self.has_log else []


def configuration(upstream: int, /, **changes: Any) -> str:
    """The gateway's file as JSON, which is YAML. `issuer` and `upstream` go into those sections; None removes."""
    issuer = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": "keys.json"} | changes.pop("issuer", {})
    whole: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "access_log": "access.jsonl",
        "issuers": {
            "main": {key: value for key, value in issuer.items() if value is not None},
            "other": {"issuer": OTHER_ISSUER, "audience": AUDIENCE, "jwks_file": "other.json"},
        },
        "upstreams": {"api": {"url": f"http://127.0.0.1:{upstream}"} | changes.pop("upstream", {})},
        "routes": ROUTES,
    }
    return json.dumps(whole | changes)


def write_keys(folder: Path, keys: Mapping[str, Any] = PUBLISHED) -> None:
    (folder / "keys.json").write_text(json.dumps(keys))
    (folder / "other.json").write_text(json.dumps(OTHER_PUBLISHED))


def in_haste(plan: Plan) -> Plan:
    """The same, and feeds of revocations are read ten times as often, so that tests need not wait for them."""
    feeds = {name: issuer.feed for name, issuer in plan.issuers.items()}
    hasty = {name: feed and replace(feed, interval=feed.interval / 10) for name, feed in feeds.items()}
    return replace(plan, issuers={name: replace(plan.issuers[name], feed=feed) for name, feed in hasty.items()})


@asynccontextmanager
async def running(
    folder: Path, upstream: RawUpstream, keys: Mapping[str, Any], /, **changes: Any
) -> AsyncIterator[Gate]:
    """A gateway; at its end every line of its log is examined."""
    write_keys(folder, keys)
    clock = changes.pop("clock", None) or Clock()
    log = Path(changes.setdefault("access_log", str(folder / "access.jsonl")))
    config = parse(configuration(upstream.port, **changes), "gateway.yaml", {})
    assert isinstance(config, GatewayConfig), "\n".join(map(str, config))
    gateway = Gateway(in_haste(build.plan(config, folder, "test")), clock=clock)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(gateway.close)
        await gateway.start()
        gate = Gate(gateway, upstream, clock, log)
        yield gate
        pages = () if gate.stopped else ("/metrics", "/status.json")
        shown = [(await gate.operator(path)).body.decode() for path in pages]
    if gate.has_log:
        examine(gate, shown)


def examine(gate: Gate, shown: list[str]) -> None:
    """One record a request with exactly the contract's members, and no secret anywhere."""
    records = [json.loads(line) for line in gate.lines]
    assert all(line.endswith(b"}\n") and line.isascii() for line in gate.lines)
    assert all(set(record) == MEMBERS for record in records)
    recorded = [record["request_id"] for record in records]
    assert len(recorded) == len(set(recorded)), "a request was recorded twice"
    answered = {answer.all("X-Request-Id")[-1] for answer in gate.answers}
    assert answered <= set(recorded), "a request was not recorded"
    left = {record["request_id"] for record in records if record["aborted"]}
    assert not gate.reads_all or answered | left == set(recorded), "something was recorded that was no request"
    refusals = [answer for answer in gate.answers if answer.all("Content-Type") == ["application/problem+json"]]
    output = "".join([*shown, *(line.decode() for line in gate.lines), *map(repr, refusals)])
    assert not [secret for secret in gate.secrets if secret in output]
