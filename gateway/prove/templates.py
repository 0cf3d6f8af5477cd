"""Whether one template takes all that another takes, and other readings of a path."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.policy.fields import fields_include
from gateway.policy.hosts import hosts_include
from gateway.policy.model import Route
from gateway.policy.routes import Literal, Rest, Segment, Variable, parse_template

_SLASH = re.compile("/")


def is_narrower(one: Route, other: Route) -> bool:
    """Whether the other route takes every host, path and field that the one takes: so it has to stand first."""
    around = hosts_include(other.hosts, one.hosts) and fields_include(other.fields, one.fields)
    return around and _includes(parse_template(other.path), parse_template(one.path))


def _includes(wide: tuple[Segment, ...], narrow: tuple[Segment, ...]) -> bool:
    if not wide or not narrow:
        return not wide and not narrow
    first, other = wide[0], narrow[0]
    if isinstance(first, Rest):
        return True
    if isinstance(other, Rest) or not _takes(first, other):
        return False
    return _includes(wide[1:], narrow[1:])


def _takes(one: Literal | Variable, other: Literal | Variable) -> bool:
    if isinstance(one, Literal):
        return one == other
    if one.pattern is None:
        return not isinstance(other, Literal) or other.text != ""
    if isinstance(other, Literal):
        return one.pattern.fits(other.text)
    return other.pattern is not None and one.pattern.includes(other.pattern)


def written_otherwise(target: str) -> Iterator[str]:
    """Paths that some servers read as this one: with an escaped or a second slash, or with parameters."""
    for slash in list(_SLASH.finditer(target))[1:]:
        before, after = target[: slash.start()], target[slash.end() :]
        yield f"{before}%2F{after}"
        yield f"{before}//{after}"
        yield f"{before};x/{after}"
    yield f"/{target}"
    if not target.endswith("/"):
        yield f"{target};x"
