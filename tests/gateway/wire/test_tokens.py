"""Tokens and keys over HTTP (security.md, "Tokens and keys")."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .conftest import Start
from .gate import Clock, Gate
from .minting import (
    AUDIENCE,
    ISSUER,
    NOW,
    OTHER_ISSUER,
    Sign,
    base64url,
    claims,
    ec_key,
    hmac_with,
    jwk,
    key_set,
    mint,
    part,
    rsa_key,
    sealed,
    signs,
)
from .raw_client import Answer, request
from .raw_upstream import RawUpstream, Visit

PUBLIC = rsa_key().public_key()
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
RS256 = signs(rsa_key(), "RS256")
EVIL = rsa_key("evil")
HEADER: dict[str, object] = {"alg": "RS256", "typ": "at+jwt", "kid": "rsa"}


def unsigned(_: bytes) -> bytes:
    return b""


def header(**changes: object) -> dict[str, object]:
    return {name: value for name, value in (HEADER | changes).items() if value is not None}


def with_payload(text: str) -> str:
    """A well-signed token whose payload is this text, in place of what JSON libraries would write."""
    return sealed(HEADER, text.encode(), RS256)


def with_claim(text: str) -> str:
    """A well-signed token whose claims end with this text."""
    return with_payload(json.dumps(claims(exp=None, nbf=None))[:-1] + f", {text}}}")


def forged(**parameters: object) -> str:
    """A token that brings the key which signed it."""
    return sealed(header(**parameters), claims(), signs(EVIL, "RS256"))


async def tried(gate: Gate, token: str, target: str = "/admin/x") -> Answer:
    return await gate.ask(request(f"GET {target}", gate.bearer(token)))


async def refusal(gate: Gate, token: str) -> str:
    """Try a token that must be refused; the reason."""
    answer = await tried(gate, token)
    assert answer.status == 401
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]
    assert not gate.upstream.visits
    reason: str = json.loads(answer.body)["reason"]
    return reason


GOOD = mint()
FIRST, SECOND, THIRD = GOOD.split(".")

ALGORITHMS: dict[str, str] = {
    "none": sealed(header(alg="none"), claims(), unsigned) + "",
    "none with a signature": sealed(header(alg="none"), claims(), RS256),
    "nOnE": sealed(header(alg="nOnE"), claims(), RS256),
    "empty alg": sealed(header(alg=""), claims(), RS256),
    "no alg": sealed(header(alg=None), claims(), RS256),
    "alg as a list": sealed(header(alg=["RS256"]), claims(), RS256),
    "empty signature": f"{FIRST}.{SECOND}.",
    "two parts": f"{FIRST}.{SECOND}",
    "HMAC over PEM": sealed(header(alg="HS256"), claims(), hmac_with(PEM)),
    "HMAC over PEM without its line end": sealed(header(alg="HS256"), claims(), hmac_with(PEM.strip())),
    "HMAC over CRLF-PEM": sealed(header(alg="HS256"), claims(), hmac_with(PEM.replace(b"\n", b"\r\n"))),
    "HMAC over DER": sealed(
        header(alg="HS256"),
        claims(),
        hmac_with(PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    ),
    "HMAC over JWK": sealed(header(alg="HS256"), claims(), hmac_with(json.dumps(jwk(rsa_key())).encode())),
    "HMAC under RS256": sealed(HEADER, claims(), hmac_with(PEM)),
    "PS256 signature under RS256": sealed(HEADER, claims(), signs(rsa_key(), "PS256")),
    "PS256 with a key for RS256": mint(alg="PS256"),
    "RS384 with a key for RS256": mint(alg="RS384"),
    "ES256 on P-384": sealed(header(alg="ES256", kid="ec384"), claims(), signs(ec_key("P-384"), "ES384")),
    "ES256 naming an RSA key": mint(key=ec_key(), alg="ES256"),
    "RS256 naming an EC key": mint(kid="ec"),
}
KEYS_FROM_THE_TOKEN: dict[str, str] = {
    "jwk": forged(jwk=jwk(EVIL)),
    "jwk without kid": forged(jwk=jwk(EVIL), kid=None),
    "x5c": forged(x5c=[base64url(b"certificate")]),
    "x5t": forged(x5t="AAAA"),
    "another key's signature": forged(),
}
FORMS: dict[str, str] = {
    "crit": sealed(header(crit=["exp"]), claims(), RS256),
    "crit of an unknown extension": sealed(header(crit=["x"], x=1), claims(), RS256),
    "empty crit": sealed(header(crit=[]), claims(), RS256),
    "b64": sealed(header(b64=False, crit=["b64"]), claims(), RS256),
    "b64 without crit": sealed(header(b64=False), claims(), RS256),
    "JSON serialisation": '{"signatures":[]}',
    "detached": f"{FIRST}..{THIRD}",
    "JWE": ".".join([part({"alg": "RSA-OAEP", "enc": "A256GCM"}), "a", "b", "c", "d"]),
    "enc": sealed(header(enc="A256GCM"), claims(), RS256),
    "token in a token": sealed(header(cty="JWT"), GOOD.encode(), RS256),
    "token as payload": sealed(HEADER, GOOD.encode(), RS256),
    "zip": sealed(header(zip="DEF"), claims(), RS256),
    "three dots": f"{GOOD}.",
    "header is a list": sealed([HEADER], claims(), RS256),
    "payload is a list": sealed(HEADER, [claims()], RS256),
    "payload is no JSON": sealed(HEADER, b"{", RS256),
    "UTF-16": sealed(json.dumps(HEADER).encode("utf-16"), claims(), RS256),
    "byte order mark": sealed(b"\xef\xbb\xbf" + json.dumps(HEADER).encode(), claims(), RS256),
    "not UTF-8": sealed(HEADER, b'{"iss":"\xff"}', RS256),
    "duplicate alg": sealed(b'{"alg":"none","alg":"RS256","kid":"rsa"}', claims(), RS256),
    "nested deeply": with_payload("[" * 9000),
    "nothing": "x",
    "dots": "..",
}
KIDS: dict[str, object] = {
    "path": "../../dev/null",
    "SQL": "' OR 1=1 --",
    "number": 1,
    "null": None,
    "list": ["rsa"],
    "object": {"kid": "rsa"},
    "empty": "",
    "line feed": "rsa\n",
    "NUL": "rsa\x00",
    "lone surrogate": "\ud800",
    "20 kB": "k" * 15_000,
}


def another_spelling(token: str) -> str:
    """The same signature with other trailing bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


