"""The issuer that the tests in this folder talk to."""

import base64
import shutil
import tempfile
import weakref
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote_plus

from gateway.issuer.key_ring import KeyRing
from gateway.issuer.keys import SigningKey, create_key
from gateway.issuer.secrets import ScryptCost, hash_secret
from gateway.issuer.server import AuthorizationServer
from gateway.issuer.settings import IssuerSettings, parse
from gateway.issuer.state import IssuerState

CHEAP = ScryptCost(n=16, r=1, p=1)
ISSUER = "https://issuer.example"
MAINTENANCE = "https://maintenance.example"
REPORTS = "https://reports.example/"
SECRET = "batch s3cret+%41:ü"
BATCH_SCOPES = "jobs.read jobs.run"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

TEXT = f"""
listen: 127.0.0.1:0
issuer: {ISSUER}
state: var/issuer.db
resources:
  {MAINTENANCE}:
    jobs.read: Read jobs
    jobs.run: Run jobs
    shared: In both
  {REPORTS}:
    reports.read: Read reports
    shared: In both
roles:
  operator: [jobs.run, jobs.read]
  analyst: [reports.read]
  sharer: [shared]
clients:
  nightly-batch: {{type: trusted, roles: [operator], secret: "{hash_secret(SECRET, CHEAP)}"}}
  everything: {{type: trusted, roles: [operator, analyst, sharer], secret: "{hash_secret("all", CHEAP)}"}}
  roleless: {{type: trusted, secret: "{hash_secret("none", CHEAP)}"}}
  grantless: {{type: trusted, grants: [], roles: [operator], secret: "{hash_secret("none", CHEAP)}"}}
  signer: {{type: trusted, roles: [operator], jwks: {{keys: []}}}}
  field-app: {{type: mobile, roles: [operator]}}
"""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def settings(text: str = TEXT) -> IssuerSettings:
    parsed = parse(text, "issuer.yaml", {})
    assert isinstance(parsed, IssuerSettings), parsed
    return parsed


@lru_cache
def keys() -> tuple[SigningKey, ...]:
    return create_key("RS256"), create_key("ES256")


def a_state(clock: Clock | None = None) -> IssuerState:
    """A state of its own in a folder that goes with it."""
    folder = tempfile.mkdtemp()
    state = IssuerState.open(f"{folder}/issuer.db", clock or Clock())
    weakref.finalize(state, shutil.rmtree, folder)
    return state


def server(
    clock: Clock | None = None,
    text: str = TEXT,
    *,
    state: IssuerState | None = None,
    base: Path = Path(),
    body_seconds: float = 10.0,
) -> AuthorizationServer:
    said, clock = settings(text), clock or Clock()
    ring = KeyRing.of(said.key_plan, keys(), clock)
    return AuthorizationServer(said, ring, clock, state or a_state(clock), base=base, body_seconds=body_seconds)


def basic(client_id: str, secret: str, *, encoded: bool = True) -> dict[str, str]:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}" if encoded else f"{client_id}:{secret}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


BATCH = basic("nightly-batch", SECRET)
EVERYTHING = basic("everything", "all")
