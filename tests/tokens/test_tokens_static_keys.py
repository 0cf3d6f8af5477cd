"""Keys out of files: a JWK Set, or PEM."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from gateway.policy.denial import Denial
from gateway.tokens.key_store import MOST_BYTES, KeptKeys, KeyStore
from gateway.tokens.keys import KeySet, KeySetError
from gateway.tokens.static_keys import read_keys_file, read_pem
from gateway.tokens.verify import Verification, by_iss, verify

from .tokens_case import ISSUER, NOW, bearer, private_key, public_jwk, reason, signed


def pem(key: Any) -> bytes:
    written: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return written


def certificate(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def accepts(keys: KeySet, token: bytes) -> bool:
    return isinstance(verify(bearer(token), by_iss([ISSUER]), lambda _: keys, NOW), Verification)


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("RSA", "RS256"), ("RSA", "PS512"), ("P-256", "ES256"), ("P-521", "ES512"), ("Ed25519", "EdDSA")],
)
@pytest.mark.parametrize("kid", ["whatever", None])
def test_a_pem_key_verifies_whatever_kid_the_token_bears(kind: str, algorithm: str, kid: str | None) -> None:
    assert accepts(read_pem(pem(private_key(kind))), signed(algorithm, kid=kid))


def test_a_certificate_is_as_good_as_its_key_and_several_may_stand_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.pem"
    file.write_bytes(b"a comment\n" + certificate(private_key("RSA")) + pem(private_key("RSA", "b")))
    keys = read_keys_file(file)
    assert len(keys.keys) == 2
    assert accepts(keys, signed())
    assert accepts(keys, signed(owner="b"))
    assert not accepts(keys, signed(owner="c"))


def test_a_foreign_signature_is_refused_as_such() -> None:
    keys = read_pem(pem(private_key("RSA")))
    outcome = verify(bearer(signed(owner="b")), by_iss([ISSUER]), lambda _: keys, NOW)
    assert isinstance(outcome, Denial)
    assert reason(outcome).value == "signature_invalid"


def test_a_key_set_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [public_jwk("RSA")]}))
    assert accepts(read_keys_file(file), signed())


PRIVATE = private_key("P-256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
DSA = pem(dsa.generate_private_key(1024))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (PRIVATE, "private key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no public key"),
        (DSA, "kty"),
        (b"-----BEGIN PUBLIC KEY-----\n", "no usable key"),
        (b"{", "not JSON"),
        (b'{"keys": []}', "no usable key"),
    ],
)
def test_a_file_that_holds_no_usable_key_is_refused_with_its_path(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(KeySetError, match=why) as raised:
        read_keys_file(file)
    assert str(raised.value).startswith(str(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeySetError, match="No such file"):
        read_keys_file(tmp_path / "keys.json")


# The last good set on disk


def store(folder: Path, issuer: str = ISSUER.issuer) -> KeyStore:
    return KeyStore(folder / "keys", "a", issuer)


def test_what_is_kept_comes_back_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    kept = KeptKeys({"keys": [public_jwk("RSA")]}, NOW)
    store(tmp_path).save(kept)
    assert store(tmp_path).load() == kept
    file = tmp_path / "keys" / "a.json"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(file.parent.iterdir()) == [file]


def test_nothing_is_kept_at_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert store(tmp_path).load() is None
    assert not caplog.records


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"issuer": "https://a.example"}',
        b'{"issuer": "https://a.example", "jwks": {}}',
        b" " * MOST_BYTES,
    ],
)
def test_a_kept_file_that_is_of_no_use_is_said_and_not_used(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path).save(KeptKeys({}, NOW))
    (tmp_path / "keys" / "a.json").write_bytes(content)
    assert store(tmp_path).load() is None
    assert "a.json" in caplog.text


def test_keys_of_another_issuer_are_not_used(tmp_path: Path) -> None:
    store(tmp_path, "https://b.example").save(KeptKeys({}, NOW))
    assert store(tmp_path).load() is None


def test_a_folder_that_cannot_be_written_is_said_and_no_reason_to_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "keys").write_text("a file")
    store(tmp_path).save(KeptKeys({}, NOW))
    assert "cannot be kept" in caplog.text
    assert store(tmp_path).load() is None
