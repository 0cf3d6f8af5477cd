"""Field types of what a route demands of those who may be let in."""

import re
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator

from gateway.config.binding import MisplacedError, nearest
from gateway.config.errors import Path
from gateway.config.fields import Text, shown
from gateway.config.gateway_fields import ScopeToken, each_once, one_of, scope_token
from gateway.policy.circumstances import DAY, DAYS
from gateway.policy.scopes import ScopeGroup


def _clients(value: Any) -> Any:
    """A list of client ids, or one for each issuer; empty ones are refused, since they would let nobody in."""
    lists = value.values() if isinstance(value, dict) else (value,)
    for clients in lists:
        if not isinstance(clients, tuple) or not clients or not all(isinstance(item, str) and item for item in clients):
            raise ValueError("must be a list of client ids, such as [nightly-batch], or one for each issuer")
        each_once(clients)
    if not lists:
        raise ValueError("must not be empty: list at least one client, or write deny: true")
    return value


_LIST = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "uniqueItems": True}
_ANY_CLIENTS = WithJsonSchema(
    {
        "anyOf": [
            _LIST,
            {"type": "object", "additionalProperties": _LIST, "minProperties": 1},
        ],
        "examples": [["nightly-batch"], {"local": ["nightly-batch"], "corporate": ["reports"]}],
    }
)

ClientLists = tuple[Text, ...] | dict[str, tuple[Text, ...]]
"""Of the only issuer, or by issuer."""
Clients = Annotated[ClientLists, BeforeValidator(_clients), _ANY_CLIENTS]


def scope_group(value: dict[str, Any], at: Path = ()) -> ScopeGroup:
    """Read `{all: [...], any: [...]}`, in which either list may hold further ones; both hold together.

    Raises:
        MisplacedError: with the place of the fault below `at`.
    """
    for key in value:
        if key not in {"all", "any"}:
            raise MisplacedError(((*at, key), f"unknown key: {nearest(key, ('all', 'any'), 'known keys')}"))
    if not value:
        raise MisplacedError((at, "must not be empty: write {all: [...]} or {any: [...]}"))
    every, some = (_terms(value[key], (*at, key)) if key in value else () for key in ("all", "any"))
    one = ScopeGroup("any", some)
    return ScopeGroup("all", (*every, one) if some else every) if every else one


def _terms(value: Any, at: Path) -> tuple[str | ScopeGroup, ...]:
    if not isinstance(value, tuple) or not value:
        raise MisplacedError((at, "must be a list of at least one scope"))
    terms = tuple(_term(item, (*at, index)) for index, item in enumerate(value))
    for index, term in enumerate(terms):
        if term in terms[:index]:
            raise MisplacedError(((*at, index), f"{shown(str(term))} is listed twice: keep one"))
    return terms


def _term(item: Any, at: Path) -> str | ScopeGroup:
    if isinstance(item, dict):
        return scope_group(item, at)
    if not isinstance(item, str):
        raise MisplacedError((at, f"must be a scope, or {{all: [...]}} or {{any: [...]}}, not {shown(item)}"))
    try:
        return scope_token(item)
    except ValueError as error:
        raise MisplacedError((at, str(error))) from None


def _scope_or_group(value: Any, scope: ValidatorFunctionWrapHandler) -> Any:
    return scope_group(value) if isinstance(value, dict) else scope(value)


ScopeTerm = Annotated[ScopeToken, WrapValidator(_scope_or_group)]
"""A scope; or, in spite of the annotation, a ScopeGroup."""


def hours_as_mapping(value: Any) -> Any:
    """`08:00-18:00`, or a list of such, means every day in UTC."""
    return value if isinstance(value, dict) else {"times": value}


def _times(value: Any) -> tuple[tuple[int, int], ...]:
    """Begin and end of each window, in minutes since midnight; an end at or before its begin is on the next day."""
    return tuple(map(_window, value if isinstance(value, tuple) and value else (value,)))


def _window(text: Any) -> tuple[int, int]:
    found = _WINDOW.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{shown(text)} is no time of day: write one such as 08:00-18:00, until 24:00 at most")
    begin, end = (int(found[hour]) * 60 + int(found[hour + 1]) for hour in (1, 3))
    if begin == end or end > DAY or begin >= DAY:
        raise ValueError(f"{shown(text)} is no window of a day: write one such as 08:00-18:00, or 00:00-24:00 for all")
    return begin, end if end > begin else end + DAY


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        remedy = "write one such as Europe/Berlin, or install tzdata"
        raise ValueError(f"{shown(name)} is no time zone that this machine knows: {remedy}") from None
    return name


_WINDOW = re.compile(r"([0-9]{2}):([0-5][0-9])-([0-9]{2}):([0-5][0-9])")
_TIME_SCHEMA = {"type": "string", "pattern": f"^{_WINDOW.pattern}$", "examples": ["08:00-18:00"]}
_TIMES_SCHEMA: dict[str, Any] = {"anyOf": [_TIME_SCHEMA, {"type": "array", "items": _TIME_SCHEMA, "minItems": 1}]}

Times = Annotated[tuple[tuple[int, int], ...], BeforeValidator(_times), WithJsonSchema(_TIMES_SCHEMA)]
"""Windows of a day, in minutes since midnight."""
Day = Annotated[str, AfterValidator(lambda name: one_of(name, DAYS)), WithJsonSchema({"enum": list(DAYS)})]
Zone = Annotated[str, AfterValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]})]
HOURS_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            *_TIMES_SCHEMA["anyOf"],
            {
                "type": "object",
                "properties": {
                    "times": {"description": "Windows of the day.", **_TIMES_SCHEMA},
                    "days": {
                        "description": "Days of the week on which they begin.",
                        "type": "array",
                        "items": {"enum": list(DAYS)},
                        "minItems": 1,
                        "uniqueItems": True,
                    },
                    "zone": {"description": "Whose clocks show these times.", "type": "string", "default": "UTC"},
                },
                "required": ["times"],
                "additionalProperties": False,
            },
        ],
        "examples": ["08:00-18:00", {"times": "08:00-18:00", "days": ["mon", "fri"], "zone": "Europe/Berlin"}],
    }
)
