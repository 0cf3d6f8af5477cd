"""Client assertions at the token endpoint (RFC 7523): what is taken, what is not, and each only once."""

import asyncio
import base64
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import get_default_algorithms
from pytest_aiohttp.plugin import AiohttpClient

from gateway.client.assertions import ASSERTION_TYPE
from gateway.issuer.state import IssuerState
from gateway.issuer.used_assertions import UsedAssertions
from gateway.tokens.replay import Admission

from .issuer_case import BATCH_SCOPES, ISSUER, TEXT, Clock, a_state, basic, server

Client = TestClient[web.Request, web.Application]

TOKEN = "/oauth2/v1/token"
ENDPOINT = ISSUER + TOKEN
SHARED = "0123456789abcdef" * 4
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": Ed25519PrivateKey.generate(),
}
KEYS["PS256"] = KEYS["RS256"]


def jwk(algorithm: str, **members: str) -> dict[str, Any]:
    made = get_default_algorithms()[algorithm].to_jwk(KEYS[algorithm].public_key(), as_dict=True)
    return {name: value for name, value in made.items() if name != "key_ops"} | members


JWKS = {"keys": [jwk("RS256", kid="rsa"), jwk("ES256", kid="p256"), jwk("EdDSA", kid="ed")]}
WITH_ASSERTIONS = (
    TEXT.replace("jwks: {keys: []}", f"jwks: {json.dumps(JWKS)}")
    + f"""
  sharer: {{type: trusted, roles: [operator], shared_secret: {SHARED}}}
  short: {{type: trusted, roles: [operator], shared_secret: {SHARED[:32]}}}
"""
)
COUNTER = iter(range(1_000_000))


def claims(client_id: str, clock: Clock, **changed: Any) -> dict[str, Any]:
    """Good claims, but for those that are given; those of None are left out."""
    good = {
        "iss": client_id,
        "sub": client_id,
        "aud": ISSUER,
        "jti": f"jti-{next(COUNTER)}",
        "iat": clock.now,
        "exp": clock.now + 60,
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def parameters(assertion: str, **more: str) -> dict[str, str]:
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion} | more


def assertion(payload: Mapping[str, Any], algorithm: str = "ES256", key: Any = None, **header: Any) -> str:
    members = {"typ": None} | {name: value for name, value in header.items() if value is not None}
    return jwt.api_jws.encode(json.dumps(payload).encode(), key or KEYS[algorithm], algorithm, members)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer(aiohttp_client: AiohttpClient, clock: Clock) -> Client:
    return await aiohttp_client(server(clock, WITH_ASSERTIONS).application())


async def ask(issuer: Client, said: Mapping[str, str], **headers: str) -> tuple[int, dict[str, Any]]:
    async with issuer.post(TOKEN, data={"grant_type": "client_credentials", **said}, headers=headers) as answer:
        assert (answer.status == 401) is ("WWW-Authenticate" in answer.headers)
        return answer.status, await answer.json()


async def refused(issuer: Client, said: Mapping[str, str]) -> str:
    """The description of a refusal as invalid_client."""
    status, answer = await ask(issuer, said)
    assert (status, answer.get("error")) == (400, "invalid_client"), answer
    return str(answer["error_description"])


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("named", [True, False])
async def test_an_assertion_by_a_registered_key_gets_a_token(
    issuer: Client, clock: Clock, algorithm: str, *, named: bool
) -> None:
    kid = {"RS256": "rsa", "PS256": "rsa", "ES256": "p256", "EdDSA": "ed"}[algorithm]
    signed = assertion(claims("signer", clock), algorithm, kid=kid if named else None)
    status, answer = await ask(issuer, parameters(signed, client_id="signer"))
    assert (status, answer.get("scope")) == (200, BATCH_SCOPES), answer


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_an_assertion_by_the_shared_secret_gets_a_token(issuer: Client, clock: Clock, algorithm: str) -> None:
    signed = assertion(claims("sharer", clock), algorithm, SHARED)
    assert (await ask(issuer, parameters(signed)))[0] == 200


@pytest.mark.parametrize("typ", ["JWT", "jwt", "client-authentication+jwt", "application/client-authentication+jwt"])
async def test_the_type_may_be_told(issuer: Client, clock: Clock, typ: str) -> None:
    assert (await ask(issuer, parameters(assertion(claims("signer", clock), typ=typ))))[0] == 200


@pytest.mark.parametrize("audience", [ISSUER, ENDPOINT, [ISSUER], ["https://other.example", ENDPOINT]])
async def test_an_audience_is_the_issuer_or_the_endpoint(issuer: Client, clock: Clock, audience: object) -> None:
    assert (await ask(issuer, parameters(assertion(claims("signer", clock, aud=audience)))))[0] == 200


@pytest.mark.parametrize(
    ("audience", "status"), [(ISSUER, 200), ([ISSUER], 200), (ENDPOINT, 400), ([ISSUER, ENDPOINT], 400)]
)
async def test_a_strict_issuer_wants_to_be_the_only_audience(
    aiohttp_client: AiohttpClient, clock: Clock, audience: object, status: int
) -> None:
    issuer = await aiohttp_client(server(clock, WITH_ASSERTIONS + "assertion_audience: strict\n").application())
    assert (await ask(issuer, parameters(assertion(claims("signer", clock, aud=audience)))))[0] == status


