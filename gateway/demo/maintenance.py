"""A sample maintenance API over HTTP: what a gateway protects, small enough to read, real enough to try.

It knows nothing of tokens: the gateway has judged the request, and says who calls in X-Client-Id. Listen on loopback
only, for whoever reaches it directly is believed.

    GET    /maintenance/jobs                      the jobs
    GET    /maintenance/jobs/{job}                one job with its runs
    POST   /maintenance/jobs/{job}/runs           start a run; body: nothing, or {"reason": "..."}
    GET    /maintenance/jobs/{job}/runs/{run}     one run
    DELETE /maintenance/jobs/{job}/runs/{run}     cancel it; 409 when it is finished
    GET    /maintenance/jobs/{job}/log            the log of the last run, line by line as it is written
    GET    /maintenance/reports/slow?seconds=3    an answer that takes its time
    DELETE /maintenance/history                   forget the finished runs
    GET    /healthz                               still there
"""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from gateway.demo.jobs import SAMPLE_JOBS, Job, Ledger, Run

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

MAX_BODY: Final = 16 * 1024
MAX_REASON: Final = 200
LINE_SECONDS: Final = 0.3
DEFAULT_SLOW_SECONDS: Final = 3.0
MAX_SLOW_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class MaintenanceApi:
    """The resources; each method answers one request."""

    ledger: Ledger
    clock: Clock
    sleep: Sleep

    def routes(self) -> list[web.RouteDef]:
        """Return the routing table."""
        job = "/maintenance/jobs/{job}"
        return [
            web.get("/maintenance/jobs", self.list_jobs),
            web.get(job, self.read_job),
            web.post(f"{job}/runs", self.start_run),
            web.get(f"{job}/runs/{{run}}", self.read_run),
            web.delete(f"{job}/runs/{{run}}", self.cancel_run),
            web.get(f"{job}/log", self.stream_log),
            web.get("/maintenance/reports/slow", self.slow_report),
            web.delete("/maintenance/history", self.delete_history),
            web.get("/healthz", self.health),
        ]

    async def list_jobs(self, _request: web.Request) -> web.Response:
        """Answer with all jobs."""
        return web.json_response({"jobs": [self._job(job) for job in self.ledger.jobs.values()]})

    async def read_job(self, request: web.Request) -> web.Response:
        """Answer with one job and its runs."""
        job = self._find_job(request)
        return web.json_response(self._job(job) | {"runs": [self._run(run) for run in self.ledger.runs_of(job)]})

    async def start_run(self, request: web.Request) -> web.Response:
        """Queue a run (202) and say where to look for it."""
        job = self._find_job(request)
        reason = read_reason(await request.read())
        run = self.ledger.start(job, client_of(request), reason, self.clock())
        return web.json_response(self._run(run), status=202, headers={"Location": location(run)})

    async def read_run(self, request: web.Request) -> web.Response:
        """Answer with one run."""
        return web.json_response(self._run(self._find_run(request)))

    async def cancel_run(self, request: web.Request) -> web.Response:
        """Cancel a run that is not finished."""
        run = self._find_run(request)
        if run.is_finished(self.clock()):
            raise refusal(web.HTTPConflict, f"{run.id} is finished ({run.state(self.clock())})")
        run.cancelled_at = self.clock()
        return web.json_response(self._run(run) | {"cancelled_by": client_of(request)})

    async def stream_log(self, request: web.Request) -> web.StreamResponse:
        """Write one line after another, with a pause between."""
        job = self._find_job(request)
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await response.prepare(request)
        try:
            for line in (f"{job.name}: starting", *job.steps, f"{job.name}: done"):
                await response.write(f"{timestamp(self.clock())} {line}\n".encode())
                await self.sleep(LINE_SECONDS)
            await response.write_eof()
        except ConnectionResetError:
            pass  # the reader has had enough
        return response

    async def slow_report(self, request: web.Request) -> web.Response:
        """Answer after the seconds that the query asks for."""
        seconds = read_seconds(request.query.get("seconds"))
        await self.sleep(seconds)
        return web.json_response({"report": "slow", "seconds": seconds, "runs": len(self.ledger.runs)})

    async def delete_history(self, request: web.Request) -> web.Response:
        """Forget the finished runs."""
        removed = self.ledger.forget_finished(self.clock())
        return web.json_response({"removed": removed, "removed_by": client_of(request)})

    async def health(self, _request: web.Request) -> web.Response:
        """Answer that the API is there."""
        return web.json_response({"status": "ok"})

    def _find_job(self, request: web.Request) -> Job:
        job = self.ledger.jobs.get(request.match_info["job"])
        if job is None:
            raise refusal(web.HTTPNotFound, "there is no such job; GET /maintenance/jobs lists them")
        return job

    def _find_run(self, request: web.Request) -> Run:
        run = self.ledger.run_of(self._find_job(request), request.match_info["run"])
        if run is None:
            raise refusal(web.HTTPNotFound, "this job has no such run; GET the job to see its runs")
        return run

    def _job(self, job: Job) -> dict[str, Any]:
        last = next(iter(self.ledger.runs_of(job)), None)
        return {
            "name": job.name,
            "description": job.description,
            "schedule": job.schedule,
            "last_run": self._run(last) if last else None,
        }

    def _run(self, run: Run) -> dict[str, Any]:
        return {
            "id": run.id,
            "job": run.job.name,
            "state": run.state(self.clock()),
            "started_by": run.started_by,
            "reason": run.reason,
            "requested_at": timestamp(run.requested_at),
        }


