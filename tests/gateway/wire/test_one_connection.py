"""What is remembered of one request on a connection must not open, name or frame the next one."""

import json

from .conftest import Start
from .gate import Gate
from .minting import NOW, OTHER_ISSUER, claims, jwk, key_set, mint, rsa_key
from .raw_client import RawClient, request
from .raw_upstream import RawUpstream, Visit, replies


async def reason(client: RawClient, raw: bytes) -> str:
    """Why a request was refused; "" where it was not."""
    answer = await client.ask(raw)
    return "" if answer.status == 200 else str(json.loads(answer.body)["reason"])


async def test_a_token_is_not_lent_to_the_next_request(gate: Gate) -> None:
    good, poor = gate.bearer(), gate.bearer(payload=claims(scope="other", client_id="poor"))
    async with gate.connect() as client:
        assert await reason(client, request("GET /admin/x", good)) == ""
        assert await reason(client, request("GET /admin/x")) == "token_missing"
        assert await reason(client, request("GET /admin/x", good)) == ""
        assert await reason(client, request("GET /admin/x", poor)) == "scope_insufficient"
        async with gate.connect() as other:
            assert await reason(other, request("GET /admin/x")) == "token_missing"
        assert await reason(client, request("GET /admin/x", good, good)) == "request_malformed"
    assert [record["client_id"] for record in await gate.records(6)] == [
        "nightly-batch", None, "nightly-batch", "poor", None, None,
    ]  # fmt: skip


async def test_each_target_and_method_is_judged_although_the_fields_are_the_same(gate: Gate) -> None:
    good = gate.bearer(payload=claims(scope="admin jobs.read"))
    expected = {
        "GET /admin/x": "",
        "GET /jobs/7": "",
        "POST /jobs/7": "scope_insufficient",
        "DELETE /jobs/7": "method_not_allowed",
        "GET /partner": "issuer_untrusted",
        "GET /public/x": "",
        "GET /public/../admin/x": "target_invalid",
        "GET /admin//x": "target_invalid",
        "GET /nowhere": "no_route",
        "GET /admin/y?a=1": "",
        "get /admin/x": "request_malformed",
    }
    async with gate.connect() as client:
        for line, why in expected.items():
            assert (line, await reason(client, request(line, good))) == (line, why)
    lines = [visit.line.decode().removesuffix(" HTTP/1.1") for visit in gate.upstream.visits]
    assert lines == [line for line, why in expected.items() if not why]
    assert [visit.fields("x-client-id") for visit in gate.upstream.visits] == [
        ["nightly-batch"], ["nightly-batch"], [""], ["nightly-batch"],
    ]  # fmt: skip


async def test_a_name_is_not_lent_to_a_public_route_or_from_it(gate: Gate) -> None:
    good, theirs = gate.bearer(), gate.bearer(mint(claims(iss=OTHER_ISSUER, client_id="partner"), rsa_key("other")))
    async with gate.connect() as client:
        for _ in range(2):
            for raw in (
                request("GET /public/x", good),
                request("GET /admin/x", good),
                request("GET /admin/x", theirs),
                request("GET /partner", theirs),
                request("GET /public/x", theirs),
            ):
                assert await reason(client, raw) == ""
    names = [visit.fields("x-client-id")[0] for visit in gate.upstream.visits]
    assert names == ["", "nightly-batch", "partner", "partner", ""] * 2


async def test_the_same_request_is_judged_anew_once_its_token_has_expired(gate: Gate) -> None:
    raw = request("GET /admin/x", gate.bearer())
    async with gate.connect() as client:
        assert [await reason(client, raw) for _ in range(3)] == [""] * 3
        gate.clock.now = NOW + 600
        assert [await reason(client, raw) for _ in range(2)] == ["token_expired"] * 2
        gate.clock.now = NOW - 11
        assert await reason(client, raw) == "token_not_yet_valid"
    assert len(gate.upstream.visits) == 3


async def test_the_same_request_is_judged_anew_once_its_key_has_gone(start: Start) -> None:
    async with RawUpstream() as issuer:
        issuer.play = replies(_keys("rsa"))
        gate = await start(issuer={"jwks_file": None, "jwks_uri": f"http://127.0.0.1:{issuer.port}/"})
        raw = request("GET /admin/x", gate.bearer())
        async with gate.connect() as client:
            assert [await reason(client, raw) for _ in range(2)] == [""] * 2
            issuer.play = replies(_keys("new"))
            gate.clock.now += 31
            assert await reason(client, request("GET /admin/x", gate.bearer(key=rsa_key("new"), kid="new"))) == ""
            assert await reason(client, raw) == "key_unknown"


def _keys(name: str) -> bytes:
    body = json.dumps(key_set(jwk(rsa_key(name), kid=name))).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def test_a_body_is_framed_by_its_own_request(gate: Gate) -> None:
    async def play(visit: Visit) -> None:
        body = await visit.read_body()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    gate.upstream.play = play
    chunked = "Transfer-Encoding: chunked"
    async with gate.connect() as client:
        for _ in range(2):
            assert (await client.ask(request("PUT /public/x", "Content-Length: 5", body=b"hello"))).body == b"hello"
            assert (await client.ask(request("PUT /public/x", "Content-Length: 5", body=b"world"))).body == b"world"
            assert (await client.ask(request("PUT /public/x", "Content-Length: 0"))).body == b""
            assert (await client.ask(request("PUT /public/x", chunked, body=b"2\r\nhi\r\n0\r\n\r\n"))).body == b"hi"
            assert (await client.ask(request("PUT /public/y", chunked, body=b"0\r\n\r\n"))).body == b""
            assert (await client.ask(request("GET /public/x"))).body == b""
    assert not gate.upstream.stray


async def test_an_answer_is_not_taken_for_the_one_before_it(gate: Gate) -> None:
    """The same fields, but another status, reason, body or method."""
    answers = {
        "GET": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello",
        "HEAD": b"HTTP/1.1 200 Fine\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n",
        "PUT": b"HTTP/1.1 404 Gone\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nworld",
        "DELETE": b"HTTP/1.1 304 Same\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n",
        "PATCH": b"HTTP/1.1 200 OK\r\nX-A: 2\r\nContent-Length: 5\r\n\r\nagain",
    }

    async def play(visit: Visit) -> None:
        await visit.send(answers[visit.line.decode().partition(" ")[0]])

    gate.upstream.play = play
    async with gate.connect() as client:
        for method in [*answers, *reversed(answers)]:
            answer = await client.ask(request(f"{method} /public/x"))
            head, _, body = answers[method].partition(b"\r\n\r\n")
            assert f"HTTP/1.1 {answer.status} {answer.reason}".encode() == head.partition(b"\r\n")[0]
            assert (answer.body, answer["X-A"]) == (body, "2" if method == "PATCH" else "1")
    assert gate.upstream.connections == 1
