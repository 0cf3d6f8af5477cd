"""The target that an upstream gets, where its paths begin otherwise than those that clients know."""

from __future__ import annotations

from typing import NamedTuple


class PathRewrite(NamedTuple):
    """The beginning of a path is replaced. All behind it goes on byte for byte, the query included.

    Attributes:
        prefix: with which all paths of the route begin, such as `/maintenance`; "" for none.
        to: what stands in its place, in the same form; "" for nothing.
    """

    prefix: str
    to: str

    def apply(self, target: str) -> str:
        """The target that goes out for one that came in, whose path begins with the prefix in any spelling of it.

        Segments are counted, not characters: `/a%28b` and `/a(b` are one segment, and the same one.
        """
        path, mark, query = target.partition("?")
        segments = self.prefix.count("/")
        behind = path.split("/", segments + 1)[segments + 1 :]
        return f"{self.to}/{behind[0]}{mark}{query}" if behind else f"{self.to or '/'}{mark}{query}"

    @property
    def field_line(self) -> bytes:
        """What tells the upstream how its paths begin for clients; a client's own such field never goes on."""
        return b"X-Forwarded-Prefix: %b\r\n" % self.prefix.encode() if self.prefix else b""
