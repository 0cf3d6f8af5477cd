"""The least file of the gateway, and what `parse` makes of a text."""

from gateway.config.gateway_file import GatewayConfig, parse

LEAST = """\
issuers:
  main: {issuer: https://i.example, audience: api}
upstreams:
  api: {url: "http://127.0.0.1:9000"}
routes:
  - {id: one, path: /one, scopes: [read], upstream: api}
"""
UP_TO_ROUTES = LEAST.partition("  - ")[0]


def config(text: str, **environ: str) -> GatewayConfig:
    found = parse(text, "f", environ)
    assert isinstance(found, GatewayConfig), "\n".join(map(str, found))
    return found


def faults(text: str) -> list[str]:
    found = parse(text, "f", {})
    return [str(error).removeprefix("f:") for error in found] if isinstance(found, list) else []