SPELLINGS = {
    "padding": f"{GOOD}=",
    "two of padding": f"{GOOD}==",
    "question mark": f"{GOOD}?",
    "trailing bits": another_spelling(GOOD),
    "standard alphabet": f"{FIRST}.{SECOND}.{THIRD.replace('-', '+').replace('_', '/')}",
    "line feed within": f"{FIRST}.\t{SECOND}.{THIRD}",
    "another signature byte": f"{FIRST}.{SECOND}.{'A' if THIRD[0] != 'A' else 'B'}{THIRD[1:]}",
}
CLAIMS: dict[str, str] = {
    "exp as text": with_claim(f'"exp": "{NOW + 9}"'),
    "exp NaN": with_claim('"exp": NaN'),
    "exp Infinity": with_claim('"exp": Infinity'),
    "exp 1e400": with_claim('"exp": 1e400'),
    "exp 1e30": with_claim('"exp": 1e30'),
    "exp negative": with_claim('"exp": -1'),
    "exp true": with_claim('"exp": true'),
    "exp list": with_claim('"exp": []'),
    "exp null": with_claim('"exp": null'),
    "exp twice": with_claim(f'"exp": 1, "exp": {NOW + 600}'),
    "exp of many digits": with_claim('"exp": ' + "9" * 5000),
    "no exp": mint(claims(exp=None)),
    "exp is now": mint(claims(exp=NOW)),
    "nbf false": with_claim(f'"exp": {NOW + 9}, "nbf": false'),
    "nbf ahead": mint(claims(nbf=NOW + 1)),
    "iat ahead": mint(claims(iat=NOW + 60)),
    "aud of another": mint(claims(aud="api-evil")),
    "aud longer": mint(claims(aud=AUDIENCE + "/")),
    "aud shorter": mint(claims(aud=AUDIENCE[:-1])),
    "aud in another case": mint(claims(aud=AUDIENCE.upper())),
    "aud object": mint(claims(aud={AUDIENCE: True})),
    "aud list in a list": mint(claims(aud=[[AUDIENCE]])),
    "aud with a number": mint(claims(aud=[AUDIENCE, 1])),
    "aud empty": mint(claims(aud=[])),
    "no aud": mint(claims(aud=None)),
    "iss shorter": mint(claims(iss=ISSUER[:-1])),
    "iss longer": mint(claims(iss=ISSUER + "/")),
    "iss list": mint(claims(iss=[ISSUER])),
    "iss in another case": mint(claims(iss=ISSUER.upper())),
    "no iss": mint(claims(iss=None)),
    "iss number": mint(claims(iss=1)),
    "cnf": mint(claims(cnf={"jkt": "x"})),
    "sub number": mint(claims(sub=7)),
    "client_id list": mint(claims(client_id=["a"])),
    "jti number": mint(claims(jti=7)),
}
CROSSED: dict[str, str] = {
    "other issuer's name, our key": mint(claims(iss=OTHER_ISSUER)),
    "our name, other issuer's key": mint(key=rsa_key("other")),
    "unknown issuer": mint(claims(iss="https://evil.example")),
}


