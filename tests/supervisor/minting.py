"""An issuer whose keys are in a file, and tokens of it."""

import time
from pathlib import Path

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from jwt.algorithms import ECAlgorithm

ISSUER, AUDIENCE = "https://issuer.example", "https://api.example"


def issuer(folder: Path, key: EllipticCurvePrivateKey) -> dict[str, str]:
    """The issuer's section; its file of keys is written."""
    jwk = orjson.loads(ECAlgorithm.to_jwk(key.public_key())) | {"kid": "one", "alg": "ES256", "use": "sig"}
    (folder / "keys.json").write_bytes(orjson.dumps({"keys": [jwk]}))
    return {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": "keys.json"}


def token(key: EllipticCurvePrivateKey, number: int = 0) -> str:
    """Of one client, with the scopes profile and read."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": f"client-{number}", "client_id": f"client-{number}"}
    times = {"iat": now, "exp": now + 600, "jti": f"{number:032x}"}
    return jwt.encode(claims | times | {"scope": "profile read"}, key, "ES256", {"kid": "one", "typ": "at+jwt"})
