"""libyaml's parser reads as PyYAML's does, places included, or PyYAML's own is asked."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings, strategies as st

from gateway.config import ConfigError
from gateway.config.composing import _composed_by_libyaml, compose

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "config").glob("*.yaml"))
CORPUS = [file.read_text() for file in FILES]
PARTS_OF_PAGES = [
    block
    for page in sorted((ROOT / "docs").glob("*.md"))
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
]


def seen(node: yaml.Node | ConfigError, known: dict[int, int] | None = None) -> Any:
    """All that a reader may see of a tree: kinds, tags, values, places, and what is one and the same node."""
    if isinstance(node, ConfigError):
        return str(node)
    known = {} if known is None else known
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = len(known)
    value: Any = node.value
    if isinstance(node, yaml.SequenceNode):
        value = [seen(item, known) for item in value]
    elif isinstance(node, yaml.MappingNode):
        value = [(seen(key, known), seen(item, known)) for key, item in value]
    return type(node).__name__, node.tag, value, node.start_mark.line, node.start_mark.column


def assert_alike(text: str) -> None:
    assert seen(compose(text, "f")) == seen(compose(text, "f", with_libyaml=False))


@pytest.mark.parametrize("text", [*CORPUS, *PARTS_OF_PAGES])
def test_what_the_project_writes_is_read_alike(text: str) -> None:
    assert_alike(text)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_the_files_in_config_are_read_by_libyaml(file: Path) -> None:
    assert _composed_by_libyaml(file.read_text()) is not None


LONG = "x" * 1030
NASTY = [
    "",
    "\n",
    "#",
    "\ufeffa: 1",
    "\ufeff# x\na: 1",
    "a: 1\n\ufeffb: 2",
    "a\ufeff: b",
    "a\t",
    "a:\tb",
    "-\ta",
    "a: b\t# c",
    "a:\n\tb: c",
    "{\ta: b}",
    '"a\tb"',
    "a: 1\r\nb:\r\n  - c\r\n",
    "a: 1\rb: 2",
    "a: 1\x85b: 2",
    "a: 1\u2028b: 2\u2029c: 3",
    "a: |\n  x\u2028  y\n",
    'a: "x\x85 y"',
    "\U0001f600: \U0001f600\nb: {\U0001f600: é, ü: [*a]}",
    "é: &é 1",
    "a: &b-1_2 {c: *b-1_2 }",
    "a: &a 1\nb: &a 2\nc: *a",
    "a: # x\n  b # y\n#z\nc:#d",
    "a: |\n  x\n\n   y\n \nb: >-\n  x\n  y\n\n  z",
    "a: |2\n   x\n",
    "a: |+\n\n\n",
    "a: >9\n x",
    "a: |#x\n  y",
    "a: | # x\n  y",
    "a: |-0\n  x",
    "a: 1\n---\nb: 2",
    "a: 1\n...\n",
    "a: 1\n...\nb",
    "---",
    "--- \n",
    "---\na: 1",
    "--- a",
    "---a",
    "%YAML 1.1\n---\na: 1",
    "%YAML 1.2\n---\na: 1",
    "%YAML 2.0\n---\na: 1",
    "%TAG ! tag:x,2026:\n---\na: !b c",
    "%FOO\n--- a",
    "!",
    "a: ! b",
    "a: !!str b",
    "a: !<x> b",
    "!a {b: !c [d]}",
    "?",
    "? a\n: b",
    "[? a : b]",
    "[a?b, .?]",
    "a: b?c\nd: e?",
    "a:\n",
    "{a: , b:\n}",
    "{a:\n}",
    "[a:\n]",
    "[a: b, c : d, e]",
    "[a:b, ::c]",
    "{a, b: c,}",
    "[,]",
    "{[a]: b}",
    '{"a":b, "c" : d}',
    "a: 'it''s'\nb: \"\\x41\\u00e9\\U0001F600\\/\\\n  x\"",
    'a: "\\ud800"',
    'a: "\\q"',
    "a: 'x\n\n  y'",
    "a: b\n  c\n\n  d",
    "a: b: c",
    "- - a\n  - b\n-\n  - c",
    "a:\n- b\n- c\nd: e",
    f"{LONG}: 1",
    f"'{LONG}': 1",
    f"{{{LONG}: 1}}",
    f"[{LONG}]: 1",
    f"{'é' * 600}: 1",
    f"{'é' * 1100}: 1",
    "[" * 32 + "]" * 32,
    "[" * 33 + "]" * 33,
    f"a: &a 1\nb: {'[' * 31}*a{']' * 31}",
    f"a: &a 1\nb: {'[' * 32}*a{']' * 32}",
    "@a",
    "`a",
    "a: %b",
    "a: -",
    "-",
    "-a: --b",
    "a: \x7f",
    "a: \ufffe",
    "a: \ud800",
    "<<: {a: 1}",
]


@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text)[:40])
def test_what_parsers_stumble_over_is_read_alike(text: str) -> None:
    assert_alike(text)
    assert_alike(f"k:\n  - {text}\n")
    assert_alike(f"[k, {text}]")


SCRAPS = [
    *["a", "b: 1", "- ", "? ", ": ", ":", ",", "[", "]", "{", "}", "\n", "\n  ", "\n    ", " ", "# c\n", "#", "'", '"'],
    *["|\n", "|-\n", ">+\n", ">2", "&a ", "*a ", "!", "!b ", "%YAML 1.1\n", "---", "\n---\n", "\n...\n", "\t", "\r\n"],
    *[
        "\x85",
        "\u2028",
        "\ufeff",
        "é",
        "\U0001f600",
        "\\",
        "\\x41",
        "\\\n",
        "?",
        "<<",
        "null",
        "key: value\n",
        "@",
        "-",
    ],
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(SCRAPS), max_size=12).map("".join) | st.text())
def test_any_text_is_read_alike(text: str) -> None:
    assert_alike(text)


@settings(max_examples=50)
@given(st.sampled_from(CORPUS), st.floats(0, 1), st.integers(0, 30), st.sampled_from(SCRAPS))
@example(CORPUS[0], 1, 0, "? ")
def test_any_damage_to_a_file_is_read_alike(text: str, share: float, cut: int, scrap: str) -> None:
    at = round(share * len(text))
    assert_alike(text[:at] + scrap + text[at + cut :])
