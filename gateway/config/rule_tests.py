"""Cases that test the rules: what is asked, by whom, and what has to come of it.

A case is a mapping, or one line: `GET /jobs/7  jobs.read client=batch -> allow read-job`.
"""

import ipaddress
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from gateway.config.binding import MisplacedError, Section, nearest
from gateway.config.fields import Text, shown
from gateway.config.gateway_fields import ScopeToken, each_once
from gateway.policy.denial import Reason

NOBODY: Final = "none"
ALLOW: Final = "allow"
DENY: Final = "deny"
WOULD_DENY: Final = "would_deny="
"""What a reason follows where the route's mode lets pass what it refuses."""

_ARROW = "->"
_REASONS = tuple(reason.value for reason in Reason)
_FORM = f"write 'METHOD /path  WHO {_ARROW} OUTCOME', such as 'GET /jobs  jobs.read {_ARROW} allow read-jobs'"
_WORDS_OF_WHO = ("client", "issuer", "host", "peer")
_REQUEST = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+ +\S+")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


def _request(text: str) -> str:
    if _REQUEST.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is no request: write the method and the path, such as GET /jobs")
    return " ".join(text.split())


def _outcome_as_text(value: Any) -> Any:
    """`{would_deny: REASON}` as it stands in a line."""
    is_section = isinstance(value, dict) and value.keys() == {"would_deny"} and isinstance(value["would_deny"], str)
    return WOULD_DENY + value["would_deny"] if is_section else value


def _outcome(text: str) -> str:
    if text in (ALLOW, DENY):
        return text
    known = _REASONS if text.startswith(WOULD_DENY) else (ALLOW, DENY, *_REASONS)
    named = text.removeprefix(WOULD_DENY)
    if named not in known:
        raise ValueError(f"{shown(text)} is neither allow nor deny nor a reason: {nearest(named, known, 'outcomes')}")
    return text


def _moment(value: Any) -> Any:
    """RFC 3339 with its offset: a time of day without one is nobody's."""
    if not isinstance(value, str) or _MOMENT.fullmatch(value) is None:
        raise ValueError(f"{shown(value)} is no moment: write one such as 2026-01-07T12:00:00Z")
    try:
        return datetime.fromisoformat(value).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(value)} is no moment of the calendar") from None


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{shown(text)} is no address: write one such as 10.0.0.7 or ::1") from None


