"""docs/configuration.md names every key with its default and shows it in an example, and its examples load."""

import re
from collections.abc import Iterator
from inspect import isclass
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.config.gateway_file import GatewayConfig, parse as parse_gateway
from gateway.config.route_groups import RouteGroupConfig, RouteInclusionConfig
from gateway.config.route_section import RouteConfig
from gateway.issuer.settings import IssuerSettings, parse as parse_issuer

from .pages import code, examples, read, rows, sections

ABSENT = "\N{EN DASH}"
PLACEHOLDERS = {
    "issuers": "issuers.NAME",
    "credentials": "credentials.NAME",
    "upstreams": "upstreams.NAME",
    "routes": "routes[]",
    "routes[].rate_limits": "routes[].rate_limits[]",
    "tests": "tests[]",
    "clients": "clients.ID",
    "resource_settings": "resource_settings.AUDIENCE",
}
FILES: dict[str, type[BaseModel]] = {"config/gateway.yaml": GatewayConfig, "config/issuer.yaml": IssuerSettings}
BESIDE: dict[type[BaseModel], tuple[type[BaseModel], ...]] = {RouteConfig: (RouteGroupConfig, RouteInclusionConfig)}
"""What a list may hold beside the sections that its type names."""
WITH_YAML = ("configuration.md", "rules.md", "issuers.md", "security.md", "../deploy/README.md", "../README.md")
NEEDED = {
    "issuers": "issuers: {corporate: {issuer: https://login.example/, audience: api}}",
    "upstreams": 'upstreams: {maintenance: {url: "http://127.0.0.1:9000"}}',
    "routes": "routes: [{id: one, path: /one, scopes: [read], upstream: maintenance}]",
}


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key that a file of this model may hold, as the page spells it."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        yield key, field
        for inner in models(field.annotation):
            yield from keys(inner, PLACEHOLDERS.get(key, key) + ".")


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is, or is made of."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
        yield from BESIDE.get(annotation, ())
    for argument in get_args(annotation):
        yield from models(argument)


def spelt(field: FieldInfo) -> str | None:
    """A field's default as the page spells it; None where it is described in words."""
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "`{}`" if field.default_factory is dict else None
    match field.default:
        case None:
            return ABSENT
        case bool() as yes:
            return f"`{str(yes).lower()}`"
        case tuple() as items:
            return f"`[{', '.join(items)}]`"
        case other:
            return f"`{other}`"


def documented(file: str) -> dict[str, list[str]]:
    body = sections(read("configuration.md"), 2)[file]
    found = {cells[0]: cells for cells in rows(body)}
    assert found, f"no table of {file}"
    return found


ALL_KEYS = [pytest.param(file, key, field, id=f"{file}-{key}") for file in FILES for key, field in keys(FILES[file])]


@pytest.mark.parametrize(("file", "key", "field"), ALL_KEYS)
def test_every_key_is_documented_with_its_default(file: str, key: str, field: FieldInfo) -> None:
    cells = documented(file).get(key)
    assert cells is not None, f"docs/configuration.md, {file}: add a row for `{key}`"
    default = spelt(field)
    assert default is None or cells[2] == default


@pytest.mark.parametrize("file", FILES)
def test_no_key_is_documented_that_does_not_exist(file: str) -> None:
    assert set(documented(file)) == {key for key, _ in keys(FILES[file])}


def test_the_walk_reaches_aliases_and_nested_sections() -> None:
    assert {"limits.head_bytes", "issuers.NAME.jwks_uri", "routes[].scopes.any"} <= {
        key for key, _ in keys(GatewayConfig)
    }


def used(content: Any, known: set[str], prefix: str = "") -> Iterator[str]:
    """The known keys that a file's content holds, as the page spells them."""
    if isinstance(content, list):
        for item in content:
            yield from used(item, known, prefix)
    elif isinstance(content, dict):
        for key in known & {prefix + str(name) for name in content}:
            yield key
            value, below = content[key.removeprefix(prefix)], PLACEHOLDERS.get(key, key)
            by_name = below != key and not below.endswith("[]")
            yield from used(list(value.values()) if by_name else value, known, f"{below}.")


def shown(file: str) -> set[str]:
    """The keys that some example of the page holds; a case may also be shown where files of cases are described."""
    known = {key for key, _ in keys(FILES[file])}
    pages = ["configuration.md", *(["testing-rules.md"] if file == "config/gateway.yaml" else [])]
    found = [example for page in pages for example in examples(read(page), "yaml")]
    own = [example for example in found if is_issuers(example) == (file == "config/issuer.yaml")]
    return {key for example in own for key in used(yaml.safe_load(example), known)}


def is_issuers(example: str) -> bool:
    """Whether an example is of the issuer's file."""
    return re.search(r"^clients:", example, re.MULTILINE) is not None


@pytest.mark.parametrize("file", FILES)
def test_every_key_stands_in_an_example(file: str) -> None:
    missing = {key for key, _ in keys(FILES[file])} - shown(file)
    assert not missing, f"docs/configuration.md: show in an example: {', '.join(sorted(missing))}"


def completed(example: str) -> str:
    """A part of gateway.yaml, with the sections that it leaves out."""
    present = set(re.findall(r"^(\w+):", example, re.MULTILINE))
    return "\n".join([example, *(text for key, text in NEEDED.items() if key not in present)])


EXAMPLES = [
    pytest.param(example, id=f"{page}-{number}")
    for page in WITH_YAML
    for number, example in enumerate(examples(read(page), "yaml"), 1)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_loads(example: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret that is long enough for HMAC\n")
    text = re.sub(r"\$\{file:[^}]+\}", f"${{file:{secret}}}", example)
    for number, pattern in enumerate(re.findall(r"include: (\S+)", text)):
        included = tmp_path / pattern.replace("*", "one")
        included.parent.mkdir(exist_ok=True)
        included.write_text(f"routes: [{{id: r{number}, path: /r{number}, scopes: [read], upstream: maintenance}}]\n")
    found: object
    if is_issuers(text):
        found = parse_issuer(text, "example", {})
    else:
        found = parse_gateway(completed(text), str(tmp_path / "gateway.yaml"), {})
    assert not isinstance(found, list), "\n".join(map(str, found))


@pytest.mark.parametrize(("page", "least"), [("configuration.md", 8), ("issuers.md", 6)])
def test_the_examples_are_found(page: str, least: int) -> None:
    assert len(examples(read(page), "yaml")) >= least


def test_a_type_that_is_a_choice_names_every_value() -> None:
    found = documented("config/gateway.yaml")
    assert code(found["issuers.NAME.typ"][1]) == ["any", "at+jwt"]
