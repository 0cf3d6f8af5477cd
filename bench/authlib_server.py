"""A token endpoint on Authlib's authorization server (Flask, one gunicorn worker): a yardstick for ours.

It compares secrets in the clear and keeps no state, which is its best case.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, Response
from gunicorn.app.base import BaseApplication
from joserfc.jwk import RSAKey


class _Client(ClientMixin):
    """The one client."""

    def __init__(self, client_id: str, secret: str, scope: str) -> None:
        self._client_id, self._secret, self._scope = client_id, secret, scope

    def get_client_id(self) -> str:
        return self._client_id

    def get_allowed_scope(self, scope: Collection[str] | str) -> str:
        return self._scope if scope == self._scope else ""

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self._secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return (method, endpoint) == ("client_secret_basic", "token")

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


class _Tokens(JWTBearerTokenGenerator):
    def __init__(self, issuer: str, key: dict[str, Any], audience: str) -> None:
        super().__init__(issuer=issuer, alg="RS256")
        self._key, self._audience = RSAKey.import_key(key), audience  # once: to import one costs more than to sign

    def get_jwks(self) -> RSAKey:
        return self._key

    def get_audiences(self, client: object, user: object, scope: str) -> str:
        del client, user, scope
        return self._audience


class _Served(BaseApplication):  # type: ignore[misc]  # untyped by gunicorn
    def __init__(self, application: Flask, port: int) -> None:
        self._application, self._port = application, port
        super().__init__()

    def load_config(self) -> None:
        settings = {"bind": f"127.0.0.1:{self._port}", "workers": 1, "threads": 4, "keepalive": 75}
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._application


def application(task: dict[str, Any]) -> Flask:
    """The server as a WSGI application."""
    app = Flask("authlib")
    client = _Client(task["client_id"], task["secret"], task["scope"])

    def query_client(client_id: str) -> _Client | None:
        return client if client_id == task["client_id"] else None

    server = AuthorizationServer(app, query_client=query_client, save_token=lambda _token, _request: None)
    server.register_grant(grants.ClientCredentialsGrant)
    server.register_token_generator("default", _Tokens(task["issuer"], task["key"], task["audience"]))

    def token() -> Response:
        return cast("Response", server.create_token_response())

    app.add_url_rule("/token", view_func=token, methods=["POST"])
    return app


if __name__ == "__main__":
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # it refuses http unless told so, even on the loopback
    given = json.loads(Path(sys.argv[1]).read_text())
    _Served(application(given), int(sys.argv[2])).run()
