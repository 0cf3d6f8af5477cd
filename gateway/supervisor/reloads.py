"""What became of the reloads."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal, get_args

from gateway.admin.snapshot import ReloadSnapshot
from gateway.starting import StartError
from gateway.supervisor.generation import Generation
from gateway.supervisor.process import started

log = logging.getLogger(__name__)

Outcome = Literal["swapped", "replaced", "unchanged", "refused"]
"""Rules swapped within the workers, workers replaced, nothing to be done, or the configuration in force stays."""

_SAID: Final = {
    "swapped": "configuration %(revision)s is in force in every worker; generation %(number)d stays",
    "replaced": "generation %(number)d is in force, configuration %(revision)s",
}


class Reloads:
    """Counts them, and keeps why the last one was refused."""

    def __init__(self) -> None:
        self._began = 0
        self._outcomes: Counter[str] = Counter(dict.fromkeys(get_args(Outcome), 0))
        self._since = time.time()
        self._ended_at: float | None = None
        self._errors: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """Of the one that began last, from 1."""
        return self._began

    def begin(self) -> None:
        """One has begun; the last one's errors stand until it ends."""
        self._began += 1

    def succeed(self, outcome: Outcome, in_force: Generation) -> None:
        """It has ended well."""
        self._end(outcome, ())
        if outcome != "unchanged":
            self._since = time.time()
            log.info(_SAID[outcome], {"revision": in_force.plan.revision, "number": in_force.number})

    def refuse(self, error: Exception) -> None:
        """The configuration in force stays; what is no StartError is a bug, and its trace is logged."""
        foreseen = isinstance(error, StartError)
        lines = str(error).splitlines() if foreseen else [f"unexpected {type(error).__name__}: see the gateway's log"]
        for line in lines:
            log.error("%s", line, exc_info=None if foreseen else error)
        log.error("the new configuration is refused: the one in force stays")
        self._end("refused", lines)

    def _end(self, outcome: Outcome, errors: Sequence[str]) -> None:
        self._outcomes[outcome] += 1
        self._ended_at = time.time()
        self._errors = tuple(errors)

    def snapshot(self) -> ReloadSnapshot:
        """For the operator."""
        return ReloadSnapshot(
            pid=os.getpid(),
            pid_started=started(os.getpid()) or 0,
            began=self._began,
            ended=self._outcomes.total(),
            ended_at=self._ended_at,
            in_force_since=self._since,
            outcomes=dict(self._outcomes),
            errors=self._errors,
        )
