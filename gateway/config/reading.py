"""Strict YAML: text becomes plain data and the place of every key and value, or errors.

Read are mappings, lists and scalars of YAML 1.2's core, with plain true, false, null, decimal numbers and strings.
What YAML 1.1 and 1.2 read differently (`on`, `010`, `1:30`) is an error, and so is all that can turn a short file
into much data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import yaml

from gateway.config.composing import compose, marked, position
from gateway.config.errors import ConfigError, Path, Position, dotted, in_file_order
from gateway.config.scalars import Scalar, resolve_plain

MOST_BYTES = 1 << 20
MOST_ALIASED = 2_000
"""Nodes that aliases may repeat in one file: ample for shared lists, far below a billion laughs."""

_YAML_TAGS = "tag:yaml.org,2002:"
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says: plain data (dict, list, scalars), and where each key and value stands."""

    file: str
    data: Any
    keys: Mapping[Path, Position]
    values: Mapping[Path, Position]
    filled: frozenset[Path] = frozenset()
    """Scalars that a substitution filled: never shown."""
    origins: Mapping[Path, Origin] = field(default_factory=dict)
    """Where parts were written that now stand elsewhere; the longest path counts."""
    included: tuple[FilePath, ...] = ()
    """Files that were included, and folders in which more of them could appear."""

    def at(self, path: Path) -> Any:
        """The value at a path that exists."""
        value = self.data
        for step in path:
            value = value[step]
        return value

    def error(self, path: Path, message: str, *, on_key: bool = False) -> ConfigError:
        """A fault at a scalar, at the key of a list or mapping, or at the nearest enclosing thing that has a place."""
        document, written = self.origin(path)
        if document is not self:
            return document.error(written, message, on_key=on_key)
        place, known = self.values.get(path), path
        while place is None and known:
            known = known[:-1]
            place = self.keys.get(known) or self.values.get(known)
        if path in self.keys and (on_key or isinstance(self.at(path), dict | list)):
            place = self.keys[path]
        place = place or Position(1, 1)
        return ConfigError(self.file, place.line, place.column, dotted(path), message)

    def origin(self, path: Path) -> Origin:
        """Where a path was written: in which document, and at which path of it."""
        for length in range(len(path), -1, -1) if self.origins else ():
            if (origin := self.origins.get(path[:length])) is not None:
                return origin.document.origin((*origin.path, *path[length:]))
        return Origin(self, path)

    def named(self, path: Path) -> str:
        """A path as it was written, with the file's name where that is another one."""
        document, written = self.origin(path)
        return dotted(written) if document.file == self.file else f"{dotted(written)} in {document.file}"

    def redacted(self) -> Any:
        """The data, for people: whatever a substitution filled is `***`."""
        return _redacted(self.data, (), self.filled)


class Origin(NamedTuple):
    """Where something was written."""

    document: Document
    path: Path


def part(document: Document, path: Path) -> Document:
    """One part of a document as a document of its own, whose faults are told at their places in the whole."""
    data = document.at(path)
    below = list(paths_below(data))
    return Document(
        document.file,
        data,
        keys=_moved(document.keys, path, below),
        values=_moved(document.values, path, below),
        filled=frozenset(each for each in below if (*path, *each) in document.filled),
        origins={(): Origin(document, path)},
    )


def _moved(places: Mapping[Path, Position], path: Path, below: list[Path]) -> dict[Path, Position]:
    return {each: places[*path, *each] for each in below if (*path, *each) in places}


def paths_below(value: Any) -> Iterator[Path]:
    """The path of a value, which is empty, and those of all values in it."""
    yield ()
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from ((step, *path) for path in paths_below(inner))


def _redacted(value: Any, path: Path, filled: frozenset[Path]) -> Any:
    if path in filled:
        return "***"
    if isinstance(value, dict):
        return {key: _redacted(item, (*path, key), filled) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, (*path, index), filled) for index, item in enumerate(value)]
    return value