NOW = Clock().now


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"iss": None}, "iss"),
        ({"iss": "nightly-batch"}, "iss"),
        ({"sub": None}, "iss"),
        ({"sub": "nightly-batch"}, "iss"),
        ({"sub": ["signer"], "iss": ["signer"]}, "iss"),
        ({"sub": "", "iss": ""}, "iss"),
        ({"aud": None}, "aud"),
        ({"aud": ISSUER + "/"}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": [ISSUER, 1]}, "aud"),
        ({"aud": {"x": ISSUER}}, "aud"),
        ({"exp": None}, "exp"),
        ({"exp": str(NOW + 60)}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": NOW}, "expired"),
        ({"exp": NOW - 1}, "expired"),
        ({"exp": NOW + 311}, "too long"),
        ({"exp": 1e308}, "too long"),
        ({"nbf": NOW + 11}, "nbf"),
        ({"nbf": "now"}, "nbf"),
        ({"nbf": False}, "nbf"),
        ({"iat": NOW + 11}, "iat"),
        ({"iat": [NOW]}, "iat"),
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 1}, "jti"),
    ],
)
async def test_an_assertion_with_a_wrong_claim_is_refused_with_its_name(
    issuer: Client, clock: Clock, changed: dict[str, Any], words: str
) -> None:
    assert words in await refused(issuer, parameters(assertion(claims("signer", clock, **changed))))


@pytest.mark.parametrize("changed", [{"exp": NOW + 310}, {"nbf": NOW + 10}, {"iat": NOW + 10}, {"iat": None}, {"x": 1}])
async def test_an_assertion_at_the_edge_is_taken(issuer: Client, clock: Clock, changed: dict[str, Any]) -> None:
    assert (await ask(issuer, parameters(assertion(claims("signer", clock, **changed)))))[0] == 200


def part(document: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"alg": "none"}, "algorithm"),
        ({"alg": "ES256K"}, "algorithm"),
        ({"alg": "ES256", "typ": "at+jwt"}, "typ"),
        ({"alg": "ES256", "typ": "dpop+jwt"}, "typ"),
        ({"alg": "ES256", "jwk": {}}, "a key of its own"),
        ({"alg": "ES256", "jku": "https://evil.example"}, "key address"),
        ({"alg": "ES256", "crit": ["b64"]}, "critical"),
        ({}, "no alg"),
    ],
)
async def test_an_assertion_with_a_wrong_header_is_refused(
    issuer: Client, clock: Clock, header: dict[str, Any], words: str
) -> None:
    signed = f"{part(header)}.{part(claims('signer', clock))}.AAAA"
    assert words in await refused(issuer, parameters(signed))


@pytest.mark.parametrize("text", ["x", "a.b.c", "..", "é.é.é", "\udc80", "e30.e30.", "A" * 17_000])
async def test_what_is_no_assertion_is_refused(issuer: Client, text: str) -> None:
    form = "grant_type=client_credentials&client_assertion_type=" + ASSERTION_TYPE + "&client_assertion="
    body = form.encode() + text.encode("utf-8", "surrogatepass")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with issuer.post(TOKEN, data=body, headers=headers) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"] in {"invalid_client", "invalid_request"}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_whoever_signs_wrongly_gets_the_same_words_whether_the_client_exists_or_not(
    issuer: Client, clock: Clock
) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    tries = [
        assertion(claims("signer", clock), key=stranger),
        assertion(claims("signer", clock), key=stranger, kid="p256"),
        assertion(claims("signer", clock), kid="unknown"),
        assertion(claims("signer", clock), kid="rsa"),
        assertion(claims("signer", clock), "HS256", SHARED),
        assertion(claims("sharer", clock)),
        assertion(claims("sharer", clock), "HS256", SHARED[::-1]),
        assertion(claims("short", clock), "HS384", SHARED[:32]),
        assertion(claims("short", clock), "HS512", SHARED[:32]),
        assertion(claims("nightly-batch", clock)),
        assertion(claims("nobody", clock)),
    ]
    assert len({await refused(issuer, parameters(each)) for each in tries}) == 1
    assert (await ask(issuer, parameters(assertion(claims("short", clock), "HS256", SHARED[:32]))))[0] == 200


async def test_a_changed_signature_is_refused(issuer: Client, clock: Clock) -> None:
    head, payload, _ = assertion(claims("signer", clock)).split(".")
    other = assertion(claims("signer", clock)).rpartition(".")[2]
    assert "signed" in await refused(issuer, parameters(f"{head}.{payload}.{other}"))


async def test_an_assertion_is_used_once_until_it_expires(issuer: Client, clock: Clock) -> None:
    signed = assertion(claims("signer", clock))
    assert (await ask(issuer, parameters(signed)))[0] == 200
    assert "used before" in await refused(issuer, parameters(signed))
    clock.now += 60
    assert "expired" in await refused(issuer, parameters(signed))


