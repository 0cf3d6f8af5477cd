"""Fields that would say who the caller is, or how a request came here (security.md, "Fields")."""

import json

import pytest

from .conftest import Start
from .gate import Gate
from .minting import ISSUER, claims, mint
from .raw_client import request

IDENTITY = {
    "x-client-id": "nightly-batch",
    "x-token-subject": "batch",
    "x-token-scopes": "admin",
    "x-token-issuer": ISSUER,
}


def identity(gate: Gate) -> dict[str, list[str]]:
    return {name: gate.upstream.last.fields(name) for name in IDENTITY}


OURS = {name: [value] for name, value in IDENTITY.items()}
NOBODY = {name: [""] for name in IDENTITY}


async def test_the_upstream_learns_who_calls(gate: Gate) -> None:
    assert (await gate.ask(request("GET /admin/x", gate.bearer()))).status == 200
    assert identity(gate) == OURS


async def test_a_public_route_shows_nobody_whatever_token_comes_along(gate: Gate) -> None:
    assert (await gate.ask(request("GET /public/x", gate.bearer()))).status == 200
    assert identity(gate) == NOBODY
    assert "authorization" not in gate.upstream.last.names


async def test_a_claim_that_is_absent_is_an_empty_field(gate: Gate) -> None:
    bearer = gate.bearer(payload=claims(client_id=None, sub=None))
    assert (await gate.ask(request("GET /admin/x", bearer))).status == 200
    assert identity(gate) == OURS | {"x-client-id": [""], "x-token-subject": [""]}


@pytest.mark.parametrize(
    "fields",
    [
        ["Connection: close, X-Client-Id, X-Token-Subject, Authorization"],
        ["Connection: X-Client-Id", "Connection: x-token-scopes, x-token-issuer", "X-Client-Id: evil"],
        ["X-Client-Id: evil", "x-client-id: evil", "X-CLIENT-ID: evil"],
        ["X_Client_Id: evil", "X.Client.Id: evil", "x_client-id: evil", "X_TOKEN_SCOPES: evil"],
        ["X-Token-Scopes: evil root", "X-Token-Issuer: evil", "X-Token-Subject: evil"],
    ],
    ids=["hop by hop", "hop by hop twice", "repeated", "aliases", "all"],
)
async def test_identity_fields_from_outside_never_arrive(gate: Gate, fields: list[str]) -> None:
    assert (await gate.ask(request("GET /admin/x", gate.bearer(), *fields))).status == 200
    assert identity(gate) == OURS
    assert b"evil" not in gate.upstream.last.head
    assert len([name for name in gate.upstream.last.names if "client" in name]) == 1
    assert (await gate.ask(request("GET /public/x", *fields))).status == 200
    assert identity(gate) == NOBODY
    assert b"evil" not in gate.upstream.last.head


async def test_hop_by_hop_fields_end_here(gate: Gate) -> None:
    fields = ["Keep-Alive: 5", "Proxy-Connection: x", "TE: trailers", "Proxy-Authorization: Basic eA==", "X-Hop: 1"]
    assert (await gate.ask(request("GET /public/x", "Connection: x-hop", *fields, "X-Kept: 1"))).status == 200
    names = gate.upstream.last.names
    assert "x-kept" in names
    assert {"connection", "keep-alive", "proxy-connection", "te", "proxy-authorization", "x-hop"}.isdisjoint(names)


@pytest.mark.parametrize("field", ["Content-Length", "Host", "Transfer-Encoding"])
async def test_connection_cannot_name_what_frames_a_message(gate: Gate, field: str) -> None:
    raw = request("POST /public/x", f"Connection: {field}", "Content-Length: 3", body=b"abc")
    assert (await gate.ask(raw)).status == 200
    assert gate.upstream.last.body == b"abc"
    assert gate.upstream.last.fields("host") == [f"127.0.0.1:{gate.upstream.port}"]