@pytest.mark.parametrize("token", ALGORITHMS.values(), ids=ALGORITHMS)
async def test_the_token_does_not_choose_how_it_is_verified(gate: Gate, token: str) -> None:
    assert await refusal(gate, token) in {
        "token_malformed",
        "algorithm_not_allowed",
        "signature_invalid",
        "key_unknown",
    }


@pytest.mark.parametrize("token", KEYS_FROM_THE_TOKEN.values(), ids=KEYS_FROM_THE_TOKEN)
async def test_a_key_that_the_token_brings_is_not_used(gate: Gate, token: str) -> None:
    assert await refusal(gate, token) in {"token_malformed", "signature_invalid", "key_unknown"}


@pytest.mark.parametrize("parameter", ["jku", "x5u"])
async def test_an_address_in_the_token_is_never_asked(gate: Gate, parameter: str) -> None:
    async with RawUpstream() as trap:
        token = forged(**{parameter: f"http://127.0.0.1:{trap.port}/keys"})
        assert await refusal(gate, token) == "token_malformed"
        assert trap.connections == 0


@pytest.mark.parametrize("kid", KIDS.values(), ids=KIDS)
async def test_a_kid_is_a_name_and_nothing_more(gate: Gate, kid: object) -> None:
    token = sealed(HEADER | {"kid": kid}, claims(), RS256)
    assert await refusal(gate, token) in {"token_malformed", "key_unknown"}


@pytest.mark.parametrize("token", FORMS.values(), ids=FORMS)
async def test_another_form_of_token_is_refused(gate: Gate, token: str) -> None:
    assert await refusal(gate, token) in {"token_malformed", "issuer_untrusted"}


@pytest.mark.parametrize("token", SPELLINGS.values(), ids=SPELLINGS)
async def test_a_token_has_one_spelling(gate: Gate, token: str) -> None:
    async with gate.connect() as client:
        assert (await client.ask(request("GET /admin/x", gate.bearer(GOOD)))).status == 200
        assert (await client.ask(request("GET /admin/x", gate.bearer(token)))).status in {400, 401}
    assert len(gate.upstream.visits) == 1


@pytest.mark.parametrize("token", CLAIMS.values(), ids=CLAIMS)
async def test_a_claim_of_a_wrong_kind_or_value_is_refused(gate: Gate, token: str) -> None:
    await refusal(gate, token)


@pytest.mark.parametrize("token", CROSSED.values(), ids=CROSSED)
async def test_a_key_belongs_to_its_issuer(gate: Gate, token: str) -> None:
    assert await refusal(gate, token) in {"signature_invalid", "issuer_untrusted"}


async def test_a_trusted_issuers_token_opens_only_routes_that_take_this_issuer(gate: Gate) -> None:
    theirs = mint(claims(iss=OTHER_ISSUER), rsa_key("other"))
    assert (await tried(gate, theirs, "/partner")).status == 200
    answer = await tried(gate, GOOD, "/partner")
    assert json.loads(answer.body)["reason"] == "issuer_untrusted"
    assert len(gate.upstream.visits) == 1


@pytest.mark.parametrize(
    "scope",
    [
        "administrator", "xadmin", "ADMIN", "admin*", "*", "", "read write", "admin\u00a0", "admin,read", "x\tadmin",
        "read\nadmin", {}, {"admin": 1}, 1, True, [["admin"]],
    ],
)  # fmt: skip
async def test_a_scope_is_matched_whole(gate: Gate, scope: Any) -> None:
    answer = await tried(gate, mint(claims(scope=scope)))
    assert answer.status == 403
    assert answer["WWW-Authenticate"].endswith('scope="admin"')
    assert json.loads(answer.body)["scopes_missing"] == ["admin"]
    assert not gate.upstream.visits


