"""config/issuer.yaml: what it may say, and what it is told when it may not."""

from pathlib import Path

import pytest

from gateway.config import ConfigError
from gateway.issuer.secrets import verify_secret
from gateway.issuer.settings import IssuerSettings, parse

from .issuer_case import TEXT, settings

HASH = "scrypt:16:1:1:AAAAAAAAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def faults(text: str) -> list[str]:
    errors = parse(text, "issuer.yaml", {})
    assert isinstance(errors, list), errors
    return [str(error) for error in errors]


def test_defaults_are_an_hour_and_rs256() -> None:
    assert (settings().token_lifetime, settings().signing_algorithm) == (3600.0, "RS256")


def test_a_secret_hash_does_not_show_in_a_repr() -> None:
    assert "scrypt" not in repr(settings())


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("[reports.read]", "[reports.raed]", "roles.analyst[0]", "did you mean 'reports.read'?"),
        ("roles: [operator], jwks", "roles: [oprator], jwks", "clients.signer.roles[0]", "did you mean 'operator'?"),
        (", jwks: {keys: []}", "", "clients.signer", "needs a secret or jwks"),
        (", jwks: {keys: []}", ", secret: hunter2", "clients.signer.secret", "`scopegate issuer hash-secret`"),
        ("type: mobile", f'type: mobile, secret: "{HASH}"', "clients.field-app.secret", "cannot keep a secret"),
        ("type: mobile", "type: desktop", "clients.field-app.type", "'trusted' or 'mobile'"),
        ("grants: []", "grants: [password]", "clients.grantless.grants[0]", "client_credentials"),
        ("    reports.read: Read reports", '    "reports read": Read', "scope", "RFC 6749 §3.3"),
        ("  https://reports.example/:", "  reports:", "resources.reports", "absolute URI"),
        ("issuer: https://issuer.example", "issuer: https://issuer.example?x", "issuer", "without query"),
        ("issuer: https://issuer.example", "issuer: issuer.example", "issuer", "http or https URL"),
        ("listen: 127.0.0.1:0", "listen: 8081", "listen", "host:port"),
        ("state: var/issuer.db", "state: var/issuer.db\ntoken_lifetime: 3600", "token_lifetime", "write 3600s"),
        ("state: var/issuer.db", "state: var/issuer.db\ntoken_lifetime: 30d", "token_lifetime", "at most 1d"),
        ("state: var/issuer.db", "state: var/issuer.db\nsigning_algorithm: HS256", "signing_algorithm", "'RS256'"),
        ("state: var/issuer.db", "stat: var/issuer.db", "stat", "did you mean 'state'?"),
        ("  field-app:", '  "field\\tapp":', "clients", "printable ASCII"),
    ],
)
def test_a_fault_is_told_with_its_place_and_remedy(old: str, new: str, key: str, words: str) -> None:
    assert old in TEXT
    told = faults(TEXT.replace(old, new))
    assert any(key in fault and words in fault for fault in told), told


def test_all_faults_of_references_are_told_at_once() -> None:
    told = faults(TEXT.replace("[jobs.run, jobs.read]", "[jobs.rum, jobs.raed]").replace("[sharer]", "[sharor]"))
    assert len(told) == 2


def test_a_plain_secret_is_not_repeated_in_the_error() -> None:
    told = faults(TEXT.replace("jwks: {keys: []}", "secret: hunter2"))
    assert not any("hunter2" in fault for fault in told)


def test_a_secret_may_come_from_the_environment() -> None:
    text = TEXT.replace("jwks: {keys: []}", 'secret: "${SIGNER}"')
    assert isinstance(parse(text, "issuer.yaml", {"SIGNER": HASH}), IssuerSettings)
    wrong = parse(text, "issuer.yaml", {"SIGNER": "hunter2"})
    assert isinstance(wrong, list)
    assert "hunter2" not in str(wrong[0])


def test_the_demo_file_is_right_and_its_secrets_are_those_in_its_comments() -> None:
    file = Path(__file__).parents[2] / "config" / "issuer.yaml"
    demo = parse(file.read_text(), str(file), {})
    assert not isinstance(demo, list), demo
    for client_id in ("nightly-batch", "report-reader"):
        assert verify_secret(f"{client_id}-secret", demo.clients[client_id].secret or "")
    assert not demo.clients["field-app"].may_use_client_credentials


def test_an_error_names_the_line() -> None:
    errors = parse(TEXT.replace("type: mobile", "type: desktop"), "issuer.yaml", {})
    assert isinstance(errors, list)
    assert isinstance(errors[0], ConfigError)
    assert "type: mobile" in TEXT.splitlines()[errors[0].line - 1]


def test_a_fault_of_a_single_value_hides_none_between_the_parts() -> None:
    text = """\
listen: nonsense
issuer: http://127.0.0.1:8081
state: x.db
resources:
  https://m.example: {jobs.read: Read}
roles:
  auditor: [jobs.raed]
clients:
  a: {type: trusted, roles: [auditr], scret: x}
"""
    found = parse(text, "issuer.yaml", {})
    assert isinstance(found, list)
    places = [(error.line, error.column, error.key) for error in found]
    assert places == [
        (1, 9, "listen"),
        (7, 13, "roles.auditor[0]"),
        (9, 3, "clients.a"),
        (9, 30, "clients.a.roles[0]"),
        (9, 39, "clients.a.scret"),
    ]
