"""Strict YAML: what is read, and what is refused at which place."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, strategies as st

from gateway.config import ConfigError, Document, Position, decode, read_file, read_yaml
from gateway.config.reading import _Builder


def faults(text: str) -> list[str]:
    found = read_yaml(text, "f")
    return [str(error) for error in found] if isinstance(found, list) else []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("30s", "30s"),
        ("2026-01-31", "2026-01-31"),
        ("'on'", "on"),
        ('"010"', "010"),
        ("'1:30'", "1:30"),
        ("y", "y"),
        ("=", "="),
        ("one two", "one two"),
        ("|\n  line\n", "line\n"),
        ("'<<'", "<<"),
    ],
)
def test_a_scalar_is_what_yaml_1_2_says(text: str, value: object) -> None:
    document = read_yaml(f"key: {text}", "f")
    assert isinstance(document, Document)
    assert document.data == {"key": value}
    assert type(document.data["key"]) is type(value)


YES = "is true to some readers of YAML and a word to others: write true, or quote it"
NO = "is false to some readers of YAML and a word to others: write false, or quote it"
OCTAL = "is octal to some readers of YAML: write it in decimal, or quote it"
NUMBER = "is a number to some readers of YAML: write it in decimal, or quote it"
UNDERSCORE = "is a number to some readers of YAML: write it without `_`, or quote it"
BASE_60 = "is a number in base 60 to some readers of YAML: quote it"


@pytest.mark.parametrize(
    ("scalar", "message"),
    [
        ("on", YES),
        ("Yes", YES),
        ("True", YES),
        ("off", NO),
        ("NO", NO),
        ("FALSE", NO),
        ("Null", "is empty to some readers of YAML: write null, or quote it"),
        ("010", OCTAL),
        ("-017", OCTAL),
        ("08", OCTAL),
        ("0o10", OCTAL),
        ("0x1F", NUMBER),
        ("0b11", NUMBER),
        ("1_000", UNDERSCORE),
        ("1_0.5", UNDERSCORE),
        ("1:30", BASE_60),
        ("1:30:00", BASE_60),
        (".inf", "is no usable number: write a finite one, or quote it"),
        ("-.NaN", "is no usable number: write a finite one, or quote it"),
        ("1e999", "is out of range: write less, or quote it"),
    ],
)
def test_a_scalar_that_readers_of_yaml_disagree_on_is_refused(scalar: str, message: str) -> None:
    assert faults(f"a: 1\nkey: {scalar}") == [f"f:2:6: key: '{scalar}' {message}"]
    assert faults(f"key: '{scalar}'") == []


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    message = "a number of so many digits is not kept exactly: shorten it, or quote it"
    assert faults(f"a: {'9' * 5000}") == [f"f:1:4: a: {message}"]


LAUGHS = "\n".join(
    f"{name}: &{name} [{', '.join([before] * 9)}]"
    for before, name in [("lol", "a"), *((f"*{chr(each)}", chr(each + 1)) for each in range(97, 105))]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f:1:1: the file is empty"),
        ("# only a remark\n", "f:1:1: the file is empty"),
        ("a: 1\nb: 2\na: 3", "f:3:1: a: is written twice, first on line 1: keep one"),
        ("a:\n  b: 1\n  'b': 2", "f:3:3: a.b: is written twice, first on line 2: keep one"),
        ("<<: {a: 1}", "f:1:1: merge keys (`<<`) are not read: write the keys out"),
        ("x: &x {a: 1}\ny:\n  <<: *x", "f:3:3: y: merge keys (`<<`) are not read: write the keys out"),
        ("a: &a [*a]", "f:1:4: a[0]: an anchor contains itself: write the value out"),
        (LAUGHS, "f:1:38: d[1][2][8][6]: aliases repeat more than 2000 values: write them out"),
        ("a: *b", "f:1:4: not YAML: found undefined alias 'b'"),
        ("a:\n\tb: 1", "f:2:1: a tab cannot indent or start a value: use spaces"),
        (
            "a: 1\n---\nb: 1",
            "f:2:1: a second document starts here: keep one document in a file, without `---` between parts",
        ),
        ("a: !!python/object:os.system x", "f:1:4: a: tag 'python/object:os.system' is not read: remove it"),
        ("a: !secret x", "f:1:4: a: tag '!secret' is not read: remove it"),
        ("a: !!str 1", "f:1:4: a: tag 'str' is not read: remove it"),
        ("a: !e!x 1", "f:1:4: tags are not read: remove it"),
        ("a:\n  8080: x", "f:2:3: a: key '8080' is not read as a string: quote it, \"8080\""),
        ("on: x", "f:1:1: key 'on' is not read as a string: quote it, \"on\""),
        ("true: x", "f:1:1: key 'true' is not read as a string: quote it, \"true\""),
        ("? [a]\n: b", "f:1:3: a list or mapping cannot be a key: write a string"),
        ("!!str a: b", "f:1:1: a key bears no tag: remove it"),
        ("${A}: b", "f:1:1: `${` is not substituted in a key: write the key itself"),
        ("a: b\x00", "f:1:5: control character U+0000: remove it"),
        ("a: 1\nb: \x1b[31m", "f:2:4: control character U+001B: remove it"),
        ("a: \ud800", "f:1:4: control character U+D800: remove it"),
        ('a: "\\e[31m"', "f:1:4: a: control character U+001B in a value: remove it"),
        ('"a\\0": 1', "f:1:1: control character in a key: remove it"),
        ('a: "\\U00110000"', "f:1:7: an escape or number here is outside what YAML allows"),
        ("[" * 100_000, "f:1:33: nested more than 32 deep"),
        ("- " * 100_000, "f:1:65: nested more than 32 deep"),
        ("a: [1", "f:1:6: not YAML: expected ',' or ']', but got '<stream end>' while parsing a flow sequence"),
        ("x" * ((1 << 20) + 1), "f:1:1: is larger than 1 MiB: no configuration is"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_what_is_not_strict_yaml_is_refused_at_its_place(text: str, expected: str) -> None:
    assert expected in faults(text)
    assert len(faults(text)) == 1 or text is LAUGHS


def test_a_billion_laughs_is_one_error_and_little_data() -> None:
    assert len(LAUGHS) < 1024
    assert len(faults(LAUGHS)) == 1


def test_every_fault_is_told_in_one_go_in_file_order() -> None:
    assert faults("a: on\nb: 010\na: 1\nc: !x y") == [
        f"f:1:4: a: 'on' {YES}",
        f"f:2:4: b: '010' {OCTAL}",
        "f:3:1: a: is written twice, first on line 1: keep one",
        "f:4:4: c: tag '!x' is not read: remove it",
    ]


def test_an_alias_that_shares_a_list_is_read() -> None:
    document = read_yaml("a: &x [1, 2]\nb: *x", "f")
    assert isinstance(document, Document)
    assert document.data == {"a": [1, 2], "b": [1, 2]}


def test_places_of_keys_and_values_are_kept() -> None:
    document = read_yaml("a:\n  - b: 1\n  - c\n", "f")
    assert isinstance(document, Document)
    assert document.keys == {("a",): Position(1, 1), ("a", 0, "b"): Position(2, 5)}
    assert document.values[("a", 0, "b")] == Position(2, 8)
    assert document.values[("a", 1)] == Position(3, 5)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a: caf\xe9", "f:1:7: byte 0xe9 is not UTF-8: save as UTF-8"),
        (b"a: 1\nb: \xff", "f:2:4: byte 0xff is not UTF-8: save as UTF-8"),
        ("a: 1".encode("utf-16"), "f:1:1: byte 0xff is not UTF-8: save as UTF-8"),
    ],
)
def test_bytes_that_are_not_utf_8_are_refused(raw: bytes, expected: str) -> None:
    assert str(decode(raw, "f")) == expected


def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    missing = read_file(tmp_path / "no.yaml", "no.yaml")
    assert str(missing) == "no.yaml:1:1: cannot be read: no such file or directory"
    assert str(read_file(tmp_path, "dir")) == "dir:1:1: cannot be read: is a directory"


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    text = read_file(tmp_path / "f.yaml", "f")
    assert isinstance(text, str)
    document = read_yaml(text, "f")
    assert isinstance(document, Document)
    assert document.data == {"a": 1, "b": 2}


def test_what_is_no_node_is_no_empty_value() -> None:
    with pytest.raises(TypeError, match="no node of YAML: Node"):
        _Builder("f").build(yaml.Node("plain", "", None, None), ())


IMPORTED_TWICE = """
import sys
import yaml
for name in [name for name in sys.modules if name.partition(".")[0] == "yaml"]:
    del sys.modules[name]
from gateway.config.reading import read_yaml
assert read_yaml("a: [1, b]", "f").data == {"a": [1, "b"]}
"""


def test_a_file_is_read_in_a_process_that_has_imported_yaml_twice() -> None:
    subprocess.run([sys.executable, "-c", IMPORTED_TWICE], check=True, cwd=Path(__file__).parents[2])


@given(st.text() | st.text(alphabet="a0:-[]{}&*!|>'\"%@`\\#,?\n\t <~.x${}U\x85\u2028"))
def test_any_text_is_read_or_refused_and_never_raises(text: str) -> None:
    found = read_yaml(text, "f")
    assert isinstance(found, Document) or (found and all(isinstance(error, ConfigError) for error in found))
    if isinstance(found, list):
        assert all(error.line >= 1 and error.column >= 1 and len(str(error).splitlines()) == 1 for error in found)
