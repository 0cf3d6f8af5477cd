"""The circuit in front of a target: it opens after failures in a row, and one trial at a time may close it."""

from __future__ import annotations

from gateway.upstream.settings import EjectionSettings

TRIAL_SECONDS = 10.0
"""Between trials where the settings name no time."""


class Circuit:
    """Counts failures in a row.

    Args:
        settings: when to open; None for never.

    Attributes:
        closed: whether requests pass.
        failures: in a row, while closed.
        next_trial: when the next trial may pass, in the time of the caller's clock; of use while open.
    """

    def __init__(self, settings: EjectionSettings | None) -> None:
        self._settings = settings
        self._period = TRIAL_SECONDS if settings is None else settings.seconds
        self.closed = True
        self.failures = 0
        self.next_trial = 0.0

    def trial_is_due(self, now: float) -> bool:
        """Whether a trial may pass."""
        return now >= self.next_trial

    def begin_trial(self, now: float) -> None:
        """One request passes; if nothing comes of it, the next one may after the same time."""
        self.next_trial = now + self._period

    def abandon_trial(self, now: float) -> None:
        """The trial ended without an outcome, such as by a client that left: the next request may try."""
        self.next_trial = now

    def fail(self, now: float, *, trial: bool) -> None:
        """A request failed. While the circuit is open, only a trial's failure says something new."""
        settings = self._settings
        if settings is None:
            self.failures += 1
        elif self.closed:
            self.failures += 1
            if self.failures >= settings.failures:
                self.closed = False
                self._period = settings.seconds
                self.next_trial = now + self._period
        elif trial:
            self._period = min(2 * self._period, max(settings.longest, settings.seconds))
            self.next_trial = now + self._period

    def succeed(self) -> None:
        """A request was answered."""
        self.closed = True
        self.failures = 0