@pytest.mark.parametrize(
    "field",
    ["X-Forwarded-Uri", "X-Original-URL", "X-Rewrite-Url", "X-Original-URI", "X-Forwarded-Prefix", "X-Forwarded-Path"],
)
async def test_a_second_way_to_name_the_target_has_no_effect(gate: Gate, field: str) -> None:
    assert (await gate.ask(request("GET /admin/x", f"{field}: /public"))).status == 401
    assert (await gate.ask(request("GET /public/x", f"{field}: /admin"))).status == 200
    assert field.lower() not in gate.upstream.last.names


@pytest.mark.parametrize("agent", ["GoogleHC/1.0", "kube-probe/1.29", "ELB-HealthChecker/2.0"])
async def test_a_health_checkers_name_opens_nothing(gate: Gate, agent: str) -> None:
    assert (await gate.ask(request("GET /admin/x", f"User-Agent: {agent}"))).status == 401
    assert not gate.upstream.visits


CREDENTIALS = {
    "two fields": ["Authorization: Bearer {}", "Authorization: Bearer {}"],
    "two schemes": ["Authorization: Bearer {}", "Authorization: Basic eDp5"],
    "joined by a comma": ["Authorization: Bearer {}, Bearer {}"],
    "Bearer and DPoP": ["Authorization: DPoP {}, Bearer {}"],
    "two tokens": ["Authorization: Bearer {} {}"],
    "no token": ["Authorization: Bearer"],
    "a blank in front of another": ["Authorization: Bearer  {} {}"],
}


@pytest.mark.parametrize("fields", CREDENTIALS.values(), ids=CREDENTIALS)
async def test_doubtful_credentials_are_refused(gate: Gate, fields: list[str]) -> None:
    token = mint()
    gate.bearer(token)
    answer = await gate.ask(request("GET /admin/x", *(field.replace("{}", token) for field in fields)))
    assert answer.status == 400
    assert 'error="invalid_request"' in answer["WWW-Authenticate"]
    assert not gate.upstream.visits


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Bearerx", ""])
async def test_another_scheme_is_no_token(gate: Gate, scheme: str) -> None:
    answer = await gate.ask(request("GET /admin/x", f"Authorization: {scheme} {mint()}".replace("  ", " ")))
    assert answer.status == 401
    assert "error=" not in answer["WWW-Authenticate"]
    assert not gate.upstream.visits


@pytest.mark.parametrize(
    "alias", ["Authorization_: Bearer {}", "X-Authorization: Bearer {}", "Authorization.: Bearer {}"]
)
async def test_only_the_authorization_field_holds_a_token(gate: Gate, alias: str) -> None:
    assert (await gate.ask(request("GET /admin/x", alias.format(mint())))).status in {400, 401}
    assert not gate.upstream.visits


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "BeArEr"])
async def test_the_schemes_case_does_not_matter(gate: Gate, scheme: str) -> None:
    field = gate.bearer().replace("Bearer", scheme)
    assert (await gate.ask(request("GET /admin/x", field))).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        ["Authorization: Bearer \xe9"],
        ["Authorization\xe9: Bearer {}"],
        ["Authorization: Bearer {}\xe9"],
        ["Authorization: Bear\xe9r {}"],
        ["Authorization: Bearer\xa0{}"],
        ["Authorization: Bearer {}\xa0"],
    ],
)
async def test_non_ascii_bytes_never_open(gate: Gate, fields: list[str]) -> None:
    token = mint()
    answer = await gate.ask(request("GET /admin/x", *(field.replace("{}", token) for field in fields)))
    assert answer.status in {400, 401}
    assert not gate.upstream.visits


async def test_non_ascii_bytes_of_other_fields_arrive_as_they_came(gate: Gate) -> None:
    assert (await gate.ask(request("GET /public/x", "X-Note: caf\xe9 \xff"))).status == 200
    assert b"X-Note: caf\xe9 \xff\r\n" in gate.upstream.last.head


