"""docs/issuance-log.md describes every member of a record, with its type."""

from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from gateway.issuer.issuance_log import IssuanceRecord

from .pages import read, rows, sections

WORDS = {int: "integer", str: "string", NoneType: "null"}
MEMBERS = get_type_hints(IssuanceRecord)


def documented() -> dict[str, list[str]]:
    return {cells[0]: cells for cells in rows(sections(read("issuance-log.md"), 2)["Members"])}


def in_words(kind: Any) -> str:
    if get_origin(kind) is list:
        return f"list of {in_words(get_args(kind)[0])}s"
    if get_origin(kind) is Literal:
        return "string"
    return " or ".join(map(in_words, get_args(kind))) if get_args(kind) else WORDS[kind]


@pytest.mark.parametrize("member", MEMBERS)
def test_every_member_is_documented_with_its_type(member: str) -> None:
    cells = documented().get(member)
    assert cells is not None, f"docs/issuance-log.md: add a row for `{member}`"
    assert cells[1] == in_words(MEMBERS[member])
    assert cells[2]


def test_members_are_listed_in_the_order_of_a_record() -> None:
    assert list(documented()) == list(MEMBERS)
