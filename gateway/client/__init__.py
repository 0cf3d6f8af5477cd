"""The client's side of OAuth 2.0: finding an issuer's endpoints, authenticating there, and obtaining tokens."""

from gateway.client.authentication import (
    CertificateShown,
    ClientAssertion,
    ClientCredentials,
    ClientSecretBasic,
    ClientSecretPost,
    TokenEndpoint,
)
from gateway.client.discovery import DiscoveryFailure, InsecureAddress, IssuerMetadata, IssuerMismatch, discover
from gateway.client.fetch import MalformedAnswer, Unreachable, is_safe_url
from gateway.client.token_request import TokenClient, TokenOutcome, TokenRequest, fetch_token
from gateway.client.token_response import Refused, TokenFailure, TokenResponse
from gateway.client.token_source import TokenSource

__all__ = [
    "CertificateShown",
    "ClientAssertion",
    "ClientCredentials",
    "ClientSecretBasic",
    "ClientSecretPost",
    "DiscoveryFailure",
    "InsecureAddress",
    "IssuerMetadata",
    "IssuerMismatch",
    "MalformedAnswer",
    "Refused",
    "TokenClient",
    "TokenEndpoint",
    "TokenFailure",
    "TokenOutcome",
    "TokenRequest",
    "TokenResponse",
    "TokenSource",
    "Unreachable",
    "discover",
    "fetch_token",
    "is_safe_url",
]
