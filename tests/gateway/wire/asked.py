"""An issuer that is asked about opaque tokens: what it answers, and a configuration that asks it."""

import json
from typing import Any

from .gate import Gate
from .minting import ISSUER, NOW, PrivateKey, claims, mint
from .raw_client import Answer, request
from .raw_upstream import Play, RawUpstream, replies

SECRET = "the-gateway-s-secret"
OPAQUE = "mF_9.B5f-4.1JqM-an-opaque-token"
JSON = "application/json"
SIGNED = "application/token-introspection+jwt"


def http(body: object, status: str = "200 OK", kind: str = JSON, *fields: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", f"Content-Type: {kind}", *fields, "", ""]
    return "\r\n".join(lines).encode() + content


def active(**changes: object) -> dict[str, object]:
    return {"active": True, "token_type": "Bearer", **claims(**changes)}


def says(**changes: object) -> Play:
    return replies(http(active(**changes)))


def signed(
    payload: dict[str, object] | None = None,
    typ: str = "token-introspection+jwt",
    kid: str = "rsa",
    key: PrivateKey | None = None,
) -> Play:
    whole = {"iss": ISSUER, "aud": "gateway", "iat": NOW, "token_introspection": active()} | (payload or {})
    return replies(http(mint(whole, key, typ=typ, kid=kid).encode(), "200 OK", SIGNED))


def asking(issuer: RawUpstream, /, credentials: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A configuration whose issuer is asked."""
    own = {"issuer": ISSUER, "client_id": "gateway", "client_secret": SECRET}
    introspection = {"endpoint": f"http://127.0.0.1:{issuer.port}/introspect", "credentials": "own"}
    return {"credentials": {"own": own | (credentials or {})}, "issuer": {"introspection": introspection | changes}}


async def tried(gate: Gate, token: str = OPAQUE, *fields: str, target: str = "/admin/x") -> Answer:
    return await gate.ask(request(f"GET {target}", f"Authorization: Bearer {token}", *fields))
