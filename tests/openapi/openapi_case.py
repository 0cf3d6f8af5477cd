"""OpenAPI files as tests write them, and what the command makes of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gateway.build import route
from gateway.cli.import_openapi import openapi
from gateway.config.gateway_file import GatewayConfig, parse
from gateway.policy.model import Route

SCHEMES = {
    "oauth": {"type": "oauth2", "flows": {}},
    "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://i.example/"},
    "bearer": {"type": "http", "scheme": "Bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "tls": {"type": "mutualTLS"},
}
BEFORE_ROUTES = """\
issuers:
  main: {issuer: "https://main.example", audience: api}
upstreams:
  api: {url: "http://127.0.0.1:9"}
  other: {url: "http://127.0.0.1:8"}
"""


def spec(paths: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "Jobs", "version": "1"},
        "paths": paths,
        "components": {"securitySchemes": SCHEMES},
        **others,
    }


def secured(*requirements: Mapping[str, list[str]], **others: Any) -> dict[str, Any]:
    """An operation with these requirements, of which one has to hold."""
    return {"security": list(requirements), "responses": {"200": {"description": "yes"}}, **others}


READ = secured({"oauth": ["read"]})


class Folder:
    """A folder with an OpenAPI file and a gateway's file."""

    def __init__(self, path: Path) -> None:
        self.spec = path / "api.yaml"
        self.gateway = path / "gateway.yaml"

    def imported(self, content: Mapping[str, Any] | str, *arguments: str) -> Result:
        text = content if isinstance(content, str) else json.dumps(content)
        self.spec.write_text(text, encoding="utf-8")
        return CliRunner().invoke(openapi, [str(self.spec), *arguments])

    def again(self) -> Result:
        """The same with the file as it is."""
        return CliRunner().invoke(openapi, [str(self.spec)])

    def config(self, content: Mapping[str, Any] | str, *arguments: str) -> GatewayConfig:
        """The gateway's configuration with the routes that were written."""
        outcome = self.imported(content, *arguments)
        assert outcome.exit_code == 0, outcome.stderr
        found = parse(BEFORE_ROUTES + outcome.stdout, "g", {})
        assert isinstance(found, GatewayConfig), [outcome.stdout, *map(str, found)]
        return found

    def routes(self, content: Mapping[str, Any] | str, *arguments: str) -> list[Route]:
        """The same as the policy knows them."""
        config = self.config(content, *arguments)
        return [route(entry, config.issuers) for entry in config.routes]

    def drift(self, content: Mapping[str, Any] | str, routes: str, *arguments: str) -> Result:
        self.gateway.write_text(f"{BEFORE_ROUTES}routes:\n{routes}", encoding="utf-8")
        return self.imported(content, "--drift", "-c", str(self.gateway), *arguments)
