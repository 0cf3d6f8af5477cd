"""Tokens kept in a file of their owner's, from one call of a program to the next."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gateway.client.private_files import PrivateFileError, read_private, write_private
from gateway.client.token_response import TokenResponse, lifetime

MARGIN: Final = 10.0
"""Seconds before its end at which a token is no longer given out: it has to last until it is used."""

_KIND: Final = "scopegate tokens"


class TokenFile:
    """The tokens of a file.

    Raises:
        PrivateFileError: the file is not private, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tokens = _read(path)

    def find(self, key: str, now: float) -> TokenResponse | None:
        """The token that was kept under a key, with what is left of its life; None where none is good any more."""
        kept = self._tokens.get(key)
        if kept is None or kept["expires_at"] - now <= MARGIN:
            return None
        return TokenResponse(kept["access_token"], kept["token_type"], int(kept["expires_at"] - now), kept["scope"])

    def keep(self, key: str, response: TokenResponse, now: float) -> None:
        """Keep a token, if one can tell how long it is good; those that have expired go.

        Raises:
            OSError: the file can't be written.
        """
        seconds = lifetime(response, now)
        if seconds is None:
            return
        kept = {name: token for name, token in self._tokens.items() if token["expires_at"] > now}
        kept[key] = {
            "access_token": response.access_token,
            "token_type": response.token_type,
            "expires_at": now + seconds,
            "scope": response.scope,
        }
        self._tokens = kept
        write_private(self._path, json.dumps({"kind": _KIND, "tokens": kept}).encode() + b"\n")


def token_key(*parts: str | Sequence[str] | None) -> str:
    """The name under which a token is kept: a digest of all that it depends on."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    raw = read_private(path)
    if not raw:
        return {}
    try:
        document = json.loads(raw)
        tokens = document["tokens"] if document["kind"] == _KIND else None
    except (ValueError, TypeError, LookupError):
        tokens = None
    if not isinstance(tokens, dict) or not all(map(_is_token, tokens.values())):
        raise PrivateFileError(f"{path} holds no tokens of ours: name another file, or remove it")
    return tokens


def _is_token(kept: object) -> bool:
    return (
        isinstance(kept, dict)
        and isinstance(kept.get("access_token"), str)
        and isinstance(kept.get("token_type"), str)
        and isinstance(kept.get("expires_at"), int | float)
        and (kept.get("scope") is None or isinstance(kept["scope"], str))
    )
