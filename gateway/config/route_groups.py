"""Groups of routes, and files of them: all that stands in `routes` becomes one list of single routes.

Each route keeps where it was written, key by key: in itself, in the defaults of a group, in another file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.config.binding import Section, bind, prepare
from gateway.config.errors import ConfigError, Path
from gateway.config.fields import Text, shown
from gateway.config.inclusion import files_of, looked_at
from gateway.config.reading import Document, Origin, part, paths_below, read_file
from gateway.config.route_demands import BOUNDS, OF_THE_WAY, OF_TOKENS, WHO, is_grace, is_true
from gateway.policy.routes import Rest, parse_template

MOST_INCLUDED = 1_000
"""Files that one configuration may include."""

ITS_OWN = ("id", "path")
"""What no two routes share."""


def _prefix(text: str) -> str:
    if text.endswith("/"):
        raise ValueError(f"{shown(text)} must not end with '/', with which the path of each route begins")
    if any(isinstance(segment, Rest) for segment in parse_template(text)):
        raise ValueError(f"{shown(text)} takes the rest of the path, so no route could follow")
    return text


def _defaults(keys: dict[str, Any]) -> dict[str, Any]:
    for key in ITS_OWN:
        if key in keys:
            raise ValueError(f"must not hold {key}, of which each route has its own: remove it")
    return keys


class RouteGroupConfig(Section):
    """Routes that have something in common; also what a file says that is included."""

    prefix: (
        Annotated[
            str,
            AfterValidator(_prefix),
            WithJsonSchema({"type": "string", "pattern": "^/.*[^/]$", "examples": ["/maintenance"]}),
        ]
        | None
    ) = Field(default=None, description="What the path of each route begins with; a path may then be empty.")
    defaults: Annotated[dict[str, Any], AfterValidator(_defaults)] = Field(
        default={}, description="Keys for routes that do not have them: all but id and path."
    )
    routes: Annotated[tuple[Any, ...], Field(min_length=1)] = Field(description="The routes, groups and inclusions.")


class RouteInclusionConfig(Section):
    """Routes that are in other files."""

    include: Text = Field(
        description="Files in the order of their names, relative to this one: a path, in which *, ? and ** may stand."
    )


class _Common(NamedTuple):
    """What the groups around some routes have in common.

    Attributes:
        prefix: of their paths.
        filled: whether a substitution filled a part of it.
        defaults: by key, each with where it was written.
    """

    prefix: str = ""
    filled: bool = False
    defaults: Mapping[str, Origin] = {}


@dataclass(frozen=True, slots=True)
class _Single:
    """One route as it will stand in the list."""

    data: Any
    origins: Mapping[Path, Origin]
    filled: bool


def single_routes(document: Document, environ: Mapping[str, str]) -> tuple[Document, list[ConfigError]]:
    """The document with nothing but single routes in its list, and what is wrong with groups and inclusions.

    Args:
        document: the gateway's file; inclusions are relative to its folder.
        environ: variables for `${NAME}` in included files.
    """
    listed = document.data.get("routes") if isinstance(document.data, dict) else None
    if not isinstance(listed, list) or not any(_is_inclusion(item) or _is_group(item) for item in listed):
        return document, []
    expansion = _Expansion(document, environ)
    expansion.take(document, ("routes",), _Common())
    return _with_routes(document, expansion.routes, expansion.included), expansion.errors


def _is_inclusion(item: Any) -> bool:
    return isinstance(item, dict) and "include" in item


def _is_group(item: Any) -> bool:
    return isinstance(item, dict) and not {"prefix", "defaults", "routes"}.isdisjoint(item)


class _Expansion:
    """Walks through groups and inclusions, and gathers the routes in order."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self.routes: list[_Single] = []
        self.included: dict[FilePath, None] = {}
        self.errors: list[ConfigError] = []
        self._main = document
        self._environ = environ
        self._files = {FilePath(document.file).resolve()}

    def take(self, document: Document, path: Path, common: _Common) -> None:
        """Take up what a list holds."""
        for index, item in enumerate(document.at(path)):
            here = (*path, index)
            if _is_inclusion(item):
                self._include(document, here, common)
            elif _is_group(item):
                self._group(document, here, common)
            else:
                self.routes.append(_single(document, here, common))

    def _group(self, document: Document, path: Path, common: _Common) -> None:
        found = bind(RouteGroupConfig, part(document, path))
        if isinstance(found, list):
            self.errors += found
            return
        filled = common.filled or (*path, "prefix") in document.filled
        prefix = common.prefix + (found.prefix or "")
        own = {key: Origin(document, (*path, "defaults", key)) for key in found.defaults}
        self.take(document, (*path, "routes"), _Common(prefix, filled, _laid_over(own, common.defaults)))

    def _include(self, document: Document, path: Path, common: _Common) -> None:
        found = bind(RouteInclusionConfig, part(document, path))
        place = (*path, "include")
        if isinstance(found, list):
            self.errors += found
            return
        if document.file != self._main.file:
            remedy = f"include them in {self._main.file}"
            self.errors.append(document.error(place, f"an included file cannot include others: {remedy}"))
            return
        base = FilePath(document.file).parent
        files = files_of(base, found.include)
        self.included |= dict.fromkeys(looked_at(base, found.include))
        if not files:
            self.errors.append(document.error(place, "is no file that exists, and fits none: correct it, or remove it"))
        for file in files:
            self._file(document, place, file, common)

    def _file(self, document: Document, place: Path, file: FilePath, common: _Common) -> None:
        if file.resolve() in self._files:
            self.errors.append(document.error(place, f"{file} is included already: leave it out here"))
            return
        self._files.add(file.resolve())
        if len(self._files) > MOST_INCLUDED + 1:
            self.errors.append(document.error(place, f"leads to more than {MOST_INCLUDED} files: include fewer"))
            return
        self.included[file] = None
        text = read_file(file, str(file))
        if isinstance(text, ConfigError):
            self.errors.append(text)
            return
        included, errors = prepare(text, str(file), self._environ)
        self.errors += errors
        if included is not None:
            self._group(included, (), common)