def client_of(request: web.Request) -> str:
    """Return who calls, as the gateway says."""
    return request.headers.get("X-Client-Id") or "unknown"


def location(run: Run) -> str:
    """Return the path of a run."""
    return f"/maintenance/jobs/{run.job.name}/runs/{run.id}"


def timestamp(seconds: float) -> str:
    """Return RFC 3339 in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_reason(body: bytes) -> str | None:
    """Read the optional body of a start: nothing, or `{"reason": "..."}`.

    Raises:
        web.HTTPBadRequest: it is something else.
    """
    if not body.strip():
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise refusal(web.HTTPBadRequest, "the body is not JSON") from None
    if not isinstance(document, dict) or document.keys() - {"reason"}:
        raise refusal(web.HTTPBadRequest, 'the body must be an object with at most one member, "reason"')
    reason = document.get("reason")
    if reason is not None and not (isinstance(reason, str) and len(reason) <= MAX_REASON):
        raise refusal(web.HTTPBadRequest, f'"reason" must be a string of at most {MAX_REASON} characters')
    return reason


def read_seconds(text: str | None) -> float:
    """Read how long a slow answer takes, in seconds; more than `MAX_SLOW_SECONDS` is cut to that.

    Raises:
        web.HTTPBadRequest: it is no number, or a negative one.
    """
    try:
        seconds = DEFAULT_SLOW_SECONDS if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise refusal(web.HTTPBadRequest, "seconds must be a number from 0 to 30")
    return min(seconds, MAX_SLOW_SECONDS)


def refusal(kind: type[web.HTTPError], detail: str) -> web.HTTPError:
    """Build an error answer with a JSON body."""
    return kind(text=json.dumps({"error": detail}), content_type="application/json")


@web.middleware
async def errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give the errors that aiohttp itself raises (unknown path, wrong method, body too large) a JSON body too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.content_type != "application/json":
            error.text = json.dumps({"error": error.reason})
            error.content_type = "application/json"
        raise


def create_app(clock: Clock = time.time, sleep: Sleep = asyncio.sleep) -> web.Application:
    """Build the API with jobs that have never run; `clock` gives seconds since the epoch, `sleep` waits some."""
    app = web.Application(middlewares=[errors_as_json], client_max_size=MAX_BODY)
    app.add_routes(MaintenanceApi(Ledger(SAMPLE_JOBS), clock, sleep).routes())
    return app


@dataclass(frozen=True, slots=True)
class RunningSample:
    """The API on a socket."""

    runner: web.AppRunner
    port: int

    async def close(self) -> None:
        """Stop listening and end what is under way."""
        await self.runner.cleanup()


async def start(
    host: str = "127.0.0.1", port: int = 9000, *, clock: Clock = time.time, sleep: Sleep = asyncio.sleep
) -> RunningSample:
    """Serve the API; port 0 takes a free one, and the answer says which.

    Raises:
        OSError: the address cannot be had.
    """
    runner = web.AppRunner(create_app(clock, sleep), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return RunningSample(runner, runner.addresses[0][1])
