"""Plain data to frozen models; every pydantic error becomes a ConfigError at its place, in plain words."""

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from gateway.config.errors import ConfigError, Path, in_file_order
from gateway.config.fields import shown
from gateway.config.reading import Document, examine
from gateway.config.redaction import masked
from gateway.config.scalars import resolve_plain
from gateway.config.substitution import Filled, fill

M = TypeVar("M", bound=BaseModel)


class Section(BaseModel):
    """The base of every configuration model: frozen, strict, closed. Lists are read as tuples.

    A field may be called what it is called in YAML, or bear an alias. Defaults are validated, so they may be
    written as in YAML.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, hide_input_in_errors=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _number_from_substitution(cls, value: Any, info: ValidationInfo) -> Any:
        """`connections: ${MOST}` fills a number or a truth value where the field is one."""
        field = cls.model_fields.get(info.field_name or "")
        if not isinstance(value, Filled) or field is None or field.annotation not in (int, float, bool):
            return value
        meant = resolve_plain(str(value))
        fits = type(meant) is field.annotation or (type(meant) is int and field.annotation is float)
        return meant if fits else value


class MisplacedError(ValueError):
    """Raised in a model's validator to name the faulty keys beneath it: (path from the model, message) each."""

    def __init__(self, *faults: tuple[Path, str]) -> None:
        super().__init__("; ".join(message for _, message in faults))
        self.faults = faults


def load(model: type[M], text: str, file: str, environ: Mapping[str, str]) -> M | list[ConfigError]:
    """Read, substitute and bind in one go; the errors of all three, in the file's order."""
    document, errors = prepare(text, file, environ)
    if document is None:
        return errors
    bound = bind(model, document)
    return merged(errors, bound) if errors or isinstance(bound, list) else bound


def prepare(text: str, file: str, environ: Mapping[str, str]) -> tuple[Document | None, list[ConfigError]]:
    """Read and substitute, keeping what is readable beside the errors."""
    document, errors = examine(text, file)
    if document is None:
        return None, errors
    document, unfilled = fill(document, environ)
    return document, [*errors, *unfilled]


def merged(earlier: list[ConfigError], later: object) -> list[ConfigError]:
    """The errors of two steps: a value that failed in the earlier step is not judged again in the later one."""
    faulty = {(error.file, error.line, error.column, error.key) for error in earlier}
    more = later if isinstance(later, list) else []
    fresh = (error for error in more if (error.file, error.line, error.column, error.key) not in faulty)
    return in_file_order([*earlier, *fresh])


def bind(model: type[M], document: Document) -> M | list[ConfigError]:
    """Validate a document as a model; errors in the file's order."""
    empty = list(_empty_values(document))
    try:
        bound = model.model_validate(frozen(document.data))
    except ValidationError as error:
        details = _without_consequences(error.errors(include_url=False))
        return merged(empty, [fault for detail in details for fault in _translated(model, document, detail)])
    return in_file_order(empty) if empty else bound


def _without_consequences(details: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """A list whose items were all refused counts as too short for pydantic: only the items are at fault."""
    places = [detail["loc"] for detail in details]

    def has_faulty_items(loc: tuple[str | int, ...]) -> bool:
        return any(len(place) > len(loc) and place[: len(loc)] == loc for place in places)

    for detail in details:
        if detail["type"] != "too_short" or not has_faulty_items(detail["loc"]):
            yield detail


def _empty_values(document: Document) -> Iterator[ConfigError]:
    """`issuers:` with nothing behind it would read as "no restriction": doubtful, so an error anywhere."""
    for path in document.values:
        if path and document.at(path) is None:
            yield document.error(path, "is empty: give it a value, or remove the key")


def nearest(word: str, known: Iterable[str], noun: str) -> str:
    """`did you mean 'x'?`, or the list of what is known."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"{noun} are: {', '.join(names)}" if names else f"there are no {noun}"


def frozen(value: Any) -> Any:
    """The same data with tuples for lists, which is what models take."""
    if isinstance(value, dict):
        return {key: frozen(item) for key, item in value.items()}
    return tuple(frozen(item) for item in value) if isinstance(value, list) else value


def _translated(model: type[BaseModel], document: Document, detail: ErrorDetails) -> Iterator[ConfigError]:
    kind = detail["type"]
    path, rest = _known_part(document, detail["loc"])
    raised = detail.get("ctx", {}).get("error")
    if kind == "missing":
        key = str(detail["loc"][-1])
        yield _missing(document, path if not rest else (*path, key))
    elif kind == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        message = f"unknown key: {nearest(str(path[-1]), known, 'known keys')}"
        yield document.error(path, message, on_key=True)
    elif isinstance(raised, MisplacedError):
        for below, message in raised.faults:
            full = (*path, *below)
            yield document.error(full, masked(document, full, message))
    else:
        message = str(raised) if isinstance(raised, ValueError) else _in_words(detail)
        yield document.error(path, masked(document, path, message))


def _missing(document: Document, path: Path) -> ConfigError:
    return document.error(path, "is required and missing: add it")


def _known_part(document: Document, loc: Iterable[str | int]) -> tuple[Path, bool]:
    """The longest path of a location that the document has; pydantic puts names of unions in between."""
    path: Path = ()
    rest = False
    for step in loc:
        rest = (*path, step) not in document.values
        if not rest:
            path = (*path, step)
    return path, rest


_KINDS = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
}
_BOUNDS = {
    "greater_than_equal": "must be at least {ge}, not {given}",
    "greater_than": "must be more than {gt}, not {given}",
    "less_than_equal": "must be at most {le}, not {given}",
    "less_than": "must be less than {lt}, not {given}",
    "literal_error": "must be {expected}, not {given}",
    "string_pattern_mismatch": "{given} does not have the form {pattern}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}


def _in_words(detail: ErrorDetails) -> str:
    kind, given = detail["type"], detail["input"]
    name = "***" if isinstance(given, Filled) else shown(given)
    if kind in _KINDS:
        advice = ": quote it" if kind == "string_type" and isinstance(given, int | float | bool) else ""
        return f"must be {_KINDS[kind]}, not {name}{advice}"
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**detail.get("ctx", {}), given=name)
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _keys_at(model: type[BaseModel], path: Path) -> set[str]:
    """The keys that the models allow at a path."""
    found: list[Any] = [model]
    for step in path:
        found = [inner for outer in found for inner in _below(outer, step)]
    return {
        field.alias or name
        for each in found
        if isinstance(each, type) and issubclass(each, BaseModel)
        for name, field in each.model_fields.items()
    }


def _below(outer: Any, step: str | int) -> Iterator[Any]:
    """The types that may stand one step beneath a type."""
    if isinstance(outer, type) and issubclass(outer, BaseModel):
        for name, field in outer.model_fields.items():
            if step == (field.alias or name):
                yield from _members(field.annotation)
        return
    arguments = [each for each in get_args(outer) if each is not Ellipsis]
    if arguments:
        yield from _members(arguments[-1])


def _members(annotation: Any) -> Iterator[Any]:
    """A type, or each alternative of a union, without what annotates it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for each in get_args(annotation):
            yield from _members(each)
    else:
        yield annotation
