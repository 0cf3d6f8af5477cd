"""The gateway file's own field types: URLs, algorithms, methods, scopes, path templates, networks."""

import difflib
import ipaddress
import re
from typing import Annotated, Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from gateway.config.fields import HOST, StringOrList, shown
from gateway.policy.fields import spelling
from gateway.policy.headers import Kind, kind_of
from gateway.policy.hosts import read_host
from gateway.policy.paths import Oddity
from gateway.policy.routes import METHODS, parse_template

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""Asymmetric signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2)."""

DEFAULT_ADDRESSES = {"listen": "127.0.0.1:8080", "admin": "127.0.0.1:9901"}

_VISIBLE = re.compile(r"[\x21-\x7e]+")
_STATUS_RANGE = re.compile(r"([2-5][0-9]{2})(?:-([2-5][0-9]{2}))?")
FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_TAKEN = frozenset({"accept", "cache-control", "cookie", "date", "origin", "pragma", "range", "referer", "set-cookie"})
_TAKEN_PREFIXES = ("accept-", "access-control-", "content-", "if-", "proxy-", "sec-")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def one_of(value: str, known: tuple[str, ...]) -> str:
    """The value if it is known; else ValueError with the nearest known one, whatever its case."""
    if value in known:
        return value
    by_fold = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(value.casefold(), by_fold, n=1, cutoff=0.6)
    advice = f"did you mean {by_fold[near[0]]!r}?" if near else f"write one of {', '.join(known)}"
    raise ValueError(f"{shown(value)} is not known: {advice}")


def each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    """The values, if none is repeated."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{shown(value)} is listed twice: keep one")
    return values


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def http_url(text: str) -> SplitResult:
    """Split an http or https URL without userinfo and fragment; ValueError says what is wrong."""
    if not _VISIBLE.fullmatch(text) or "\\" in text:
        raise ValueError(f"{shown(text)} is no URL: escape blanks, backslashes and non-ASCII characters")
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"{shown(text)} must begin with http:// or https://")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise ValueError(f"{shown(text)} is no URL: its host or port cannot be read") from None
    if "@" in url.netloc:
        raise ValueError("must not hold a user or password: remove what stands before '@'")
    if port == 0 or url.netloc.endswith(":") or not (":" in host or HOST.fullmatch(host)):
        raise ValueError(f"{shown(text)} must name a host, and a port only with its number")
    if "#" in text:
        raise ValueError(f"{shown(text)} must have no fragment: remove '#' and what follows")
    return url


def _without_query(text: str) -> SplitResult:
    if "?" in text:
        raise ValueError(f"{shown(text)} must have no query: remove '?' and what follows")
    return http_url(text)


def _issuer_url(text: str) -> str:
    _without_query(text)
    return _keys_url(text)


def _keys_url(text: str) -> str:
    url = http_url(text)
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise ValueError(f"{shown(text)} must begin with https://: keys that come over plain http can be exchanged")
    return text


def _origin(text: str) -> str:
    url = _without_query(text)
    if url.path not in ("", "/"):
        remedy = f"write '{url.scheme}://{url.netloc}'"
        raise ValueError(f"{shown(text)} must have no path, because requests keep their own: {remedy}")
    return text


def _server_name(text: str) -> str:
    if not HOST.fullmatch(text):
        raise ValueError(f"{shown(text)} is no host name: write one without scheme and port, such as api.example")
    return text


def _algorithm(name: str) -> str:
    if name.casefold() == "none":
        raise ValueError("'none' means no signature: anyone could write such a token, so remove it")
    if name.upper().startswith("HS"):
        remedy = "let the issuer sign with an asymmetric one, such as RS256"
        raise ValueError(f"{shown(name)} signs with a shared secret, so whoever verifies could also forge: {remedy}")
    return one_of(name, ALGORITHMS)


