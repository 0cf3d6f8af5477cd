"""An upstream in the gateway's file: an API behind the gateway, and how it is reached."""

from typing import Annotated

from pydantic import Field

from gateway.config.binding import Section
from gateway.config.fields import Count, Duration, Text, Timeout, at_least, written
from gateway.config.gateway_fields import HealthPath, Origin, Origins, ServerName, Statuses


class UpstreamTlsConfig(Section):
    """TLS towards an upstream whose url begins with https. Its certificate is always verified."""

    ca: Text | None = Field(
        default=None, description="File with the authorities to trust, as PEM; by default those of the system."
    )
    certificate: Text | None = Field(
        default=None, description="File with the client certificate to show, as PEM; needs key."
    )
    key: Text | None = Field(default=None, description="File with that certificate's private key, as PEM.")
    server_name: ServerName | None = Field(
        default=None, description="Name to ask for and to find in the certificate; by default the url's host."
    )


class HealthCheckConfig(Section):
    """How a target is asked for its health."""

    path: HealthPath = Field(description="What is asked for, with GET; a query may follow.")
    interval: Annotated[Duration, at_least("10ms")] = written("5s", "From one check to the next.")
    timeout: Timeout = written("2s", "Time for one check, the connection included.")
    healthy_after: Count = Field(default=1, description="Good checks in a row that bring a target back.")
    unhealthy_after: Count = Field(default=2, description="Failed checks in a row that take a target out.")
    status: Statuses = written("200-399", "Which statuses are good: a range, or a list of statuses and ranges.")


class EjectionConfig(Section):
    """When a target is left alone because requests fail there."""

    failures: Count = Field(default=5, description="Failures in a row that eject a target.")
    seconds: Timeout = Field(default="10s", alias="for", description="Time until one request tries it again.")  # type: ignore[assignment]  # spelt as in YAML
    count_5xx: bool = Field(default=False, description="Count the target's own answers from 500 on, too.")


class UpstreamConfig(Section):
    """One API behind the gateway."""

    url: Origin | None = Field(default=None, description="Scheme, host and port of the API, without a path.")
    urls: Origins | None = Field(
        default=None, description="Instead of url: two or more targets, each of which can answer every request."
    )
    connect_timeout: Timeout = written("5s", "Time to open a connection.")
    first_byte_timeout: Timeout = written("60s", "Time from the request's end to the answer's head.")
    idle_timeout: Timeout = written("60s", "Longest pause between two parts of an answer.")
    total_timeout: Timeout | None = Field(
        default=None, description="Time for the whole of a request and its answer; by default unbounded."
    )
    max_connections: Count = Field(default=100, description="Most connections to each target, per process.")
    max_waiting: Count = Field(default=1_000, description="Most requests that wait for a connection, per process.")
    preserve_host: bool = Field(
        default=False, description="Send the client's Host field instead of the upstream's own."
    )
    health_check: HealthCheckConfig | None = Field(
        default=None, description="Ask each target for its health, beside the requests."
    )
    ejection: EjectionConfig | None = Field(
        default=None, description="Leave a target alone where requests fail. By default so with urls, not with url."
    )

    @property
    def origins(self) -> tuple[str, ...]:
        """All targets."""
        return self.urls or ((self.url,) if self.url is not None else ())

    tls: UpstreamTlsConfig | None = Field(default=None, description="What TLS needs to know beyond the url.")
    credentials: Text | None = Field(
        default=None, description="Name of the credentials whose token is sent in place of the caller's."
    )
