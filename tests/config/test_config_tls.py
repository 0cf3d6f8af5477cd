"""TLS in the gateway's file: what fits together, and the files that `check` looks at."""

import os
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.cli.check import examine
from gateway.config.gateway_file import GatewayConfig

from .gateway_samples import LEAST, config, faults

PAIR = "certificate: a.crt, key: a.key"
HTTPS = LEAST.replace('"http://127.0.0.1:9000"', '"https://127.0.0.1:9000"')


def upstream(text: str, whole: str = HTTPS) -> str:
    return whole.replace('9000"', f'9000", {text}')


def test_by_default_there_is_no_tls_and_no_bound_on_bodies_and_time() -> None:
    found = config(LEAST)
    assert found.tls is None
    assert (found.upstreams["api"].tls, found.upstreams["api"].total_timeout) == (None, None)
    assert (found.routes[0].max_body, found.limits.requests) == (None, 5_000)


def test_a_size_bounds_a_route_s_bodies() -> None:
    assert config(LEAST.replace("upstream: api", "upstream: api, max_body: 10MiB")).routes[0].max_body == 10 << 20


@pytest.mark.parametrize(
    "tls",
    [
        PAIR,
        f"{PAIR}, client_certificate: none",
        f"{PAIR}, client_ca: ca.pem, client_certificate: required",
        f"{PAIR}, client_ca: ca.pem, client_certificate: optional",
    ],
)
def test_tls_towards_clients_loads(tls: str) -> None:
    assert faults(f"{LEAST}tls: {{{tls}}}\n") == []


@pytest.mark.parametrize(
    ("tls", "fault"),
    [
        ("key: a.key", "7:1: tls.certificate: is required and missing: add it"),
        ("certificate: a.crt", "7:1: tls.key: is required and missing: add it"),
        (
            f"{PAIR}, client_certificate: required",
            "7:59: tls.client_certificate: needs client_ca: name the file of those who vouch for clients",
        ),
        (
            f"{PAIR}, client_ca: ca.pem",
            "7:50: tls.client_ca: has no effect: write client_certificate: required, or optional, or remove it",
        ),
        (f"{PAIR}, client_cas: x", "7:39: tls.client_cas: unknown key: did you mean 'client_ca'?"),
    ],
)
def test_tls_that_does_not_fit_together_is_refused(tls: str, fault: str) -> None:
    assert faults(f"{LEAST}tls: {{{tls}}}\n") == [fault]


@pytest.mark.parametrize("tls", ["{ca: ca.pem}", f"{{{PAIR}}}", "{server_name: api.example}", "{}"])
def test_tls_towards_an_upstream_loads(tls: str) -> None:
    assert faults(upstream(f"tls: {tls}")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (upstream("tls: {certificate: a}"), "upstreams.api.tls.certificate: needs key: name both files, or none"),
        (upstream("tls: {key: a}"), "upstreams.api.tls.key: needs certificate: name both files, or none"),
        (
            upstream("tls: {ca: a}", LEAST),
            "upstreams.api.tls: has no effect on http://: write https:// instead, or remove tls",
        ),
        (upstream("total_timeout: 0s"), "upstreams.api.total_timeout: must be at least 1ms"),
    ],
)
def test_tls_towards_an_upstream_that_does_not_fit_together_is_refused(text: str, message: str) -> None:
    (found,) = faults(text)
    assert found.split(" ", 1)[1] == message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("a", "b"):
        leaf = ca.issue_cert(f"{name}.example")
        leaf.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.crt")
        leaf.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    (tmp_path / "empty.pem").write_text("")
    key = load_pem_private_key((tmp_path / "a.key").read_bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tmp_path / "encrypted.key").write_bytes(encrypted)
    return tmp_path


def checked(folder: Path, text: str) -> list[str]:
    """The faults that `check` finds, without the place."""
    file = folder / "gateway.yaml"
    file.write_text(text)
    found = examine(file, os.environ)
    return [] if isinstance(found, GatewayConfig) else [str(error).split(" ", 1)[1] for error in found]


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        (PAIR, None),
        (f"{PAIR}, client_ca: ca.pem, client_certificate: required", None),
        ("certificate: no.crt, key: a.key", "tls.certificate: {}/no.crt cannot be read: No such file or directory"),
        ("certificate: empty.pem, key: a.key", "tls.certificate: {}/empty.pem holds no certificate in PEM form"),
        ("certificate: a.crt, key: b.key", "tls.key: {0}/b.key does not belong to the certificate in {0}/a.crt"),
        ("certificate: a.crt, key: no.key", "tls.key: {}/no.key cannot be read: No such file or directory"),
        ("certificate: a.crt, key: a.crt", "tls.key: {}/a.crt holds no private key in PEM form"),
        (
            "certificate: a.crt, key: encrypted.key",
            "tls.key: {}/encrypted.key asks for a passphrase: store the key without one",
        ),
        (
            f"{PAIR}, client_ca: empty.pem, client_certificate: optional",
            "tls.client_ca: {}/empty.pem holds no certificate in PEM form",
        ),
    ],
)
def test_check_looks_at_the_files(folder: Path, tls: str, message: str | None) -> None:
    expected = [] if message is None else [message.format(folder)]
    assert checked(folder, f"{LEAST}tls: {{{tls}}}\n") == expected


def test_check_looks_at_the_files_for_upstreams(folder: Path) -> None:
    found = checked(folder, upstream("tls: {ca: empty.pem}"))
    assert found == [f"upstreams.api.tls.ca: {folder}/empty.pem holds no certificate in PEM form"]


def test_a_server_name_is_a_host_name() -> None:
    (found,) = faults(upstream("tls: {server_name: 'https://api'}"))
    assert "'https://api' is no host name: write one without scheme and port, such as api.example" in found
