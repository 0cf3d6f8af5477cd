"""Routes as YAML, ready to be pasted into the gateway's file, or to be included by it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from gateway.config.scalars import resolve_plain
from gateway.openapi.entries import Entries
from gateway.policy.printable import brief

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9./_-]*")


def as_yaml(entries: Entries, title: str, file: str) -> str:
    """The section `routes`, and as comments what has none."""
    return "\n".join([*_head(entries, title, file), "routes:", *_routes(entries)]) + "\n"


def _head(entries: Entries, title: str, file: str) -> Iterator[str]:
    yield f"# {brief(title) or 'Routes'}, from {brief(file)} by `scopegate import openapi`."
    yield "# Read what it lets in before you use it."
    for operation, why in entries.left_out:
        yield f"# without a route: {brief(str(operation))}: {brief(why)}"


def _routes(entries: Entries) -> Iterator[str]:
    for entry in entries.routes:
        yield ""
        for index, (key, value) in enumerate(entry.items()):
            yield f"  {'-' if index == 0 else ' '} {key}: {_inline(value)}"
    if not entries.routes:
        yield "  []"


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key}: {_inline(item)}' for key, item in value.items())} }}"
    return value if _PLAIN.fullmatch(value) and resolve_plain(value) == value else _quoted(value)


def _quoted(text: str) -> str:
    """What others wrote fills nothing in: `${` would be substituted when the routes are read."""
    return json.dumps(text.replace("${", "$${"), ensure_ascii=True)