async def test_a_token_in_the_query_is_none_and_shows_nowhere(gate: Gate) -> None:
    token = mint()
    gate.bearer(token)
    answer = await gate.ask(request(f"GET /admin/x?access_token={token}&{token}"))
    assert answer.status == 401
    assert not gate.upstream.visits
    record = await gate.record()
    assert (record["path"], record["query_keys"]) == ("/admin/x", ["access_token", "*"])


async def test_a_token_in_a_fragment_or_userinfo_shows_nowhere(gate: Gate) -> None:
    token = mint()
    gate.bearer(token)
    for target in (f"/public/x#access_token={token}", f"http://{token}:{token}@gate.example/public/x"):
        assert (await gate.ask(request(f"GET {target}"))).status == 400
    assert len(await gate.records(2)) == 2


async def test_a_token_in_a_body_is_none(gate: Gate) -> None:
    body = f"access_token={mint()}".encode()
    kind = "Content-Type: application/x-www-form-urlencoded"
    answer = await gate.ask(request("POST /admin/x", kind, f"Content-Length: {len(body)}", body=body))
    assert answer.status == 401


FORGERIES = {
    "escaped line feed": ("/public/x%0aFORGED", "agent"),
    "quotes": ('/public/"},"status":200', 'a"},{"v":1'),
    "line separator": ("/public/\xe2\x80\xa8x", "a\xe2\x80\xa8b\xc2\x85c"),
    "terminal escape": ("/public/x", "a\xc2\x9b31mb"),
    "backslashes": ("/public/\\n", "a\\u000ab\\"),
    "half a character": ("/public/\xf0\x9f", "\xff\xfe\xf0\x9f"),
}


@pytest.mark.parametrize(("target", "agent"), FORGERIES.values(), ids=FORGERIES)
async def test_a_request_cannot_forge_a_line_of_the_log(gate: Gate, target: str, agent: str) -> None:
    await gate.ask(request(f"GET {target}", f"User-Agent: {agent}"))
    record = await gate.record()
    assert record["client_ip"] == "127.0.0.1"
    (line,) = gate.lines
    assert line.decode("ascii").isprintable() is False  # the line feed at its end
    assert line[:-1].decode("ascii").isprintable()


async def test_a_claim_cannot_forge_a_line_of_the_log(gate: Gate) -> None:
    bearer = gate.bearer(payload=claims(aud=["https://api.example", 'x\u2028\n"}'], jti="a\nb\u2028"))
    assert (await gate.ask(request("GET /admin/x", bearer))).status == 200
    assert (await gate.record())["aud"][1] == 'x\\u2028\\n"}'
    assert json.loads(gate.lines[0])["status"] == 200


@pytest.mark.parametrize("subject", ["a\r\nX-Evil: 1", "a\x00", "caf\xe9", " a", "a\u2028"])
async def test_a_claim_that_cannot_stand_in_a_field_is_refused(gate: Gate, subject: str) -> None:
    answer = await gate.ask(request("GET /admin/x", gate.bearer(payload=claims(sub=subject))))
    assert (answer.status, json.loads(answer.body)["reason"]) == (401, "claim_invalid")
    assert not gate.upstream.visits


async def test_the_token_goes_on_only_where_the_route_says_so(gate: Gate) -> None:
    bearer = gate.bearer()
    await gate.ask(request("GET /admin/x", bearer))
    assert "authorization" not in gate.upstream.last.names
    await gate.ask(request("GET /token/x", bearer, "Connection: Authorization"))
    assert gate.upstream.last.fields("authorization") == [bearer.removeprefix("Authorization: ")]


async def test_what_a_stranger_says_about_the_way_is_replaced(gate: Gate) -> None:
    fields = ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil", "X-Forwarded-Proto: https", "X-Real-IP: 6.6.6.6"]
    assert (await gate.ask(request("GET /public/x", *fields, "Forwarded: for=6.6.6.6", "Via: 1.0 evil"))).status == 200
    head = gate.upstream.last
    assert head.fields("x-forwarded-for") == ["127.0.0.1"]
    assert head.fields("x-forwarded-host") == ["gate.example"]
    assert head.fields("x-forwarded-proto") == ["http"]
    assert head.fields("forwarded") == ['for=127.0.0.1;host="gate.example";proto=http']
    assert head.fields("via") == ["1.1 scopegate"]
    assert b"6.6.6.6" not in head.head
    assert b"evil" not in head.head
    assert (await gate.record())["client_ip"] == "127.0.0.1"


