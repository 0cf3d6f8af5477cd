"""What a route says of the pages of other origins, in the gateway's file."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.config.binding import MisplacedError, Section
from gateway.config.errors import Path
from gateway.config.fields import Duration, at_most, shown, written
from gateway.config.route_demands import is_true
from gateway.policy.cors import ANY, read_origin

_FIELD_NAME = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]{1,64}")
_ORIGIN = {
    "anyOf": [
        {"const": ANY},
        {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*://[^/?#@]+$", "examples": ["https://app.example"]},
    ]
}
_FIELD = {"type": "string", "pattern": f"^{_FIELD_NAME.pattern}$", "examples": ["Authorization"]}


def _field_name(name: str) -> str:
    if name == ANY:
        raise ValueError("'*' does not stand for Authorization, nor for any field beside cookies: name each")
    if not _FIELD_NAME.fullmatch(name):
        raise ValueError(f"{shown(name)} is no name of a field: write one such as Authorization")
    return name


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of fields have no case, and origins are written in one way only."""
    lower = [name.lower() for name in names]
    for index, name in enumerate(lower):
        if name in lower[:index]:
            raise ValueError(f"{shown(names[index])} is listed twice: keep one")
    return names


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _alone(origins: tuple[str, ...]) -> tuple[str, ...]:
    if ANY in origins and len(origins) > 1:
        raise ValueError("'*' stands for every origin: list it alone, or remove it")
    return origins


def _list_of(item: dict[str, Any], least: int) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": least, "uniqueItems": True}


Origins = Annotated[
    tuple[Annotated[str, AfterValidator(read_origin)], ...],
    Field(min_length=1),
    BeforeValidator(_as_list),
    AfterValidator(_each_once),
    AfterValidator(_alone),
    WithJsonSchema({"anyOf": [*_ORIGIN["anyOf"], _list_of(_ORIGIN, 1)]}),
]
FieldNames = Annotated[
    tuple[Annotated[str, AfterValidator(_field_name)], ...],
    AfterValidator(_each_once),
    WithJsonSchema(_list_of(_FIELD, 0)),
]


class CorsConfig(Section):
    """What pages of other origins may do on a route (Fetch standard); preflights are answered here."""

    origins: Origins = Field(description='Whose pages: a list of origins such as https://app.example, or "*" for all.')
    headers: FieldNames = Field(
        default=(), description="Fields that pages may send: Authorization, Content-Type ... by name."
    )
    expose: FieldNames = Field(default=(), description="Fields of answers that pages may read.")
    credentials: bool = Field(
        default=False, description="Let pages read answers to requests to which the browser added cookies."
    )
    max_age: Annotated[Duration, at_most("1d")] = written("10m", "How long a browser need not ask again.")

    @model_validator(mode="after")
    def _credentials_of_known_pages(self) -> Self:
        if self.credentials and self.origins == (ANY,):
            remedy = "list the origins, or remove credentials"
            raise MisplacedError((("credentials",), f"would let every page act as who is logged in: {remedy}"))
        return self


def cors_faults(path: Path, route: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """A page that cannot send the token that the route demands is refused whatever it does.

    Args:
        path: of the route in the file.
        route: its section, as plain data.
    """
    cors, place = route.get("cors"), route.get("token_from")
    if not isinstance(cors, dict) or is_true(route.get("public")) or is_true(route.get("deny")):
        return
    if isinstance(place, dict) and "cookie" in place:
        if not is_true(cors.get("credentials")):
            yield (*path, "cors"), "lets pages send no cookie, in which the token is: write credentials: true"
        return
    needed = [place.get("header")] if isinstance(place, dict) else ["Authorization"]
    needed += ["DPoP"] if route.get("require_proof") == "dpop" else []
    listed = cors.get("headers", [])
    names = {name.lower() for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    for name in needed:
        if isinstance(name, str) and name.lower() not in names:
            place_in_file = (*path, "cors", "headers") if "headers" in cors else (*path, "cors")
            yield place_in_file, f"lets pages send no {name}, which the route demands: add it to headers"