@pytest.mark.parametrize(
    "changes", [{"scope": "read admin write"}, {"scope": ["admin"]}, {"scope": None, "scp": ["admin"]}]
)
async def test_a_scope_is_found_in_a_string_and_in_a_list(gate: Gate, changes: dict[str, object]) -> None:
    assert (await tried(gate, mint(claims(**changes)))).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        request("GET /admin/x", "Authorization: Bearer " + "A" * 1_000_000),
        request("GET /admin/x", "Authorization: Bearer " + sealed(header(kid="k" * 700_000), claims(), RS256)),
        request("GET /admin/x", *(f"X-{number}: {'x' * 1000}" for number in range(100))),
    ],
    ids=["token", "kid", "many fields"],
)
async def test_a_huge_head_is_refused(gate: Gate, raw: bytes) -> None:
    assert 400 <= (await gate.ask(raw)).status < 500
    assert not gate.upstream.visits


async def test_a_remembered_token_is_judged_anew_on_another_route(gate: Gate) -> None:
    assert (await tried(gate, GOOD)).status == 200
    assert (await tried(gate, GOOD)).status == 200
    assert (await tried(gate, GOOD, "/jobs/7")).status == 403
    first, second, third = await gate.records(3)
    assert [record["cache_hit"] for record in (first, second, third)] == [False, True, True]
    assert third["client_id"] == "nightly-batch"


async def test_a_remembered_token_ends_with_its_exp(gate: Gate) -> None:
    assert (await tried(gate, GOOD)).status == 200
    gate.clock.now = NOW + 600 - 0.001
    assert (await tried(gate, GOOD)).status == 200
    gate.clock.now = NOW + 600
    answer = await tried(gate, GOOD)
    assert json.loads(answer.body)["reason"] == "token_expired"
    assert len(gate.upstream.visits) == 2


class Issuer:
    """An issuer's key endpoint, whose answers the test changes."""

    def __init__(self, server: RawUpstream) -> None:
        self.server = server
        self.answer = json_answer(key_set(jwk(rsa_key(), kid="rsa")))
        server.play = self._play

    async def _play(self, visit: Visit) -> None:
        await visit.send(self.answer)

    @property
    def asked(self) -> int:
        return len(self.server.visits)

    @property
    def settings(self) -> dict[str, str | None]:
        return {
            "jwks_file": None,
            "jwks_uri": f"http://127.0.0.1:{self.server.port}/keys",
            "unknown_key_cooldown": "30s",
            "keys_timeout": "300ms",
        }


def json_answer(document: object) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def new_key(kid: str, key: rsa.RSAPrivateKey) -> str:
    return mint(key=key, kid=kid)


@pytest.fixture
async def issuer() -> Any:
    async with RawUpstream() as server:
        yield Issuer(server)


async def test_a_remembered_token_ends_when_its_key_goes(start: Start, issuer: Issuer) -> None:
    gate = await start(issuer=issuer.settings)
    assert (await tried(gate, GOOD)).status == 200
    issuer.answer = json_answer(key_set(jwk(rsa_key("new"), kid="new")))
    gate.clock.now += 31
    assert (await tried(gate, new_key("new", rsa_key("new")))).status == 200
    assert json.loads((await tried(gate, GOOD)).body)["reason"] == "key_unknown"


async def test_a_new_key_is_found_at_once(start: Start, issuer: Issuer) -> None:
    gate = await start(issuer=issuer.settings)
    issuer.answer = json_answer(key_set(jwk(rsa_key(), kid="rsa"), jwk(rsa_key("new"), kid="new")))
    gate.clock.now += 31
    answer = await gate.ask(
        request("POST /admin/x", gate.bearer(new_key("new", rsa_key("new"))), "Content-Length: 4", body=b"body")
    )
    assert answer.status == 200
    assert gate.upstream.last.body == b"body"
    assert issuer.asked == 2


async def test_a_new_key_under_the_old_name_is_found_by_its_first_signature(start: Start, issuer: Issuer) -> None:
    gate = await start(issuer=issuer.settings)
    assert (await tried(gate, GOOD)).status == 200
    issuer.answer = json_answer(key_set(jwk(rsa_key("new"), kid="rsa")))
    gate.clock.now += 31
    assert (await tried(gate, new_key("rsa", rsa_key("new")))).status == 200
    assert json.loads((await tried(gate, GOOD)).body)["reason"] == "signature_invalid"
    assert issuer.asked == 2


