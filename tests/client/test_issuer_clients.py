"""`scopegate issuer check` and `scopegate issuer client`, as a user runs them."""

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.cli.issuer import issuer
from gateway.issuer.secrets import ScryptCost, hash_secret, verify_secret
from gateway.issuer.settings import IssuerSettings, parse

HASH = hash_secret("hunter2")
CHEAP = hash_secret("hunter2", ScryptCost(n=16, r=1))
TEXT = f"""\
# Who may have tokens.
listen: 127.0.0.1:8081
issuer: http://127.0.0.1:8081
state: issuer.db
resources: {{"https://maintenance.example": {{jobs.read: Read, jobs.run: Run}}}}
roles: {{auditor: [jobs.read], operator: [jobs.run]}}

clients:
  # reads, and no more
  reader: {{type: trusted, roles: [auditor], secret: "{HASH}"}}   # since 2024

# the end
"""
PUBLIC_JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "one"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "issuer.yaml"
    path.write_text(TEXT)
    return path


def run(*arguments: object, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(issuer, [str(each) for each in arguments], input=given)


def add(file: Path, client_id: str, *arguments: object, given: str | bytes | None = None) -> Result:
    return run("client", "add", "-c", file, client_id, *arguments, given=given)


def settings(file: Path) -> IssuerSettings:
    found = parse(file.read_text(), str(file), {})
    assert isinstance(found, IssuerSettings), found
    return found


def added_lines(file: Path) -> list[str]:
    """What stands in the file beyond what stood there before, which is all still there and in its order."""
    before, now = TEXT.splitlines(), file.read_text().splitlines()
    added = []
    for line in now:
        if before and line == before[0]:
            before.pop(0)
        else:
            added.append(line)
    assert not before
    return added


def certificate(tmp_path: Path, begins: datetime | None = None) -> Path:
    """A certificate that is valid for a day."""
    path, begins = tmp_path / "signer.crt", begins or datetime.now(UTC)
    key, name = Ed25519PrivateKey.generate(), x509.Name.from_rfc4514_string("CN=signer")
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins)
    made = builder.not_valid_after(begins + timedelta(days=1)).sign(key, None)
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


def test_a_generated_secret_is_shown_once_and_the_file_has_its_hash(file: Path) -> None:
    result = add(file, "batch", "--role", "operator", "--generate-secret")
    secret = result.stdout.strip()
    assert result.exit_code == 0
    assert len(secret) >= 43
    assert secret not in result.stderr
    assert "scrypt:" not in result.output
    added = settings(file).clients["batch"]
    assert (added.type, added.roles) == ("trusted", ("operator",))
    assert verify_secret(secret, added.secret or "")
    assert added_lines(file) == [
        "  batch:",
        "    type: trusted",
        "    roles: [operator]",
        f"    secret: {json.dumps(added.secret)}",
    ]


