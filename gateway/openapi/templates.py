"""OpenAPI's path templates as the gateway's.

A variable of the gateway is a whole segment. What OpenAPI puts beside literals (`/reports/{name}.csv`) becomes an
expression for the segment; where that can't be said, there is no template, rather than a wider one.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from gateway.openapi.operations import Operation
from gateway.policy.paths import CanonicalTarget, canonical_target
from gateway.policy.routes import Literal, Variable, parse_template

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PUNCTUATION: Final = re.compile(r"([^A-Za-z0-9_])")
_SAFE: Final = "!$&'()*+,;=:@~%"
"""What stays as the file has it, so that the gateway's own reading judges it."""
_ANYTHING: Final = r"[\w.~!$&'()*+,=:@\-]+"
"""One value beside literals: every character that can stand in a segment as it is."""


def template_of(operation: Operation) -> str:
    """The gateway's template for an operation's path.

    Raises:
        ValueError: there is none; with the reason.
    """
    names: list[str] = []
    segments = [_segment(part, operation, names) for part in operation.path[1:].split("/")]
    template = f"{_quoted(operation.base)}/{'/'.join(segments)}"
    parse_template(template)
    return template


def order_of(template: str) -> list[tuple[int, str]]:
    """Sorts templates so that none is behind one that takes all of its requests: literals before variables."""
    kinds = []
    for segment in parse_template(template):
        if isinstance(segment, Literal):
            kinds.append((0, segment.text))
        elif isinstance(segment, Variable) and segment.pattern is not None:
            kinds.append((1, segment.pattern.source))
        else:
            kinds.append((2, ""))
    return kinds


def sample_path(operation: Operation) -> str | None:
    """The canonical path of one request for the operation; None where there is none that the gateway takes."""
    filled = _VARIABLE.sub(lambda found: quote(operation.variables[found[1]].sample, safe=""), operation.path)
    canonical = canonical_target(_quoted(operation.base + filled))
    return canonical.path if isinstance(canonical, CanonicalTarget) else None


def _quoted(text: str) -> str:
    return quote(text, safe=f"{_SAFE}/")


def _segment(part: str, operation: Operation, names: list[str]) -> str:
    found = _VARIABLE.fullmatch(part)
    if found is not None:
        kind = operation.variables[found[1]].type
        return f"{{{_name(found[1], names)}{':' if kind else ''}{kind}}}"
    if "{" not in part:
        return quote(part, safe=_SAFE)
    pieces = _VARIABLE.split(part)
    expression = "".join(_ANYTHING if at % 2 else _PUNCTUATION.sub(r"\\\1", piece) for at, piece in enumerate(pieces))
    return f"{{{_name('_'.join(pieces[1::2]), names)}:{expression}}}"


def _name(text: str, names: list[str]) -> str:
    """A variable's name in the gateway's spelling, each once: `jobId` is `job_id`."""
    plain = re.sub(r"[^a-z0-9_]", "_", _HUMP.sub("_", text).lower()) or "_"
    name = plain if not plain[0].isdigit() else f"_{plain}"
    while name in names:
        name += "_"
    names.append(name)
    return name
