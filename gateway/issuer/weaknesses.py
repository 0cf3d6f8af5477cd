"""What an issuer.yaml allows, and a careful operator would not: nothing of it keeps the server from starting."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from gateway.config import Path
from gateway.config.gateway_fields import is_loopback
from gateway.issuer.certificates import read_certificate
from gateway.issuer.secrets import ScryptCost, read_hash
from gateway.issuer.settings import ClientSettings, IssuerSettings

_HASH_ANEW = "hash it anew with `scopegate issuer hash-secret`"


def weaknesses(settings: IssuerSettings, base: FilePath, now: float) -> Iterator[tuple[Path, str]]:
    """Each weakness: the key that it is at, and what would be better; `base` is the folder of issuer.yaml."""
    issuer = urlsplit(settings.issuer)
    if issuer.scheme == "http" and not is_loopback(issuer.hostname or ""):
        yield ("issuer",), "is http beyond this machine, so secrets and tokens travel in the clear: use https"
    elif issuer.scheme == "http" and settings.tls is None and not is_loopback(settings.listen.host):
        yield ("listen",), "is open to other machines in plain HTTP: listen on 127.0.0.1, or add `tls:`"
    for client_id, client in settings.clients.items():
        for key, message in (*_of_client(settings, client), *_of_certificate(client, base, now)):
            yield ("clients", client_id, *key), message


def _of_client(settings: IssuerSettings, client: ClientSettings) -> Iterator[tuple[Path, str]]:
    if client.may_use_client_credentials and not settings.applicable(client):
        yield ("roles",), "give no scope, so every request of this client is refused: add a role"
    if len(settings.roles) > 1 and set(client.roles) == set(settings.roles):
        yield ("roles",), "are all that there are: give it those that its work takes"
    if client.secret is not None and _is_cheap(client.secret):
        yield ("secret",), f"is hashed at low cost, so that it is guessed fast by whoever sees the hash: {_HASH_ANEW}"
    for index, secret in enumerate(client.secrets):
        if _is_cheap(secret):
            message = "is hashed at low cost, so that it is guessed fast by whoever sees the hash"
            yield ("secrets", index), f"{message}: {_HASH_ANEW}"
    if client.jwks is not None and not client.jwks.get("keys"):
        yield ("jwks",), "holds no key, so no assertion can be verified: add the client's public key"


def _of_certificate(client: ClientSettings, base: FilePath, now: float) -> Iterator[tuple[Path, str]]:
    if client.certificate is None:
        return
    with suppress(ValueError):  # it has gone since the file was found sound
        certificate = read_certificate(base / client.certificate, client.certificate_alias)
        if not certificate.is_valid(now):
            yield ("certificate",), "is not valid at this time, so what it signs is refused: register a new one"


def _is_cheap(written: str) -> bool:
    known = read_hash(written)
    return known is not None and known.cost.work < ScryptCost().work