async def test_what_a_trusted_proxy_says_about_the_way_is_kept(start: Start) -> None:
    gate = await start(trusted_proxies=["127.0.0.0/8"])
    fields = ["X-Forwarded-For: 6.6.6.6, 192.0.2.7", "X-Forwarded-Host: www.example", "X-Forwarded-Proto: https"]
    assert (await gate.ask(request("GET /public/x", *fields, "Via: 1.0 edge"))).status == 200
    head = gate.upstream.last
    assert head.fields("x-forwarded-for") == ["6.6.6.6, 192.0.2.7, 127.0.0.1"]
    assert head.fields("x-forwarded-host") == ["www.example"]
    assert head.fields("x-forwarded-proto") == ["https"]
    assert head.fields("via") == ["1.0 edge", "1.1 scopegate"]
    record = await gate.record()
    assert (record["client_ip"], record["peer_ip"]) == ("192.0.2.7", "127.0.0.1")


async def test_the_record_names_no_client_where_a_trusted_proxy_tells_none(start: Start) -> None:
    gate = await start(trusted_proxies=["127.0.0.0/8"])
    assert (await gate.ask(request("GET /public/x", "X-Forwarded-For: 192.0.2.7, unknown"))).status == 200
    assert gate.upstream.last.fields("x-forwarded-for") == ["192.0.2.7, unknown, 127.0.0.1"]
    record = await gate.record()
    assert (record["client_ip"], record["peer_ip"]) == (None, "127.0.0.1")


async def test_the_hosts_of_one_connection_do_not_mix(gate: Gate) -> None:
    async with gate.connect() as client:
        for host in ("a.example", "b.example", "a.example"):
            await client.ask(request("GET /public/x", host=f"Host: {host}"))
            assert gate.upstream.last.fields("x-forwarded-host") == [host]


async def test_the_upstream_sees_its_own_host_unless_told_otherwise(start: Start) -> None:
    gate = await start(upstream={"preserve_host": True})
    await gate.ask(request("GET /public/x"))
    assert gate.upstream.last.fields("host") == ["gate.example"]


TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_a_trace_goes_on_with_a_span_of_its_own(gate: Gate) -> None:
    await gate.ask(request("GET /public/x", f"traceparent: 00-{TRACE}-b7ad6b7169203331-01", "tracestate: a=1"))
    version, trace, span, flags = gate.upstream.last.fields("traceparent")[0].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != "b7ad6b7169203331"
    assert gate.upstream.last.fields("tracestate") == ["a=1"]
    assert (await gate.record())["trace_id"] == TRACE


@pytest.mark.parametrize(
    "parent", ["", "00-0-0-0", f"00-{'0' * 32}-b7ad6b7169203331-01", f"ff-{TRACE}-b7ad6b7169203331-01"]
)
async def test_an_invalid_trace_is_replaced_by_a_new_one(gate: Gate, parent: str) -> None:
    await gate.ask(request("GET /public/x", f"traceparent: {parent}", "tracestate: a=1"))
    (fresh,) = gate.upstream.last.fields("traceparent")
    assert TRACE not in fresh
    assert not gate.upstream.last.fields("tracestate")
    assert (await gate.record())["trace_id"] == fresh.split("-")[1]


async def test_the_request_id_is_ours_and_the_same_everywhere(gate: Gate) -> None:
    answer = await gate.ask(request("GET /public/x", "X-Request-Id: theirs"))
    number = answer["X-Request-Id"]
    assert gate.upstream.last.fields("x-request-id") == [number]
    assert (await gate.record())["request_id"] == number
