"""docs/openapi.md shows what the command does."""

import re
from pathlib import Path

from .openapi_case import Folder

PAGE = (Path(__file__).parents[2] / "docs" / "openapi.md").read_text(encoding="utf-8")


def test_the_pages_file_becomes_the_pages_routes_with_the_pages_warning(tmp_path: Path) -> None:
    (described,) = re.findall(r"```yml\n(.*?)```", PAGE, re.DOTALL)
    (routes,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    folder = Folder(tmp_path)
    outcome = folder.imported(described, "--upstream", "maintenance")
    assert outcome.stdout.replace(str(folder.spec), "api.yaml") == routes
    assert f"    {outcome.stderr.replace(str(folder.spec), 'api.yaml')}" in PAGE
