"""The JSON Schemas in the tree are those of the code, and explain every key."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.schema import schema as command
from gateway.config.schema import schema

CONFIG = Path(__file__).parents[2] / "config"
OPTIONS = {"gateway": [], "issuer": ["--issuer"], "gateway.tests": ["--tests"]}
LEAST = {"gateway": 40, "issuer": 40, "gateway.tests": 20}
each_file = pytest.mark.parametrize("name", OPTIONS)


def printed(name: str) -> str:
    outcome = CliRunner().invoke(command, OPTIONS[name])
    assert outcome.exit_code == 0
    return outcome.stdout


@each_file
def test_the_schema_in_the_tree_is_what_the_command_prints(name: str) -> None:
    """Write it anew with `make schema`."""
    assert (CONFIG / f"{name}.schema.json").read_text(encoding="utf-8") == printed(name)


@each_file
def test_the_example_points_at_the_schema(name: str) -> None:
    first = (CONFIG / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema={name}.schema.json"


def every_key(whole: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, part in {"": whole, **whole["$defs"]}.items():
        for key, value in part["properties"].items():
            target = whole["$defs"].get(value.get("$ref", "").removeprefix("#/$defs/"), {})
            yield f"{name}.{key}", target | value


@each_file
def test_every_key_has_a_title_and_a_description(name: str) -> None:
    keys = dict(every_key(json.loads(printed(name))))
    assert len(keys) > LEAST[name]
    for where, key in keys.items():
        assert key.get("description"), where
        assert key.get("title"), where


@each_file
def test_the_schema_allows_no_unknown_key_and_no_empty_value(name: str) -> None:
    whole = json.loads(printed(name))
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert all(part["additionalProperties"] is False for part in [whole, *whole["$defs"].values()])
    assert "null" not in json.dumps(whole)


def test_durations_and_addresses_have_patterns_examples_and_defaults_as_written() -> None:
    whole = schema()
    listen, drain = whole["properties"]["listen"], whole["properties"]["drain_timeout"]
    assert (listen["default"], drain["default"]) == ("127.0.0.1:8080", "30s")
    assert all(key["pattern"] and key["examples"] for key in (listen, drain))
