"""A gateway's file, files of cases beside it, and the command that judges them."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gateway.cli.check import check
from gateway.cli.test import test as command

GATEWAY = """\
listen: 127.0.0.1:8080
issuers:
  main: {issuer: "https://main.example", audience: [api, other]}
upstreams:
  api: {url: "http://127.0.0.1:9"}
routes:
  - {id: health, methods: [GET], path: /healthz, public: true, upstream: api}
  - {id: list-jobs, methods: [GET], path: /jobs, scopes: [jobs.read], upstream: api}
  - {id: run-job, methods: [POST], path: "/jobs/{job}/runs", scopes: {all: [jobs.run], any: [a, b]}, upstream: api}
  - {id: strong, methods: [DELETE], path: /jobs, scopes: [jobs.run], acr: [gold], max_age: 5m, upstream: api}
  - {id: bound, methods: [PUT], path: /jobs, scopes: [jobs.run], require_proof: mtls, upstream: api}
  - {id: cookie, methods: [GET], path: /page, scopes: [page], token_from: {cookie: sid}, upstream: api}
"""


class Trial:
    """A folder with a gateway's file and files of cases."""

    def __init__(self, folder: Path, gateway: str = GATEWAY) -> None:
        self.gateway = folder / "gateway.yaml"
        self.cases = folder / "gateway.tests.yaml"
        self.gateway.write_text(gateway, encoding="utf-8")

    def run(self, *arguments: object) -> Result:
        return CliRunner().invoke(command, ["-c", str(self.gateway), *map(str, arguments)])

    def judged(self, *cases: str) -> list[dict[str, Any]]:
        """What `--json` tells of each case, one entry of `tests` each."""
        self.write(*cases)
        outcome = self.run("--json")
        assert outcome.exit_code in {0, 1}, outcome.stderr
        found: list[dict[str, Any]] = json.loads(outcome.stdout)["cases"]
        return found

    def write(self, *cases: str, before: str = "") -> None:
        self.cases.write_text("\n".join([before, "tests:", *(f"  - {case}" for case in cases)]), encoding="utf-8")

    def add_inline(self, *cases: str) -> None:
        text = self.gateway.read_text(encoding="utf-8")
        self.gateway.write_text("\n".join([f"{text}tests:", *(f"  - {case}" for case in cases)]), encoding="utf-8")

    def faults(self, *cases: str, before: str = "") -> list[str]:
        """The errors of a file of cases, without its name."""
        self.write(*cases, before=before)
        outcome = self.run()
        assert (outcome.exit_code, outcome.stdout) == (3, "")
        return [line.removeprefix(f"{self.cases}:") for line in outcome.stderr.splitlines()]

    def checked(self) -> Result:
        return CliRunner().invoke(check, [str(self.gateway)])
