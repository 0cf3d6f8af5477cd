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


AT_THE_TOP = "state: var/issuer.db"
SIGNER = "  signer: {"
TLS = "tls: {certificate: c.pem, key: k.pem"


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        (AT_THE_TOP, "tls: {certificate: c.pem}", "tls.key", "is required"),
        (
            AT_THE_TOP,
            f"{TLS}, client_certificate: maybe}}",
            "tls.client_certificate",
            "'required', 'optional' or 'none'",
        ),
        (
            AT_THE_TOP,
            f"{TLS}, client_certifcate: required}}",
            "tls.client_certifcate",
            "did you mean 'client_certificate'?",
        ),
        (AT_THE_TOP, f"{TLS}, client_ca: ca.pem}}", "tls.client_ca", "has no effect"),
        (AT_THE_TOP, "state: 5", "state", "must be a string"),
        (AT_THE_TOP, "state: mysql://root:hunter2@db/x", "state", "begins with postgresql://"),
        (AT_THE_TOP, 'passphrase_file: ""', "passphrase_file", "must not be empty"),
        (AT_THE_TOP, "token_lifetime: 500ms", "token_lifetime", "at least 1s"),
        (AT_THE_TOP, "token_format: xml", "token_format", "'jwt' or 'opaque'"),
        (AT_THE_TOP, "token_profile: oidc", "token_profile", "'rfc9068' or 'oracle'"),
        (AT_THE_TOP, "token_profile: oracle", "token_profile", "add `tenant:`"),
        (AT_THE_TOP, "tenant: {name: x}", "tenant", "must be a string"),
        (AT_THE_TOP, "signing_algorithm: none", "signing_algorithm", "'RS256'"),
        (AT_THE_TOP, "rotation: 30d", "rotation", "must be a mapping of keys"),
        (AT_THE_TOP, "rotation: {every: 59s}", "rotation.every", "at least 1m"),
        (AT_THE_TOP, "rotation: {every: 30}", "rotation.every", "write 30s"),
        (AT_THE_TOP, "rotation: {publish_ahead: soon}", "rotation.publish_ahead", "'soon'"),
        (AT_THE_TOP, "rotation: {evry: 30d}", "rotation.evry", "did you mean 'every'?"),
        (AT_THE_TOP, "assertion_audience: loose", "assertion_audience", "'lenient' or 'strict'"),
        (AT_THE_TOP, "unknown_scopes: ignore", "unknown_scopes", "'refuse' or 'leave_out'"),
        (AT_THE_TOP, "issuance_log: 1", "issuance_log", "must be a string"),
        (AT_THE_TOP, 'log_hash_key: ""', "log_hash_key", "must not be empty"),
        (AT_THE_TOP, "resource_settings: {maintenance: {}}", "resource_settings.maintenance", "is no resource"),
        (
            AT_THE_TOP,
            "resource_settings: {https://maintenance.exmple: {token_format: jwt}}",
            "resource_settings",
            "did you mean 'https://maintenance.example'?",
        ),
        (
            AT_THE_TOP,
            "resource_settings: {https://maintenance.example: {token_lifetime: 2d}}",
            "token_lifetime",
            "at most 1d",
        ),
        (AT_THE_TOP, "resource_settings: {https://maintenance.example: {x: 1}}", ".x", "known keys are"),
        (SIGNER, SIGNER + "name: 7, ", "clients.signer.name", "must be a string"),
        (SIGNER, SIGNER + "secrets: [hunter2], ", "clients.signer.secrets[0]", "hash-secret"),
        (SIGNER, SIGNER + "secrets: one, ", "clients.signer.secrets", "must be a list"),
        (SIGNER, SIGNER + "shared_secret: short, ", "clients.signer.shared_secret", "32 bytes"),
        (SIGNER, SIGNER + "jwks_uri: https://k.example/, ", "clients.signer.jwks_uri", "remove one of them"),
        ("jwks: {keys: []}", "jwks_uri: ftp://k.example/", "clients.signer.jwks_uri", "https"),
        ("jwks: {keys: []}", "jwks_uri: http://k.example/", "clients.signer.jwks_uri", "https"),
        ("jwks: {keys: []}", "jwks: [1]", "clients.signer.jwks", "must be a mapping of keys"),
        ("jwks: {keys: []}", "jwks: {kyes: []}", "clients.signer.jwks", "write {keys: [...]}"),
        ("jwks: {keys: []}", "jwks: {keys: {}}", "clients.signer.jwks", "write {keys: [...]}"),
        ("jwks: {keys: []}", "jwks: {keys: [1]}", "clients.signer.jwks.keys[0]", "not a JSON object"),
        ("jwks: {keys: []}", "jwks: {keys: [{kty: RSA, d: x}]}", "clients.signer.jwks.keys[0]", "is a private"),
        ("jwks: {keys: []}", "jwks: {keys: [{kty: oct, k: x}]}", "clients.signer.jwks.keys[0]", "symmetric"),
        ("jwks: {keys: []}", "jwks: {keys: [{kty: EC, crv: P-256}]}", "clients.signer.jwks.keys[0]", "cannot be used"),
        ("jwks: {keys: []}", 'certificate: ""', "clients.signer.certificate", "must not be empty"),
        (SIGNER, SIGNER + "certificate_alias: x, ", "clients.signer.certificate_alias", "add `certificate:`"),
        (SIGNER, SIGNER + "tls_client_auth: {}, ", "clients.signer.tls_client_auth", "exactly one of"),
        (
            SIGNER,
            SIGNER + "tls_client_auth: {subject_dn: CN=a, san_dns: a}, ",
            "clients.signer.tls_client_auth",
            "exactly one of",
        ),
        (SIGNER, SIGNER + "tls_client_auth: {san_dns: a}, ", "clients.signer.tls_client_auth", "and client_ca"),
        (
            SIGNER,
            SIGNER + "tls_client_auth: {san_ip: a}, ",
            "clients.signer.tls_client_auth.san_ip",
            "is no IP address",
        ),
        (
            SIGNER,
            SIGNER + "tls_client_auth: {subject_dn: a}, ",
            "clients.signer.tls_client_auth.subject_dn",
            "CN=batch",
        ),
        (SIGNER, SIGNER + "tls_client_auth: {san: a}, ", "clients.signer.tls_client_auth.san", "unknown key"),
        (SIGNER, SIGNER + "token_lifetime: 0s, ", "clients.signer.token_lifetime", "at least 1s"),
        (SIGNER, SIGNER + "token_format: JWT, ", "clients.signer.token_format", "'jwt' or 'opaque'"),
        (SIGNER, SIGNER + "dpop_bound_access_tokens: 1, ", "clients.signer.dpop_bound_access_tokens", "true or false"),
        (
            SIGNER,
            SIGNER + "tls_client_certificate_bound_access_tokens: always, ",
            "clients.signer.tls_client_certificate_bound_access_tokens",
            "true or false",
        ),
        (
            SIGNER,
            SIGNER + "tls_client_certificate_bound_access_tokens: true, ",
            "clients.signer.tls_client_certificate_bound_access_tokens",
            "client_certificate: optional",
        ),
        (SIGNER, SIGNER + "introspect: all, ", "clients.signer.introspect", "true or false"),
        ("type: mobile", "type: mobile, secrets: []", "clients.field-app.secrets", "cannot keep a secret"),
        ("type: mobile", "type: mobile, jwks_uri: https://k.example", "clients.field-app.jwks_uri", "cannot keep"),
        ("type: mobile", "type: mobile, certificate: c.pem", "clients.field-app.certificate", "cannot keep a secret"),
    ],
)
def test_a_fault_of_what_is_optional_is_told_with_its_place_and_remedy(
    old: str, new: str, key: str, words: str
) -> None:
    changed = TEXT.replace(old, f"{old}\n{new}" if old == AT_THE_TOP and not new.startswith("state") else new)
    assert changed != TEXT
    told = faults(changed)
    *_, fault = (fault for fault in told if key in fault.split(": ")[1])
    assert words in fault
    assert "hunter2" not in "".join(told)


