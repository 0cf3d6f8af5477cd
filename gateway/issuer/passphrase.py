"""The file with the passphrase that encrypts private keys in the state."""

import os
from pathlib import Path

from gateway.client.secret_file import parse_secret
from gateway.issuer.errors import StateError

_MOST_BYTES = 64 << 10


def read_passphrase(path: Path) -> bytes:
    """Read the passphrase.

    Raises:
        StateError: there is none, or everyone on this machine may read or write it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise StateError(f"{path}: the passphrase cannot be read: {(error.strerror or str(error)).lower()}") from error
    if mode & 0o007:
        raise StateError(f"{path}: every user of this machine may use the passphrase: chmod o-rwx {path}")
    if len(raw) > _MOST_BYTES:
        raise StateError(f"{path}: the passphrase is longer than {_MOST_BYTES >> 10} KiB")
    try:
        return parse_secret(raw).encode()
    except ValueError as error:
        reason = str(error).replace("the secret", "the passphrase")
        raise StateError(f"{path}: {reason}: write a passphrase alone into it") from None
