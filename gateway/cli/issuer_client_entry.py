"""What `scopegate issuer client add` is told about a client, and the entry of issuer.yaml that it makes."""

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import click

from gateway.client.secret_file import parse_secret
from gateway.issuer.secrets import hash_secret

F = TypeVar("F", bound=Callable[..., Any])

_SECRET_BYTES: Final = 32
_MOST_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """What the command was told."""

    type: str
    name: str | None
    roles: tuple[str, ...]
    secret_file: BinaryIO | None = field(repr=False)
    generate_secret: bool
    jwks: BinaryIO | None
    certificate: Path | None
    certificate_alias: str | None

    def entry(self, base: Path) -> tuple[dict[str, Any], str | None]:
        """The entry, for a file in the folder `base`, and the secret that was generated for it.

        Raises click.UsageError for options and files that make no entry.
        """
        if self.secret_file is not None and self.generate_secret:
            raise click.UsageError("Give --secret-file or --generate-secret, not both.")
        generated = secrets.token_urlsafe(_SECRET_BYTES) if self.generate_secret else None
        secret = generated if self.secret_file is None else _secret(self.secret_file)
        parts: dict[str, Any] = {
            "type": self.type,
            "name": _literal(self.name),
            "roles": [_literal(role) for role in dict.fromkeys(self.roles)] or None,
            "secret": None if secret is None else hash_secret(secret),
            "jwks": None if self.jwks is None else key_set(self.jwks),
            "certificate": None if self.certificate is None else _literal(_seen_from(base, self.certificate)),
            "certificate_alias": _literal(self.certificate_alias),
        }
        return {key: value for key, value in parts.items() if value is not None}, generated


def client_options(command: F) -> F:
    """The options that describe a client."""
    options = (
        click.option(
            "--type",
            type=click.Choice(["trusted", "mobile"]),
            default="trusted",
            show_default=True,
            help="A trusted application can keep a secret; a mobile one is refused the grant.",
        ),
        click.option("--name", help="What people call it."),
        click.option("--role", "roles", multiple=True, help="An application role; repeatable."),
        click.option(
            "--secret-file",
            type=click.File("rb"),
            help='The file that holds its secret; "-" is standard input. The entry gets the hash.',
        ),
        click.option("--generate-secret", is_flag=True, help="Make a secret, and print it once."),
        click.option(
            "--jwks",
            type=click.File("rb"),
            help='The file with its public keys, a JWK Set or one JWK; "-" is standard input.',
        ),
        click.option(
            "--certificate",
            type=click.Path(path_type=Path),
            help="The X.509 certificate of the key that signs its assertions, as PEM. The file stays where it is.",
        ),
        click.option("--certificate-alias", help="The kid under which assertions name that certificate."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def key_set(stream: BinaryIO) -> dict[str, Any]:
    """A JWK Set out of a file that holds one, or a single JWK."""
    raw = stream.read(_MOST_BYTES + 1)
    try:
        found = json.loads(raw) if len(raw) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise click.UsageError("--jwks: the file holds no JWK Set: write JSON of at most 64 KiB.")
    return found if "keys" in found else {"keys": [found]}


def _secret(stream: BinaryIO) -> str:
    try:
        return parse_secret(stream.read(_MOST_BYTES))
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None


def _seen_from(base: Path, file: Path) -> str:
    """The file as issuer.yaml names it: relative to its folder where it lies in there, else absolute."""
    absolute = Path(os.path.abspath(file))  # noqa: PTH100 - a link keeps the name that it was given
    folder = Path(os.path.abspath(base))  # noqa: PTH100 - likewise
    return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)


def _literal(text: str | None) -> Any:
    """The text so that nothing of it is substituted."""
    return None if text is None else text.replace("${", "$${")