def _single(document: Document, path: Path, common: _Common) -> _Single:
    item = document.at(path)
    origins: dict[Path, Origin] = {(): Origin(document, path)}
    if not isinstance(item, dict):
        return _Single(item, origins, filled=False)
    laid = _laid_over({key: Origin(document, (*path, key)) for key in item}, common.defaults)
    for key in _left_without_effect(laid, item):
        laid.pop(key, None)
    data = {key: origin.document.at(origin.path) for key, origin in laid.items()}
    if common.prefix and _follows(data.get("path")):
        data["path"] = common.prefix + data["path"]
    origins |= {(key,): origin for key, origin in laid.items()}
    return _Single(data, origins, filled=common.filled)


def _left_without_effect(laid: Mapping[str, Origin], item: Mapping[str, Any]) -> list[str]:
    """Defaults that mean nothing beside the keys that the route now has."""
    in_grace = "mode" in laid and is_grace(laid["mode"].document.at(laid["mode"].path))
    public = "public" in laid and is_true(laid["public"].document.at(laid["public"].path))
    refuses = any(laid[key].document.at(laid[key].path) != [] for key in BOUNDS if key in laid)
    dropped = {
        "scope_match": "scopes" not in laid,
        "grace_clients": not in_grace,
        "mode": public and (in_grace or not refuses),
    }
    return [key for key, is_dropped in dropped.items() if is_dropped and key not in item]


def _follows(path: Any) -> bool:
    """Whether a path can follow a prefix; if not, it stays as it is, and is refused."""
    return isinstance(path, str) and (path == "" or path.startswith("/"))


def _laid_over(own: Mapping[str, Origin], defaults: Mapping[str, Origin]) -> dict[str, Origin]:
    """Keys over defaults; a default yields to whatever it has no effect on, or would contradict."""
    yielding: set[str] = set(own)
    if _says(own, "public"):
        yielding |= {"deny", *OF_TOKENS}
    elif _says(own, "deny"):
        yielding |= {"public", *OF_TOKENS, *OF_THE_WAY}
    elif not own.keys().isdisjoint(WHO):
        yielding |= {"public", "deny"}
    return {**own, **{key: origin for key, origin in defaults.items() if key not in yielding}}


def _says(own: Mapping[str, Origin], key: str) -> bool:
    return key in own and is_true(own[key].document.at(own[key].path))


def _with_routes(document: Document, routes: list[_Single], included: Iterable[FilePath]) -> Document:
    """The document with other routes, whose values have their places elsewhere."""
    keys = {path: place for path, place in document.keys.items() if path[:1] != ("routes",) or len(path) == 1}
    values = {path: place for path, place in document.values.items() if path[:1] != ("routes",) or len(path) == 1}
    filled = {path for path in document.filled if path[:1] != ("routes",)}
    origins: dict[Path, Origin] = {}
    for index, route in enumerate(routes):
        here: Path = ("routes", index)
        origins |= {(*here, *below): origin for below, origin in route.origins.items()}
        for below in paths_below(route.data):
            source, written = _origin(route, below)
            path = (*here, *below)
            values[path] = source.values[written]
            if written in source.keys:
                keys[path] = source.keys[written]
            if written in source.filled or (below == ("path",) and route.filled):
                filled.add(path)
    data = {**document.data, "routes": [route.data for route in routes]}
    return replace(
        document,
        data=data,
        keys=keys,
        values=values,
        filled=frozenset(filled),
        origins=origins,
        included=tuple(included),
    )


def _origin(route: _Single, below: Path) -> Origin:
    document, path = route.origins.get(below[:1]) or route.origins[()]
    return Origin(document, (*path, *below[1:]) if below[:1] in route.origins else (*path, *below))