def _method(name: str) -> str:
    if name.upper() in ("TRACE", "CONNECT"):
        why = "it echoes credentials" if name.upper() == "TRACE" else "it opens a blind tunnel"
        raise ValueError(f"{shown(name)} is never forwarded, because {why}: remove it")
    return one_of(name, METHODS)


def scope_token(token: str) -> str:
    """A scope of RFC 6749's grammar; ValueError says what is wrong with it."""
    if _SCOPE.fullmatch(token):
        return token
    if " " in token.strip():
        raise ValueError(f"{shown(token)} holds a blank: write each scope as its own item of the list")
    raise ValueError(f"{shown(token)} is no scope: visible ASCII without '\"' and '\\' (RFC 6749 §3.3)")


def scopes_as_mapping(value: Any) -> Any:
    """A list of scopes means all of them; an empty demand is refused, because it would open the route."""
    if isinstance(value, tuple) and value:
        return {"all": value}
    if isinstance(value, str):
        remedy = "write one such as [jobs.read]"
        raise ValueError(f"must be a list, not {shown(value)}: {remedy}")  # noqa: TRY004  # pydantic takes no other
    if not value and value is not None:
        raise ValueError("must not be empty: list at least one scope, or write public: true instead")
    return value


def _template(text: str) -> str:
    parse_template(text)
    return text


def _network(value: Any) -> Any:
    try:
        wider = ipaddress.ip_network(str(value), strict=False)
    except ValueError:
        raise ValueError(f"{shown(value)} is no network: write one such as 10.0.0.0/8 or ::1/128") from None
    try:
        return ipaddress.ip_network(str(value))
    except ValueError:
        raise ValueError(f"{shown(value)} has bits beyond its prefix: did you mean '{wider}'?") from None


_NETWORK_SCHEMA = {"type": "string", "examples": ["10.0.0.0/8", "::1/128"]}
_ORIGIN_SCHEMA = {"type": "string", "pattern": r"^https?://[^/?#@\s]+/?$", "examples": ["http://127.0.0.1:9000"]}
_URL_SCHEMA = {"type": "string", "pattern": r"^https?://[^?#@\s]+$"}

IpNetwork: TypeAlias = Annotated[
    ipaddress.IPv4Network | ipaddress.IPv6Network, BeforeValidator(_network), WithJsonSchema(_NETWORK_SCHEMA)
]
IssuerUrl = Annotated[
    str, AfterValidator(_issuer_url), WithJsonSchema({**_URL_SCHEMA, "examples": ["https://login.example/"]})
]
KeysUrl = Annotated[
    str,
    AfterValidator(_keys_url),
    WithJsonSchema({"type": "string", "pattern": r"^https?://[^#@\s]+$", "examples": ["https://login.example/jwks"]}),
]


def _revocations(value: Any) -> Any:
    """`auto`, `off` (which YAML wants quoted, so false will do) or where the feed is."""
    if value is False:
        return "off"
    if value in ("auto", "off"):
        return value
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise ValueError(f"{shown(value)} is not known: write auto, false or the URL of the issuer's feed")
    url = http_url(value)
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise ValueError(f"{shown(value)} must begin with https://: plain http can be tampered with")
    return value


Revocations = Annotated[
    str,
    BeforeValidator(_revocations),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["auto", "off", False]},
                {"type": "string", "pattern": r"^https?://[^#@\s]+$"},
            ],
            "examples": ["https://login.example/revocations"],
        }
    ),
]
"""Where an issuer's feed of revocations is."""
Origin = Annotated[
    str,
    AfterValidator(_origin),
    WithJsonSchema(_ORIGIN_SCHEMA),
]


def _several(origins: tuple[str, ...]) -> tuple[str, ...]:
    if len(origins) < 2:
        raise ValueError("needs two or more targets: where there is one, write url")
    return each_once(origins)


