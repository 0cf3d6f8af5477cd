"""Chromium, which enforces CORS: pages of a listed origin can call a route that says `cors`, and no others can."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from .stage import AUDIENCE, PATIENCE, Stage, gateway

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ISSUER = "https://issuer.example"
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-proxy-server", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""One process for one page, which can reach nothing but this machine."""

PAGE = """<!doctype html><script>
async function outcome(url, options) {
  try {
    const answer = await fetch(url, options);
    return {status: answer.status, body: await answer.text(), etag: answer.headers.get("X-Client"),
            id: answer.headers.get("X-Request-Id")};
  } catch (error) { return {failed: error.name}; }
}
async function main() {
  const told = {};
  for (const [name, [url, options]] of Object.entries(TASKS)) told[name] = await outcome(url, options);
  await fetch("/told", {method: "POST", body: JSON.stringify(told)});
}
main();
</script>"""

pytestmark = pytest.mark.interop


class _Site(ThreadingHTTPServer):
    """A site of an origin of its own: one page, and what it tells."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Pages)
        self.page = b""
        self.told: Queue[dict[str, Any]] = Queue()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Pages(BaseHTTPRequestHandler):
    server: _Site

    def do_GET(self) -> None:
        self._answer(self.server.page)

    def do_POST(self) -> None:
        self.server.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def site() -> Iterator[_Site]:
    with _Site() as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def looked_at(running: _Site, folder: Path, tasks: dict[str, Any]) -> dict[str, Any]:
    """What a page of a site is told when a browser opens it."""
    assert CHROMIUM is not None
    running.page = PAGE.replace("TASKS", json.dumps(tasks)).encode()
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "--remote-debugging-port=0", running.origin]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, stdin=quiet) as browser:
        try:
            return running.told.get(timeout=PATIENCE)
        finally:
            browser.terminate()


@pytest.fixture
def needs_chromium() -> None:
    """Skip where there is none; in CI it has to be there."""
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs chromium")


def minted(key: ec.EllipticCurvePrivateKey, scope: str = "read") -> str:
    now = int(time.time())
    payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": "page", "client_id": "page", "scope": scope}
    return jwt.encode(payload | {"iat": now, "exp": now + 600}, key, "ES256", {"kid": "k"})


def tasks(stage: Stage, token: str, weak: str) -> dict[str, Any]:
    """What a page tries: by name, an address and how it is fetched."""
    bearer = {"Authorization": f"Bearer {token}"}
    base = stage.url.removesuffix("/things")
    return {
        "read": (f"{base}/things", {"headers": bearer}),
        "again": (f"{base}/things", {"headers": bearer}),
        "refused": (f"{base}/things", {"headers": {"Authorization": f"Bearer {weak}"}}),
        "bare": (f"{base}/things", {}),
        "field": (f"{base}/things", {"headers": bearer | {"X-Other": "1"}}),
        "method": (f"{base}/things", {"method": "DELETE", "headers": bearer}),
        "credentials": (f"{base}/things", {"headers": bearer, "credentials": "include"}),
        "silent": (f"{base}/silent", {"headers": bearer}),
        "anybody": (f"{base}/open", {}),
    }


@pytest.mark.usefixtures("needs_chromium")
def test_a_browser_lets_pages_of_a_listed_origin_call_and_keeps_others_out(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    published = ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "k", "alg": "ES256"}
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [published]}))
    issuer = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": "keys.json"}
    usual = {"methods": ["GET"], "scopes": ["read"], "upstream": "api"}
    with site() as listed, site() as stranger:
        cors = {"origins": [listed.origin], "headers": ["Authorization"], "expose": ["X-Request-Id"]}
        routes = [
            usual | {"id": "read", "path": "/things", "cors": cors},
            usual | {"id": "silent", "path": "/silent"},
            {"id": "open", "path": "/open", "public": True, "upstream": "api", "cors": {"origins": "*"}},
        ]
        with gateway(tmp_path, issuer, routes=routes) as stage:
            asked = tasks(stage, minted(key), minted(key, "other"))
            told = looked_at(listed, tmp_path / "listed", asked)
            kept = looked_at(stranger, tmp_path / "stranger", asked)
        records = stage.records()
    assert json.loads(told["read"]["body"])["X-Client-Id"] == "page"
    assert told["read"]["id"]
    assert (told["read"]["status"], told["again"]["status"], told["refused"]["status"]) == (200, 200, 403)
    assert json.loads(told["refused"]["body"])["reason"] == "scope_insufficient"
    assert (told["bare"]["status"], told["anybody"]["status"]) == (401, 200)
    failed = {"failed": "TypeError"}
    assert [told[name] for name in ("field", "method", "credentials", "silent")] == [failed] * 4
    assert kept.pop("anybody")["status"] == 200
    assert set(map(json.dumps, kept.values())) == {json.dumps(failed)}
    preflights = [(each["route"], each["status"]) for each in records if each["method"] == "OPTIONS"]
    assert preflights.count(("read", 204)) >= 1
    assert ("read", 403) in preflights
    assert not [each for each in records if each["method"] == "OPTIONS" and each["upstream"] is not None]