async def test_bad_signatures_under_a_known_name_are_one_fetch(start: Start, issuer: Issuer) -> None:
    gate = await start(issuer=issuer.settings)
    gate.clock.now += 31
    forged = [sealed(header(kid="rsa"), claims(jti=str(number)), lambda _: b"x" * 256) for number in range(100)]
    async with gate.connect() as client:
        await client.send(b"".join(request("GET /admin/x", gate.bearer(token)) for token in forged))
        reasons = {json.loads((await client.answer()).body)["reason"] for _ in forged}
    assert reasons == {"signature_invalid"}
    assert issuer.asked == 2


async def test_a_restart_during_an_outage_serves_with_the_keys_that_were_kept(
    start: Start, issuer: Issuer, tmp_path: Path
) -> None:
    kept = str(tmp_path / "kept")
    first = await start(issuer=issuer.settings, keys_cache=kept)
    assert (await tried(first, GOOD)).status == 200
    issuer.answer = b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n"
    again = await start(issuer=issuer.settings, keys_cache=kept, access_log=str(tmp_path / "again.jsonl"))
    assert (await tried(again, GOOD)).status == 200
    assert (await tried(again, new_key("new", rsa_key("new")))).status == 503
    status = (await again.status())["issuers"][0]
    assert (status["kids"], status["unknown_keys"]) == (["rsa"], 1)
    assert status["error"]


async def test_a_flood_of_invented_kids_is_one_fetch(start: Start, issuer: Issuer) -> None:
    gate = await start(issuer=issuer.settings)
    assert (await tried(gate, GOOD)).status == 200
    gate.clock.now += 31
    flood = [sealed(header(kid=f"k{number}"), claims(), lambda _: b"signature") for number in range(300)]
    async with gate.connect() as client:
        await client.send(b"".join(request("GET /admin/x", gate.bearer(token)) for token in flood))
        statuses = {(await client.answer()).status for _ in flood}
        assert (await client.ask(request("GET /admin/x", gate.bearer(GOOD)))).status == 200
    assert statuses == {401}
    assert issuer.asked == 2
    assert len(gate.upstream.visits) == 2


