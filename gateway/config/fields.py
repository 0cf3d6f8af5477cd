"""Field types that configuration files share: durations, sizes, addresses, one or several strings.

Defaults of these fields are spelt as they are in YAML (`written("30s", ...)`) and go through the same reading.
"""

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from gateway.host_port import HostPort

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 366 * 86400.0
"""Beyond any use, and what the event loop's clock still takes."""

_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)?")
_BYTES = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+)):([0-9]{1,5})")
_NAMES = {type(None): "an empty value", dict: "a mapping", list: "a list", tuple: "a list"}


def seconds(text: Any) -> float:
    """Read `500ms`, `30s`, `5m`, `1h` or `2d` as seconds; ValueError says how to write it."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None and type(text) in (int, float):
        raise ValueError(f"{text} has no unit: write {text}s, or use ms, m, h or d")
    if found is None:
        raise ValueError(f"{shown(text)} is no duration: write a number and a unit, such as 500ms, 30s, 5m, 1h or 2d")
    value = float(found[1]) * _SECONDS[found[2]]
    if value > _LONGEST:
        raise ValueError(f"{shown(text)} is longer than 366d: write a shorter time")
    return value


def size(text: Any) -> int:
    """Read `32KiB`, `10MiB`, `1GiB`, `512B` or a plain number as bytes; ValueError says how to write it."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{shown(text)} is no size: write bytes, or a number with KiB, MiB or GiB, such as 32KiB")
    return int(found[1]) * _BYTES[found[2]]


def host_port(text: Any) -> HostPort:
    """Read `host:port` or `[::1]:port`; ValueError says how to write it."""
    found = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{shown(text)} is no address: write host:port, such as 127.0.0.1:8080 or [::1]:8080")
    host, port = found[1] or found[2], int(found[3])
    if port > 65535:
        raise ValueError(f"port {port} does not exist: ports end at 65535")
    if found[1]:
        try:
            host = str(ipaddress.IPv6Address(host))
        except ValueError:
            raise ValueError(f"{host!r} is no IPv6 address: inside brackets write one such as [::1]") from None
    elif not HOST.fullmatch(host):
        raise ValueError(f"{host!r} is no host name or IPv4 address")
    return HostPort(host, port)


def shown(value: Any) -> str:
    """A value as an error names it: its kind, or a short literal. Never more than 60 characters of it."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else repr(value[:57] + "...")
    return _NAMES.get(type(value)) or str(value).lower()


def written(default: Any, description: str) -> Any:
    """Describe a field whose default is spelt as in YAML.

    It stands where pydantic's Field would: `lifetime: Duration = written("1h", "How long a token is valid.")`.
    """
    return Field(default=default, description=description)


def at_least(least: str) -> AfterValidator:
    """Bound a Duration from below, written as in YAML."""

    def check(value: float) -> float:
        if value < seconds(least):
            raise ValueError(f"must be at least {least}")
        return value

    return AfterValidator(check)


def at_most(most: str) -> AfterValidator:
    """Bound a Duration from above, written as in YAML."""

    def check(value: float) -> float:
        if value > seconds(most):
            raise ValueError(f"must be at most {most}")
        return value

    return AfterValidator(check)


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{shown(value)} is listed twice")
    return values


Duration = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["500ms", "30s", "5m", "1h"]}),
]
"""A length of time, in seconds."""

ByteSize = Annotated[
    int,
    BeforeValidator(size),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{_SIZE.pattern}$"}],
            "examples": ["32KiB", "10MiB", 4096],
        }
    ),
]
"""An amount of memory or data, in bytes."""

Address = Annotated[
    HostPort,
    BeforeValidator(host_port),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{_ADDRESS.pattern}$", "examples": ["127.0.0.1:8080", "[::1]:8080"]}
    ),
]
"""A host and a port."""

Text = Annotated[str, StringConstraints(min_length=1)]
"""A string that is not empty."""

UniqueStrings = Annotated[tuple[Text, ...], AfterValidator(_each_once)]
"""A list of strings, each once; may be empty."""

StringOrList = Annotated[
    tuple[Text, ...],
    Field(min_length=1),
    BeforeValidator(_as_tuple),
    AfterValidator(_each_once),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1},
                    "minItems": 1,
                    "uniqueItems": True,
                },
            ]
        }
    ),
]
"""One string, or a list of at least one: always a tuple once read."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Timeout = Annotated[Duration, at_least("1ms")]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
