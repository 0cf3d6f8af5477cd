"""The files that an issuer.yaml names: which they are, and whether they can be used."""

from collections.abc import Iterator
from pathlib import Path

from gateway.config import ConfigError, Document, read_yaml
from gateway.issuer.certificates import read_certificate
from gateway.issuer.errors import StateError
from gateway.issuer.passphrase import read_passphrase
from gateway.issuer.settings import IssuerSettings
from gateway.tls import ServerFiles, TlsFileError, server_context


def server_files(settings: IssuerSettings, base: Path) -> ServerFiles | None:
    """What clients are met with when the server speaks TLS; `base` is the folder of issuer.yaml."""
    tls = settings.tls
    if tls is None:
        return None
    client_ca = None if tls.client_ca is None else base / tls.client_ca
    return ServerFiles(base / tls.certificate, base / tls.key, client_ca, tls.client_certificate, full_handshakes=True)


def named_files(settings: IssuerSettings, base: Path) -> tuple[Path, ...]:
    """The files of clients, which are taken anew with issuer.yaml."""
    return tuple(base / client.certificate for client in settings.clients.values() if client.certificate is not None)


def file_faults(text: str, file: Path, settings: IssuerSettings) -> list[ConfigError]:
    """What is wrong with the files that `settings`, read from `text`, name: each at the key that names it."""
    document = read_yaml(text, str(file))
    if isinstance(document, list):
        return document
    return [
        *_tls(document, settings, file.parent),
        *_passphrase(document, settings, file.parent),
        *_certificates(document, settings, file.parent),
    ]


def _tls(document: Document, settings: IssuerSettings, base: Path) -> Iterator[ConfigError]:
    files = server_files(settings, base)
    if files is None:
        return
    try:
        server_context(files)
    except TlsFileError as error:
        yield document.error(("tls", error.key), error.message)


def _passphrase(document: Document, settings: IssuerSettings, base: Path) -> Iterator[ConfigError]:
    if settings.passphrase_file is None:
        return
    try:
        read_passphrase(base / settings.passphrase_file)
    except StateError as error:
        yield document.error(("passphrase_file",), str(error))


def _certificates(document: Document, settings: IssuerSettings, base: Path) -> Iterator[ConfigError]:
    for client_id, client in settings.clients.items():
        if client.certificate is None:
            continue
        try:
            read_certificate(base / client.certificate, client.certificate_alias)
        except ValueError as error:
            yield document.error(("clients", client_id, "certificate"), str(error))
