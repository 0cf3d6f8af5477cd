"""What opens a WebSocket, and what agrees to one (RFC 6455 §4)."""

import pytest

from gateway.policy.headers import Field, ReceivedHead, read_head
from gateway.policy.websocket import agrees, handshake_key

KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The pair of RFC 6455 §1.3."""

OPENING: dict[bytes, bytes] = {
    b"Host": b"a",
    b"Connection": b"keep-alive, Upgrade",
    b"Upgrade": b"WebSocket",
    b"Sec-WebSocket-Key": KEY,
    b"Sec-WebSocket-Version": b"13",
}
AGREEING: dict[bytes, bytes] = {b"Connection": b"upgrade", b"UPGRADE": b"websocket", b"sec-websocket-accept": ACCEPT}


def key(fields: list[Field], method: str = "GET", version: tuple[int, int] = (1, 1)) -> bytes | None:
    received = read_head(method, "/", version, fields)
    assert isinstance(received, ReceivedHead)
    return handshake_key(received, version, fields)


def test_a_handshake_gives_its_key() -> None:
    assert key(list(OPENING.items())) == KEY
    assert key([*OPENING.items(), (b"Content-Length", b"0"), (b"Sec-WebSocket-Protocol", b"chat")]) == KEY


@pytest.mark.parametrize("name", [b"Connection", b"Upgrade", b"Sec-WebSocket-Key", b"Sec-WebSocket-Version"])
def test_without_one_of_its_fields_it_is_none(name: bytes) -> None:
    assert key([field for field in OPENING.items() if field[0] != name]) is None


@pytest.mark.parametrize("name", [b"Upgrade", b"Sec-WebSocket-Key", b"Sec-WebSocket-Version"])
def test_with_one_of_its_fields_twice_it_is_none(name: bytes) -> None:
    assert key([*OPENING.items(), (name, OPENING[name])]) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Connection", b"keep-alive"),
        (b"Connection", b"upgraded"),
        (b"Upgrade", b"websocket, h2c"),
        (b"Upgrade", b"websocket/13"),
        (b"Upgrade", b"h2c"),
        (b"Upgrade", b"\x0bwebsocket"),
        (b"Sec-WebSocket-Version", b"8"),
        (b"Sec-WebSocket-Version", b"13, 8"),
        (b"Sec-WebSocket-Key", b""),
        (b"Sec-WebSocket-Key", b"YQ=="),
        (b"Sec-WebSocket-Key", KEY + b"\n"),
        (b"Sec-WebSocket-Key", KEY[:-3] + b"B=="),
        (b"Sec-WebSocket-Key", KEY[:-1]),
    ],
)
def test_with_another_value_it_is_none(name: bytes, value: bytes) -> None:
    assert key(list((OPENING | {name: value}).items())) is None


@pytest.mark.parametrize("field", [(b"Content-Length", b"2"), (b"Transfer-Encoding", b"chunked")])
def test_with_a_body_it_is_none(field: Field) -> None:
    assert key([*OPENING.items(), field]) is None


def test_another_method_or_version_makes_none() -> None:
    assert key(list(OPENING.items()), "POST") is None
    assert key(list(OPENING.items()), version=(1, 0)) is None


def test_the_answer_with_the_digest_of_the_key_agrees() -> None:
    assert agrees(list(AGREEING.items()), KEY)


@pytest.mark.parametrize("name", AGREEING)
def test_an_answer_without_one_of_the_fields_or_with_two_of_them_does_not(name: bytes) -> None:
    assert not agrees([field for field in AGREEING.items() if field[0] != name], KEY)
    twice = [*AGREEING.items(), (name, AGREEING[name])]
    assert agrees(twice, KEY) == (name == b"Connection")


def test_the_digest_of_another_key_does_not_agree() -> None:
    assert not agrees(list(AGREEING.items()), b"x" * 22 + b"==")