ASTRAY: dict[str, bytes] = {
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{trap}/keys\r\nContent-Length: 0\r\n\r\n",
    "redirect to a file": b"HTTP/1.1 307 x\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    "server error": b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n",
    "garbage": b"SSH-2.0-x\r\n\r\n",
    "a page": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
    "no keys": json_answer({"keys": []}),
    "another form": json_answer({"keys": "rsa"}),
    "only bad keys": json_answer(key_set({"kty": "RSA", "kid": "rsa"})),
    "too large": b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b" " * 3_000_000,
    "promised and not sent": b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n{",
}


@pytest.mark.parametrize("answer", ASTRAY.values(), ids=ASTRAY)
async def test_a_fetch_that_is_led_astray_leaves_the_good_keys_in_force(
    start: Start, issuer: Issuer, answer: bytes
) -> None:
    gate = await start(issuer=issuer.settings)
    async with RawUpstream() as trap:
        issuer.answer = answer.replace(b"{trap}", str(trap.port).encode())
        gate.clock.now += 31
        missing = await tried(gate, new_key("new", rsa_key("new")))
        assert (missing.status, missing["Retry-After"]) == (503, "5")
        assert json.loads(missing.body)["reason"] == "keys_unavailable"
        assert (await tried(gate, GOOD)).status == 200
        assert trap.connections == 0
    status = (await gate.status())["issuers"][0]
    assert status["error"]
    assert status["kids"] == ["rsa"]


async def test_keys_that_come_late_open_what_was_unavailable(start: Start, issuer: Issuer) -> None:
    good, issuer.answer = issuer.answer, b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"
    gate = await start(issuer=issuer.settings)
    answer = await tried(gate, GOOD)
    assert (answer.status, answer["Retry-After"]) == (503, "5")
    assert "WWW-Authenticate" not in answer
    issuer.answer = good
    gate.clock.now += 2
    assert (await tried(gate, GOOD)).status == 200


async def test_keys_are_found_by_discovery(start: Start, issuer: Issuer, upstream: RawUpstream) -> None:
    name = f"http://127.0.0.1:{issuer.server.port}"
    keys = issuer.answer

    async def play(visit: Visit) -> None:
        found = visit.line == b"GET /keys HTTP/1.1"
        await visit.send(keys if found else json_answer({"issuer": name, "jwks_uri": f"{name}/keys"}))

    issuer.server.play = play
    gate = await start(issuer={"issuer": name, "jwks_file": None})
    assert (await tried(gate, mint(claims(iss=name)))).status == 200


BAD_KEYS: dict[str, dict[str, Any]] = {
    "malformed RSA": {"kty": "RSA", "kid": "bad", "n": "!", "e": "AQAB"},
    "empty oct": {"kty": "oct", "kid": "bad", "k": ""},
    "unknown kty": {"kty": "PQ", "kid": "bad"},
    "no kty": {"kid": "bad"},
    "kid number": jwk(EVIL, kid=1),
    "for encryption": jwk(EVIL, kid="bad", use="enc"),
    "other operations": jwk(EVIL, kid="bad", key_ops=["encrypt"]),
    "private": jwk(EVIL, kid="bad", d="AQAB"),
    "alg of another type": jwk(EVIL, kid="bad", alg="ES256"),
    "symmetric alg": jwk(EVIL, kid="bad", alg="HS256"),
    "RSA of 1024 bits": jwk(rsa.generate_private_key(65537, 1024), kid="bad"),
    "e = 1": jwk(EVIL, kid="bad", e="AQ"),
    "off the curve": {"kty": "EC", "crv": "P-256", "kid": "bad", "x": "A" * 43, "y": "A" * 43},
    "curve that is not supported": {"kty": "EC", "crv": "secp256k1", "kid": "bad", "x": "A" * 43, "y": "A" * 43},
    "null": {"kty": None},
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD_KEYS.values(), ids=BAD_KEYS)
async def test_a_bad_key_is_skipped_and_said_and_the_others_work(start: Start, bad: dict[str, Any]) -> None:
    gate = await start(keys=key_set(bad, jwk(rsa_key(), kid="rsa")))
    assert (await tried(gate, GOOD)).status == 200
    assert (await tried(gate, new_key("bad", EVIL))).status == 401
    status = (await gate.status())["issuers"][0]
    assert (status["kids"], len(status["skipped_keys"])) == (["rsa"], 1)


ED25519 = ed25519.Ed25519PrivateKey.generate()
SIGNATURES: dict[str, tuple[str, str, Sign]] = {
    "RS256": ("rsa", "RS256", RS256),
    "PS512": ("ps", "PS512", signs(rsa_key("ps"), "PS512")),
    "ES256": ("ec", "ES256", signs(ec_key(), "ES256")),
    "ES384": ("ec384", "ES384", signs(ec_key("P-384"), "ES384")),
    "EdDSA": ("ed", "EdDSA", signs(ED25519, "EdDSA")),
    "Ed25519": ("ed", "Ed25519", signs(ED25519, "EdDSA")),
}


@pytest.mark.parametrize(("kid", "alg", "sign"), SIGNATURES.values(), ids=SIGNATURES)
async def test_a_good_token_opens(start: Start, kid: str, alg: str, sign: Sign) -> None:
    keys = key_set(
        jwk(rsa_key(), kid="rsa"),
        jwk(rsa_key("ps"), kid="ps"),
        jwk(ec_key(), kid="ec"),
        jwk(ec_key("P-384"), kid="ec384"),
        jwk(ED25519, kid="ed"),
    )
    gate = await start(keys=keys)
    assert (await tried(gate, sealed(header(kid=kid, alg=alg), claims(), sign))).status == 200
    record = await gate.record()
    assert (record["alg"], record["kid"], record["token_kind"]) == (alg, kid, "jwt")


async def test_leeway_is_what_the_issuers_entry_says(start: Start) -> None:
    gate = await start(issuer={"leeway": "30s"}, clock=Clock(NOW + 629))
    assert (await tried(gate, GOOD)).status == 200
    gate.clock.now += 1
    assert (await tried(gate, GOOD)).status == 401


@pytest.mark.parametrize(
    ("typ", "status"), [("at+jwt", 200), ("application/AT+JWT", 200), ("JWT", 401), (None, 401), ("id+jwt", 401)]
)
async def test_a_demanded_typ_is_demanded(start: Start, typ: str | None, status: int) -> None:
    gate = await start(issuer={"typ": "at+jwt"})
    assert (await tried(gate, mint(typ=typ))).status == status
