"""Certificates for tests, and the two sides that speak TLS with them."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import trustme

from .patience import PATIENCE
from .raw_client import RawClient
from .raw_upstream import RawUpstream

NAME = "gate.example"


class Authority:
    """A certificate authority that writes what it issues into a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.name = name
        self._ca = trustme.CA()
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str, *hosts: str) -> dict[str, str]:
        """Write a certificate and its key; the two keys of a configuration that name them."""
        leaf = self._ca.issue_cert(*(hosts or (NAME, "127.0.0.1")))
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(key)
        return {"certificate": certificate.name, "key": key.name}

    def trusting(self, pair: Mapping[str, str] | None = None) -> ssl.SSLContext:
        """What a client of this authority's servers speaks, with a certificate of its own if given."""
        context = ssl.create_default_context(cafile=self.file)
        if pair is not None:
            context.load_cert_chain(self.folder / pair["certificate"], self.folder / pair["key"])
        return context

    def serving(self, pair: Mapping[str, str]) -> ssl.SSLContext:
        """What a server with this certificate speaks."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.folder / pair["certificate"], self.folder / pair["key"])
        return context


@dataclass(kw_only=True)
class TlsClient(RawClient):
    """A raw client over TLS."""

    tls: ssl.SSLContext
    name: str = NAME

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(PATIENCE):
            self.reader, self.writer = await asyncio.open_connection(
                "127.0.0.1", self.port, limit=self.limit, ssl=self.tls, server_hostname=self.name
            )
        return self

    @property
    def certificate(self) -> bytes:
        """That the server has shown."""
        shown = self.session.getpeercert(binary_form=True)
        assert shown is not None
        return shown

    @property
    def session(self) -> ssl.SSLObject:
        found: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        return found


@dataclass(kw_only=True)
class TlsUpstream(RawUpstream):
    """A raw upstream over TLS; it keeps the names that clients asked for, and the certificates that they showed."""

    tls: ssl.SSLContext
    names: list[str | None] = field(default_factory=list)
    certificates: list[Any] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._open = set()
        self.tls.sni_callback = lambda _, name, __: self.names.append(name)
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0, limit=1 << 20, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.certificates.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        await self._serve(reader, writer)
