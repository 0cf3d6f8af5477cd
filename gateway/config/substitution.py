"""`${NAME}`, `${NAME:-default}`, `${file:/run/secrets/x}` in string scalars; `$${` stands for `${` itself.

Substituted after parsing: a value can fill a scalar, and never add a key, a list or a type.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from gateway.config.errors import ConfigError, Path, in_file_order
from gateway.config.fields import shown
from gateway.config.reading import UNPRINTABLE, Document

MOST_SECRET_BYTES = 64 << 10

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<body>[^}]*)(?P<end>\}?)")
_SECRET = re.compile(r"\$\{file:([^}]+)\}")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<fallback>:-(?P<default>.*))?", re.DOTALL)


class Filled(str):
    """A string that a substitution filled; it never shows itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


class _UnfilledError(Exception):
    """A reference that leads nowhere."""


def secret_files(text: str) -> list[FilePath]:
    """The files that a configuration's text may take values from: one too many, in a comment, does no harm."""
    return [FilePath(name) for name in _SECRET.findall(text)]


def substitute(document: Document, environ: Mapping[str, str]) -> Document | list[ConfigError]:
    """Fill every `${...}`; a list holds one error for each scalar that could not be filled."""
    filled, errors = fill(document, environ)
    return in_file_order(errors) if errors else filled


def fill(document: Document, environ: Mapping[str, str]) -> tuple[Document, list[ConfigError]]:
    """Like `substitute`, and yields the document beside the errors, for further checks in the same go."""
    done: set[Path] = set()
    errors: list[ConfigError] = []

    def walk(value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: walk(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        try:
            text, references = _expand(value, environ)
        except _UnfilledError as error:
            errors.append(document.error(path, str(error)))
            return value
        if not references:
            return text
        done.add(path)
        return Filled(text)

    data = walk(document.data, ())
    return replace(document, data=data, filled=frozenset(done)), errors


def _expand(text: str, environ: Mapping[str, str]) -> tuple[str, int]:
    """The text with every reference followed, and how many there were."""
    references = 0

    def value_of(found: re.Match[str]) -> str:
        nonlocal references
        body, end = found["body"], found["end"]
        if body is None:
            return "${"
        if not end or "${" in body:
            raise _UnfilledError("`${` is not closed by `}`: close it, or write `$${` for the characters themselves")
        references += 1
        value = _look_up(body, environ)
        if UNPRINTABLE.search(value):
            raise _UnfilledError(f"{_reference(body)} holds a control character: remove it there")
        return value

    return _REFERENCE.sub(value_of, text), references


def _reference(body: str) -> str:
    """A reference as errors name it: without its default, which may be a secret."""
    return shown("${" + body.partition(":-")[0] + "}")


def _look_up(body: str, environ: Mapping[str, str]) -> str:
    if body.startswith("file:"):
        return _read_secret(body.removeprefix("file:"))
    found = _VARIABLE.fullmatch(body)
    if found is None:
        raise _UnfilledError(
            f"{_reference(body)} is no reference: write ${{NAME}}, ${{NAME:-default}} or ${{file:/path}}"
        )
    name, default = found["name"], found["default"]
    value = environ.get(name)
    if default is not None:
        return value or default
    if value is None:
        raise _UnfilledError(f"environment variable {name} is not set: set it, or write ${{{name}:-default}}")
    return value


def _read_secret(name: str) -> str:
    path, label = FilePath(name), shown(name)
    if not path.is_absolute():
        raise _UnfilledError(f"{label} is no absolute path: begin it with '/'")
    try:
        with path.open("rb") as stream:
            raw = stream.read(MOST_SECRET_BYTES + 1)
    except OSError as error:
        raise _UnfilledError(f"file {label} cannot be read: {(error.strerror or 'unknown').lower()}") from None
    if len(raw) > MOST_SECRET_BYTES:
        raise _UnfilledError(f"file {label} is larger than {MOST_SECRET_BYTES >> 10} KiB: no secret is")
    try:
        return raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise _UnfilledError(f"file {label} is not UTF-8: save it as UTF-8") from None
