"""What an issuer's answer about a token means, and what becomes of the questions."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import orjson
import pytest

from gateway.client.fetch import BodyAnswer
from gateway.client.introspection_request import JSON, SIGNED
from gateway.policy.denial import Denial, Reason
from gateway.policy.model import Claims
from gateway.tokens.introspection import (
    Active,
    AnswerTerms,
    Unclear,
    UnknownToken,
    is_token68,
    judge_answer,
    looks_like_jwt,
    read_answer,
)
from gateway.tokens.introspector import IntrospectionSettings, Introspector
from gateway.tokens.key_source import NoKeys
from gateway.tokens.keys import KeySet
from gateway.tokens.revoked import RevokedTokens, digest
from gateway.tokens.verifier import TokenVerifier, VerifiedToken

from .tokens_case import CLAIMS, ISSUER, NOW, OTHER, Clock, bearer, key_set, keys_of, public_jwk, reason, signed

ACTIVE: dict[str, object] = {"active": True, **CLAIMS}
PLAIN = AnswerTerms(ISSUER, signed=False, audience="gateway")
SIGNED_TERMS = AnswerTerms(ISSUER, signed=True, audience="gateway")
INNER: dict[str, object] = {"iss": ISSUER.issuer, "aud": "gateway", "iat": NOW, "token_introspection": ACTIVE}
OPAQUE = bearer(b"opaque-token")
SETTINGS = IntrospectionSettings("a", ISSUER.issuer)
RENEWED = key_set(public_jwk("RSA", "b", kid="a-RSA"))
"""Another key under the name of the one that signs."""


def answered(body: object, kind: str = JSON, status: int = 200) -> BodyAnswer:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return BodyAnswer(status, content, {"Content-Type": kind})


def jwt(payload: dict[str, object] | None = None, alg: str = "RS256", **header: object) -> BodyAnswer:
    typ = {"typ": "token-introspection+jwt"}
    whole = {name: value for name, value in (INNER | (payload or {})).items() if value is not None}
    return answered(signed(alg, whole, **typ | header), SIGNED)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("token", "jwt_shaped", "token68"),
    [
        (b"opaque", False, True),
        (b"a.b", False, True),
        (b"v4.local.payload", False, True),
        (b"eyJh.e30.x", True, True),
        (b"eyJh..", True, True),
        (b"ewog.e30.x", True, True),
        (b"edge.b.c", False, True),
        (b"eyJh.a.b.c.d", False, True),
        (b"a=", False, True),
        (b"=a", False, False),
        (b"\xc3\xbc", False, False),
        (b"a" * 8192, False, True),
        (b"a" * 8193, False, False),
        (b"a\n", False, False),
    ],
)
def test_the_form_of_a_token_tells_whether_it_is_a_jwt_or_any_token(
    token: bytes, *, jwt_shaped: bool, token68: bool
) -> None:
    assert looks_like_jwt(token) is jwt_shaped
    assert is_token68(token) is token68


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answered(ACTIVE, status=401), "credentials"),
        (answered({"error": "invalid_client"}, status=400), "credentials (400)"),
        (answered({"error": "invalid_request"}, status=400), "it answered 400"),
        (answered(b"<html>", status=400), "it answered 400"),
        (answered(ACTIVE, status=500), "500"),
        (answered(ACTIVE, status=204), "204"),
        (answered(ACTIVE, "text/html"), JSON),
        (answered(b"{"), "cannot be read"),
        (answered([]), "cannot be read"),
        (answered(b'{"active":true,"active":false}'), "twice"),
        (answered({}), "active"),
        (answered({"active": "true"}), "active"),
        (answered({"active": 1}), "active"),
    ],
)
def test_what_is_no_answer_tells_nothing_of_the_token(answer: BodyAnswer, said: str) -> None:
    found = read_answer(answer, PLAIN, None, NOW)
    assert isinstance(found, Unclear)
    assert said in found.detail


def test_a_plain_answer_is_read() -> None:
    assert read_answer(answered(ACTIVE, "application/json; charset=utf-8"), PLAIN, None, NOW) == ACTIVE


def test_a_signed_answer_is_read() -> None:
    assert read_answer(jwt(), SIGNED_TERMS, keys_of("a"), NOW) == ACTIVE
    assert read_answer(jwt({"aud": ["x", "gateway"]}), SIGNED_TERMS, keys_of("a"), NOW) == ACTIVE


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answered(ACTIVE), SIGNED),
        (answered(b"x.y", SIGNED), "no signed JWT"),
        (jwt(typ="at+jwt"), "typ"),
        (jwt(alg="ES256"), "not signed with"),
        (jwt(kid="unknown"), "not at hand"),
        (jwt(kid="a-RSA2"), "not its key's"),
        (jwt({"iss": OTHER.issuer}), "iss"),
        (jwt({"aud": "somebody"}), "aud"),
        (jwt({"aud": ["gateway-2"]}), "aud"),
        (jwt({"iat": None}), "iat"),
        (jwt({"iat": True}), "iat"),
        (jwt({"iat": NOW - 301}), "iat"),
        (jwt({"iat": NOW + 301}), "iat"),
        (jwt({"token_introspection": None}), "token_introspection"),
        (jwt({"token_introspection": {}}), "active"),
    ],
)
def test_a_signed_answer_has_to_be_the_issuers_for_this_gateway_made_now(answer: BodyAnswer, said: str) -> None:
    only_rsa = replace(SIGNED_TERMS, issuer=replace(ISSUER, algorithms=frozenset({"RS256"})))
    keys = key_set(public_jwk("RSA"), public_jwk("RSA", "b", kid="a-RSA2"))
    found = read_answer(answer, only_rsa, keys, NOW)
    assert isinstance(found, Unclear)
    assert said in found.detail


def test_without_keys_no_signed_answer_counts() -> None:
    assert isinstance(read_answer(jwt(), SIGNED_TERMS, None, NOW), Unclear)


@pytest.mark.parametrize(
    ("answer", "keys", "lacking"),
    [
        (jwt(kid="new"), keys_of("a"), (True, "new")),
        (jwt(), None, (True, "a-RSA")),
        (jwt(), RENEWED, (True, None)),
        (jwt(typ="at+jwt", kid="new"), keys_of("a"), (False, None)),
        (jwt({"aud": "somebody"}), keys_of("a"), (False, None)),
        (answered(b"no jwt", SIGNED), None, (False, None)),
    ],
)
def test_it_is_told_whether_a_newer_key_may_help(
    answer: BodyAnswer, keys: KeySet | None, lacking: tuple[bool, str | None]
) -> None:
    found = read_answer(answer, SIGNED_TERMS, keys, NOW)
    assert isinstance(found, Unclear)
    assert (found.lacks_key, found.kid) == lacking


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"active": False}, Reason.TOKEN_REVOKED),
        (ACTIVE | {"iss": OTHER.issuer}, Reason.ISSUER_UNTRUSTED),
        (ACTIVE | {"aud": "api-2"}, Reason.AUDIENCE_MISMATCH),
        (ACTIVE | {"exp": NOW}, Reason.TOKEN_EXPIRED),
        ({"active": True, "aud": "api"}, Reason.CLAIM_INVALID),
    ],
)
def test_an_answer_is_judged_on_the_terms_of_the_issuers_jwts(document: dict[str, object], why: Reason) -> None:
    assert reason(judge_answer(document, ISSUER, NOW)) is why


def test_the_issuer_need_not_name_itself() -> None:
    active = judge_answer({name: value for name, value in ACTIVE.items() if name != "iss"}, ISSUER, NOW)
    assert isinstance(active, Active)
    assert (active.claims.issuer, active.claims.subject) == (ISSUER.issuer, "batch")


@dataclass
class Endpoint:
    """Answers when it is let, and keeps what it was asked."""

    answer: BodyAnswer | str | Exception = field(default_factory=lambda: answered(ACTIVE))
    asked: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, token: str) -> BodyAnswer | str:
        self.asked.append(token)
        await self.open.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Keys:
    """Keys of which one comes when it is looked for."""

    current: KeySet | None = None
    found: KeySet = field(default_factory=lambda: keys_of("a"))
    looked: list[str | None] = field(default_factory=list)

    async def look_for(self, kid: str | None) -> None:
        self.looked.append(kid)
        self.current = self.found


@dataclass
class Desk:
    """An introspector with all that it depends on."""

    endpoint: Endpoint = field(default_factory=Endpoint)
    keys: Keys = field(default_factory=Keys)
    clock: Clock = field(default_factory=Clock)
    settings: IntrospectionSettings = SETTINGS
    admitted: list[Claims] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.introspector = Introspector(self.settings, ISSUER, self.endpoint, self.keys, self.clock)
        self.endpoint.open.set()

    async def ask(self, token: bytes = b"opaque-token", *, known: bool = False) -> Claims | Denial:
        asked = self.introspector.ask(UnknownToken("a", bearer(token), known), self._admit)
        return asked if isinstance(asked, Denial) else await asked

    def _admit(self, unknown: UnknownToken, active: Active) -> Claims:
        assert unknown.issuer == "a"
        self.admitted.append(active.claims)
        return active.claims


async def test_one_question_serves_all_who_ask_meanwhile() -> None:
    desk = Desk()
    answers = await asyncio.gather(*(desk.ask() for _ in range(10)))
    assert desk.endpoint.asked == ["opaque-token"]
    assert len(desk.admitted) == 1
    assert all(answer is desk.admitted[0] for answer in answers)
    assert desk.introspector.status.answered_at == NOW
    assert desk.introspector.issuer is ISSUER


async def test_whoever_leaves_does_not_end_the_question_of_others() -> None:
    desk = Desk()
    desk.endpoint.open.clear()
    leaver, stayer = asyncio.create_task(desk.ask()), asyncio.create_task(desk.ask())
    await asyncio.sleep(0)
    leaver.cancel()
    await asyncio.wait([leaver])
    desk.endpoint.open.set()
    assert isinstance(await stayer, Claims)
    assert desk.endpoint.asked == ["opaque-token"]


async def test_a_refusal_is_remembered_for_a_while() -> None:
    desk = Desk(Endpoint(answered({"active": False})))
    assert reason(await desk.ask()) is Reason.TOKEN_REVOKED
    assert reason(desk.introspector.recall(b"opaque-token", NOW + 4.9)) is Reason.TOKEN_REVOKED
    assert desk.introspector.recall(b"opaque-token", NOW + 5) is None
    assert desk.introspector.recall(b"opaque-token", NOW) is None
    assert desk.introspector.recall(b"another", NOW) is None
    assert desk.introspector.status.inactive == 2


async def test_of_refusals_only_so_many_are_remembered() -> None:
    desk = Desk(Endpoint(answered({"active": False})), settings=replace(SETTINGS, most_inactive=2))
    for token in (b"one", b"two", b"three"):
        await desk.ask(token)
    assert [desk.introspector.recall(token, NOW) is None for token in (b"one", b"two", b"three")] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("answer", ["it is down", answered(b"<html>"), ValueError("a bug")])
async def test_what_brings_nothing_is_unavailable_and_said_once(
    answer: BodyAnswer | str | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(Endpoint(answer))
    with caplog.at_level(logging.INFO, "gateway"):
        for _ in range(3):
            assert reason(await desk.ask()) is Reason.INTROSPECTION_UNAVAILABLE
        assert [desk.introspector.status.error] != [None]
        desk.endpoint.answer = answered(ACTIVE)
        assert isinstance(await desk.ask(), Claims)
    told = [record.message for record in caplog.records if "asked about tokens" in record.message]
    assert len(told) == 2
    assert desk.introspector.status.error is None
    assert (desk.introspector.status.asked, desk.introspector.status.failed) == (4, 3)
    assert desk.introspector.recall(b"opaque-token", NOW) is None


async def test_a_question_has_its_time() -> None:
    desk = Desk(settings=replace(SETTINGS, timeout=0.01))
    desk.endpoint.open.clear()
    denial = await desk.ask()
    assert reason(denial) is Reason.INTROSPECTION_UNAVAILABLE
    assert "0.01 s" in str(denial)


async def test_strangers_leave_room_for_those_who_were_in() -> None:
    desk = Desk(settings=replace(SETTINGS, at_once=4))
    desk.endpoint.open.clear()
    strangers = [asyncio.create_task(desk.ask(b"s%d" % number)) for number in range(5)]
    await asyncio.sleep(0)
    known = [asyncio.create_task(desk.ask(b"k%d" % number, known=True)) for number in range(2)]
    await asyncio.sleep(0.01)
    assert desk.endpoint.asked == ["s0", "s1", "s2", "k0"]
    desk.endpoint.open.set()
    outcomes = [isinstance(await each, Claims) for each in (*strangers, *known)]
    assert outcomes == [True, True, True, False, False, True, False]
    assert desk.introspector.status.crowded == 3


async def test_the_key_of_a_signed_answer_is_looked_for_once() -> None:
    desk = Desk(Endpoint(jwt()), settings=replace(SETTINGS, signed=True, client_id="gateway"))
    assert isinstance(await desk.ask(b"one"), Claims)
    assert isinstance(await desk.ask(b"two"), Claims)
    assert desk.keys.looked == ["a-RSA"]


@pytest.mark.parametrize(("found", "has_it"), [(keys_of("a"), True), (RENEWED, False)])
async def test_the_key_of_a_signed_answer_may_have_changed_under_its_name(found: KeySet, *, has_it: bool) -> None:
    signed_answers = replace(SETTINGS, signed=True, client_id="gateway")
    desk = Desk(Endpoint(jwt()), Keys(RENEWED, found), settings=signed_answers)
    assert isinstance(await desk.ask(), Claims) is has_it
    assert desk.keys.looked == [None]
    assert desk.endpoint.asked == ["opaque-token"]


async def test_questions_end_when_it_is_closed() -> None:
    desk = Desk()
    desk.endpoint.open.clear()
    asked = asyncio.create_task(desk.ask())
    await asyncio.sleep(0.01)
    await desk.introspector.close()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_in_place_of_keys_there_may_be_none() -> None:
    none = NoKeys("a")
    await none.look_for("kid")
    await none.refresh()
    await none.run()
    assert (none.current.keys, none.status.kids, none.status.fetched_at) == ((), (), None)


@dataclass
class Asked:
    """An issuer that is asked, as the verifier sees it."""

    settings: IntrospectionSettings = SETTINGS
    refusal: Denial | None = None

    def recall(self, token: bytes, now: float) -> Denial | None:
        assert (token, now) == (OPAQUE.value, NOW)
        return self.refusal


Make = Callable[..., TokenVerifier]


@pytest.fixture
def make() -> Make:
    def make(asked: Asked | None = None, revoked: dict[str, RevokedTokens] | None = None) -> TokenVerifier:
        @dataclass
        class Held:
            current: KeySet | None = field(default_factory=lambda: keys_of("a"))

        issuers, keys = [ISSUER, OTHER], {"a": Held(), "b": Held()}
        both = {"a": asked or Asked(), "b": asked or Asked()}
        return TokenVerifier(
            issuers, keys, capacity=8, log_key=b"key", asked=both, revoked={} if revoked is None else revoked
        )

    return make


def admitted(verifier: TokenVerifier, **changes: object) -> VerifiedToken:
    active = judge_answer(ACTIVE | changes, ISSUER, NOW)
    assert isinstance(active, Active)
    token = verifier.admit(UnknownToken("a", OPAQUE, known=False), active)
    assert isinstance(token, VerifiedToken)
    return token


def test_an_opaque_token_is_unknown_until_its_issuer_was_asked(make: Make) -> None:
    verifier = make()
    assert verifier.recall(OPAQUE, NOW, "a") is None
    assert verifier.verify(OPAQUE, NOW, "a") == UnknownToken("a", OPAQUE, known=False)
    token = admitted(verifier, exp=NOW + 600)
    assert verifier.recall(OPAQUE, NOW + 59, "a") is token
    assert (token.thumbprint, token.kid, token.algorithm, token.valid_until) == (None, None, None, NOW + 60)
    assert '"token_kind":"opaque"' in token.record


def test_it_is_remembered_for_the_issuer_that_was_asked_alone(make: Make) -> None:
    verifier = make()
    admitted(verifier)
    assert verifier.recall(OPAQUE, NOW, "b") is None
    assert verifier.recall(OPAQUE, NOW) is None
    assert verifier.verify(OPAQUE, NOW, "b") == UnknownToken("b", OPAQUE, known=False)


def test_when_its_issuers_word_is_old_it_is_asked_again_as_one_that_was_known(make: Make) -> None:
    verifier = make(Asked(replace(SETTINGS, keep=10)))
    admitted(verifier, nbf=NOW)
    assert isinstance(verifier.recall(OPAQUE, NOW + 9, "a"), VerifiedToken)
    assert verifier.recall(OPAQUE, NOW + 10, "a") is None
    assert verifier.verify(OPAQUE, NOW, "a") == UnknownToken("a", OPAQUE, known=True)


def test_it_ends_at_its_exp(make: Make) -> None:
    verifier = make()
    admitted(verifier, exp=NOW + 5)
    assert reason(verifier.recall(OPAQUE, NOW + 5, "a")) is Reason.TOKEN_EXPIRED


def test_a_refusal_that_is_remembered_is_given_again(make: Make) -> None:
    denial = Denial(Reason.TOKEN_REVOKED)
    assert make(Asked(refusal=denial)).verify(OPAQUE, NOW, "a") is denial


def test_what_has_no_tokens_form_is_malformed(make: Make) -> None:
    assert reason(make().verify(bearer(b"\xc3\xbc"), NOW, "a")) is Reason.TOKEN_MALFORMED


def test_what_the_feed_revoked_is_refused_whatever_was_answered(make: Make) -> None:
    revoked: dict[str, RevokedTokens] = {}
    verifier = make(revoked=revoked)
    admitted(verifier)
    revoked["a"] = RevokedTokens(jtis=frozenset({digest(ISSUER.issuer, "1")}))
    assert reason(verifier.recall(OPAQUE, NOW, "a")) is Reason.TOKEN_REVOKED
    active = judge_answer(ACTIVE, ISSUER, NOW)
    assert isinstance(active, Active)
    assert reason(verifier.admit(UnknownToken("a", OPAQUE, known=False), active)) is Reason.TOKEN_REVOKED


def test_tokens_without_jti_are_told_apart_in_the_log(make: Make) -> None:
    verifier = make()
    one = admitted(verifier, jti="")
    assert one.jti_hash
    assert one.jti_hash != admitted(verifier, jti="1").jti_hash


@pytest.mark.parametrize(
    ("jwts", "token", "asked"),
    [
        ("verify", signed(), False),
        ("refuse", signed(), False),
        ("ask", signed(), True),
        ("ask", signed(owner="b", payload=CLAIMS | {"iss": OTHER.issuer}), False),
        ("ask", b"eyJh.bad.bad", False),
    ],
)
def test_a_jwt_is_asked_about_by_choice_and_of_its_own_issuer(
    make: Make, jwts: str, token: bytes, *, asked: bool
) -> None:
    class Anybody(Asked):
        def recall(self, token: bytes, now: float) -> Denial | None:
            del token, now
            return None

    verifier = make(Anybody(replace(SETTINGS, jwts=jwts)))  # type: ignore[arg-type]
    assert isinstance(verifier.verify(bearer(token), NOW, "a"), UnknownToken) is asked


def test_where_nobody_can_be_asked_an_opaque_token_is_malformed() -> None:
    @dataclass
    class Held:
        current: KeySet | None = None

    verifier = TokenVerifier([ISSUER], {"a": Held()}, capacity=1, log_key=b"")
    assert reason(verifier.verify(OPAQUE, NOW, "a")) is Reason.TOKEN_MALFORMED