def test_faults_of_many_keys_are_told_in_one_go() -> None:
    changed = TEXT.replace(
        AT_THE_TOP,
        f"{AT_THE_TOP}\nrotation: {{every: 1s}}\ntoken_format: xml\nunknown_scopes: some\ntoken_profile: oracle\n"
        "resource_settings: {nowhere: {}}",
    ).replace(SIGNER, SIGNER + "shared_secret: short, introspect: 1, certificate_alias: x, ")
    keys = [fault.split(": ")[1] for fault in faults(changed)]
    assert keys == [
        "rotation.every",
        "token_format",
        "unknown_scopes",
        "token_profile",
        "resource_settings.nowhere",
        "clients.signer.shared_secret",
        "clients.signer.introspect",
        "clients.signer.certificate_alias",
    ]


def test_everything_that_may_be_said_can_be_said_at_once() -> None:
    text = TEXT.replace(
        AT_THE_TOP,
        f"""\
state: postgresql://scopegate@db.example/scopegate
{TLS}, client_ca: ca.pem, client_certificate: optional}}
passphrase_file: passphrase
token_lifetime: 15m
token_format: opaque
token_profile: oracle
tenant: example
rotation: {{every: 30d, publish_ahead: 1h}}
assertion_audience: strict
unknown_scopes: leave_out
issuance_log: "-"
log_hash_key: a long secret
resource_settings: {{https://maintenance.example: {{token_lifetime: 5m, token_format: jwt}}}}""",
    ).replace(
        "signer: {type: trusted, ",
        f"""signer: {{type: trusted, name: Signer, secrets: ["{HASH}"], shared_secret: {"x" * 32}, certificate: s.crt,
    certificate_alias: s, tls_client_auth: {{subject_dn: "CN=signer"}}, token_lifetime: 1m, token_format: jwt,
    dpop_bound_access_tokens: true, tls_client_certificate_bound_access_tokens: true, introspect: true, """,
    )
    read = settings(text)
    signer = read.clients["signer"]
    assert (read.rotation.every, read.rotation.publish_ahead) == (30 * 86400, 3600)
    assert read.lifetime(signer, "https://maintenance.example") == 60
    assert read.lifetime(read.clients["nightly-batch"], "https://maintenance.example") == 300
    assert read.lifetime(read.clients["everything"], "https://reports.example/") == 900
    assert read.format(signer, "https://reports.example/") == "jwt"
    assert read.format(read.clients["everything"], "https://reports.example/") == "opaque"
    assert signer.secret_hashes == (HASH,)
    assert "x" * 32 not in repr(read)


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
