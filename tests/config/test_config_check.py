"""`scopegate check`: exit code, summary, errors one a line, and the files that a configuration names."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.check import check

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name in ("gateway.yaml", "issuer.yaml"):
        shutil.copy(CONFIG / name, tmp_path / name)
    return tmp_path / "gateway.yaml"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(check, [str(each) for each in arguments])


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_a_sound_configuration_is_summed_up_in_a_line(config: Path) -> None:
    outcome = run(config)
    assert outcome.exit_code == 0
    assert outcome.stdout == f"{config} is sound: 1 issuer, 1 upstream, 8 routes, of which 1 public\n"
    assert outcome.stderr == ""


def test_a_sound_configuration_is_summed_up_as_json(config: Path) -> None:
    outcome = run(config, "--json")
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout) == {
        "ok": True,
        "issuers": 1,
        "upstreams": 1,
        "routes": 8,
        "public": 1,
        "doubts": [],
        "unproven": [],
    }


def test_errors_are_lines_on_standard_error_and_exit_code_3(config: Path) -> None:
    change(config, "scopes: [jobs.admin]", "scope: [jobs.admin]")
    change(config, "listen: 127.0.0.1:8080", "listen: on")
    outcome = run(config)
    assert (outcome.exit_code, outcome.stdout) == (3, "")
    lines = outcome.stderr.splitlines()
    assert [line.removeprefix(f"{config}:").partition(" ")[0] for line in lines] == ["6:9:", "61:5:", "64:5:"]


def test_errors_are_json_on_standard_output(config: Path) -> None:
    change(config, "admin: 127.0.0.1:9901", "admin: 9901")
    outcome = run(config, "--json")
    assert outcome.exit_code == 3
    message = "9901 is no address: write host:port, such as 127.0.0.1:8080 or [::1]:8080"
    error = {"file": str(config), "line": 7, "column": 8, "key": "admin", "message": message}
    assert json.loads(outcome.stdout) == {"ok": False, "errors": [error]}


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    outcome = run(tmp_path / "no.yaml")
    assert outcome.exit_code == 3
    assert outcome.stderr == f"{tmp_path}/no.yaml:1:1: cannot be read: no such file or directory\n"


def test_the_embedded_issuer_is_checked_too(config: Path) -> None:
    change(config.parent / "issuer.yaml", "token_lifetime: 1h", "token_lifetime: 1")
    outcome = run(config)
    assert outcome.exit_code == 3
    assert outcome.stderr.startswith(f"{config.parent}/issuer.yaml:11:17: token_lifetime: 1 has no unit")


@pytest.mark.parametrize(
    ("name", "before", "after", "expected"),
    [
        (
            "gateway.yaml",
            "embedded: issuer.yaml",
            "embedded: nowhere.yaml",
            "14:15: issuers.local.embedded: {base}/nowhere.yaml cannot be read: no such file or directory",
        ),
        (
            "gateway.yaml",
            "embedded: issuer.yaml",
            "jwks_file: nowhere.json",
            "14:16: issuers.local.jwks_file: {base}/nowhere.json cannot be read: no such file or directory",
        ),
        (
            "gateway.yaml",
            "issuer: http://127.0.0.1:8081",
            "issuer: http://127.0.0.1:8082",
            (
                "13:13: issuers.local.issuer: differs from `issuer` in {base}/issuer.yaml, "
                "so its tokens would be refused: write the same in both"
            ),
        ),
        (
            "gateway.yaml",
            "audience: https://maintenance.example",
            "audience: https://other.example",
            (
                "15:15: issuers.local.audience: is no resource of {base}/issuer.yaml, "
                "so its tokens would be refused: resources there are https://maintenance.example"
            ),
        ),
    ],
)
def test_what_does_not_fit_the_files_that_are_named_is_an_error_at_the_name(
    config: Path, name: str, before: str, after: str, expected: str
) -> None:
    change(config.parent / name, before, after)
    outcome = run(config)
    assert outcome.exit_code == 3
    assert outcome.stderr == f"{config}:{expected.format(base=config.parent)}\n"


def test_variables_come_from_the_environment(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(config, "url: http://127.0.0.1:9000", "url: ${API}")
    assert run(config).exit_code == 3
    monkeypatch.setenv("API", "http://127.0.0.1:9000")
    assert run(config).exit_code == 0


OVERLAP = """
  - id: any-log
    methods: [GET]
    path: /maintenance/{kind}/today/log
    scopes: [jobs.raed]
    upstream: maintenance
