"""Field type of `fields`: which fields of a request a route looks at."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from gateway.config.binding import MisplacedError
from gateway.config.errors import Path
from gateway.config.fields import shown
from gateway.policy.fields import FieldCondition, spelling
from gateway.policy.headers import Kind, kind_of

Fault = tuple[Path, str]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_INSTEAD = {
    Kind.HOST: "write host, a key of the route",
    Kind.AUTHORIZATION: "write issuers, clients or claims, keys of the route",
    Kind.FORWARDING: "write networks, a key of the route, for where a request comes from",
}
_KINDS = frozenset({Kind.END_TO_END, Kind.USER_AGENT})
"""What goes on as it came: of any other field the upstream reads nothing, or something else."""


def route_fields(value: Any) -> tuple[FieldCondition, ...]:
    """Read `{X-Api-Version: "2", X-Region: [eu, us], X-Debug: false}`.

    Raises:
        ValueError: with what is wrong and what to write instead; as a MisplacedError with every fault at its place.
    """
    if not isinstance(value, dict) or not value:
        raise ValueError('must be a mapping of names to values, such as {X-Api-Version: "2"}')
    faults = [*_repeated(value), *(fault for name, wanted in value.items() for fault in _faults(name, wanted))]
    if faults:
        raise MisplacedError(*faults)
    return tuple(_condition(name, wanted) for name, wanted in value.items())


def _condition(name: str, wanted: Any) -> FieldCondition:
    if isinstance(wanted, bool):
        return FieldCondition(name, present=wanted)
    return FieldCondition(name, tuple(wanted) if isinstance(wanted, tuple | list) else (wanted,))


def _repeated(value: dict[str, Any]) -> Iterator[Fault]:
    first: dict[str, str] = {}
    for name in value:
        if first.setdefault(spelling(name), name) != name:
            yield (name,), f"is the same field as {first[spelling(name)]} to many servers: keep one"


def _faults(name: str, wanted: Any) -> Iterator[Fault]:
    kind = kind_of(name.encode())
    if not _NAME.fullmatch(name):
        yield (name,), f"{shown(name)} is no name of a field: write one such as X-Api-Version"
    elif kind not in _KINDS:
        instead = _INSTEAD.get(kind, "match on a field that goes on as it came")
        yield (name,), f"{shown(name)} means something else already: {instead}"
    if isinstance(wanted, bool):
        return
    several = isinstance(wanted, tuple | list)
    values = tuple(wanted) if several else (wanted,)
    if not values:
        yield (name,), "must not be empty: list values, or write true for any, false for none"
    for index, one in enumerate(values):
        place = (name, index) if several else (name,)
        if one in values[:index]:
            yield place, f"{shown(one)} is listed twice: keep one"
        elif isinstance(one, int | float) and not isinstance(one, bool):
            yield place, f"{shown(one)} is a number, and fields hold text: write '{one}' in quotes"
        elif not isinstance(one, str) or not _VALUE.fullmatch(one):
            remedy = "write visible ASCII, true for any value, or false for none"
            yield place, f"{shown(one)} is no value of a field: {remedy}"


_VALUE_SCHEMA = {"type": "string", "pattern": rf"^{_VALUE.pattern}$"}

Fields = Annotated[
    tuple[FieldCondition, ...],
    BeforeValidator(route_fields),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": rf"^{_NAME.pattern}$"},
            "additionalProperties": {
                "anyOf": [
                    {"type": "boolean"},
                    _VALUE_SCHEMA,
                    {"type": "array", "items": _VALUE_SCHEMA, "minItems": 1, "uniqueItems": True},
                ]
            },
            "minProperties": 1,
            "examples": [{"X-Api-Version": "2"}, {"X-Region": ["eu", "us"], "X-Debug": False}],
        }
    ),
]
"""What fields of a request have to be."""
