"""The files that an issuer.yaml names: which they are, and whether they can be used."""

from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateway.config import ConfigError, Document, read_yaml
from gateway.issuer.settings import IssuerSettings
from gateway.tls import ServerFiles, TlsFileError, server_context

_MOST_BYTES = 64 << 10


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
    path = base / settings.passphrase_file
    raw = _read(path)
    if isinstance(raw, str):
        yield document.error(("passphrase_file",), raw)
    elif not raw.strip():
        yield document.error(("passphrase_file",), f"{path} is empty: write a passphrase into it")


def _certificates(document: Document, settings: IssuerSettings, base: Path) -> Iterator[ConfigError]:
    for client_id, client in settings.clients.items():
        if client.certificate is not None and (fault := certificate_fault(base / client.certificate)) is not None:
            yield document.error(("clients", client_id, "certificate"), fault)


def certificate_fault(path: Path) -> str | None:
    """Why a file is of no use as a client's certificate; None where it is."""
    raw = _read(path)
    if isinstance(raw, str):
        return raw
    try:
        certificates = x509.load_pem_x509_certificates(raw)
        key = certificates[0].public_key()
    except ValueError:
        return f"{path} holds no certificate in PEM form"
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        return f"{path} has a key that signs nothing here: use RSA, ECDSA or Ed25519"
    return None


def _read(path: Path) -> bytes | str:
    """The file's bytes, or why there are none."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        return f"{path} cannot be read: {(error.strerror or 'unknown').lower()}"
    return raw if len(raw) <= _MOST_BYTES else f"{path} is larger than {_MOST_BYTES >> 10} KiB"
