"""explain tells which host a route is for, and typed variables apart."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.explain import explain

CONFIG = """\
upstreams: {api: {url: "http://127.0.0.1:9000"}}
routes:
  - {id: inside, host: "*.internal.example", path: /jobs, public: true, upstream: api}
  - {id: number, host: api.example, path: "/jobs/{job:int}", public: true, upstream: api}
  - {id: named, path: "/jobs/{name:[a-z]+}", methods: [GET], public: true, upstream: api}
"""


def explained(folder: Path, *arguments: str) -> dict[str, Any]:
    file = folder / "gateway.yaml"
    file.write_text(CONFIG)
    outcome = CliRunner().invoke(explain, [*arguments, "-c", str(file), "--json"])
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


@pytest.mark.parametrize(
    ("arguments", "why", "change"),
    [
        (
            ("GET", "/jobs", "--host", "a.internal.example"),
            ["matches", "another path", "another path"],
            "",
        ),
        (
            ("GET", "/jobs", "--host", "api.example"),
            ["another host", "another path", "another path"],
            "name a host that takes this path: *.internal.example",
        ),
        (
            ("GET", "/jobs/7", "--host", "API.example:80"),
            ["another path", "matches", "another path"],
            "",
        ),
        (
            ("GET", "/jobs/7", "--host", "other.example"),
            ["another path", "another host", "another path"],
            "name a host that takes this path: api.example",
        ),
        (
            ("GET", "/jobs/seven", "--host", "api.example"),
            ["another path", "another path", "matches"],
            "",
        ),
        (
            ("POST", "/jobs/seven", "--host", "api.example"),
            ["another path", "another path", "the path fits, but it takes GET"],
            "use GET",
        ),
        (
            ("GET", "/jobs/7a", "--host", "api.example"),
            ["another path", "another path", "another path"],
            "use the path of a route that there is: ",
        ),
    ],
)
def test_each_route_says_whether_host_or_path_kept_it_from_matching(
    tmp_path: Path, arguments: tuple[str, ...], why: list[str], change: str
) -> None:
    found = explained(tmp_path, *arguments)
    assert [each["why"] for each in found["candidates"]] == why
    changes = [each["do"] for each in found["changes"]]
    assert changes[0].startswith(change) if change else changes == []


def test_a_route_that_is_near_is_named_with_its_host(tmp_path: Path) -> None:
    found = explained(tmp_path, "GET", "/jobs/", "--host", "api.example")
    assert "at *.internal.example (inside)" in json.dumps(found["changes"])
