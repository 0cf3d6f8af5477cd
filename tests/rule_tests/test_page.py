"""docs/testing-rules.md shows what the command does, and the sample's rules satisfy their cases."""

import re
import shutil
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.rule_tests.cases import Cases
from gateway.rule_tests.reading import read_cases

from .rules_on_trial import Trial

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing-rules.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def sample(tmp_path: Path) -> Trial:
    for name in ("gateway.yaml", "gateway.tests.yaml", "issuer.yaml"):
        shutil.copy(ROOT / "config" / name, tmp_path / name)
    return Trial(tmp_path, (tmp_path / "gateway.yaml").read_text(encoding="utf-8"))


def test_the_samples_rules_satisfy_their_cases_which_reach_every_route(sample: Trial) -> None:
    outcome = sample.run("--all-routes")
    assert outcome.exit_code == 0, outcome.stdout
    assert "routes reached: 8 of 8\n" in outcome.stdout
    assert "never let anyone in" not in outcome.stdout


def test_the_pages_first_file_passes_and_fails_as_the_page_shows(sample: Trial) -> None:
    sample.cases.write_text(EXAMPLES[0], encoding="utf-8")
    assert sample.run().exit_code == 0
    text = sample.gateway.read_text(encoding="utf-8")
    before, route, after = text.partition("  - id: run-job\n")
    sample.gateway.write_text(before + route + after.replace("[jobs.run]", "[jobs.admin]", 1), encoding="utf-8")
    outcome = sample.run()
    assert outcome.exit_code == 1
    (shown,) = re.findall(r"^    FAILED.*?(?=\n## )", PAGE, re.DOTALL | re.MULTILINE)
    assert outcome.stdout.replace(str(sample.gateway.parent), "config").strip() == dedent(shown).strip()


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_file_of_the_page_can_be_read(tmp_path: Path, example: str) -> None:
    file = tmp_path / "cases.yaml"
    file.write_text(example, encoding="utf-8")
    found = read_cases(file, {})
    assert isinstance(found, Cases), "\n".join(map(str, found))
