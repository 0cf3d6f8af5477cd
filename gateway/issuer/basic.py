"""Client credentials in the Authorization header (RFC 7617, RFC 6749 §2.3.1)."""

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote_plus


@dataclass(frozen=True, slots=True)
class Credentials:
    """One reading of what the client sent."""

    client_id: str
    secret: str = field(repr=False)


def read_basic(authorization: str) -> tuple[Credentials, ...] | str:
    """Read an Authorization field's value: the possible readings, likeliest first, or what is wrong with it.

    RFC 6749 has id and secret form-urlencoded, and many clients do not do it. Where that makes a difference there are
    two readings; one who knows the secret under either of them knows the secret.
    """
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return "The Authorization field must use the scheme Basic."
    try:
        text = base64.b64decode(encoded.strip().encode("ascii"), validate=True).decode()
    except ValueError:
        return "The Basic credentials must be base64 of UTF-8 text."
    client_id, colon, secret = text.partition(":")
    if not colon or not client_id:
        return "The Basic credentials must be the client id, a colon and the secret."
    plain = Credentials(client_id, secret)
    try:
        decoded = Credentials(*(unquote_plus(part, errors="strict") for part in (client_id, secret)))
    except UnicodeDecodeError:
        return (plain,)
    return (plain,) if decoded == plain else (decoded, plain)
