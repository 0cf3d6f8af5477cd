"""Where `scopegate run` runs; how it runs is for tests/supervisor."""

import sys

import click
import pytest

from gateway.cli.run import cores, on_linux


def test_elsewhere_than_on_linux_it_says_what_it_needs() -> None:
    with pytest.raises(click.ClickException, match=r"^scopegate run needs Linux, .*: run it there, in a container"):
        on_linux("darwin")


def test_on_linux_there_is_a_worker_for_each_core() -> None:
    on_linux(sys.platform)
    assert cores() >= 1
