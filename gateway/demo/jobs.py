"""The sample API's subject: maintenance jobs and their runs. Pure: time comes as an argument, in seconds."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Final

QUEUED_SECONDS: Final = 1.0
MAX_RUNS: Final = 200


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Job:
    """Something that keeps a system in order; `steps` are what its log tells, `seconds` how long a run takes."""

    name: str
    description: str
    schedule: str
    seconds: float
    steps: tuple[str, ...]


@dataclass(slots=True)
class Run:
    """One execution of a job; times in seconds since the epoch."""

    id: str
    job: Job
    started_by: str
    reason: str | None
    requested_at: float
    cancelled_at: float | None = None

    def state(self, now: float) -> RunState:
        """Return where the run stands now."""
        if self.cancelled_at is not None:
            return RunState.CANCELLED
        age = now - self.requested_at
        if age < QUEUED_SECONDS:
            return RunState.QUEUED
        return RunState.RUNNING if age < QUEUED_SECONDS + self.job.seconds else RunState.SUCCEEDED

    def is_finished(self, now: float) -> bool:
        """Whether nothing will change any more."""
        return self.state(now) in {RunState.SUCCEEDED, RunState.CANCELLED}


@dataclass(slots=True)
class Ledger:
    """The jobs, and the last `MAX_RUNS` runs of all of them."""

    jobs: Mapping[str, Job]
    runs: OrderedDict[str, Run] = field(default_factory=OrderedDict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def start(self, job: Job, started_by: str, reason: str | None, now: float) -> Run:
        """Queue a run; the oldest one is forgotten when there are too many."""
        run = Run(f"run-{next(self._numbers)}", job, started_by, reason, now)
        self.runs[run.id] = run
        if len(self.runs) > MAX_RUNS:
            self.runs.popitem(last=False)
        return run

    def run_of(self, job: Job, run_id: str) -> Run | None:
        """Return the run of this job with this id."""
        run = self.runs.get(run_id)
        return run if run is not None and run.job is job else None

    def runs_of(self, job: Job) -> list[Run]:
        """Return the job's runs, the newest first."""
        return [run for run in reversed(self.runs.values()) if run.job is job]

    def forget_finished(self, now: float) -> int:
        """Forget every finished run; return how many."""
        finished = [run.id for run in self.runs.values() if run.is_finished(now)]
        for run_id in finished:
            del self.runs[run_id]
        return len(finished)


def _job(name: str, description: str, schedule: str, seconds: float, *steps: str) -> Job:
    return Job(name, description, schedule, seconds, steps)


SAMPLE_JOBS: Final[Mapping[str, Job]] = {
    job.name: job
    for job in (
        _job(
            "rotate-logs",
            "Compress and rotate the application logs",
            "0 2 * * *",
            5.0,
            "found 14 log files",
            "compressed app.log.1 (48.2 MB to 3.9 MB)",
            "compressed app.log.2 (51.0 MB to 4.1 MB)",
            "removed 3 files older than 30 days",
            "signalled 4 writers to reopen",
            "freed 91.2 MB",
        ),
        _job(
            "reindex-search",
            "Rebuild the full-text search index",
            "30 3 * * 0",
            20.0,
            "opened index catalogue-v7",
            "read 50,000 documents",
            "read 100,000 documents",
            "merged 12 segments",
            "verified 1,000 samples",
            "switched alias catalogue to v8",
            "dropped catalogue-v6",
        ),
        _job(
            "compact-database",
            "Rewrite tables that carry dead rows",
            "0 4 * * 6",
            12.0,
            "table orders: 18 % dead rows",
            "table orders: rewritten",
            "table events: 41 % dead rows",
            "table events: rewritten",
            "statistics refreshed",
            "freed 2.3 GB",
        ),
        _job(
            "vacuum-sessions",
            "Remove expired login sessions",
            "*/15 * * * *",
            3.0,
            "scanned 8,412 sessions",
            "removed 1,970 expired",
            "removed 4 orphaned",
            "table trimmed",
        ),
        _job(
            "renew-certificates",
            "Renew TLS certificates that expire within 30 days",
            "15 1 * * *",
            8.0,
            "checked 9 certificates",
            "api.internal expires in 12 days",
            "ordered a new certificate",
            "installed, reloaded 2 listeners",
            "next expiry in 71 days",
        ),
    )
}