Origins = Annotated[
    tuple[Origin, ...],
    AfterValidator(_several),
    WithJsonSchema({"type": "array", "items": _ORIGIN_SCHEMA, "minItems": 2, "uniqueItems": True}),
]
"""The targets of one upstream."""
ServerName = Annotated[
    str, AfterValidator(_server_name), WithJsonSchema({"type": "string", "pattern": f"^{HOST.pattern}$"})
]
Algorithm = Annotated[str, AfterValidator(_algorithm), WithJsonSchema({"enum": list(ALGORITHMS)})]
Method = Annotated[str, AfterValidator(_method), WithJsonSchema({"enum": list(METHODS)})]
_SCOPE_SCHEMA: dict[str, Any] = {"type": "string", "pattern": f"^{_SCOPE.pattern}$"}


def _list_of_scopes(deep: int) -> dict[str, Any]:
    """Scopes, and sections of them as deep as this; below that any section, for editors only."""
    inner = _section_of_scopes(deep - 1) if deep else {"type": "object"}
    return {"type": "array", "items": {"anyOf": [_SCOPE_SCHEMA, inner]}, "minItems": 1, "uniqueItems": True}


def _section_of_scopes(deep: int) -> dict[str, Any]:
    described = {"all": "Every one of these.", "any": "At least one of these."}
    properties = {key: {"description": text, **_list_of_scopes(deep)} for key, text in described.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}


SCOPES_SCHEMA = WithJsonSchema(
    {
        "anyOf": [_list_of_scopes(1), _section_of_scopes(1)],
        "examples": [["jobs.read"], {"any": ["jobs.admin", {"all": ["jobs.read", "jobs.run"]}]}],
    }
)
_CLAIM_VALUE_SCHEMA = {"type": ["string", "integer", "boolean"]}
ScopeToken = Annotated[str, AfterValidator(scope_token), WithJsonSchema(_SCOPE_SCHEMA)]


def _claim_values(value: Any) -> Any:
    values = value if isinstance(value, tuple | list) else (value,)
    if not values or not all(isinstance(item, str | int) and item != "" for item in values):
        raise ValueError(f"{shown(value)} is no claim's value: write a text, a whole number, true or false, or a list")
    return tuple(values)


ClaimValues = Annotated[
    tuple[str | int | bool, ...],
    BeforeValidator(_claim_values),
    WithJsonSchema(
        {
            "anyOf": [
                _CLAIM_VALUE_SCHEMA,
                {"type": "array", "items": _CLAIM_VALUE_SCHEMA, "minItems": 1, "uniqueItems": True},
            ],
            "examples": ["idcs-abc", ["a", "b"]],
        }
    ),
]
PathTemplate = Annotated[
    str,
    AfterValidator(_template),
    WithJsonSchema(
        {"type": "string", "pattern": "^/", "examples": ["/jobs/{job}", "/jobs/{job:int}", "/files/{path...}"]}
    ),
]


def route_hosts(value: Any) -> tuple[str, ...]:
    """Hosts in the form that requests are compared with: one or several, as they stand in the file."""
    hosts = (value,) if isinstance(value, str) else value
    if not isinstance(hosts, tuple | list) or not all(isinstance(host, str) for host in hosts):
        raise ValueError("no hosts")
    return each_once(tuple(map(read_host, hosts)))


_HOST_SCHEMA: dict[str, Any] = {"type": "string", "minLength": 1}
Hosts = Annotated[
    StringOrList,
    AfterValidator(route_hosts),
    WithJsonSchema(
        {
            "anyOf": [_HOST_SCHEMA, {"type": "array", "items": _HOST_SCHEMA, "minItems": 1, "uniqueItems": True}],
            "examples": ["api.example.com", ["a.example.com", "*.b.example.com"]],
        }
    ),
]
"""The hosts that a route is for."""


def _health_path(text: str) -> str:
    if not text.startswith("/") or not _VISIBLE.fullmatch(text) or "#" in text:
        raise ValueError(f"{shown(text)} is no path: begin with / and escape blanks, '#' and non-ASCII characters")
    return text