@pytest.mark.parametrize("where", ["file", "-"])
def test_a_secret_comes_from_a_file_or_from_standard_input(file: Path, tmp_path: Path, where: str) -> None:
    (tmp_path / "secret").write_text("correct horse\n")
    source = tmp_path / "secret" if where == "file" else "-"
    result = add(file, "batch", "--secret-file", source, given="correct horse\n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert verify_secret("correct horse", settings(file).clients["batch"].secret or "")
    assert "correct horse" not in file.read_text() + result.output


@pytest.mark.parametrize("document", [PUBLIC_JWK, {"keys": [PUBLIC_JWK]}])
def test_public_keys_go_into_the_file(file: Path, document: dict[str, Any]) -> None:
    result = add(file, "signer", "--role", "auditor", "--jwks", "-", given=json.dumps(document))
    assert result.exit_code == 0
    assert settings(file).clients["signer"].jwks == {"keys": (PUBLIC_JWK,)}


def test_a_certificate_is_named_from_the_folder_of_the_file(file: Path, tmp_path: Path) -> None:
    certificate(tmp_path)
    assert (
        add(Path("issuer.yaml"), "signer", "--certificate", "signer.crt", "--certificate-alias", "s-1").exit_code == 0
    )
    assert settings(file).clients["signer"].certificate == "signer.crt"
    elsewhere = tmp_path / "config" / "issuer.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(TEXT)
    assert add(elsewhere, "signer", "--certificate", "signer.crt").exit_code == 0
    assert settings(elsewhere).clients["signer"].certificate == str(tmp_path / "signer.crt")


def test_a_mobile_application_needs_no_credentials(file: Path) -> None:
    assert add(file, "app", "--type", "mobile", "--name", "Field app ${x}").exit_code == 0
    added = settings(file).clients["app"]
    assert (added.type, added.name) == ("mobile", "Field app ${x}")


PRIVATE = json.dumps(PUBLIC_JWK | {"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"})


@pytest.mark.parametrize(
    ("arguments", "given", "code", "words"),
    [
        (["reader", "--generate-secret"], None, 1, "has a client 'reader' already"),
        (["new"], None, 3, "clients.new: a trusted client needs a secret or jwks"),
        (["new", "--generate-secret", "--role", "oprator"], None, 3, "did you mean 'operator'?"),
        (["new", "--type", "mobile", "--generate-secret"], None, 3, "a mobile client cannot keep a secret"),
        (["new", "--jwks", "-"], PRIVATE, 3, "clients.new.jwks.keys[0]: is a private or symmetric key"),
        (["new", "--jwks", "-"], '{"keys": [{"kty": "oct"}]}', 3, "its kty is not RSA, EC or OKP"),
        (["new", "--jwks", "-"], '{"keys": 1}', 3, "must be a JWK Set"),
        (["new", "--jwks", "-"], "-----BEGIN", 2, "holds no JWK Set"),
        (["new", "--secret-file", "-"], "", 2, "secret is empty"),
        (["new", "--secret-file", "-", "--generate-secret"], "x", 2, "not both"),
        (["new", "--certificate", "none.crt"], None, 3, "none.crt cannot be read: No such file or directory"),
        (["new", "--certificate", "issuer.yaml"], None, 3, "holds no certificate in PEM form"),
        (["new", "--generate-secret", "--certificate-alias", "x"], None, 3, "names a certificate, and there is none"),
        (["n\u00fcw", "--generate-secret"], None, 3, "printable ASCII"),
        (["${x}", "--generate-secret"], None, 3, "yourself"),
        (["new", "--type", "desktop"], None, 2, "desktop"),
    ],
)
def test_what_would_not_be_right_is_refused_and_the_file_stays(
    file: Path, arguments: list[str], given: str | None, code: int, words: str
) -> None:
    result = add(file, *arguments, given=given)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in " ".join(result.stderr.split())
    assert file.read_text() == TEXT
    assert [each.name for each in file.parent.iterdir()] == ["issuer.yaml"]


def test_a_file_that_is_not_right_is_told_in_full_and_stays(file: Path) -> None:
    file.write_text(TEXT.replace("[jobs.read]", "[jobs.raed]").replace("[auditor]", "[auditr]"))
    for command in (["client", "list"], ["client", "show", "reader"], ["client", "add", "new", "--generate-secret"]):
        result = run(*command, "-c", file)
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (3, "", 2)


def test_the_mode_of_the_file_stays_and_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    assert add(link, "batch", "--generate-secret").exit_code == 0
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert "batch" in settings(file).clients


def test_clients_added_at_the_same_time_are_all_there(file: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from gateway.cli.issuer import issuer; issuer()",
        "client",
        "add",
        "-c",
        str(file),
    ]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}

    def call(client_id: str) -> int:
        done = subprocess.run([*command, client_id, "--type", "mobile"], env=environ, capture_output=True, check=False)
        return done.returncode

    ids = [f"app-{number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, ids)) == [0] * 4
    assert settings(file).clients.keys() == {"reader", *ids}


def test_clients_are_listed_with_type_and_roles(file: Path) -> None:
    assert add(file, "app", "--type", "mobile").exit_code == 0
    assert run("client", "list", "-c", file).stdout == "reader  trusted  auditor\napp     mobile   no roles\n"
    listed = json.loads(run("client", "list", "-c", file, "--json").stdout)
    assert [(each["client_id"], each["type"]) for each in listed] == [("reader", "trusted"), ("app", "mobile")]


def test_a_client_is_shown_with_all_but_its_secret(file: Path) -> None:
    text = run("client", "show", "reader", "-c", file)
    told = run("client", "show", "reader", "-c", file, "--json")
    assert json.loads(told.stdout) == {
        "client_id": "reader",
        "type": "trusted",
        "name": None,
        "grants": ["client_credentials"],
        "roles": ["auditor"],
        "scopes": {"https://maintenance.example": ["jobs.read"]},
        "authentication": ["client_secret_basic", "client_secret_post"],
        "secrets": 1,
        "keys": [],
        "jwks_uri": None,
        "certificate": None,
        "tokens": {"https://maintenance.example": "jwt, 3600 s"},
        "introspect": False,
    }
    assert "scopes                https://maintenance.example: jobs.read\n" in text.stdout
    assert "secrets               1\n" in text.stdout
    for printed in (text.output, told.output):
        assert "scrypt" not in printed
        assert HASH.rpartition(":")[2] not in printed


def test_keys_of_a_client_are_shown_by_type_and_id(file: Path) -> None:
    add(file, "signer", "--jwks", "-", given=json.dumps(PUBLIC_JWK))
    told = json.loads(run("client", "show", "signer", "-c", file, "--json").stdout)
    assert (told["keys"], told["authentication"]) == (["OKP Ed25519 one"], ["private_key_jwt"])


def test_a_client_that_is_not_there_is_told_with_exit_code_1(file: Path) -> None:
    result = run("client", "show", "raeder", "-c", file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "known are: reader" in result.stderr


def test_check_sums_a_sound_file_up(file: Path) -> None:
    result = run("check", file)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{file} is sound: 1 client, 2 roles, 1 resource, 2 scopes\n"
    told = json.loads(run("check", file, "--json").stdout)
    assert told == {"ok": True, "clients": 1, "roles": 2, "resources": 1, "scopes": 2, "warnings": []}


def test_check_tells_every_fault_and_files_that_are_missing(file: Path, tmp_path: Path) -> None:
    changed = TEXT.replace("state: issuer.db", "state: issuer.db\npassphrase_file: none\ntls: {certificate: a, key: b}")
    file.write_text(changed.replace('secret: "', 'certificate: none.crt, secret: "'))
    result = run("check", file)
    assert (result.exit_code, result.stdout) == (3, "")
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == [
        "tls.certificate",
        "passphrase_file",
        "clients.reader.certificate",
    ]
    assert str(tmp_path / "none.crt") in result.stderr
    errors = json.loads(run("check", file, "--json").stdout)
    assert errors["ok"] is False
    assert {error["line"] for error in errors["errors"]} == {5, 6, 12}
    ran = run("run", "-c", file)
    assert (ran.exit_code, ran.stderr) == (3, result.stderr)


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("issuer: http://127.0.0.1:8081", "issuer: http://issuer.example", "issuer", "use https"),
        ("listen: 127.0.0.1:8081", "listen: 0.0.0.0:8081", "listen", "add `tls:`"),
        (HASH, CHEAP, "clients.reader.secret", "hash it anew"),
        (f'secret: "{HASH}"', f'secrets: ["{HASH}", "{CHEAP}"]', "clients.reader.secrets[1]", "hash it anew"),
        ("roles: [auditor],", "roles: [operator, auditor],", "clients.reader.roles", "all that there are"),
        ("roles: [auditor],", "", "clients.reader", "add a role"),
        ('secret: "', 'jwks: {keys: []}, secret: "', "clients.reader.jwks", "add the client's public key"),
    ],
    ids=["issuer", "listen", "secret", "second secret", "all roles", "no role", "no key"],
)
def test_check_warns_of_what_is_sound_and_weak(file: Path, old: str, new: str, key: str, words: str) -> None:
    assert old in TEXT
    file.write_text(TEXT.replace(old, new, 1))
    result = run("check", file)
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"warning: {file}:")
    assert f" {key}" in line
    assert words in line
    (warning,) = json.loads(run("check", file, "--json").stdout)["warnings"]
    assert warning["key"].startswith(key)


def test_check_warns_of_a_certificate_whose_time_is_over(file: Path, tmp_path: Path) -> None:
    path = certificate(tmp_path, datetime(2020, 1, 1, tzinfo=UTC))
    assert add(file, "signer", "--role", "auditor", "--certificate", path).exit_code == 0
    result = run("check", file)
    assert (result.exit_code, len(result.stderr.splitlines())) == (0, 1)
    assert "clients.signer.certificate: is not valid at this time" in result.stderr


def test_https_behind_a_proxy_is_no_weakness(file: Path) -> None:
    text = TEXT.replace("issuer: http://127.0.0.1:8081", "issuer: https://issuer.example")
    file.write_text(text.replace("listen: 127.0.0.1:8081", "listen: 0.0.0.0:8081"))
    assert run("check", file).stderr == ""
