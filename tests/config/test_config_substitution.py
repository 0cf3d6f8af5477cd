"""`${...}` fills scalars, cannot change structure, and is never shown."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway.config import Document, Duration, Section, load, read_yaml, substitute
from gateway.config.gateway_file import parse

ENVIRON = {"NAME": "value", "EMPTY": "", "TREE": "{a: [1]}", "BELL": "ding\x07", "TOKEN": "hunter2-secret"}


def filled(text: str) -> Any:
    document = read_yaml(text, "f")
    assert isinstance(document, Document)
    return substitute(document, ENVIRON)


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("${NAME}", "value"),
        ("a-${NAME}-${NAME}", "a-value-value"),
        ("${NAME:-other}", "value"),
        ("${UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${UNSET:-}", ""),
        ("'${UNSET:-a: [b]}'", "a: [b]"),
        ("$${NAME}", "${NAME}"),
        ("$NAME", "$NAME"),
        ("'{plain}'", "{plain}"),
        ("${TREE}", "{a: [1]}"),
    ],
)
def test_a_reference_is_filled_in_and_stays_one_string(scalar: str, value: str) -> None:
    assert filled(f"key: {scalar}").data == {"key": value}


@pytest.mark.parametrize(
    ("scalar", "message"),
    [
        ("${UNSET}", "environment variable UNSET is not set: set it, or write ${UNSET:-default}"),
        ("${1X}", "'${1X}' is no reference: write ${NAME}, ${NAME:-default} or ${file:/path}"),
        ("${a b:-hunter2}", "'${a b}' is no reference: write ${NAME}, ${NAME:-default} or ${file:/path}"),
        ("${}", "'${}' is no reference: write ${NAME}, ${NAME:-default} or ${file:/path}"),
        ("${NAME", "`${` is not closed by `}`: close it, or write `$${` for the characters themselves"),
        ("${NAME:-${X}}", "`${` is not closed by `}`: close it, or write `$${` for the characters themselves"),
        ("${BELL}", "'${BELL}' holds a control character: remove it there"),
        ("${file:secret}", "'secret' is no absolute path: begin it with '/'"),
        ("${file:/nowhere/x}", "file '/nowhere/x' cannot be read: no such file or directory"),
    ],
)
def test_a_reference_that_leads_nowhere_is_an_error_at_its_scalar(scalar: str, message: str) -> None:
    assert [str(error) for error in filled(f"a: 1\nkeys:\n  - '{scalar}'")] == [f"f:3:5: keys[0]: {message}"]


def test_every_unset_variable_is_told_in_one_go() -> None:
    assert [error.line for error in filled("a: ${X}\nb: ${NAME}\nc: ${Y}")] == [1, 3]


@pytest.mark.parametrize(
    ("raw", "value"), [(b"s3cret\n", "s3cret"), (b"s3cret\r\n", "s3cret"), (b"a\nb\n", "a\nb"), (b"", "")]
)
def test_a_secret_file_gives_its_text_without_the_last_line_end(tmp_path: Path, raw: bytes, value: str) -> None:
    (tmp_path / "secret").write_bytes(raw)
    assert filled(f"key: ${{file:{tmp_path}/secret}}").data == {"key": value}


@pytest.mark.parametrize(
    ("raw", "message"),
    [(b"\xff", "is not UTF-8: save it as UTF-8"), (b"x" * 70_000, "is larger than 64 KiB: no secret is")],
)
def test_a_secret_file_that_is_no_text_is_an_error(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(raw)
    [error] = filled(f"key: ${{file:{path}}}")
    assert error.message.startswith("file '/")
    assert error.message.endswith(message)


def test_what_was_filled_in_is_redacted_in_a_dump() -> None:
    document = filled("a: ${TOKEN}\nb: [x, 'y${TOKEN}']\nc: $${z}")
    assert document.redacted() == {"a": "***", "b": ["x", "***"], "c": "${z}"}
    assert "hunter2" not in repr(document)


class Secretive(Section):
    pause: Duration


def test_what_was_filled_in_is_not_shown_by_the_error_that_refuses_it() -> None:
    found: Any = load(Secretive, "pause: ${TOKEN}", "f", ENVIRON)
    assert "*** is no duration" in str(found[0])
    assert "hunter2" not in str(found)


SECRETIVE = """
listen: ${TOKEN}
access_log: ${TOKEN}
trusted_proxies: [x, '${TOKEN}']
issuers: {a: {issuer: '${TOKEN}', audience: x, algorithms: ['${TOKEN}'], typ: '${TOKEN}'}}
upstreams: {u: {url: 'http://h/${TOKEN}'}}
routes:
  - {id: '${TOKEN}', path: '/a/${TOKEN}{', methods: ['${TOKEN}'], scopes: ['${TOKEN} x'], upstream: '${TOKEN}'}
  - {id: '${TOKEN}', path: '/', public: '${TOKEN}', issuers: ['${TOKEN}'], upstream: u}
  - {id: '${TOKEN}', path: '/', scopes: '${TOKEN}', upstream: u, allow_in_path: ['${TOKEN}'], forward_token: '${TOKEN}'}
"""


@given(st.text(alphabet="abcdefghij.-'\"\\ {}", min_size=6).map(lambda text: f"QZ{text}QZ"))
def test_no_error_of_the_gateway_file_shows_what_was_filled_in(secret: str) -> None:
    found = parse(SECRETIVE, "f", {"TOKEN": secret})
    assert isinstance(found, list)
    assert len(found) > 8
    assert "QZ" not in "\n".join(str(error) for error in found)
