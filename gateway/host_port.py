"""Where a listener is."""

from typing import NamedTuple


class HostPort(NamedTuple):
    """Where to listen or connect. An IPv6 host bears no brackets; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
