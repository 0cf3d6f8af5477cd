"""No bytes make the server fail: whatever comes over a connection, no answer is a 5xx, and nothing goes wrong inside.

Requests that are right are mutated, so that the mutants get far: as bytes, and part by part with good signatures.
"""

import asyncio
import base64
import json
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.parse import quote_from_bytes, urlencode

import jwt
import pytest
from aiohttp.http_exceptions import HttpProcessingError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings as budget, strategies as st
from jwt.algorithms import OKPAlgorithm

from gateway.issuer.running import RunningIssuer
from gateway.issuer.scopes import MY_SCOPES

from .issuer_case import BATCH, BATCH_SCOPES, FORM, ISSUER, MAINTENANCE, SECRET, TEXT, Clock, settings

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC: dict[str, Any] = OKPAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
PATIENCE: Final = 0.02
"""Seconds for an answer to begin: a request that was cut off gets none."""

NOW: Final = 1_800_000_000
JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PATHS: Final = ("/oauth2/v1/token", "/oauth2/v1/introspect", "/oauth2/v1/revoke", "/oauth2/v1/revocations")
STATUS = re.compile(rb"^HTTP/1\.[01] ([0-9]{3})", re.MULTILINE)


@dataclass
class Target:
    """A running server, and what went wrong inside of it."""

    address: tuple[str, int]
    faults: list[str] = field(default_factory=list)

    def send(self, request: bytes) -> None:
        """Send bytes, and look at what comes back."""
        answer = self.answer(request)
        for status in map(int, STATUS.findall(answer)):
            assert status < 500, answer
        told, self.faults[:] = list(self.faults), []
        assert not told, told

    def answer(self, request: bytes, patience: float = PATIENCE) -> bytes:
        answer = b""
        with socket.create_connection(self.address, timeout=patience) as connection, suppress(OSError):
            connection.sendall(request)
            with suppress(TimeoutError):
                answer += connection.recv(1 << 16)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(5.0)
            while part := connection.recv(1 << 16):
                answer += part
        return answer


class _Faults(logging.Handler):
    """Keeps what is logged as an error; that strangers send what is no HTTP is none."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError):
            self._found.append(logging.Formatter().format(record))


@contextmanager
def running(folder: Path) -> Iterator[Target]:
    """The server, in a thread with an event loop of its own."""
    keys = json.dumps({"keys": [PUBLIC | {"kid": "one", "alg": "EdDSA"}]})
    read = settings(TEXT.replace("jwks: {keys: []}", f"introspect: true, jwks: {keys}"))
    issuer, loop = RunningIssuer(read, clock=Clock(NOW), state=folder / "issuer.db"), asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(issuer.start(), loop).result()
    target = Target((issuer.address.host, issuer.address.port))
    handler = _Faults(target.faults)
    logging.getLogger().addHandler(handler)
    yield target
    logging.getLogger().removeHandler(handler)
    asyncio.run_coroutine_threadsafe(issuer.close(), loop).result()
    asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running(tmp_path_factory.mktemp("fuzz")) as found:
        yield found
        found.send(BY_SECRET)


def request(path: str, fields: list[tuple[str, bytes]], body: bytes, method: str = "POST") -> bytes:
    head = [f"{method} {path} HTTP/1.1".encode(), b"Host: x", b"Connection: close"]
    head += [name.encode() + b": " + value for name, value in fields]
    return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", body])


def signed(header: dict[str, Any], claims: Any) -> bytes:
    """A JWT whose signature is right, whatever it says."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode()]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return text + b"." + base64.urlsafe_b64encode(KEY.sign(text)).rstrip(b"=")


