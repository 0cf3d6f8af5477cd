"""The JSON Schema in the tree is that of the code, and explains every key."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from gateway.cli.schema import schema as command
from gateway.config.schema import schema, schema_text

CONFIG = Path(__file__).parents[2] / "config"


def test_the_schema_in_the_tree_is_current() -> None:
    """Write it anew with `scopegate schema > config/gateway.schema.json`."""
    assert (CONFIG / "gateway.schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_command_prints_the_schema() -> None:
    outcome = CliRunner().invoke(command)
    assert (outcome.exit_code, outcome.stdout) == (0, schema_text())


def test_the_example_points_at_the_schema() -> None:
    first = (CONFIG / "gateway.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=gateway.schema.json"


def every_key(whole: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, part in {"": whole, **whole["$defs"]}.items():
        for key, value in part["properties"].items():
            target = whole["$defs"].get(value.get("$ref", "").removeprefix("#/$defs/"), {})
            yield f"{name}.{key}", target | value


def test_every_key_has_a_title_and_a_description() -> None:
    keys = dict(every_key(schema()))
    assert len(keys) > 40
    for where, key in keys.items():
        assert key.get("description"), where
        assert key.get("title"), where


def test_the_schema_allows_no_unknown_key_and_no_empty_value() -> None:
    whole = schema()
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert all(part["additionalProperties"] is False for part in [whole, *whole["$defs"].values()])
    assert "null" not in json.dumps(whole)


def test_durations_and_addresses_have_patterns_examples_and_defaults_as_written() -> None:
    whole = schema()
    listen, drain = whole["properties"]["listen"], whole["properties"]["drain_timeout"]
    assert (listen["default"], drain["default"]) == ("127.0.0.1:8080", "30s")
    assert all(key["pattern"] and key["examples"] for key in (listen, drain))
