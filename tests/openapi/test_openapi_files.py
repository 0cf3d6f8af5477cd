"""OpenAPI files as others write them: YAML or JSON, with local references, and errors with their place."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.openapi.document import MOST_BYTES

from .openapi_case import READ, Folder, spec

YAML = """\
openapi: 3.0.3
info: {title: Jobs, version: 1.10}
paths:
  /jobs/{id}:
    $ref: '#/components/pathItems/job'
components:
  securitySchemes:
    oauth: {type: oauth2}
  parameters:
    id: {name: id, in: path, schema: {$ref: '#/components/schemas/Id'}}
  schemas:
    Id: &id {type: integer, example: 7}
    Copy: *id
  pathItems:
    job:
      parameters:
        - $ref: '#/components/parameters/id'
      get:
        responses:
          200: {description: on}
          default: {description: no}
        security: [{oauth: [jobs:read]}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_yaml_as_others_write_it_is_read_with_its_references(folder: Folder) -> None:
    (route,) = folder.routes(YAML)
    assert (route.path, route.rule.all_of) == ("/jobs/{id:int}", ("jobs:read",))
    assert folder.imported(YAML).stdout.startswith("# Jobs 1.10, ")


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_read_however_it_is_laid_out(folder: Folder, indent: int | str | None) -> None:
    content = json.dumps(spec({"/a": {"get": READ, "summary": "\U0001f600"}}), indent=indent)
    assert [route.path for route in folder.routes(content)] == ["/a"]


def test_a_reference_may_escape_and_count(folder: Folder) -> None:
    paths = {"/a~b/{x}": {"get": READ}, "/c": {"$ref": "#/paths/~1a~0b~1%7Bx%7D"}}
    assert [route.path for route in folder.routes(spec(paths))] == ["/a~b/{x}", "/c"]
    listed = spec({"/a": {"$ref": "#/x-items/1"}}, **{"x-items": [{}, {"get": READ}]})
    assert [route.path for route in folder.routes(listed)] == ["/a"]


def item(**members: Any) -> str:
    return json.dumps(spec({"/a": members}))


FAULTS = [
    ("", "1:1: the file is empty"),
    ("- a", "1:1: does not say openapi: 3.0.x or 3.1.x: OpenAPI 3.0 and 3.1 are"),
    ("swagger: '2.0'", "1:10: swagger: version 2.0 is not read: convert it to OpenAPI 3 first"),
    ("openapi: 4.0.0", "1:10: openapi: version 4.0.0 is not read: OpenAPI 3.0 and 3.1 are"),
    ("openapi: 3.10.0", "1:10: openapi: version 3.10.0 is not read"),
    ("openapi: 3.0.0\npaths:\n  /a: {}\n  /a: {}\n", "4:3: '/a' is written twice: keep one"),
    (
        '{"openapi": "3.0.0", "paths": {"/a": {}, "/a": {}}}',
        "1:1: the member '/a' stands twice in one object: keep one",
    ),
    ('{"openapi": "3.0.0",\n "paths": }', "2:11: no JSON: Expecting value"),
    ("openapi: [3.0.0", "no YAML: "),
    ("openapi: 3.0.0\nx: &x [*x]", "2:4: an anchor contains itself: write the value out"),
    ("[" * 300, "1:201: is nested more than 200 deep"),
    ('{"a":' * 300 + "1" + "}" * 300, ""),
    ("? [a]\n: b\n", "1:3: a list or mapping cannot be a key"),
    ("openapi: 3.0.0\npaths: {a: {}}", "2:9: paths.a: a path begins with '/'"),
    (item(**{"$ref": "other.yaml#/x"}), "'other.yaml#/x' leads out of this file, and is not followed"),
    (item(**{"$ref": "#/paths/~1b"}), "'#/paths/~1b' is not there"),
    (item(**{"$ref": "#/paths/~1a"}), "'#/paths/~1a' leads back to itself: write out what is meant"),
    (item(**{"$ref": "#/paths/~1a", "get": READ}), "has neighbours that would be lost: write them where it leads to"),
    (item(get={"security": {"oauth": []}}), ".get.security: must be a list"),
    (item(get={"security": ["oauth"]}), ".get.security[0]: must be a mapping of schemes to their scopes"),
    (item(get={"security": [{"oauth": "a"}]}), ".get.security[0].oauth: must be a list of scopes, [] for none"),
    (json.dumps(spec({"/a": {"get": READ}}, servers=[{"url": "/{v}"}])), "servers[0]: the variable 'v' has no default"),
    (json.dumps(spec({"/a": {"get": READ}}, servers=[{"url": "http://[x/a"}])), "is no URL: "),
]


@pytest.mark.parametrize(("content", "fault"), FAULTS)
def test_a_file_that_cannot_be_used_is_one_line_with_its_place(folder: Folder, content: str, fault: str) -> None:
    outcome = folder.imported(content)
    assert (outcome.exit_code, outcome.stdout) == (3, "")
    assert outcome.stderr.startswith(f"{folder.spec}:")
    assert fault in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_bytes_that_are_no_text_a_missing_file_and_a_huge_one_are_told(folder: Folder) -> None:
    folder.imported("")
    for content, fault in ((b"a: \xff", "byte 0xff is not UTF-8"), (b" " * (MOST_BYTES + 1), "is larger than 16 MiB")):
        folder.spec.write_bytes(content)
        assert fault in folder.again().stderr
    folder.spec.unlink()
    outcome = folder.again()
    assert (outcome.exit_code, outcome.stderr) == (3, f"{folder.spec}:1:1: cannot be read: no such file or directory\n")


def test_aliases_share_and_never_expand(folder: Folder) -> None:
    laughs = "\n".join(f"x-{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 9)}]" for at in range(1, 40))
    outcome = folder.imported(f"openapi: 3.1.0\nx-0: &a0 [ha]\n{laughs}\npaths: {{}}\n")
    assert outcome.exit_code == 0
    assert "there are no operations" in outcome.stderr


def test_routes_are_written_and_json_is_for_drift(folder: Folder) -> None:
    assert folder.imported(item(get=READ), "--json").exit_code == 2
    assert folder.imported(item(get=READ), "--base", "v1").exit_code == 2