ASSERTION = {"iss": "signer", "sub": "signer", "aud": ISSUER, "jti": "one", "iat": NOW, "exp": NOW + 60}
ASSERTION_HEADER = {"alg": "EdDSA", "kid": "one", "typ": "JWT"}
PROOF = {"htm": "POST", "htu": f"{ISSUER}/oauth2/v1/token", "jti": "two", "iat": NOW}
PROOF_HEADER = {"alg": "EdDSA", "typ": "dpop+jwt", "jwk": {name: PUBLIC[name] for name in ("kty", "crv", "x")}}
ACCESS_TOKEN = jwt.encode(
    {"iss": ISSUER, "sub": "x", "client_id": "x", "aud": MAINTENANCE, "exp": NOW, "jti": "3"}, KEY, "EdDSA"
)
TYPE = [("Content-Type", FORM["Content-Type"].encode())]
BASIC = [("Authorization", BATCH["Authorization"].encode())]


def form(**parameters: str) -> bytes:
    return urlencode(parameters).encode()


def by_assertion(assertion: bytes) -> bytes:
    return form(client_id="signer", client_assertion_type=JWT_BEARER, client_assertion=assertion.decode())


GRANT = form(grant_type="client_credentials", scope=BATCH_SCOPES)
BY_SECRET = request(PATHS[0], TYPE + BASIC, GRANT)
SEEDS: Final = (
    BY_SECRET,
    request(PATHS[0], TYPE, GRANT + b"&" + form(client_id="nightly-batch", client_secret=SECRET)),
    request(PATHS[0], TYPE, GRANT + b"&" + by_assertion(signed(ASSERTION_HEADER, ASSERTION))),
    request(PATHS[0], [*TYPE, *BASIC, ("DPoP", signed(PROOF_HEADER, PROOF))], GRANT),
    request(PATHS[1], TYPE + BASIC, form(token=ACCESS_TOKEN, token_type_hint="access_token")),
    request(PATHS[2], TYPE + BASIC, form(token=ACCESS_TOKEN, token_type_hint="refresh_token")),
    request(PATHS[3], [("If-None-Match", b'"1"')], b"", "GET"),
    request("/.well-known/oauth-authorization-server", [], b"", "GET"),
    b"POST /oauth2/v1/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: "
    + FORM["Content-Type"].encode()
    + b"\r\n\r\n1d\r\ngrant_type=client_credentials\r\n0\r\n\r\n",
)
FRAGMENTS: Final = (
    *(b"\r\n", b"\n", b"\0", b"%00", b"%ff", b"%", b"&", b"=", b"+", b";", b".", b"..", b"\xff", b"\xed\xa0\x80"),
    *(
        b"Authorization: Basic Og==\r\n",
        b"DPoP: a.b.c\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
    ),
    *(b"Content-Length: 99999999999999999999\r\n", b"Content-Encoding: gzip\r\n", b"Content-Encoding: br\r\n"),
    *(b"&client_secret=x", b"&client_assertion=a.b.c", b"&resource=https://[", b"&scope=%22", b"&token=a.b.c"),
    *(
        b"e30",
        b"bnVsbA",
        b"W10",
        b"{}",
        b"null",
        b"9" * 400,
        b"[" * 2000,
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"http://[::1",
        b"//",
    ),
)


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A request that is right, with up to five pieces of it changed."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        piece = draw(
            st.one_of(st.just(b""), st.binary(max_size=6), st.sampled_from(FRAGMENTS), st.just(data[start:end] * 2))
        )
        data = data[:start] + piece + data[end:]
    return data


plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from([NOW, ISSUER, "signer", "one"]),
)
values = st.recursive(
    plain,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


def changed(right: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A JSON object with some members changed, some left out and some added."""
    changes = st.dictionaries(
        st.one_of(
            st.sampled_from([*right, "alg", "crit", "x5t", "x5t#S256", "nbf", "ath", "nonce"]), st.text(max_size=5)
        ),
        values,
        max_size=3,
    )
    return st.builds(
        lambda gone, new: {name: value for name, value in right.items() if name not in gone} | new,
        st.sets(st.sampled_from(sorted(right)), max_size=2),
        changes,
    )


def jwts(header: dict[str, Any], claims: dict[str, Any]) -> st.SearchStrategy[bytes]:
    return st.one_of(
        st.builds(signed, changed(header), changed(claims)),
        st.builds(signed, st.just(header), st.one_of(changed(claims), values)),
        st.binary(max_size=60).filter(lambda text: not set(text) & {0, 10, 13}),
    )


credentials = st.one_of(
    st.just(b"Basic " + BATCH["Authorization"].encode()[6:]),
    st.binary(max_size=40).map(lambda pair: b"Basic " + base64.b64encode(pair)),
    st.text(max_size=20).map(
        lambda pair: b"Basic " + base64.b64encode(f"nightly-batch:{pair}".encode("utf-8", "surrogatepass"))
    ),
    st.binary(max_size=40).filter(lambda value: not set(value) & {0, 10, 13}),
)
names = st.sampled_from(
    [
        *("grant_type", "scope", "resource", "client_id", "client_secret", "client_assertion", "client_assertion_type"),
        *("token", "token_type_hint", "audience", "x"),
    ]
)
texts = st.one_of(
    st.sampled_from(
        [
            "client_credentials",
            "nightly-batch",
            "signer",
            "field-app",
            JWT_BEARER,
            MAINTENANCE,
            MY_SCOPES,
            "jobs.read",
            "",
        ]
    ).map(str.encode),
    st.binary(max_size=30),
    jwts(ASSERTION_HEADER, ASSERTION),
    st.just(ACCESS_TOKEN.encode()),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request of right form, whose parts say anything."""
    fields = list(TYPE)
    if draw(st.booleans()):
        fields.append(("Authorization", draw(credentials)))
    if draw(st.booleans()):
        fields.append(("DPoP", draw(jwts(PROOF_HEADER, PROOF))))
    parameters = [("grant_type", b"client_credentials")] if draw(st.booleans()) else []
    parameters += draw(st.lists(st.tuples(names, texts), max_size=4))
    if draw(st.booleans()):
        assertion = draw(jwts(ASSERTION_HEADER, ASSERTION))
        parameters += [("client_assertion_type", JWT_BEARER.encode()), ("client_assertion", assertion)]
    body = "&".join(f"{name}={quote_from_bytes(value)}" for name, value in parameters).encode()
    path = draw(st.sampled_from(PATHS)) + draw(st.sampled_from(["", "?", "?x=%ff", "?scope=x", "/"]))
    return request(path, fields, body, draw(st.sampled_from(["POST", "POST", "POST", "GET", "HEAD", "PUT", "OPTIONS"])))


def examples(count: int) -> budget:
    return budget(max_examples=count, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@examples(120)
@given(mutants())
def test_no_mutant_of_a_request_makes_the_server_fail(target: Target, data: bytes) -> None:
    target.send(data)


@examples(60)
@given(requests())
def test_no_part_of_a_request_makes_the_server_fail(target: Target, data: bytes) -> None:
    target.send(data)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
@pytest.mark.parametrize("path", PATHS[:3])
def test_a_body_that_claims_to_be_compressed_is_refused_without_a_fault(
    target: Target, path: str, encoding: str
) -> None:
    fields = [*TYPE, *BASIC, ("Content-Encoding", encoding.encode())]
    data = request(path, fields, b"token=x&grant_type=client_credentials")
    assert STATUS.findall(target.answer(data, patience=10.0)) == [b"400"]
    target.send(data)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@examples(20_000)
@given(st.one_of(mutants(), requests()))
def test_no_bytes_make_the_server_fail_however_many_are_tried(target: Target, data: bytes) -> None:
    target.send(data)


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_what_the_mutants_are_made_of_is_answered(target: Target, seed: bytes) -> None:
    answer = target.answer(seed, patience=10.0)
    assert STATUS.findall(answer)[0] in {b"200", b"400", b"404"}, answer