async def test_of_many_that_bring_the_same_assertion_at_once_one_gets_a_token(issuer: Client, clock: Clock) -> None:
    signed = assertion(claims("signer", clock))
    answers = await asyncio.gather(*(ask(issuer, parameters(signed)) for _ in range(20)))
    assert sum(status == 200 for status, _ in answers) == 1


async def test_a_replay_is_found_after_a_restart_and_by_another_server_on_the_same_state(
    aiohttp_client: AiohttpClient, clock: Clock, where: str
) -> None:
    first, second = IssuerState.open(where, clock), IssuerState.open(where, clock)
    signed = assertion(claims("signer", clock))
    one, other = [
        await aiohttp_client(server(clock, WITH_ASSERTIONS, state=state).application()) for state in (first, second)
    ]
    assert (await ask(one, parameters(signed)))[0] == 200
    assert "used before" in await refused(other, parameters(signed))
    first.close()
    second.close()
    third = IssuerState.open(where, clock)
    restarted = await aiohttp_client(server(clock, WITH_ASSERTIONS, state=third).application())
    assert "used before" in await refused(restarted, parameters(signed))
    third.close()


def test_of_two_servers_that_use_an_assertion_at_once_one_takes_it(clock: Clock, where: str) -> None:
    states = [IssuerState.open(where, clock) for _ in range(2)]
    stores = [UsedAssertions(state, clock) for state in states] * 4
    with ThreadPoolExecutor(8) as threads:
        for jti in map(str, range(10)):
            found = list(threads.map(lambda store, jti=jti: store.use("a", jti, clock.now + 60), stores))
            assert sorted(each.name for each in found) == ["NEW", *["REPLAYED"] * 7]
    for state in states:
        state.close()


async def test_two_clients_may_use_the_same_jti(issuer: Client, clock: Clock) -> None:
    assert (await ask(issuer, parameters(assertion(claims("signer", clock, jti="same")))))[0] == 200
    assert (await ask(issuer, parameters(assertion(claims("sharer", clock, jti="same"), "HS256", SHARED))))[0] == 200


def test_a_full_store_takes_no_more_of_this_client_or_of_all() -> None:
    clock = Clock()
    store = UsedAssertions(a_state(clock), clock, most_of_a_client=2, most=3)
    until = clock.now + 60
    uses = [("a", "1"), ("a", "2"), ("a", "3"), ("a", "1"), ("b", "1"), ("b", "2"), ("c", "1")]
    new, replayed, full = Admission.NEW, Admission.REPLAYED, Admission.FULL
    assert [store.use(*use, until) for use in uses] == [new, new, full, replayed, new, full, full]
    clock.now += 60
    assert store.use("a", "3", clock.now + 60) is new


async def test_a_state_that_fails_lets_no_assertion_in(
    aiohttp_client: AiohttpClient, clock: Clock, tmp_path: Path
) -> None:
    state = IssuerState.open(str(tmp_path / "issuer.db"), clock)
    issuer = await aiohttp_client(server(clock, WITH_ASSERTIONS, state=state).application())
    with state.begin() as connection:
        connection.exec_driver_sql("DROP TABLE used_assertions")
    status, answer = await ask(issuer, parameters(assertion(claims("signer", clock))))
    assert (status, answer["error"]) == (503, "temporarily_unavailable")
    state.close()


async def test_guessing_by_assertions_is_throttled_like_guessing_secrets(issuer: Client, clock: Clock) -> None:
    for _ in range(10):
        await refused(issuer, parameters(assertion(claims("sharer", clock), "HS256", SHARED[::-1])))
    right = parameters(assertion(claims("sharer", clock), "HS256", SHARED))
    status, answer = await ask(issuer, right)
    assert (status, answer["error"]) == (429, "invalid_client")
    assert (await ask(issuer, parameters(assertion(claims("signer", clock)))))[0] == 200
    clock.now += 60
    assert (await ask(issuer, parameters(assertion(claims("sharer", clock), "HS256", SHARED))))[0] == 200


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_id": "nightly-batch"}, "invalid_client"),
        ({"client_id": "field-app"}, "unauthorized_client"),
        ({"client_assertion_type": ""}, "invalid_request"),
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, "invalid_request"),
        ({"client_assertion": ""}, "invalid_request"),
        ({"client_secret": "x"}, "invalid_request"),
    ],
)
async def test_an_assertion_is_the_one_method_and_names_its_client(
    issuer: Client, clock: Clock, change: dict[str, str], error: str
) -> None:
    status, answer = await ask(issuer, parameters(assertion(claims("signer", clock))) | change)
    assert (status, answer["error"]) == (400, error)


async def test_an_assertion_beside_basic_is_refused(issuer: Client, clock: Clock) -> None:
    status, answer = await ask(issuer, parameters(assertion(claims("signer", clock))), **basic("everything", "all"))
    assert (status, answer["error"]) == (400, "invalid_request")


async def test_a_mobile_application_is_told_so_whatever_it_signs(issuer: Client, clock: Clock) -> None:
    status, answer = await ask(issuer, parameters(assertion(claims("field-app", clock))))
    assert (status, answer["error"]) == (400, "unauthorized_client")
