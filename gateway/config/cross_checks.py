"""What one part of the gateway's file says about another.

Judged on the plain data, so that a fault elsewhere in the file does not hide these.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway.config.binding import nearest
from gateway.config.cors_section import cors_faults
from gateway.config.errors import ConfigError, Path, in_file_order
from gateway.config.fields import host_port
from gateway.config.gateway_fields import DEFAULT_ADDRESSES, is_loopback, route_hosts
from gateway.config.match_fields import route_fields
from gateway.config.rate_section import rate_faults
from gateway.config.reading import Document
from gateway.config.redaction import masked
from gateway.config.route_demands import demand_faults
from gateway.config.route_way import way_faults
from gateway.config.shadowing import Reach, Reaches, witness
from gateway.host_port import HostPort
from gateway.policy.fields import spelling
from gateway.policy.routes import METHODS, parse_template

Fault = tuple[Path, str]

_KEY_SOURCES = ("embedded", "jwks_uri", "jwks_file")
_SAME_ISSUER = (
    "is the same as that of issuers.{}: keep one of the two, or tell their tokens apart by `claims` in both sections"
)
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  # compared with, not listened on


def cross_check(document: Document) -> list[ConfigError]:
    """Every fault between the parts, in the file's order."""
    root = mapping(document.data)
    faults = [*_listeners(root), *_tls(root), *_issuers(root), *_upstreams(root), *_routes(document, root)]
    return in_file_order([document.error(path, masked(document, path, message)) for path, message in faults])


def _listeners(root: Mapping[str, Any]) -> Iterator[Fault]:
    listen, admin = _address(root, "listen"), _address(root, "admin")
    if listen and listen == admin and listen.port:
        key = "admin" if "admin" in root else "listen"
        yield (key,), "listen and admin are the same address: give admin a port of its own"


def _tls(root: Mapping[str, Any]) -> Iterator[Fault]:
    """Clients' certificates and those who vouch for them: one is worth nothing without the other."""
    tls = mapping(root.get("tls"))
    asked = tls.get("client_certificate", "none")
    if asked in ("required", "optional") and "client_ca" not in tls:
        yield ("tls", "client_certificate"), "needs client_ca: name the file of those who vouch for clients"
    if asked == "none" and "client_ca" in tls:
        yield ("tls", "client_ca"), "has no effect: write client_certificate: required, or optional, or remove it"


def _upstream_tls(path: Path, upstream: Mapping[str, Any], urls: Iterable[Any]) -> Iterator[Fault]:
    tls = mapping(upstream.get("tls"))
    if tls and any(isinstance(url, str) and url.startswith("http://") for url in urls):
        yield path, "has no effect on http://: write https:// instead, or remove tls"
    yield from pair_faults(path, tls)


def pair_faults(path: Path, tls: Mapping[str, Any]) -> Iterator[Fault]:
    """A certificate that is shown and its key: one is worth nothing without the other."""
    for one, other in (("certificate", "key"), ("key", "certificate")):
        if one in tls and other not in tls:
            yield (*path, one), f"needs {other}: name both files, or none"


def _issuers(root: Mapping[str, Any]) -> Iterator[Fault]:
    earlier: list[tuple[str, Mapping[str, Any]]] = []
    for name, issuer in sections(root, "issuers"):
        identifier = issuer.get("issuer")
        for other, known in earlier:
            if isinstance(identifier, str) and known.get("issuer") == identifier and not _told_apart(known, issuer):
                yield ("issuers", name, "issuer"), _SAME_ISSUER.format(other)
                break
        earlier.append((name, issuer))
        sources = [key for key in issuer if key in _KEY_SOURCES]
        for key in sources[1:]:
            yield ("issuers", name, key), f"{sources[0]} already says where the keys come from: keep one of the two"


