"""What is said about an upstream."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """Where one target of an upstream is.

    Attributes:
        host: name or address.
        port: TCP port.
        server_name: that TLS asks for (SNI) and finds in the certificate; None where it is spoken to without TLS.
    """

    host: str
    port: int
    server_name: str | None = None

    @property
    def tls(self) -> bool:
        """Whether it is spoken to over TLS."""
        return self.server_name is not None

    @property
    def authority(self) -> str:
        """The Host field for this target: without the scheme's own port (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """How a target is asked for its health.

    Attributes:
        path: what is asked for, with GET.
        interval: seconds between two checks, give or take a tenth.
        timeout: seconds for one.
        healthy_after: good checks in a row that bring a target back.
        unhealthy_after: failed checks in a row that take it out.
        statuses: that are good.
    """

    path: str
    interval: float = 5.0
    timeout: float = 2.0
    healthy_after: int = 1
    unhealthy_after: int = 2
    statuses: frozenset[int] = frozenset(range(200, 400))


@dataclass(frozen=True, slots=True)
class EjectionSettings:
    """When a target is left alone because requests fail there.

    Attributes:
        failures: in a row.
        seconds: until one request tries it again; doubled after each that fails.
        longest: bound on that doubling, in seconds.
        count_5xx: whether the target's own answers from 500 on are failures, too.
    """

    failures: int = 5
    seconds: float = 10.0
    longest: float = 60.0
    count_5xx: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """Where an upstream is, and how long it may take.

    Attributes:
        name: its key in the configuration.
        addresses: of its targets, one or more.
        connect_timeout: seconds for a connection, TLS included, for a place in the queue, and for all attempts.
        first_byte_timeout: seconds from the last byte sent to the first of the answer.
        idle_timeout: seconds between two parts of the answer, and of an unused connection's life.
        total_timeout: seconds for the whole of a request and its answer; None for any time.
        max_connections: at the same time, to each target.
        max_waiting: requests that wait for a connection; more fail at once.
        preserve_host: whether the client's Host goes on, in place of the target's own.
        health: how targets are checked; None for not at all.
        ejection: when targets are left alone; None for never.
    """

    name: str
    addresses: tuple[Address, ...]
    connect_timeout: float = 5.0
    first_byte_timeout: float = 60.0
    idle_timeout: float = 60.0
    total_timeout: float | None = None
    max_connections: int = 100
    max_waiting: int = 1_000
    preserve_host: bool = False
    health: HealthSettings | None = None
    ejection: EjectionSettings | None = None

    @property
    def authority(self) -> str:
        """All its targets in one line."""
        return ", ".join(address.authority for address in self.addresses)

    @property
    def tls(self) -> bool:
        """Whether any target is spoken to over TLS."""
        return any(address.tls for address in self.addresses)