HealthPath = Annotated[
    str,
    AfterValidator(_health_path),
    WithJsonSchema({"type": "string", "pattern": r"^/[^#\s]*$", "examples": ["/healthz"]}),
]


def _statuses(value: Any) -> frozenset[int]:
    """Read `200-399`, `204` or a list of such."""
    items = value if isinstance(value, tuple) and value else (value,)
    return frozenset().union(*map(_status_range, items))


def _status_range(item: Any) -> frozenset[int]:
    found = _STATUS_RANGE.fullmatch(str(item))
    if found is None or isinstance(item, bool) or int(found[1]) > int(found[2] or found[1]):
        raise ValueError(f"{shown(item)} is no status: write one such as 200, or a range such as 200-399")
    return frozenset(range(int(found[1]), int(found[2] or found[1]) + 1))


_STATUS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 200, "maximum": 599},
        {"type": "string", "pattern": f"^{_STATUS_RANGE.pattern}$"},
    ]
}
Statuses = Annotated[
    frozenset[int],
    BeforeValidator(_statuses),
    WithJsonSchema(
        {
            "anyOf": [*_STATUS_SCHEMA["anyOf"], {"type": "array", "items": _STATUS_SCHEMA, "minItems": 1}],
            "examples": ["200-399", [200, 204]],
        }
    ),
]


def has_meaning(name: str) -> bool:
    """Whether a field of this name, or of one that servers take for it, means something to all of HTTP, or to us."""
    lower = spelling(name)
    return kind_of(name.encode()) is not Kind.END_TO_END or lower in _TAKEN or lower.startswith(_TAKEN_PREFIXES)


def _token_field(name: str) -> str:
    if not FIELD_NAME.fullmatch(name):
        raise ValueError(f"{shown(name)} is no name of a field: write one such as X-Api-Token")
    lower = name.lower()
    if lower == "authorization":
        raise ValueError("is where a token is looked for anyway: remove token_from")
    if lower == "cookie":
        raise ValueError("holds all cookies: write {cookie: NAME} for the one with the token")
    if has_meaning(name):
        raise ValueError(f"{shown(name)} means something else already: write another name, such as X-Api-Token")
    return name


def _token_cookie(name: str) -> str:
    if not FIELD_NAME.fullmatch(name):
        raise ValueError(f"{shown(name)} is no name of a cookie: write one such as __Host-token")
    return name


_NAME_SCHEMA = {"type": "string", "pattern": f"^{FIELD_NAME.pattern}$"}
TokenField = Annotated[str, AfterValidator(_token_field), WithJsonSchema({**_NAME_SCHEMA, "examples": ["X-Api-Token"]})]
TokenCookie = Annotated[
    str, AfterValidator(_token_cookie), WithJsonSchema({**_NAME_SCHEMA, "examples": ["__Host-token"]})
]


def websocket_as_mapping(value: Any) -> Any:
    """`true` means the usual terms, `false` none."""
    if isinstance(value, bool):
        return {} if value else None
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"must be true, or a mapping such as {{idle_timeout: 10m}}, not {shown(value)}")
    return value


WEBSOCKET_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "boolean"},
            {
                "type": "object",
                "properties": {
                    "idle_timeout": {
                        "description": "Longest time without a byte in either direction.",
                        "type": "string",
                        "default": "5m",
                    },
                    "end_at_expiry": {
                        "description": "End it when the token expires with which it was opened.",
                        "type": "boolean",
                        "default": True,
                    },
                },
                "additionalProperties": False,
            },
        ],
        "examples": [True, {"idle_timeout": "10m"}],
    }
)


def _oddity(value: Any) -> Oddity:
    return Oddity(one_of(value if isinstance(value, str) else shown(value), tuple(map(str, Oddity))))


PathOddity = Annotated[Oddity, BeforeValidator(_oddity), WithJsonSchema({"enum": list(map(str, Oddity))})]
