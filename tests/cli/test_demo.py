"""`scopegate demo` has its files where its user can change them."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway.cli.check import check
from gateway.cli.demo import own_files, sample_port
from gateway.cli.issuer import issuer
from gateway.cli.run import read_or_exit

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_in_an_empty_folder_the_demo_puts_files_that_are_sound_and_can_be_changed(folder: Path) -> None:
    file = own_files()
    assert file == Path("config/gateway.yaml")
    assert CliRunner().invoke(check, [str(file)]).exit_code == 0
    assert sample_port(read_or_exit(file)) == 9000
    added = CliRunner().invoke(issuer, ["client", "add", "new", "--generate-secret"])
    assert added.exit_code == 0
    own_files()
    assert "  new:\n" in (folder / "config" / "issuer.yaml").read_text()


def test_files_that_are_there_stay_what_they_are(folder: Path) -> None:
    (folder / "config").mkdir()
    (folder / "config" / "issuer.yaml").write_text("mine")
    own_files()
    assert (folder / "config" / "issuer.yaml").read_text() == "mine"
    assert (folder / "config" / "gateway.yaml").read_text() == (CONFIG / "gateway.yaml").read_text()


def test_a_folder_that_cannot_be_written_is_told_in_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config").write_text("no folder")
    with pytest.raises(click.exceptions.Exit) as ended:
        own_files()
    assert ended.value.exit_code == 4
    assert capsys.readouterr().err == "config cannot be written: File exists\n"
