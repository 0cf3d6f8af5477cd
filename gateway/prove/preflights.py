"""One preflight of every kind that the routes at one place tell apart.

Its origin and the fields that it asks about have nothing to do with each other. So what one `cors` grants and another
refuses shows in a preflight that the one grants but for one origin, or for one field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway.policy.cors import ANY, Cors
from gateway.policy.model import Route

OTHER_ORIGIN, OTHER_FIELD = "https://any.invalid", "x-any-other"
"""Which no route lists."""

Fields = tuple[tuple[str, str], ...]


def preflights(method: str, routes: Iterable[Route]) -> Iterator[Fields]:
    """The fields of each.

    Args:
        method: that they ask about.
        routes: that take the same paths, those that say nothing of pages included.
    """
    terms = list(dict.fromkeys(route.cors for route in routes if route.cors is not None))
    for origin, header in dict.fromkeys(kind for cors in terms for kind in _around(cors, terms)):
        asked = (("Origin", origin), ("Access-Control-Request-Method", method))
        yield (*asked, ("Access-Control-Request-Headers", header)) if header else asked


def _around(cors: Cors, terms: Sequence[Cors]) -> Iterator[tuple[str, str]]:
    """Origin and field of what this grants; then the same, but for one of the two. "" asks about no field."""
    own = next((origin for origin in cors.origins if origin != ANY), OTHER_ORIGIN)
    yield own, ""
    yield from ((origin, "") for each in terms for origin in each.origins if origin != ANY)
    yield OTHER_ORIGIN, ""
    yield from ((own, name.lower()) for each in terms for name in each.headers)
    yield own, OTHER_FIELD