def _told_apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether no token can meet the conditions of both: some claim has to be this here, and that there.

    A list can hold both values; then the first entry in the file takes the token.
    """
    first, second = mapping(one.get("claims")), mapping(other.get("claims"))
    return any(_values(first[path]).isdisjoint(_values(second[path])) for path in first.keys() & second.keys())


def _values(value: Any) -> frozenset[str]:
    return frozenset(map(repr, value if isinstance(value, list) else [value]))


def _upstreams(root: Mapping[str, Any]) -> Iterator[Fault]:
    listen = _address(root, "listen")
    for name, upstream in sections(root, "upstreams"):
        path: Path = ("upstreams", name)
        if isinstance(mapping(root["upstreams"])[name], dict) and not {"url", "urls"} & set(upstream):
            yield (*path, "url"), "is required and missing: add it"
        if {"url", "urls"} <= set(upstream):
            yield (*path, "urls"), "url already names the only target: keep one of the two"
        urls = upstream.get("urls")
        targets = list(enumerate(urls)) if isinstance(urls, list) else []
        places: list[tuple[Path, Any]] = [((*path, "url"), upstream.get("url"))]
        places += [((*path, "urls", index), url) for index, url in targets]
        for place, url in places:
            if listen and _leads_to(url, listen):
                yield place, f"is where the gateway itself listens ({listen}): requests would go in a loop"
        if len({str(url).partition("://")[0] for _, url in targets}) > 1:
            yield (*path, "urls"), "mixes schemes: write https:// for every target, or http:// for every one"
        yield from _upstream_tls((*path, "tls"), upstream, [url for _, url in places])


def _routes(document: Document, root: Mapping[str, Any]) -> Iterator[Fault]:
    first: dict[str, Path] = {}
    earlier, tokens_in = Reaches(), _fields_of_tokens(root)
    for index, route in items(root, "routes"):
        path: Path = ("routes", index)
        name = route.get("id")
        if isinstance(name, str) and first.setdefault(name, path) != path:
            yield (*path, "id"), f"is the same as that of {document.named(first[name])}: each route needs its own"
        yield from demand_faults(mapping(root.get("issuers")), path, route)
        yield from way_faults(path, route)
        yield from cors_faults(path, route)
        yield from rate_faults(path, route)
        yield from _names(root, path, route)
        yield from _one_is_asked(root, path, route)
        yield from _fields(path, route, tokens_in)
        yield from _shadow(path, route, earlier)


def _names(root: Mapping[str, Any], path: Path, route: Mapping[str, Any]) -> Iterator[Fault]:
    upstreams, issuers = mapping(root.get("upstreams")), mapping(root.get("issuers"))
    upstream = route.get("upstream")
    if isinstance(upstream, str) and upstream and upstreams and upstream not in upstreams:
        yield (*path, "upstream"), f"{upstream!r} is no upstream: {nearest(upstream, upstreams, 'upstreams')}"
    names = route.get("issuers")
    for index, name in enumerate(names if isinstance(names, list) else []):
        if isinstance(name, str) and name and issuers and name not in issuers:
            yield (*path, "issuers", index), f"{name!r} is no issuer: {nearest(name, issuers, 'issuers')}"


def _one_is_asked(root: Mapping[str, Any], path: Path, route: Mapping[str, Any]) -> Iterator[Fault]:
    """An opaque token does not say whose it is, so on each route it can belong to one issuer only."""
    if str(route.get("public")).lower() == "true":
        return
    issuers, names = mapping(root.get("issuers")), route.get("issuers")
    asked = [
        name
        for name in (names if isinstance(names, list) else issuers)
        if isinstance(name, str) and "introspection" in mapping(issuers.get(name))
    ]
    if len(asked) > 1:
        place = (*path, "issuers") if isinstance(names, list) else path
        remedy = "list issuers of which one has introspection"
        yield place, f"an opaque token could be of {' or '.join(asked)}, and does not say so: {remedy}"


def _fields_of_tokens(root: Mapping[str, Any]) -> dict[str, str]:
    """The fields beside Authorization that tokens come in, in the spelling of servers, each with a route."""
    found: dict[str, str] = {}
    for index, route in items(root, "routes"):
        place, name = mapping(route.get("token_from")), repr(route.get("id", f"routes[{index}]"))
        if isinstance(place.get("header"), str):
            found.setdefault(spelling(place["header"]), name)
        elif "cookie" in place:
            found.setdefault("cookie", name)
    return found


def _fields(path: Path, route: Mapping[str, Any], tokens_in: Mapping[str, str]) -> Iterator[Fault]:
    """Which route it is, is known before a token is looked for."""
    for field in mapping(route.get("fields")):
        if spelling(field) in tokens_in:
            taking = tokens_in[spelling(field)]
            yield (*path, "fields", field), f"holds the token of route {taking}: tell the routes apart by another field"


def _shadow(path: Path, route: Mapping[str, Any], earlier: Reaches) -> Iterator[Fault]:
    """The first match wins: a route that earlier ones cover never takes a request."""
    template, methods = route.get("path"), route.get("methods", list(METHODS))
    if not isinstance(template, str) or not isinstance(methods, list) or not methods:
        return
    if not all(isinstance(method, str) for method in methods):
        return
    name = repr(route.get("id", f"routes[{path[1]}]"))
    try:
        hosts = route_hosts(route["host"]) if "host" in route else ()
        fields = route_fields(route["fields"]) if "fields" in route else ()
        reach = Reach(name, parse_template(template), frozenset(methods), hosts, fields)
    except ValueError:
        return
    covering = earlier.covering(reach)
    if covering:
        names = " and ".join(covering) + f" above{_such_as(reach, earlier, covering)}"
        yield (*path, "path"), f"never matches, because all goes to {names}: move this route up, or remove it"
    earlier.add(reach)


def _such_as(reach: Reach, earlier: Reaches, covering: tuple[str, ...]) -> str:
    """A request that shows it; there may be a route further up that takes just this one."""
    asked = witness(reach)
    if asked is None:
        return ""
    taking = earlier.first_taking(asked)
    return f", such as {asked}" if (taking,) == covering else f" ({asked} goes to {taking})"


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping; an empty one in place of anything else, whose fault is told elsewhere."""
    return value if isinstance(value, dict) else {}


def sections(root: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The sections by name beneath a key."""
    for name, section in mapping(root.get(key)).items():
        yield name, mapping(section)


def items(root: Mapping[str, Any], key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The sections of a list beneath a key, each with its place."""
    listed = root.get(key)
    for index, item in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(item, dict):
            yield index, item


def _address(root: Mapping[str, Any], key: str) -> HostPort | None:
    try:
        return host_port(root.get(key, DEFAULT_ADDRESSES[key]))
    except ValueError:
        return None


def _leads_to(url: Any, listen: HostPort) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return False
    host, own = parts.hostname or "", listen.host.lower()
    any_of_ours = own in _EVERY_ADDRESS and (is_loopback(host) or host in _EVERY_ADDRESS)
    by_name = "localhost" in (host, own) and is_loopback(host) and is_loopback(own)
    return port == listen.port and (host == own or any_of_ours or by_name)
