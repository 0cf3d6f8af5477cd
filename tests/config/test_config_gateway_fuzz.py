"""Whatever the gateway's file holds, it is parsed or refused with a place, and nothing is raised."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from gateway.config import ConfigError
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.config.route_section import RouteConfig


def well_formed(found: GatewayConfig | list[ConfigError]) -> bool:
    if isinstance(found, GatewayConfig):
        return True
    return bool(found) and all(error.line >= 1 and error.column >= 1 and error.message for error in found)


@given(st.text())
def test_any_text_is_parsed_or_refused_and_never_raises(text: str) -> None:
    assert well_formed(parse(text, "f", {}))


EXAMPLE = (Path(__file__).parents[2] / "config/gateway.yaml").read_text(encoding="utf-8")
SCRAPS = st.sampled_from(
    [
        "null",
        "on",
        "[]",
        "{}",
        "1",
        "-1.5",
        "''",
        "[[]]",
        "{a: 1}",
        "*x",
        "&x ",
        "\t",
        "\n",
        "  ",
        "'",
        ": ",
        "- ",
        "${",
        "é",
    ]
)


@given(st.integers(0, len(EXAMPLE)), st.integers(0, 30), SCRAPS)
def test_any_damage_to_a_file_is_parsed_or_refused_and_never_raises(at: int, cut: int, scrap: str) -> None:
    assert well_formed(parse(EXAMPLE[:at] + scrap + EXAMPLE[at + cut :], "f", {}))


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*GatewayConfig.model_fields, *RouteConfig.model_fields, "url", "x"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([*GatewayConfig.model_fields]), TREES))
@example({"routes": [{"path": "\U00010000"}]})
def test_any_shape_of_data_is_parsed_or_refused_and_never_raises(tree: dict[str, Any]) -> None:
    assert well_formed(parse(json.dumps(tree), "f", {}))


_SHAPES: list[Any] = [
    None,
    True,
    7,
    1.5,
    "",
    "x",
    "{x}",
    "*",
    [],
    [None],
    [True],
    ["x"],
    [["x"]],
    [{}],
    [{"x": 1}],
    {},
    {"x": None},
    {"x": []},
    {"x": ["x"]},
    {"x": {"x": "x"}},
    {"": ""},
    {"local": True},
    {"corporate": [7]},
]


def keys_of(model: Any) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


@pytest.mark.parametrize("key", keys_of(RouteConfig))
def test_any_shape_of_a_key_of_a_route_is_parsed_or_refused_and_never_raises(key: str) -> None:
    route = {"id": "one", "path": "/one/{x}", "scopes": ["read"], "upstream": "maintenance"}
    content = {
        "issuers": {"local": {"issuer": "https://login.example/", "audience": ["one", "two"]}},
        "upstreams": {"maintenance": {"url": "http://127.0.0.1:9000"}},
    }
    for shape in _SHAPES:
        as_routes = [{**route, **beside, key: shape} for beside in ({}, {"public": True}, {"deny": True})]
        for entry in (*as_routes, {"defaults": {key: shape}, "routes": [route]}):
            assert well_formed(parse(json.dumps({**content, "routes": [entry]}), "f", {})), entry


_INCLUDED = st.sampled_from(["", "x", "nowhere/*", "[", "[a", "\0", "a/\0/*", "\ud800*", "f", "..", "a" * 5000])
_ENTRIES = st.recursive(
    st.fixed_dictionaries({}, optional={"id": st.text(max_size=2), "path": st.text("/{x:}.", max_size=6), "x": TREES})
    | st.fixed_dictionaries({"include": _INCLUDED | st.none() | st.integers()}, optional={"id": TREES})
    | TREES,
    lambda inner: st.fixed_dictionaries(
        {"routes": st.lists(inner, max_size=3) | TREES},
        optional={
            "prefix": st.text("/{x:}.", max_size=6) | TREES,
            "defaults": st.dictionaries(st.sampled_from([*RouteConfig.model_fields]), TREES, max_size=3) | TREES,
            "x": TREES,
        },
    ),
    max_leaves=8,
)


@given(st.lists(_ENTRIES, max_size=3))
@example([{"host": "\ud800"}])
def test_any_shape_of_groups_is_parsed_or_refused_and_never_raises(entries: list[Any]) -> None:
    assert well_formed(parse(json.dumps({"upstreams": {"a": {"url": "http://a"}}, "routes": entries}), "f", {}))
