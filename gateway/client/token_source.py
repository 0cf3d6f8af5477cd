"""A token that is always at hand: obtained in the background, renewed before it expires.

Whoever needs it reads one attribute. Only where there is none does one wait, for the one flight that all share.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.client.discovery import DiscoveryFailure
from gateway.client.fetch import MalformedAnswer, Unreachable
from gateway.client.token_request import TokenOutcome
from gateway.client.token_response import Refused, TokenFailure, TokenResponse, lifetime

log = logging.getLogger(__name__)

FIRST_RETRY = 1.0
LONGEST_RETRY = 60.0
"""Seconds between attempts after a failure: doubled from the first to the longest, less up to a half by chance."""

LONGEST_RETRY_AFTER = 3600.0
"""Seconds for which a server's own word is taken at most, when it wants to be left alone."""

LONGEST_LIFETIME = 86400.0
UNKNOWN_LIFETIME = 300.0
"""Seconds that a token counts as good at most, and where nobody tells."""

REFUSAL_COOLDOWN = 30.0
"""Seconds in which tokens that are refused elsewhere cause one new token at most."""


class Cancellable(Protocol):
    """A timer that was set."""

    def cancel(self) -> None:
        """Forget it."""


CallLater = Callable[[float, Callable[[], None]], Cancellable]
"""Sets a timer, in seconds: the event loop's `call_later`."""


@dataclass(frozen=True, slots=True)
class NoToken:
    """There is none now; `detail` says why."""

    detail: str


@dataclass(frozen=True, slots=True)
class TokenSourceStatus:
    """What an operator wants to know; times in seconds since the epoch, None for never.

    Attributes:
        name: the key in the configuration.
        obtained_at: when the token at hand was obtained.
        expires_at: when it expires.
        retry_at: when the next attempt after a failure is due.
        error: why the last attempt failed, None after a good one.
    """

    name: str
    obtained_at: float | None
    expires_at: float | None
    retry_at: float | None
    error: str | None


