"""Active health checks: a target is asked beside the requests, over a connection of its own each time."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import ssl
from collections.abc import Callable

from gateway.tls import fault
from gateway.upstream.settings import Address, HealthSettings

log = logging.getLogger(__name__)

HEAD_BYTES = 16 * 1024
"""Most of an answer's head that is read."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")  # RFC 9112 §4


class HealthCheck:
    """Asks one target again and again.

    Args:
        settings: how.
        address: where.
        tls: for a target with TLS.
        report: told whether the target is healthy, and why; only when that changes.
    """

    def __init__(
        self,
        settings: HealthSettings,
        address: Address,
        tls: ssl.SSLContext | None,
        report: Callable[[bool, str], None],
    ) -> None:
        self._settings = settings
        self._address = address
        self._tls = tls if address.tls else None
        self._report = report
        self._healthy = True
        self._differing = 0  # checks in a row that say something else than what is reported

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            try:
                self.take(await self.check())
            except Exception as error:  # a check that breaks must not end the checking
                log.exception("the health check of %s failed unexpectedly", self._address.authority)
                self.take(f"an unexpected error ({type(error).__name__})")
            # Replicas and workers that start together must not ask together for ever.
            await asyncio.sleep(self._settings.interval * random.uniform(0.9, 1.1))  # noqa: S311 - protects nothing

    def take(self, fault: str | None) -> None:
        """Count a check: what was wrong, None for nothing."""
        healthy = fault is None
        if healthy == self._healthy:
            self._differing = 0
            return
        self._differing += 1
        if self._differing >= (self._settings.healthy_after if healthy else self._settings.unhealthy_after):
            self._healthy, self._differing = healthy, 0
            self._report(healthy, f"the health check {'is good' if fault is None else 'failed: ' + fault}")

    async def check(self) -> str | None:
        """Ask once; what is wrong, None for nothing."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                status = await self._ask()
        except TimeoutError:
            return f"no answer within {self._settings.timeout:g} s"
        except OSError as error:
            return fault(error)
        except asyncio.IncompleteReadError:
            return "the connection ended before the answer"
        except asyncio.LimitOverrunError:
            return f"the answer's head is longer than {HEAD_BYTES} bytes"
        if status is None:
            return "the answer is no HTTP"
        return None if status in self._settings.statuses else f"status {status}"

    async def _ask(self) -> int | None:
        """The status of the final answer; None where it is no HTTP."""
        address = self._address
        reader, writer = await asyncio.open_connection(
            address.host,
            address.port,
            limit=HEAD_BYTES,
            ssl=self._tls,
            server_hostname=address.server_name,
        )
        try:
            request = f"GET {self._settings.path} HTTP/1.1\r\nHost: {address.authority}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            while True:
                found = _STATUS.match(await reader.readuntil(b"\r\n\r\n"))
                if found is None or int(found[1]) >= 200:
                    return None if found is None else int(found[1])
        finally:
            writer.transport.abort()
