"""An OpenAPI file: its data, the place of each key, and what a $ref stands for.

It is read more leniently than our own files are, because others write it: keys such as `200` are strings, every scalar
is a text, and aliases are followed. But a key that stands twice is an error here, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final
from urllib.parse import unquote

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent

from gateway.config import ConfigError, Document, Path, Position, decode

MOST_BYTES: Final = 16 << 20
MOST_DEPTH: Final = 200
REF: Final = "$ref"
_BESIDE_REF: Final = frozenset({REF, "summary", "description"})
"""What may stand beside a $ref, and does not matter here (OpenAPI 3.1 §4.8.23)."""


class SpecError(Exception):
    """The file can't be used; `fault` says where and why."""

    def __init__(self, fault: ConfigError) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Part:
    """A value of the file, and where it really stands: behind its $ref, if it is one."""

    value: Any
    path: Path

    def mapping(self) -> Mapping[str, Any]:
        """Its members; none where it is no mapping."""
        return self.value if isinstance(self.value, dict) else {}

    def items(self) -> list[Any]:
        """Its items; none where it is no list."""
        return self.value if isinstance(self.value, list) else []


@dataclass(frozen=True, slots=True)
class Spec:
    """An OpenAPI file that was read."""

    document: Document

    @property
    def root(self) -> Part:
        """The whole of it."""
        return Part(self.document.data, ())

    def member(self, part: Part, key: str | int) -> Part | None:
        """A member or an item, with every $ref on the way followed; None where there is none.

        Raises:
            SpecError: the $ref leads nowhere, in a circle, or out of the file.
        """
        held = part.value
        there = (isinstance(held, dict) and key in held) or (isinstance(held, list) and key in range(len(held)))
        return self._followed(Part(held[key], (*part.path, key))) if there else None

    def members(self, part: Part) -> Iterator[tuple[str, Part]]:
        """All members of a mapping."""
        for key in part.mapping():
            found = self.member(part, key)
            if found is not None:
                yield key, found

    def error(self, path: Path, message: str) -> ConfigError:
        """A fault at a place of the file, or at the nearest one that has a line."""
        return self.document.error(path, message)

    def _followed(self, part: Part) -> Part:
        seen = {part.path}
        while isinstance(reference := part.mapping().get(REF), str):
            at = (*part.path, REF)
            if not part.mapping().keys() <= _BESIDE_REF:
                raise SpecError(self.error(at, "has neighbours that would be lost: write them where it leads to"))
            part = self._target(reference, at)
            if part.path in seen:
                raise SpecError(self.error(at, f"{reference!r} leads back to itself: write out what is meant"))
            seen.add(part.path)
        return part

    def _target(self, reference: str, at: Path) -> Part:
        """What a JSON pointer in a fragment points to (RFC 6901 §6)."""
        if not reference.startswith("#"):
            remedy = "put all of it into one file, which bundlers of OpenAPI do"
            raise SpecError(self.error(at, f"{reference!r} leads out of this file, and is not followed: {remedy}"))
        value: Any = self.document.data
        path: Path = ()
        for step in unquote(reference[1:]).split("/")[1:]:
            key = _step(value, step.replace("~1", "/").replace("~0", "~"))
            if key is None:
                raise SpecError(self.error(at, f"{reference!r} is not there"))
            value, path = value[key], (*path, key)
        return Part(value, path)


def _step(value: Any, step: str) -> str | int | None:
    if isinstance(value, dict) and step in value:
        return step
    is_index = isinstance(value, list) and step.isascii() and step.isdecimal() and int(step) < len(value)
    return int(step) if is_index else None


def read_spec(path: FilePath) -> Spec:
    """Read an OpenAPI file.

    Raises:
        SpecError: it can't be read, or is no OpenAPI 3.0 or 3.1.
    """
    file = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise SpecError(ConfigError(file, 1, 1, "", f"cannot be read: {reason}")) from error
    if len(raw) > MOST_BYTES:
        raise SpecError(ConfigError(file, 1, 1, "", f"is larger than {MOST_BYTES >> 20} MiB"))
    text = decode(raw, file)
    if isinstance(text, ConfigError):
        raise SpecError(text)
    spec = Spec(_document(text.removeprefix("\ufeff"), file))
    _is_openapi(spec)
    return spec


def _is_openapi(spec: Spec) -> None:
    root = spec.root.mapping()
    if "swagger" in root:
        remedy = "convert it to OpenAPI 3 first"
        raise SpecError(spec.error(("swagger",), f"version {root['swagger']} is not read: {remedy}"))
    version = str(root.get("openapi", ""))
    if version.split(".")[:2] not in (["3", "0"], ["3", "1"]):
        told = f"version {version} is not read" if version else "does not say openapi: 3.0.x or 3.1.x"
        raise SpecError(spec.error(("openapi",) if version else (), f"{told}: OpenAPI 3.0 and 3.1 are"))


def _document(text: str, file: str) -> Document:
    if not text.lstrip().startswith("{"):
        return _from_yaml(text, file)
    data = _from_json(text, file)
    try:
        return _from_yaml(text, file)  # for the places: nearly all JSON is YAML
    except SpecError:
        return Document(file, data, {}, {})


def _from_json(text: str, file: str) -> Any:
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise SpecError(ConfigError(file, 1, 1, "", f"the member {twice!r} stands twice in one object: keep one"))
        return found

    try:
        return json.loads(text, object_pairs_hook=members)
    except json.JSONDecodeError as error:
        fault = ConfigError(file, error.lineno, error.colno, "", f"no JSON: {error.msg}")
        raise SpecError(fault) from error
    except RecursionError as error:
        raise SpecError(ConfigError(file, 1, 1, "", "is nested too deep")) from error


def _from_yaml(text: str, file: str) -> Document:
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        _bounded(text, file, loader)
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        raise SpecError(ConfigError(file, line, column, "", f"no YAML: {error.problem or error.context}")) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise SpecError(ConfigError(file, 1, 1, "", f"no YAML: {str(error).splitlines()[0]}")) from error
    if root is None:
        raise SpecError(ConfigError(file, 1, 1, "", "the file is empty"))
    builder = _Builder(file)
    return Document(file, builder.build(root, ()), builder.keys, builder.values)


def _bounded(text: str, file: str, loader: Any) -> None:
    """Composing takes the stack; so first the depth, event by event."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MOST_DEPTH:
            place = _position(event.start_mark)
            raise SpecError(ConfigError(file, place.line, place.column, "", f"is nested more than {MOST_DEPTH} deep"))


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


class _Builder:
    """Nodes to data. What aliases repeat is built once and shared, so that nothing expands."""

    def __init__(self, file: str) -> None:
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self._file = file
        self._built: dict[int, Any] = {}
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: Path) -> Any:
        """The value of one node and all beneath it."""
        self.values[path] = _position(node.start_mark)
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        if id(node) in self._open:
            self._fail(node, "an anchor contains itself: write the value out")
        if id(node) not in self._built:
            self._open.add(id(node))
            self._built[id(node)] = self._collection(node, path)
            self._open.discard(id(node))
        return self._built[id(node)]

    def _collection(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._fail(key_node, "a list or mapping cannot be a key")
            key = str(key_node.value)
            if key in found:
                self._fail(key_node, f"{key!r} is written twice: keep one")
            self.keys[*path, key] = _position(key_node.start_mark)
            found[key] = self.build(value_node, (*path, key))
        return found

    def _fail(self, node: yaml.Node, message: str) -> None:
        place = _position(node.start_mark)
        raise SpecError(ConfigError(self._file, place.line, place.column, "", message))