class TokenSource:
    """Keeps a bearer token at hand.

    Args:
        name: what log and status call it.
        obtain: asks for a token.
        timeout: seconds that one attempt may take, and so the longest that anyone waits.
        clock: seconds since the epoch.
        chance: draws from 0 to 1, so that replicas do not ask in step.
        call_later: sets timers; the running event loop's by default.

    Attributes:
        authorization: what goes into the field `Authorization`; None while there is no token.
    """

    def __init__(  # noqa: PLR0913 - what it depends on, each by its name
        self,
        name: str,
        obtain: Callable[[], Awaitable[TokenOutcome]],
        *,
        timeout: float,
        clock: Callable[[], float],
        chance: Callable[[], float] = random.random,
        call_later: CallLater | None = None,
    ) -> None:
        self.name = name
        self.authorization: bytes | None = None
        self._obtain = obtain
        self._timeout = timeout
        self._clock = clock
        self._chance = chance
        self._call_later: CallLater = call_later or asyncio.get_running_loop().call_later
        self._flight: asyncio.Task[None] | None = None
        self._timers: list[Cancellable] = []
        self._retry: Cancellable | None = None
        self._backoff = FIRST_RETRY
        self._set_aside: bytes | None = None
        self._refused_at: float | None = None
        self._closed = False
        self._status = TokenSourceStatus(name, None, None, None, None)

    @property
    def status(self) -> TokenSourceStatus:
        """For the operator."""
        return self._status

    def start(self) -> None:
        """Obtain a token in the background from now on."""
        if self._flight is None and self._retry is None and not self._closed:
            self._flight = asyncio.create_task(self._fly())

    async def wait(self) -> bytes | NoToken:
        """The token at hand, or the one that is being obtained; NoToken at once where that has just failed."""
        if self.authorization is None:
            self.start()
            if self._flight is not None:
                await asyncio.wait([self._flight])
        if self.authorization is None:
            return NoToken(f"credentials {self.name}: {self._status.error or 'no token was obtained'}")
        return self.authorization

    def refused(self, authorization: bytes) -> None:
        """A server did not take this token: obtain another one, unless that was done a moment ago.

        Should that fail, this one is used again: it may have been refused for other reasons.
        """
        if authorization != self.authorization or self._retry is not None or self._was_refused_lately():
            return
        self._refused_at = self._clock()
        self._set_aside, self.authorization = authorization, None
        self.start()

    def _was_refused_lately(self) -> bool:
        return self._refused_at is not None and 0 <= self._clock() - self._refused_at < REFUSAL_COOLDOWN

    async def close(self) -> None:
        """Stop; there is no token any more."""
        self._closed = True
        self._cancel_timers()
        self.authorization = self._set_aside = None
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait([self._flight])

    async def _fly(self) -> None:
        asked_at = self._clock()
        outcome = await self._attempt()
        self._flight = None
        if not isinstance(outcome, TokenResponse):
            self._fail(outcome)
            return
        seconds = _usable_for(outcome, asked_at)
        if isinstance(seconds, MalformedAnswer):
            self._fail(seconds)
        else:
            self._take(outcome.access_token, asked_at, seconds)

    async def _attempt(self) -> TokenOutcome:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._obtain()
        except TimeoutError:
            return Unreachable(f"no answer within {self._timeout:g} s")
        except Exception:
            log.exception("credentials %s: obtaining a token failed unexpectedly", self.name)
            return Unreachable("an unexpected error, see the gateway's log")

    def _take(self, token: str, obtained_at: float, seconds: float) -> None:
        if self._status.error is not None or self._status.obtained_at is None:
            log.info("credentials %s: a token is at hand, for %d s", self.name, seconds)
        self._cancel_timers()
        self.authorization, self._set_aside = b"Bearer " + token.encode(), None
        self._backoff = FIRST_RETRY
        self._status = TokenSourceStatus(self.name, obtained_at, obtained_at + seconds, None, None)
        left = seconds - (self._clock() - obtained_at)
        ahead = min(60.0, seconds / 10) * (1 + self._chance())
        self._timers = [
            self._call_later(max(FIRST_RETRY, left - ahead), self.start),
            self._call_later(max(0.0, left - min(5.0, seconds / 20)), self._expire),
        ]

    def _expire(self) -> None:
        """A little early: what is sent now has to be good when it arrives."""
        self.authorization = self._set_aside = None

    def _fail(self, failure: TokenFailure | DiscoveryFailure) -> None:
        detail = failure.detail
        if self._status.error is None:
            kept = "the token at hand stays in use" if self.authorization or self._set_aside else "there is none"
            log.warning("credentials %s: no token can be obtained (%s); %s", self.name, detail, kept)
        if self.authorization is None:
            self.authorization = self._set_aside
        self._set_aside = None
        delay = self._delay(failure.retry_after if isinstance(failure, Unreachable | Refused) else None)
        before = self._status
        self._status = TokenSourceStatus(
            self.name, before.obtained_at, before.expires_at, self._clock() + delay, detail
        )
        self._retry = self._call_later(delay, self._try_again)

    def _delay(self, retry_after: float | None) -> float:
        delay = self._backoff * (1 - self._chance() / 2)
        self._backoff = min(self._backoff * 2, LONGEST_RETRY)
        if retry_after is None:
            return delay
        return max(delay, min(retry_after, LONGEST_RETRY_AFTER) * (1 + self._chance() / 10))

    def _try_again(self) -> None:
        self._retry = None
        self.start()

    def _cancel_timers(self) -> None:
        for timer in (*self._timers, *filter(None, [self._retry])):
            timer.cancel()
        self._timers, self._retry = [], None


def _usable_for(response: TokenResponse, asked_at: float) -> float | MalformedAnswer:
    """Seconds for which a bearer token is good."""
    if response.token_type.lower() != "bearer":
        return MalformedAnswer(f"a token of type {response.token_type} came, where a bearer token is needed")
    told = lifetime(response, asked_at)
    seconds = UNKNOWN_LIFETIME if told is None else min(told, LONGEST_LIFETIME)
    return seconds if seconds > 0 else MalformedAnswer("a token came that has expired already")
