"""DPoP: a proof, with each request, that its sender holds a key (RFC 9449)."""

import hashlib
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from gateway.client.client_keys import ClientKey, base64url


@dataclass(frozen=True, slots=True)
class DpopKey:
    """The key that tokens are bound to."""

    key: ClientKey

    @property
    def thumbprint(self) -> str:
        """What a token that is bound to it says in `cnf.jkt` (§6.1)."""
        return self.key.thumbprint

    def proof(
        self, method: str, url: str, now: float, *, nonce: str | None = None, access_token: str | None = None
    ) -> str:
        """The value of the field `DPoP` for one request (§4.2).

        Args:
            method: of the request.
            url: of the request; query and fragment are left out.
            now: seconds since the epoch.
            nonce: that the server gave (§8).
            access_token: that goes with the request, None at the token endpoint.
        """
        claims: dict[str, object] = {
            "jti": secrets.token_urlsafe(24),
            "htm": method,
            "htu": urlunsplit(urlsplit(url)._replace(query="", fragment="")),
            "iat": int(now),
        }
        if nonce is not None:
            claims["nonce"] = nonce
        if access_token is not None:
            claims["ath"] = base64url(hashlib.sha256(access_token.encode()).digest())
        return self.key.sign({"typ": "dpop+jwt", "jwk": self.key.public_jwk}, claims)
