"""How a route's requests go on to their upstream."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.config.binding import MisplacedError, Section
from gateway.config.errors import Path
from gateway.config.fields import Timeout, shown
from gateway.config.gateway_fields import FIELD_NAME, has_meaning
from gateway.policy.claim_fields import ClaimField
from gateway.policy.denial import Denial
from gateway.policy.fields import spelling
from gateway.policy.paths import canonical_target
from gateway.policy.routes import Literal, parse_template

Fault = tuple[Path, str]

_HOST_AHEAD = (
    "would let a path begin with '//', behind which servers read a host: write another path, or remove empty_segments"
)


def _beginning(text: str) -> str:
    """The beginning of a path, as far as whole literal segments; "" for none, which is written `/`."""
    if text == "/":
        return ""
    if text.endswith("/"):
        raise ValueError(f"{shown(text)} must not end with '/', with which the rest of the path begins")
    if not all(isinstance(segment, Literal) for segment in parse_template(text)):
        raise ValueError(f"{shown(text)} holds a variable: write whole literal segments, or / for none")
    canonical = canonical_target(text)
    if isinstance(canonical, Denial) or canonical.oddities:
        raise ValueError(f"{shown(text)} can be read in several ways: write it without escapes of '/' and ';'")
    return text


PathBeginning = Annotated[
    str,
    AfterValidator(_beginning),
    WithJsonSchema({"type": "string", "pattern": r"^/([^{}?#]*[^/{}?#])?$", "examples": ["/maintenance", "/"]}),
]
"""Of a path: `/a/b`, or "" for nothing."""


class RewriteConfig(Section):
    """With what a path begins when it goes on."""

    prefix: PathBeginning = Field(
        description="What is replaced: whole literal segments with which the route's path begins, or / for none."
    )
    to: PathBeginning = Field(description="What the upstream gets in its place; / for nothing.")

    @model_validator(mode="after")
    def _replaces_something(self) -> Self:
        if self.prefix == self.to:
            raise MisplacedError((("to",), "has no effect, being the same as prefix: write another path"))
        return self


class TimeoutsConfig(Section):
    """How long the upstream may take on this route."""

    first_byte: Timeout | None = Field(
        default=None, description="Time from the request's end to the answer's head; by default the upstream's."
    )
    idle: Timeout | None = Field(
        default=None, description="Longest pause between two parts of an answer; by default the upstream's."
    )
    total: Timeout | None = Field(
        default=None, description="Time for the whole of a request and its answer; by default the upstream's."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.first_byte is None and self.idle is None and self.total is None:
            raise MisplacedError(((), "must not be empty: write first_byte, idle or total, or remove timeouts"))
        return self


def _claim_fields(value: Any) -> tuple[ClaimField, ...]:
    """Read `{X-Tenant: tenant}`."""
    if not isinstance(value, dict) or not value:
        raise ValueError("must be a mapping of fields to claims, such as {X-Tenant: tenant}")
    if faults := [*_named(value), *_of_claims(value)]:
        raise MisplacedError(*faults)
    return tuple(ClaimField(name, claim) for name, claim in value.items())


def _named(value: dict[str, Any]) -> Iterator[Fault]:
    first: dict[str, str] = {}
    for name in value:
        if not FIELD_NAME.fullmatch(name):
            yield (name,), f"{shown(name)} is no name of a field: write one such as X-Tenant"
        elif has_meaning(name):
            yield (name,), f"{shown(name)} means something else already: write another name, such as X-Tenant"
        elif first.setdefault(spelling(name), name) != name:
            yield (name,), f"is the same field as {first[spelling(name)]} to many servers: keep one"


def _of_claims(value: dict[str, Any]) -> Iterator[Fault]:
    for name, claim in value.items():
        if not isinstance(claim, str) or not claim:
            yield (name,), f"must be the path of a claim, such as realm_access.roles, not {shown(claim)}"


ClaimFields = Annotated[
    tuple[ClaimField, ...],
    BeforeValidator(_claim_fields),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": f"^{FIELD_NAME.pattern}$"},
            "additionalProperties": {"type": "string", "minLength": 1},
            "minProperties": 1,
            "examples": [{"X-Tenant": "tenant", "X-Roles": "realm_access.roles"}],
        }
    ),
]
"""Fields towards the upstream, each with the claim that it holds."""


def way_faults(path: Path, route: Mapping[str, Any]) -> Iterator[Fault]:
    """What a route's keys about the way say about its other ones. Judged on the plain data.

    Args:
        path: of the route in the file.
        route: its section.
    """
    rewrite = route.get("rewrite")
    if isinstance(rewrite, dict):
        yield from _rewrite((*path, "rewrite"), rewrite, route)
    yield from _token_in_the_way(path, route)


def _token_in_the_way(path: Path, route: Mapping[str, Any]) -> Iterator[Fault]:
    token_from, fields = route.get("token_from"), route.get("claim_fields")
    held = token_from.get("header") if isinstance(token_from, dict) else None
    for name in fields if isinstance(fields, dict) and isinstance(held, str) else ():
        if spelling(str(name)) == spelling(str(held)):
            yield (*path, "claim_fields", name), "is where the token comes from: write another name"


def _rewrite(path: Path, rewrite: Mapping[str, Any], route: Mapping[str, Any]) -> Iterator[Fault]:
    prefix, template, odd = rewrite.get("prefix"), route.get("path"), route.get("allow_in_path")
    if prefix != "/" and rewrite.get("to") == "/" and isinstance(odd, list) and "empty_segments" in odd:
        yield (*path, "to"), _HOST_AHEAD
    if not isinstance(prefix, str) or not isinstance(template, str) or prefix.endswith("/"):
        return
    try:
        begins, whole = parse_template(prefix), parse_template(template)
    except ValueError:
        return
    if whole[: len(begins)] != begins:
        remedy = "write whole literal segments of it, or / for none"
        yield (*path, "prefix"), f"is not what the route's path begins with, prefixes of groups included: {remedy}"