def read_file(path: FilePath, file: str) -> str | ConfigError:
    """A configuration file's text; `file` is what errors call it."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        return ConfigError(file, 1, 1, "", f"cannot be read: {reason}")
    return decode(raw, file)


def decode(raw: bytes, file: str) -> str | ConfigError:
    """UTF-8 to text, or the place of the first byte that is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        place = position(raw[: error.start].decode("utf-8"))
        return ConfigError(
            file, place.line, place.column, "", f"byte 0x{raw[error.start]:02x} is not UTF-8: save as UTF-8"
        )


def read_yaml(text: str, file: str) -> Document | list[ConfigError]:
    """Read one YAML document; a list holds every fault that could be told apart, in the file's order."""
    document, errors = examine(text, file)
    return in_file_order(errors) if errors or document is None else document


def examine(text: str, file: str) -> tuple[Document | None, list[ConfigError]]:
    """Like `read_yaml`, and yields what could be read beside the errors, for further checks in the same go."""
    if len(text) > MOST_BYTES:
        return None, [ConfigError(file, 1, 1, "", f"is larger than {MOST_BYTES >> 20} MiB: no configuration is")]
    root = compose(text, file)
    if isinstance(root, ConfigError):
        return None, [root]
    builder = _Builder(file)
    data = builder.build(root, ())
    return Document(file, data, builder.keys, builder.values), builder.errors


class _Builder:
    """Nodes to plain data; gathers places and faults on the way."""

    def __init__(self, file: str) -> None:
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self.errors: list[ConfigError] = []
        self._file = file
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._aliased = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        """The value of one node and all beneath it."""
        self.values[path] = marked(node.start_mark)
        if not self._bounded(node, path):
            return None
        if node.tag not in ("plain", "untagged"):
            self._fault(node, path, f"tag {node.tag.removeprefix(_YAML_TAGS)!r} is not read: remove it")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        value: Any
        if isinstance(node, yaml.SequenceNode):
            value = [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            value = {key: self.build(item, (*path, key)) for key, item in self._members(node, path)}
        else:
            raise TypeError(f"no node of YAML: {type(node).__name__}")
        self._open.discard(id(node))
        return value

    def _bounded(self, node: yaml.Node, path: Path) -> bool:
        if id(node) in self._open:
            self._fault(node, path, "an anchor contains itself: write the value out")
            return False
        if id(node) not in self._seen:
            self._seen.add(id(node))
            return True
        self._aliased += 1
        if self._aliased == MOST_ALIASED + 1:
            self._fault(node, path, f"aliases repeat more than {MOST_ALIASED} values: write them out")
        return self._aliased <= MOST_ALIASED

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Scalar:
        bad = UNPRINTABLE.search(node.value)
        if bad:
            self._fault(node, path, f"control character U+{ord(bad[0]):04X} in a value: remove it")
            # Further checks go on without it: no message could be written that quotes half of a surrogate pair.
            return UNPRINTABLE.sub("\ufffd", node.value)
        if node.tag != "plain":
            return str(node.value)
        value = resolve_plain(node.value)
        if isinstance(value, ValueError):
            self._fault(node, path, str(value))
            return None
        return value

    def _members(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, yaml.Node]]:
        first: dict[str, Position] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in first:
                self._fault(key_node, (*path, key), f"is written twice, first on line {first[key].line}: keep one")
                continue
            first[key] = self.keys[*path, key] = marked(key_node.start_mark)
            yield key, value_node

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._fault(node, path, "a list or mapping cannot be a key: write a string")
        elif node.tag not in ("plain", "untagged"):
            self._fault(node, path, "a key bears no tag: remove it")
        elif UNPRINTABLE.search(node.value):
            self._fault(node, path, "control character in a key: remove it")
        elif "${" in node.value:
            self._fault(node, path, "`${` is not substituted in a key: write the key itself")
        elif node.tag == "plain" and node.value == "<<":
            self._fault(node, path, "merge keys (`<<`) are not read: write the keys out")
        elif node.tag == "plain" and not isinstance(resolve_plain(node.value), str):
            self._fault(node, path, f'key {node.value!r} is not read as a string: quote it, "{node.value}"')
        else:
            return str(node.value)
        return None

    def _fault(self, node: yaml.Node, path: Path, message: str) -> None:
        place = marked(node.start_mark)
        self.errors.append(ConfigError(self._file, place.line, place.column, dotted(path), message))
