"""TLS towards issuers: whose certificates are taken, and the one that the gateway shows for keys and revocations."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.starting import BadFileError

from .authorities import Authority, TlsUpstream
from .conftest import Start
from .key_server import KeyServer, json_answer
from .raw_client import request
from .raw_upstream import Visit, replies


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[TlsUpstream]:
    """An issuer that asks its clients for certificates of its own authority."""
    tls = authority.serving(authority.issue("issuer", "localhost"))
    tls.load_verify_locations(authority.file)
    tls.verify_mode = ssl.CERT_REQUIRED
    async with TlsUpstream(tls=tls) as server:
        yield server


async def test_keys_and_revocations_behind_a_certificate_are_had_with_the_gateway_s(
    start: Start, authority: Authority, server: TlsUpstream
) -> None:
    issuer, pair = KeyServer(server), authority.issue("gateway", "gate.example")
    keys, feed, url = server.play, replies(json_answer({"revocations": []})), f"https://localhost:{server.port}"

    async def either(visit: Visit) -> None:
        await (feed if visit.head.startswith(b"GET /feed ") else keys)(visit)

    issuer.play(either)
    section = issuer.section | {"jwks_uri": f"{url}/keys", "revocations": f"{url}/feed"}
    gate = await start(issuer=section | {"tls": {"ca": "ca.pem", **pair}})
    assert (await gate.ask(request("GET /admin/x", gate.bearer()))).status == 200
    status = (await gate.status())["issuers"][0]
    assert (status["error"], status["revocations"]["error"]) == (None, None)
    assert set(server.certificates) == {ssl.PEM_cert_to_DER_cert((authority.folder / "gateway.crt").read_text())}
    assert {visit.head.split()[1] for visit in server.visits} == {b"/keys", b"/feed"}


@pytest.mark.parametrize(
    ("tls", "error"),
    [
        ({}, "CERTIFICATE_VERIFY_FAILED"),
        ({"ca": "strangers.pem"}, "CERTIFICATE_VERIFY_FAILED"),
        ({"ca": "ca.pem"}, "cannot be reached"),
    ],
    ids=["the system's authorities", "another authority", "no certificate of its own"],
)
async def test_an_issuer_that_is_not_trusted_or_does_not_trust_gives_no_keys(
    start: Start, authority: Authority, server: TlsUpstream, tls: dict[str, str], error: str
) -> None:
    Authority(authority.folder, "strangers")
    section = KeyServer(server).section | {"jwks_uri": f"https://localhost:{server.port}/keys", "tls": tls}
    gate = await start(issuer=section)
    answer = await gate.ask(request("GET /admin/x", gate.bearer()))
    assert (answer.status, json.loads(answer.body)["reason"]) == (503, "keys_unavailable")
    assert error in (await gate.status())["issuers"][0]["error"]
    assert server.visits == []


async def test_a_file_that_cannot_be_used_is_told_before_the_start(start: Start, server: TlsUpstream) -> None:
    section = KeyServer(server).section | {"jwks_uri": f"https://localhost:{server.port}/keys", "tls": {"ca": "no.pem"}}
    with pytest.raises(BadFileError, match=r"issuers\.\w+\.tls\.ca: .*no\.pem cannot be read: No such file"):
        await start(issuer=section)
