"""What a run needs on disk: keys, tokens, and scripts for wrk."""

from __future__ import annotations

import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://issuer.test"
AUDIENCE = "https://maintenance.test"
SCOPE = "maint:read"
KID = "bench-1"
HEADER = {"kid": KID, "typ": "at+jwt"}
PATH = "/maintenance/jobs/rotate-logs"
LIFETIME = 86_400

ROTATING = 3_000
NEW = 24_000
"""Tokens in the two rotations. The second exceeds every cache by far, so each is new again when its turn comes."""

SIGNED_AT_ONCE = 500

_ROTATE = """
local requests, at = {}, 0
function init(args)
  for token in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", nil, {["Authorization"] = "Bearer " .. token})
  end
end
function request()
  at = at + 1
  if at > #requests then at = 1 end
  return requests[at]
end
"""
_UPLOAD = """
local body = string.rep("x", 8 * 1024 * 1024)
function init(args)
  local token = io.lines(args[1])()
  wrk.method = "POST"
  wrk.body = body
  wrk.headers["Authorization"] = "Bearer " .. token
end
"""
_PACED = """
function delay()
  return 6
end
"""
REPORT = """
function done(summary, latency, requests)
  local errors = summary.errors
  io.stderr:write(string.format(
    '{"requests": %d, "micros": %d, "bytes": %d, "status_errors": %d, "socket_errors": %d, "p50": %d, "p99": %d}\\n',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Materials:
    """Files of one run, with the key in PEM form and two tokens at hand."""

    folder: Path
    jwks: Path
    public_key: Path
    hot: Path
    rotating: Path
    new: Path
    script: Path
    upload: Path
    paced: Path
    private: bytes
    good: str
    poor: str


def make(folder: Path) -> Materials:
    """Make keys, tokens and scripts; takes a minute, mostly for signing the tokens of the last load."""
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(RSAAlgorithm.to_jwk(key.public_key())) | {"kid": KID, "alg": "RS256", "use": "sig"}
    jwks = _write(folder / "jwks.json", json.dumps({"keys": [jwk]}))
    pem = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    public_key = _write(folder / "public.pem", pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    good = token(key, 0)
    return Materials(
        folder=folder,
        jwks=jwks,
        public_key=public_key,
        hot=_write(folder / "hot.txt", good),
        rotating=tokens(folder, private, ROTATING),
        new=tokens(folder, private, NEW),
        script=_write(folder / "load.lua", _ROTATE + REPORT),
        upload=_write(folder / "upload.lua", _UPLOAD + REPORT),
        paced=_write(folder / "paced.lua", _ROTATE + _PACED + REPORT),
        private=private,
        good=good,
        poor=token(key, 0, scope="other:read"),
    )


def tokens(folder: Path, private: bytes, count: int) -> Path:
    """A file with so many tokens, signed on all cores."""
    parts = [range(first, min(first + SIGNED_AT_ONCE, count)) for first in range(0, count, SIGNED_AT_ONCE)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        signed = pool.map(partial(_sign, private), parts)
        return _write(folder / f"tokens-{count}.txt", "\n".join(chain.from_iterable(signed)))


def _sign(private: bytes, numbers: range) -> list[str]:
    key = serialization.load_pem_private_key(private, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(key)
    return [token(key, number) for number in numbers]


def claims(number: int, scope: str = f"profile {SCOPE}", **more: object) -> dict[str, object]:
    """What a real token says, more or less."""
    now = int(time.time())
    return {
        "iss": ISSUER,
        "sub": f"client-{number:06d}",
        "client_id": f"client-{number:06d}",
        "aud": AUDIENCE,
        "exp": now + LIFETIME,
        "iat": now,
        "jti": f"{number:032x}",
        "scope": scope,
        "tenant": "maintenance-tenant-of-the-benchmark",
        "client_name": "nightly maintenance batch",
    } | more


def token(key: rsa.RSAPrivateKey, number: int, scope: str = f"profile {SCOPE}") -> str:
    """A token like a real one: some 780 bytes."""
    return jwt.encode(claims(number, scope), key, "RS256", HEADER)


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
