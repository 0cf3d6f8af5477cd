"""An entry is put into a mapping, and nothing else of the text changes."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway.config import read_yaml
from gateway.config.insertion import InsertionError, with_entry

ENTRY = {"type": "trusted", "roles": ["auditor"]}
BLOCK = "type: trusted\n    roles: [auditor]\n"
IN_BRACES = '"new": {"type": "trusted", "roles": ["auditor"]}'


def data(text: str) -> dict[str, Any]:
    document = read_yaml(text, "")
    assert not isinstance(document, list), document
    found: dict[str, Any] = document.data
    return found


CASES = {
    "the last section": ("a: 1\nclients:\n  b:\n    c: 1\n", "a: 1\nclients:\n  b:\n    c: 1\n  new:\n    " + BLOCK),
    "no newline at the end": ("clients:\n  b: {c: 1}", "clients:\n  b: {c: 1}\n  new:\n    " + BLOCK),
    "another section follows": (
        "clients:\n  b: {c: 1}   # one\n\n# next\nz: 1\n",
        "clients:\n  b: {c: 1}   # one\n  new:\n    " + BLOCK + "\n# next\nz: 1\n",
    ),
    "comments of the last entry": (
        "clients:\n  b:\n    c: 1\n    # d: 2\n\n  # e: {}\n# top\nz: 1\n",
        "clients:\n  b:\n    c: 1\n    # d: 2\n\n  # e: {}\n  new:\n    " + BLOCK + "# top\nz: 1\n",
    ),
    "a list without indentation": (
        "clients:\n  b:\n    c:\n    - 1\n    - 2\nz: 1\n",
        "clients:\n  b:\n    c:\n    - 1\n    - 2\n  new:\n    " + BLOCK + "z: 1\n",
    ),
    "an alias at the end": (
        "x: &x {c: 1}\nclients:\n  b: *x\nz: 1\n",
        "x: &x {c: 1}\nclients:\n  b: *x\n  new:\n    " + BLOCK + "z: 1\n",
    ),
    "a text of several lines at the end": (
        "clients:\n  b:\n    c: |\n      # no comment\n      two\n\nz: 1\n",
        "clients:\n  b:\n    c: |\n      # no comment\n      two\n\n  new:\n    " + BLOCK + "z: 1\n",
    ),
    "an empty mapping": ("clients: {}  # none\nz: 1\n", "clients:  # none\n  new:\n    " + BLOCK + "z: 1\n"),
    "an empty mapping with a comment": ("clients: {\n  # none\n}\n", "clients: {\n  # none\n" + IN_BRACES + "}\n"),
    "braces on one line": ("clients: { b: {c: 1} }\n", "clients: { b: {c: 1}, " + IN_BRACES + " }\n"),
    "braces with a comma": ("clients: {b: {c: 1},}\n", "clients: {b: {c: 1}, " + IN_BRACES + "}\n"),
    "braces on many lines": (
        "clients: {\n  b: {c: 1}   # one\n  # more\n}\nz: 1\n",
        "clients: {\n  b: {c: 1},   # one\n  " + IN_BRACES + "\n  # more\n}\nz: 1\n",
    ),
    "JSON": ('{"clients": {"b": {}}, "z": 1}', '{"clients": {"b": {}, ' + IN_BRACES + '}, "z": 1}'),
    "JSON on many lines": (
        '{\n  "clients": {\n    "b": {\n    }\n  }\n}\n',
        '{\n  "clients": {\n    "b": {\n    },\n    ' + IN_BRACES + "\n  }\n}\n",
    ),
    "JSON without an entry": ('{\n  "clients": {}\n}', '{\n  "clients": {' + IN_BRACES + "}\n}"),
    "a section of the same name deeper down": (
        "a:\n  clients: {x: 1}\nclients:\n  b: 1\n",
        "a:\n  clients: {x: 1}\nclients:\n  b: 1\n  new:\n    " + BLOCK,
    ),
    "an anchor": ("clients: &all\n  b: 1\n", "clients: &all\n  b: 1\n  new:\n    " + BLOCK),
    "a quoted key": (
        '"clients":\n    b: 1\n',
        '"clients":\n    b: 1\n    new:\n' + "      type: trusted\n      roles: [auditor]\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES)
def test_an_entry_comes_last_and_nothing_else_changes(before: str, after: str) -> None:
    assert with_entry(before, "clients", "new", ENTRY) == after


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES)
def test_the_ends_of_lines_stay_what_they_are(before: str, after: str) -> None:
    crlf = with_entry(before.replace("\n", "\r\n"), "clients", "new", ENTRY)
    assert crlf.replace("\r\n", "\n") == after
    assert "\n" not in crlf.replace("\r\n", "") or "\n" not in before  # a text of one line has ends of no kind


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1\n",
        "clients:\n",
        "clients: [a]\n",
        "clients: {new: 1}\n",
        "clients: {\n",
        "x: &x {b: 1}\nclients: *x\n",
        "clients: &c {}\nz: *c\n",
        "- clients\n",
        "? clients\n: b: 1\n",
    ],
)
def test_a_form_that_cannot_be_edited_is_refused(text: str) -> None:
    with pytest.raises(InsertionError):
        with_entry(text, "clients", "new", ENTRY)


names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20).filter(
    lambda name: "${" not in name
)
values = st.dictionaries(
    names,
    st.recursive(
        st.one_of(names, st.integers(-999, 999), st.booleans()),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
        max_leaves=6,
    ),
    max_size=4,
)


@given(st.sampled_from(sorted(CASES)), names.filter(lambda name: name not in "bx"), values)
def test_whatever_the_entry_the_text_reads_as_before_with_it(case: str, key: str, value: dict[str, Any]) -> None:
    before, _ = CASES[case]
    inserted = with_entry(before, "clients", key, value)
    assert data(inserted)["clients"] == data(before)["clients"] | {key: value}
    assert {name: data(inserted)[name] for name in data(before) if name != "clients"} == {
        name: item for name, item in data(before).items() if name != "clients"
    }


def test_an_entry_without_special_characters_bears_no_quotes() -> None:
    entry = {"name": "on", "jwks": {"keys": [{"kty": "OKP"}]}, "roles": ["a.b", "c d"], "x": {}, "n": 1}
    text = with_entry("clients: {}\n", "clients", "nightly-batch", entry)
    assert text == (
        'clients:\n  nightly-batch:\n    name: "on"\n    jwks:\n      keys:\n        - {"kty": "OKP"}\n'
        f'    roles: [a.b, "c d"]\n    x: {json.dumps({})}\n    n: 1\n'
    )
