"""JSON as tokens and key sets have to be written: UTF-8, no duplicate members, no NaN, no lone surrogates.

Two readers that resolve a duplicate member differently would see two different tokens (RFC 7515 §4, RFC 8725 §2.4).
"""

from __future__ import annotations

import json
from typing import NoReturn

import orjson


class JsonError(ValueError):
    """The text is not strict JSON; the message says why and quotes nothing of it."""


class AmbiguousError(JsonError):
    """One reader takes the first of two members of one name, another the last."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise AmbiguousError("a member stands twice")
    return members


def _no_constant(_name: str) -> NoReturn:
    raise JsonError("NaN and Infinity are not JSON")


_DECODE = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode


def _read_compact(data: bytes) -> dict[str, object] | None:
    """Decode an object in the form that issuers write; None where it is written otherwise, or is none.

    What comes out as the very same bytes when it is written again has no duplicate member, no stray number and no odd
    escape: that is proven twice as fast as it is looked for.
    """
    try:
        value = orjson.loads(data)
        return value if isinstance(value, dict) and orjson.dumps(value) == data else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def read_object(data: bytes) -> dict[str, object]:
    """Decode a JSON object.

    Raises:
        JsonError: whatever is wrong with it.
    """
    value = _read_compact(data)
    if value is not None:
        return value
    try:
        value = _DECODE(data.decode("utf-8"))
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except JsonError:
        raise
    except UnicodeError as error:
        raise JsonError("it is not valid Unicode text in UTF-8") from error
    except RecursionError as error:
        raise JsonError("it is nested too deeply") from error
    except ValueError as error:
        raise JsonError("it is not JSON") from error
    if not isinstance(value, dict):
        raise JsonError("it is not a JSON object")
    return value
