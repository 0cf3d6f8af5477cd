"""An issuer's key endpoint that does what it is told to: well, or badly in every way that is known."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from .minting import jwk, key_set, rsa_key
from .raw_upstream import Play, RawUpstream, Visit, replies

NO_BODY = "Content-Length: 0\r\n\r\n"


def json_answer(document: object) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class KeyServer:
    """Publishes the key `rsa` until told otherwise."""

    def __init__(self, server: RawUpstream) -> None:
        self.server = server
        self.publish(jwk(rsa_key(), kid="rsa"))

    def publish(self, *keys: dict[str, Any]) -> None:
        """Answer well."""
        self.play(replies(json_answer(key_set(*keys))))

    def play(self, play: Play) -> None:
        """Do this from now on."""
        self.server.play = play

    def fail(self) -> None:
        self.play(replies(f"HTTP/1.1 500 x\r\n{NO_BODY}".encode()))

    @property
    def asked(self) -> int:
        return len(self.server.visits)

    @property
    def section(self) -> dict[str, str | None]:
        """What the configuration says of the issuer whose keys these are."""
        return {
            "jwks_file": None,
            "jwks_uri": f"http://127.0.0.1:{self.server.port}/keys",
            "unknown_key_cooldown": "30s",
            "keys_timeout": "200ms",
        }


async def _silent(visit: Visit) -> None:
    await visit.gone()


async def _drip(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
    while not visit.writer.is_closing():
        await visit.send(b" ")
        await asyncio.sleep(0.01)


async def _huge(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n")
    while not visit.writer.is_closing():
        await visit.send(b" " * 65_536)


async def _endless(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not visit.writer.is_closing():
        await visit.send(b"10000\r\n" + b" " * 65_536 + b"\r\n")


async def _hangs_up(visit: Visit) -> None:
    visit.writer.transport.abort()


def _redirect(to: str, status: str = "302 Found") -> bytes:
    return f"HTTP/1.1 {status}\r\nLocation: {to}\r\n{NO_BODY}".encode()


def _page(text: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


_TWICE = '{"keys": [], ' + json.dumps(key_set(jwk(rsa_key("evil"), kid="rsa")))[1:]

MISBEHAVIOURS: dict[str, Callable[[str], Play]] = {
    "silent": lambda _: _silent,
    "slow drip": lambda _: _drip,
    "500": lambda _: replies(f"HTTP/1.1 500 x\r\n{NO_BODY}".encode()),
    "404": lambda _: replies(f"HTTP/1.1 404 x\r\n{NO_BODY}".encode()),
    "garbage": lambda _: replies(b"SSH-2.0-x\r\n\r\n", close=True),
    "a page": lambda _: replies(_page("<html>")),
    "redirect to another origin": lambda trap: replies(_redirect(f"{trap}/keys")),
    "redirect that keeps the method": lambda trap: replies(_redirect(f"{trap}/keys", "307 x")),
    "redirect to a file": lambda _: replies(_redirect("file:///etc/passwd")),
    "1 GB": lambda _: _huge,
    "chunks without end": lambda _: _endless,
    "promised and not sent": lambda _: replies(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n{", close=True),
    "hangs up": lambda _: _hangs_up,
    "no keys": lambda _: replies(json_answer({"keys": []})),
    "another form": lambda _: replies(json_answer({"keys": "rsa"})),
    "only bad keys": lambda _: replies(json_answer(key_set({"kty": "RSA", "kid": "rsa"}))),
    "too many keys": lambda _: replies(json_answer(key_set(*[jwk(rsa_key("evil"), kid="rsa")] * 101))),
    "members that stand twice": lambda _: replies(_page(_TWICE)),
}
"""What a server of keys may do instead of answering well. Each is given an origin that must stay unasked."""
