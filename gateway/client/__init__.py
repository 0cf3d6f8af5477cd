"""The client's side of OAuth 2.0: finding an issuer's endpoints, and obtaining tokens there."""

from gateway.client.discovery import DiscoveryFailure, InsecureAddress, IssuerMetadata, IssuerMismatch, discover
from gateway.client.fetch import MalformedAnswer, Unreachable, is_safe_url
from gateway.client.token_request import ClientCredentials, Refused, TokenFailure, TokenResponse, fetch_token

__all__ = [
    "ClientCredentials",
    "DiscoveryFailure",
    "InsecureAddress",
    "IssuerMetadata",
    "IssuerMismatch",
    "MalformedAnswer",
    "Refused",
    "TokenFailure",
    "TokenResponse",
    "Unreachable",
    "discover",
    "fetch_token",
    "is_safe_url",
]