def _fields(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if _FIELD_NAME.fullmatch(name) is None:
            raise ValueError(f"{shown(name)} is no name of a field")
        if name.lower() == "authorization":
            raise ValueError("a case brings no token of its own: say scopes, client, issuer and claims")
        if re.search(r"[\r\n\0]", text):
            raise ValueError(f"{shown(name)} holds a line break, which would end the line: no request can carry it")
    return value


def _scopes(value: Any) -> Any:
    """`jobs.read jobs.run` as it would stand in a token, or a list."""
    return tuple(value.split()) if isinstance(value, str) else value


def line_as_mapping(value: Any) -> Any:
    """`METHOD /path WHO -> OUTCOME [ROUTE]` as the mapping that it is short for."""
    if not isinstance(value, str):
        return value
    asked, arrow, expected = value.partition(f" {_ARROW} ")
    words, outcome = asked.split(), expected.split()
    if not arrow or len(words) < 3 or not 1 <= len(outcome) <= 2:
        raise ValueError(f"{shown(value)} is no case: {_FORM}")
    case: dict[str, Any] = {"request": " ".join(words[:2]), "expect": outcome[0], **_who(words[2:])}
    return case | ({"route": outcome[1]} if len(outcome) == 2 else {})


def _who(words: list[str]) -> dict[str, Any]:
    """`none`, `@caller`, `client=ID`, `issuer=NAME`, `host=NAME`, `peer=ADDRESS`; every other word is a scope."""
    found: dict[str, Any] = {}
    scopes = []
    for word in words:
        key, equals, text = word.partition("=")
        if word == NOBODY:
            key, text = "token", NOBODY
        elif word.startswith("@"):
            key, text = "as", word[1:]
        elif not equals or key not in _WORDS_OF_WHO:
            scopes.append(word)
            continue
        if key in found:
            raise ValueError(f"says {key} twice: keep one")
        found[key] = text
    return found | ({"scopes": tuple(scopes)} if scopes else {})


RequestLine = Annotated[
    str,
    AfterValidator(_request),
    WithJsonSchema({"type": "string", "pattern": r"^\S+ +\S+$", "examples": ["GET /jobs", "POST /jobs/7/runs?dry=1"]}),
]
Outcome = Annotated[
    str,
    BeforeValidator(_outcome_as_text),
    AfterValidator(_outcome),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": [ALLOW, DENY, *_REASONS]},
                {
                    "type": "object",
                    "properties": {"would_deny": {"type": "string", "enum": [*_REASONS]}},
                    "required": ["would_deny"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
Moment = Annotated[
    float,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-07T12:00:00Z"]}),
]
PeerAddress = Annotated[
    str, AfterValidator(_address), WithJsonSchema({"type": "string", "examples": ["10.0.0.7", "::1"]})
]
GrantedScopes = Annotated[
    tuple[ScopeToken, ...],
    BeforeValidator(_scopes),
    AfterValidator(each_once),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string", "minLength": 1}}]}),
]
CallerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class CallerConfig(Section):
    """A token: what its issuer would have signed."""

    issuer: Text | None = Field(
        default=None, description="Name of the issuer of the token; may be left out where one issuer is trusted."
    )
    client: Text | None = Field(default=None, description="The client that the token was issued to.")
    scopes: GrantedScopes | None = Field(
        default=None, description="Scopes that the token grants, by the routes' names."
    )
    claims: dict[Text, Any] = Field(default={}, description="Further claims, or others in place of assumed ones.")

    @property
    def says_token(self) -> bool:
        """Whether there is a word about a token."""
        return bool(self.issuer or self.client or self.claims) or self.scopes is not None


class CaseConfig(CallerConfig):
    """One request, who sends it, and what has to come of it."""

    name: Text | None = Field(default=None, description="What the case shows, in a sentence; by default its request.")
    request: RequestLine = Field(description="Method and target, as a client sends them.")
    expect: Outcome = Field(description="allow, deny, the reason for which it is refused, or {would_deny: REASON}.")
    route: Text | None = Field(default=None, description="Id of the route that has to decide; by default any.")
    caller: CallerName | None = Field(
        default=None, alias="as", description="Name of a caller of this file, to whose token this case adds."
    )
    token: Literal["none"] | None = Field(default=None, description="none: the request bears no token.")
    proof: Literal["dpop", "mtls"] | None = Field(
        default=None, description="The token is bound to a key, and the request proves that by this."
    )
    host: Text | None = Field(default=None, description="The Host field; by default the gateway's `listen` address.")
    headers: Annotated[dict[Text, Text], AfterValidator(_fields)] = Field(
        default={}, description="Further fields of the request, by name."
    )
    peer: PeerAddress | None = Field(default=None, description="Address that the connection comes from.")
    at: Moment | None = Field(
        default=None, description="When it is sent; by default at noon UTC of Wednesday, 2026-01-07."
    )

    @model_validator(mode="after")
    def _one_sender(self) -> Self:
        says_token = self.says_token or self.caller is not None
        if self.token is None and not says_token:
            remedy = "say scopes, client, issuer or claims, or write token: none"
            raise MisplacedError(((), f"does not say who calls: {remedy}"))
        if self.token is not None and says_token:
            raise MisplacedError((("token",), "says that there is no token, and other keys tell of one: keep one"))
        if self.token is not None and self.proof is not None:
            raise MisplacedError((("proof",), "proves that a token is one's own, and there is none: remove it"))
        return self


CaseLine = Annotated[str, Field(pattern=f" {_ARROW} ", examples=[f"GET /jobs  jobs.read {_ARROW} allow"])]
Case = Annotated[CaseConfig, BeforeValidator(line_as_mapping, json_schema_input_type=CaseConfig | CaseLine)]


class CasesFile(Section):
    """A file of cases beside the gateway's."""

    at: Moment | None = Field(default=None, description="When cases are judged that do not say it themselves.")
    callers: dict[CallerName, CallerConfig] = Field(default={}, description="Callers that cases name by `as`.")
    tests: Annotated[tuple[Case, ...], Field(min_length=1)] = Field(description="The cases.")
