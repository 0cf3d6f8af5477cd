"""Refusals by an issuer's word: revoked tokens, opaque ones, and an issuer that gives no keys or no answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.explain.judging import NoAnswer, NoKeys

from .asked import OPAQUE, active, asking, http
from .conftest import Start
from .feed import Feed, hashed
from .gate import PUBLISHED
from .key_server import KeyServer
from .minting import AUDIENCE, ISSUER, NOW, mint
from .raw_client import request
from .raw_upstream import RawUpstream, Visit, replies
from .test_explained import ROUTES, Case, agree, judged, wire
from .test_proofs import proof

BOUND: dict[str, Any] = {"cnf": {"jkt": "A" * 43}}


def revoked(kind: str, check: str, expected: str, found: str, token: str, **members: object) -> Any:
    """A token that the feed names."""
    case = Case("token_revoked", check, expected, found, token)
    return pytest.param({"kind": kind, "until": NOW + 600} | members, case, id=f"{kind} at {check}")


@pytest.mark.parametrize(
    ("entry", "case"),
    [
        revoked("jti", "revocation", "not revoked", "revoked: the token", mint(), hash=hashed("c0ffee")),
        revoked(
            "client", "revocation", "not revoked", "its client's", mint(), hash=hashed("nightly-batch"), before=NOW
        ),
        revoked("key", "revocation", "not revoked", "or its key", mint(), kid="rsa"),
        revoked("key", "key", "main has not revoked", "kid gone", mint(kid="gone"), kid="gone"),
    ],
)
async def test_what_a_feed_revoked(start: Start, tmp_path: Path, feed: Feed, entry: dict[str, Any], case: Case) -> None:
    feed.entries.append(entry)
    changes: dict[str, Any] = {"routes": ROUTES, "issuer": {"revocations": feed.url}}
    await agree(tmp_path, await start(**changes), case, changes)


def opaque(reason: str, check: str, expected: str, found: str, *fields: str, **more: Any) -> Case:
    return Case(reason, check, expected, found, OPAQUE, fields, **more)


@pytest.mark.parametrize(
    ("answer", "case"),
    [
        ({"active": False}, opaque("token_revoked", "activity", "active by its issuer", "not active: expired")),
        (active(iss="https://evil"), opaque("issuer_untrusted", "issuer", ISSUER, "https://evil")),
        (active(cnf={"kid": "x"}), opaque("proof_invalid", "binding", "jkt", "kid")),
        (active(exp=None), opaque("claim_invalid", "claims", "exp", "none")),
        (active(sub=7), opaque("claim_invalid", "claims", "sub as a string", "7")),
        (active(aud="https://b"), opaque("audience_mismatch", "audience", AUDIENCE, "https://b")),
        (active(exp=NOW - 5), opaque("token_expired", "expiry", "exp ahead", "5 s past")),
        (active(nbf=NOW + 90), opaque("token_not_yet_valid", "begin", "past", "90 s ahead")),
        (active(**BOUND), opaque("proof_invalid", "scheme", "DPoP", "Bearer")),
        (active(**BOUND), opaque("proof_invalid", "proof", "one DPoP field", "0", scheme="DPoP")),
        (
            active(**BOUND),
            opaque("proof_invalid", "proof binding", "A" * 43, "", f"DPoP: {proof(OPAQUE)}", scheme="DPoP"),
        ),
        (active(), opaque("authentication_insufficient", "acr", "gold", "none", line="GET /acr")),
        (active(scope="x y"), opaque("scope_insufficient", "scopes", "admin", "x y")),
    ],
)
async def test_what_an_issuer_tells_of_an_opaque_token(
    start: Start, tmp_path: Path, issuer: RawUpstream, answer: dict[str, Any], case: Case
) -> None:
    issuer.play = replies(http(answer))
    changes = asking(issuer) | {"routes": ROUTES}
    gate = await start(**changes)
    gate.secrets.append(OPAQUE)
    await agree(tmp_path, gate, case, changes)


async def test_an_opaque_token_that_a_feed_revoked_though_it_is_called_active(
    start: Start, tmp_path: Path, issuer: RawUpstream, feed: Feed
) -> None:
    feed.revoke("jti", hash=hashed("c0ffee"))
    changes = asking(issuer) | {"routes": ROUTES}
    changes["issuer"] |= {"revocations": feed.url}
    await agree(tmp_path, await start(**changes), opaque("token_revoked", "revocation", "not", "revoked"), changes)


async def test_a_feed_that_the_issuer_s_metadata_names_is_looked_at_for_opaque_tokens(
    start: Start, tmp_path: Path, issuer: RawUpstream, feed: Feed
) -> None:
    feed.revoke("jti", hash=hashed("c0ffee"))
    base = f"http://127.0.0.1:{issuer.port}"
    metadata = {"issuer": ISSUER, "jwks_uri": f"{base}/keys", "revocations_uri": feed.url}
    pages = {b"/metadata": http(metadata), b"/keys": http(PUBLISHED)}

    async def play(visit: Visit) -> None:
        await replies(pages.get(visit.head.split()[1], http(active())))(visit)

    issuer.play = play
    changes = asking(issuer) | {"routes": ROUTES}
    changes["issuer"] |= {"metadata": f"{base}/metadata", "jwks_file": None, "revocations": None}
    await agree(tmp_path, await start(**changes), opaque("token_revoked", "revocation", "not", "revoked"), changes)


async def test_where_an_issuer_gives_no_keys_nothing_is_said_of_the_token(start: Start, tmp_path: Path) -> None:
    async with RawUpstream() as server:
        keys = KeyServer(server)
        keys.fail()
        changes: dict[str, Any] = {"routes": ROUTES, "issuer": keys.section}
        gate = await start(**changes)
        case = Case("keys_unavailable", "key", "", "", mint())
        answer = await gate.ask(request(case.line, *wire(case)))
        assert (answer.status, json.loads(answer.body)["reason"]) == (503, "keys_unavailable")
        record = await gate.record()
        assert (record["reason"], record["detail"]) == (
            "keys_unavailable",
            "key: expected one that main publishes, found kid rsa, and main gives no keys",
        )
        missing = await judged(tmp_path, gate, case, changes)
        told = f"http://127.0.0.1:{server.port}/keys answered 500 with no JSON object"
        assert missing == NoKeys("main", told)


async def test_where_an_issuer_gives_no_answer_nothing_is_said_of_the_token(
    start: Start, tmp_path: Path, issuer: RawUpstream
) -> None:
    issuer.play = replies(http({}, "500 Internal Server Error"))
    changes = asking(issuer) | {"routes": ROUTES}
    gate = await start(**changes)
    case = opaque("introspection_unavailable", "activity", "", "")
    answer = await gate.ask(request(case.line, *wire(case)))
    assert (answer.status, json.loads(answer.body)["reason"]) == (503, "introspection_unavailable")
    assert (await gate.record())["detail"] == "activity: expected an answer of main, found none: it answered 500"
    missing = await judged(tmp_path, gate, case, changes)
    assert missing == NoAnswer("main", "it answered 500")
