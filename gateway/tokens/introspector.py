"""An issuer that is asked about tokens: one question a token at a time, so many at once, and what it denied remembered.

What it called active is remembered by the TokenVerifier, beside the JWTs that were verified.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple, Protocol, TypeVar

from cachetools import FIFOCache

from gateway.client.fetch import BodyAnswer
from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.model import TrustedIssuer
from gateway.tokens.introspection import (
    Active,
    AnswerTerms,
    Jwts,
    Unclear,
    UnknownToken,
    judge_answer,
    read_answer,
)
from gateway.tokens.keys import KeySet

log = logging.getLogger(__name__)

T = TypeVar("T")


class Asks(Protocol):
    """Asks an issuer about a token."""

    async def ask(self, token: str) -> BodyAnswer | str:
        """The answer, whatever its status; or in words why there is none."""
        ...


class Keys(Protocol):
    """Where the issuer's keys come from, for answers that are signed."""

    @property
    def current(self) -> KeySet | None:
        """The keys at this moment."""
        ...

    async def look_for(self, kid: str | None) -> None:
        """Fetch them anew, if that was not done a moment ago."""
        ...


@dataclass(frozen=True, slots=True)
class IntrospectionSettings:
    """How an issuer is asked about tokens.

    Attributes:
        name: the issuer's key in the configuration.
        issuer: its identifier, for discovery.
        endpoint: where to ask; None finds that by discovery (RFC 8414 §2).
        metadata: where its metadata is, if that is not where discovery looks.
        client_id: who the gateway is there.
        signed: whether answers have to be JWTs (RFC 9701).
        jwts: what becomes of this issuer's JWTs.
        keep: seconds for which `active` is taken at its word.
        keep_inactive: seconds for which a token that was refused is refused again without a question.
        most_inactive: tokens of which that is remembered.
        at_once: questions under way at most.
        timeout: seconds that one may take.
    """

    name: str
    issuer: str
    endpoint: str | None = None
    metadata: str | None = None
    client_id: str = ""
    signed: bool = False
    jwts: Jwts = "verify"
    keep: float = 60.0
    keep_inactive: float = 5.0
    most_inactive: int = 10_000
    at_once: int = 64
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class IntrospectionStatus:
    """What an operator wants to know.

    Attributes:
        asked: questions that were sent.
        failed: that brought nothing.
        crowded: tokens that were not asked about because too many questions were under way.
        inactive: tokens that were refused, those included of which it was remembered.
        answered_at: when a question last brought an answer, in seconds since the epoch; None for never.
        error: why the last question brought nothing; None where it brought an answer.
    """

    asked: int
    failed: int
    crowded: int
    inactive: int
    answered_at: float | None
    error: str | None


class _Refused(NamedTuple):
    denial: Denial
    until: float


class Introspector:
    """Asks one issuer about tokens.

    Args:
        settings: how.
        terms: what its tokens have to be.
        client: asks.
        keys: of the issuer.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: IntrospectionSettings,
        terms: TrustedIssuer,
        client: Asks,
        keys: Keys,
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self._terms = AnswerTerms(terms, settings.signed, settings.client_id)
        self._client = client
        self._keys = keys
        self._clock = clock
        self._flights: dict[bytes, asyncio.Task[Any]] = {}
        self._refused: FIFOCache[bytes, _Refused] = FIFOCache(maxsize=settings.most_inactive)
        self._asked = self._failed = self._crowded = self._inactive = 0
        self._answered_at: float | None = None
        self._error: str | None = None

    @property
    def issuer(self) -> TrustedIssuer:
        """What its tokens have to be."""
        return self._terms.issuer

    @property
    def status(self) -> IntrospectionStatus:
        """For the operator."""
        return IntrospectionStatus(
            self._asked, self._failed, self._crowded, self._inactive, self._answered_at, self._error
        )

    def recall(self, token: bytes, now: float) -> Denial | None:
        """The refusal of a token that was asked about a moment ago."""
        digest = sha256(token).digest()
        known = self._refused.get(digest)
        if known is None:
            return None
        if now < known.until:
            self._inactive += 1
            return known.denial
        del self._refused[digest]
        return None

    def ask(
        self, unknown: UnknownToken, admit: Callable[[UnknownToken, Active], T]
    ) -> asyncio.Future[T | Denial] | Denial:
        """Ask about a token; whoever asks about the same one meanwhile gets the same answer.

        The question is under way when this returns, and what is called active is handed to `admit` as soon as that is
        known: there is no moment in which the token is asked about a second time.

        A quarter of the questions that may be under way is for tokens that were active before: who invents tokens
        must not keep out those who have some.
        """
        digest = sha256(unknown.token.value).digest()
        flight = self._flights.get(digest)
        if flight is None:
            most = self.settings.at_once if unknown.known else max(1, self.settings.at_once * 3 // 4)
            if len(self._flights) >= most:
                self._crowded += 1
                return self._unavailable(f"{len(self._flights)} questions are under way already")
            flight = asyncio.create_task(self._fly(digest, unknown, admit))
            self._flights[digest] = flight
        return asyncio.shield(flight)

    async def close(self) -> None:
        """Leave the questions that are under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _fly(
        self, digest: bytes, unknown: UnknownToken, admit: Callable[[UnknownToken, Active], T]
    ) -> T | Denial:
        try:
            asked_at = self._clock()
            document = await self.inquire(unknown.token.value.decode("ascii"))
            if isinstance(document, Unclear):
                return self._fail(document.detail)
            self._recovered()
            outcome = judge_answer(document, self._terms.issuer, self._clock())
            if isinstance(outcome, Active):
                return admit(unknown, outcome._replace(asked_at=asked_at))
            self._inactive += 1
            self._refused[digest] = _Refused(outcome, asked_at + self.settings.keep_inactive)
            return outcome
        finally:
            del self._flights[digest]

    async def inquire(self, token: str) -> dict[str, object] | Unclear:
        """One question, and what it brought; nothing is remembered."""
        self._asked += 1
        try:
            async with asyncio.timeout(self.settings.timeout):
                return await self._document(token)
        except TimeoutError:
            return Unclear(f"no answer within {self.settings.timeout:g} s")
        except Exception:
            log.exception("issuer %s: introspection failed unexpectedly", self.settings.name)
            return Unclear("an unexpected error, see the gateway's log")

    async def _document(self, token: str) -> dict[str, object] | Unclear:
        answer = await self._client.ask(token)
        if isinstance(answer, str):
            return Unclear(answer)
        document = self._read(answer)
        if not isinstance(document, Unclear) or not document.lacks_key:
            return document
        await self._keys.look_for(document.kid)
        return self._read(answer)

    def _read(self, answer: BodyAnswer) -> dict[str, object] | Unclear:
        return read_answer(answer, self._terms, self._keys.current, self._clock())

    def _fail(self, detail: str) -> Denial:
        """Only a change is logged."""
        self._failed += 1
        if self._error is None:
            log.warning(
                "issuer %s: it cannot be asked about tokens (%s); those that are not remembered get 503",
                self.settings.name,
                detail,
            )
        self._error = detail
        return self._unavailable(detail)

    def _recovered(self) -> None:
        if self._error is not None:
            log.info("issuer %s: it can be asked about tokens again", self.settings.name)
        self._error, self._answered_at = None, self._clock()

    def _unavailable(self, detail: str) -> Denial:
        expected = f"an answer of {self.settings.name}"
        return unmet(Reason.INTROSPECTION_UNAVAILABLE, "activity", expected, f"none: {detail}")