"""


@pytest.fixture
def doubtful(config: Path) -> Path:
    config.write_text(config.read_text(encoding="utf-8") + OVERLAP, encoding="utf-8")
    return config


def test_what_is_doubtful_is_told_at_its_place_and_the_configuration_is_sound(doubtful: Path) -> None:
    outcome = run(doubtful)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    overlap, never, summary = outcome.stdout.splitlines()
    assert overlap == (
        f"{doubtful}:75:11: routes[8].path: GET /maintenance/jobs/today/log with a token of http://127.0.0.1:8081, "
        "for https://maintenance.example, scope jobs.read: 'job-log' above says allow, this route would say "
        "scope_insufficient: put the narrower path first, or tell the paths apart [overlap]"
    )
    assert never == (
        f"{doubtful}:76:5: routes[8].scopes: no role of local gives 'jobs.raed': did you mean 'jobs.read'? "
        "[scope-never-granted]"
    )
    assert summary.startswith(f"{doubtful} is sound: ")


REMOTE = """\
issuers:
  corporate: {issuer: https://login.example/, audience: api, scope_prefix: api/, jwks_uri: "https://login.example/jwks"}
upstreams: {api: {url: "http://127.0.0.1:9000"}}
routes:
  - {id: read, path: /jobs, methods: [GET], scopes: [jobs.raed], upstream: api}
  - {id: run, path: /runs, methods: [POST], scopes: [jobs.run], upstream: api}
"""
CASES = """\
tests:
  - GET /jobs   jobs.read -> scope_insufficient
  - request: POST /runs
    claims: { scope: [api/jobs.run, other] }
    expect: deny
"""


def test_scopes_of_an_issuer_whose_roles_are_elsewhere_are_known_by_tests_if_there_are_any(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(REMOTE, encoding="utf-8")
    assert run(file, "--strict").exit_code == 0
    file.write_text(REMOTE + CASES.replace("expect: deny", "expect: allow"), encoding="utf-8")
    outcome = run(file, "--strict")
    assert outcome.exit_code == 1
    (told,) = outcome.stdout.splitlines()[:-1]
    assert told == (
        f"{file}:5:45: routes[0].scopes: no test with a token of corporate gives 'jobs.raed': "
        "did you mean 'jobs.read'? [scope-never-granted]"
    )


@pytest.mark.parametrize(("text", "code"), [(CASES, 1), ("tests: [x]", 0), ("tests: [GET /x  none -> deny]", 0)])
def test_the_file_of_tests_beside_it_counts_if_it_can_be_read(tmp_path: Path, text: str, code: int) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(REMOTE, encoding="utf-8")
    (tmp_path / "gateway.tests.yaml").write_text(text, encoding="utf-8")
    outcome = run(file, "--strict")
    assert (outcome.exit_code, "gives 'jobs.raed': did you mean" in outcome.stdout) == (code, code == 1)


def test_strict_makes_doubts_count(config: Path) -> None:
    assert run(config, "--strict").exit_code == 0
    config.write_text(config.read_text(encoding="utf-8") + OVERLAP, encoding="utf-8")
    assert run(config, "--strict").exit_code == 1


def test_a_mode_is_reminded_of_at_its_place_and_counts_with_strict(config: Path) -> None:
    change(config, "- id: run-job\n", "- id: run-job\n    mode: shadow\n")
    ended = "mode: grace until 2020-01-01\n    grace_clients: [old]"
    change(config, "- id: cancel-run\n", f"- id: cancel-run\n    {ended}\n")
    outcome = run(config)
    assert outcome.exit_code == 0
    shadow, over, _ = outcome.stdout.splitlines()
    assert shadow.endswith("remove mode once no would_deny is left to mend [shadow]")
    assert ": routes[2].mode: is in shadow, so what it refuses goes on all the same: " in shadow
    told = "is over since 2020-01-01T00:00:00Z, so old may be refused: remove mode and grace_clients [grace-over]"
    assert over.endswith(told)
    assert run(config, "--strict").exit_code == 1


def test_doubts_as_json_have_a_place_and_a_request_to_send(doubtful: Path) -> None:
    overlap, never = json.loads(run(doubtful, "--json").stdout)["doubts"]
    assert (overlap["kind"], overlap["route"], overlap["line"]) == ("overlap", "any-log", 75)
    assert overlap["witness"]["path"] == "/maintenance/jobs/today/log"
    assert overlap["witness"]["claims"]["scope"] == "jobs.read"
    assert (never["kind"], never["key"], never["witness"]) == ("scope-never-granted", "routes[8].scopes", None)


def test_annotations_are_lines_that_github_reads(doubtful: Path) -> None:
    outcome = run(doubtful, "--github")
    assert outcome.exit_code == 0
    _, never = outcome.stdout.splitlines()
    assert never == (
        f"::warning file={doubtful},line=76,col=5,title=scope-never-granted::"
        "routes[8].scopes: no role of local gives 'jobs.raed': did you mean 'jobs.read'?"
    )
    change(doubtful, "admin: 127.0.0.1:9901", "admin: 9901")
    failed = run(doubtful, "--github")
    assert failed.exit_code == 3
    assert failed.stdout.startswith(f"::error file={doubtful},line=7,col=8,title=bad configuration::admin: 9901 is")


def test_a_doubt_about_an_included_route_is_told_in_the_file_that_it_is_in(config: Path) -> None:
    (config.parent / "more.yaml").write_text(f"routes:{OVERLAP}", encoding="utf-8")
    config.write_text(config.read_text(encoding="utf-8") + "\n  - include: more.yaml\n", encoding="utf-8")
    lines = run(config).stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines[:2]] == [
        f"{config.parent}/more.yaml:{at}" for at in ("4:11", "5:5")
    ]
