"""One more entry in a mapping of a YAML text. All that stood there keeps its place, its comments and its layout."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.tokens import (
    AnchorToken,
    BlockEndToken,
    BlockMappingStartToken,
    BlockSequenceStartToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    KeyToken,
    ScalarToken,
    Token,
)

from gateway.config.reading import read_yaml
from gateway.config.scalars import resolve_plain

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_STEP = "  "
_OPENS = (BlockMappingStartToken, BlockSequenceStartToken, FlowMappingStartToken, FlowSequenceStartToken)
_CLOSES = (BlockEndToken, FlowMappingEndToken, FlowSequenceEndToken)


class InsertionError(ValueError):
    """The text has a form into which nothing can be inserted safely."""


@dataclass(frozen=True, slots=True)
class _Extent:
    """Where a mapping stands in a text, by indexes of characters.

    Attributes:
        opening: its brace, or its first key.
        first: its first key; where there is none, behind the brace.
        end: behind the last character of its last entry.
        closing: its closing brace; not used where it is a block.
        in_braces: whether it is written in braces.
        in_block: whether what it is a part of is written as a block.
    """

    opening: int
    first: int
    end: int
    closing: int
    in_braces: bool
    in_block: bool


def with_entry(text: str, section: str, key: str, value: Mapping[str, Any]) -> str:
    """The text with `key: value` as the last entry of the mapping that stands under `section` at the top.

    `value` is plain data of strings, numbers, truth values, lists and mappings. What is returned reads as before,
    with that entry and nothing else beside it.

    Raises:
        InsertionError: the text is not sound YAML, or written in a form where that can't be had.
    """
    before = _data(text)
    if not isinstance(before.get(section), dict) or key in before[section]:
        raise InsertionError(f"there is no mapping {section!r}, or {key!r} is in it already")
    extent = _find(text, section)
    inserted = (_in_braces if extent.in_braces else _in_block)(text, extent, key, value)
    if _data(inserted) != before | {section: before[section] | {key: value}}:
        raise InsertionError(f"the mapping {section!r} is written in a form that cannot be edited")
    return inserted


def entry_text(key: str, value: Mapping[str, Any], indent: str = "") -> str:
    """An entry as a block, each line with its newline."""
    return "".join(f"{indent}{line}\n" for line in _lines(key, value))


def _data(text: str) -> dict[str, Any]:
    document = read_yaml(text, "")
    if isinstance(document, list) or not isinstance(document.data, dict):
        raise InsertionError("the text cannot be read")
    data: dict[str, Any] = document.data
    return data


def _find(text: str, section: str) -> _Extent:
    """Tokens tell more than nodes: where an alias stands, and where a block really ends."""
    tokens = list(yaml.scan(text, yaml.SafeLoader))
    depth = 0
    for place, token in enumerate(tokens):
        depth += isinstance(token, _OPENS) - isinstance(token, _CLOSES)
        is_named = isinstance(token, ScalarToken) and token.value == section
        if depth == 1 and is_named and isinstance(tokens[place - 1], KeyToken):
            return _extent(tokens, place + 2)
    raise InsertionError(f"there is no key {section!r} at the top")


def _extent(tokens: Sequence[Token], start: int) -> _Extent:
    """The extent of the mapping whose first token, or its anchor, is there."""
    while isinstance(tokens[start], AnchorToken):
        start += 1
    if not isinstance(tokens[start], BlockMappingStartToken | FlowMappingStartToken):
        raise InsertionError("an alias stands in place of the mapping")
    depth, stop = 1, start
    while depth:
        stop += 1
        depth += isinstance(tokens[stop], _OPENS) - isinstance(tokens[stop], _CLOSES)
    content = [token for token in tokens[start + 1 : stop] if not isinstance(token, BlockEndToken)]
    opening = tokens[start]
    return _Extent(
        opening=opening.start_mark.index,
        first=content[0].start_mark.index if content else opening.end_mark.index,
        end=content[-1].end_mark.index if content else opening.end_mark.index,
        closing=tokens[stop].start_mark.index,
        in_braces=isinstance(opening, FlowMappingStartToken),
        in_block=isinstance(next(token for token in tokens if isinstance(token, _OPENS)), BlockMappingStartToken),
    )


def _in_block(text: str, extent: _Extent, key: str, value: Mapping[str, Any]) -> str:
    """Below the last entry and the comments that are indented like it."""
    indent = _indent(text, extent.first)
    return _with_lines(text, _below(text, extent.end, len(indent)), entry_text(key, value, indent))


def _in_braces(text: str, extent: _Extent, key: str, value: Mapping[str, Any]) -> str:
    """Before the closing brace, on a line of its own where the last entry ends a line."""
    entry = f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}"
    between = text[extent.end : extent.closing]
    if extent.end == extent.opening + 1:
        if extent.in_block and not between.strip():
            return _block_for_braces(text, extent, key, value)
        return text[: extent.closing] + entry + text[extent.closing :]
    comma = "" if text[extent.end - 1] == "," else ","
    if "\n" not in between:
        return f"{text[: extent.end]}{comma} {entry}{between}{text[extent.closing :]}"
    text = text[: extent.end] + comma + text[extent.end :]
    return _with_lines(text, _line_end(text, extent.end), f"{_indent(text, extent.first)}{entry}\n")


def _block_for_braces(text: str, extent: _Extent, key: str, value: Mapping[str, Any]) -> str:
    """`clients: {}` gives way to a block."""
    head = text[: extent.opening].rstrip(" ")
    without = head + text[extent.closing + 1 :]
    return _with_lines(without, _line_end(without, len(head)), entry_text(key, value, _STEP))


def _below(text: str, end: int, column: int) -> int:
    """Where the next line begins that is neither a comment indented so far or farther, nor a blank before one."""
    place = look = end if text[end - 1] == "\n" else _line_end(text, end)
    while look < len(text):
        line = text[look : _line_end(text, look)]
        look += len(line)
        if line.lstrip(" ").startswith("#") and len(line) - len(line.lstrip(" ")) >= column:
            place = look
        elif line.strip():
            break
    return place


def _with_lines(text: str, place: int, lines: str) -> str:
    """The text with more lines from a line's beginning on, which may be the text's end."""
    newline = "\r\n" if "\r\n" in text else "\n"
    head = text[:place]
    if head and not head.endswith("\n"):
        head += newline
    return head + lines.replace("\n", newline) + text[place:]


def _line_end(text: str, index: int) -> int:
    """Behind the newline that ends the line of this character; the text's end where there is none."""
    return text.find("\n", index) + 1 or len(text)


def _indent(text: str, index: int) -> str:
    """The blanks with which the line of this character begins."""
    line = text[text.rfind("\n", 0, index) + 1 : index]
    return line[: len(line) - len(line.lstrip(" "))]


def _lines(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        yield f"{_scalar(key)}:"
        yield from (_STEP + line for name, item in value.items() for line in _lines(name, item))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        yield f"{_scalar(key)}:"
        yield from (f"{_STEP}- {json.dumps(item, ensure_ascii=False)}" for item in value)
    elif isinstance(value, list):
        yield f"{_scalar(key)}: [{', '.join(map(_scalar, value))}]"
    else:
        yield f"{_scalar(key)}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    """Without quotes where every reader takes it for the same string."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and resolve_plain(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)
