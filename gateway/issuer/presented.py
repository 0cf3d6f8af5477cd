"""How a request says which client sent it: by exactly one method (RFC 6749 §2.3). Pure; nothing is verified yet."""

from typing import Final, Literal, NamedTuple, TypeAlias

from gateway.client.assertions import ASSERTION_TYPE
from gateway.issuer.basic import Credentials, read_basic
from gateway.issuer.client_request import ClientRequest
from gateway.issuer.errors import TokenError, TokenErrorCode
from gateway.issuer.form import Form
from gateway.issuer.peer_certificate import PeerCertificate

_METHODS: Final = "HTTP Basic, client_secret, client_assertion, or a certificate in mutual TLS"


class PresentedSecret(NamedTuple):
    """An id and a secret, in the readings that are possible."""

    readings: tuple[Credentials, ...]
    method: Literal["client_secret_basic", "client_secret_post"]


class PresentedAssertion(NamedTuple):
    """A JWT, and the client_id beside it."""

    assertion: str
    client_id: str | None


class PresentedCertificate(NamedTuple):
    """A client_id, in a connection whose client showed a certificate."""

    client_id: str
    certificate: PeerCertificate


Presented: TypeAlias = PresentedSecret | PresentedAssertion | PresentedCertificate


def read_presented(request: ClientRequest) -> Presented | TokenError:
    """What the request uses to authenticate."""
    form = request.form
    secret, assertion = form.get("client_secret"), form.get("client_assertion")
    used = len(request.authorizations) + (secret is not None) + (assertion is not None)
    if used > 1:
        return _invalid_request("More than one way of client authentication is used: use one.")
    if form.get("client_assertion_type") is not None and assertion is None:
        return _invalid_request("The parameter client_assertion is missing, though client_assertion_type is there.")
    if request.authorizations:
        return _basic(request.authorizations[0], form)
    if secret is not None:
        return _posted(form.get("client_id"), secret)
    if assertion is not None:
        return _assertion(assertion, form)
    return _certificate(request)


def _basic(authorization: str, form: Form) -> PresentedSecret | TokenError:
    readings = read_basic(authorization)
    if isinstance(readings, str):
        return TokenError(TokenErrorCode.INVALID_CLIENT, readings, challenge=True)
    named = form.get("client_id")
    if named is not None and all(reading.client_id != named for reading in readings):
        return _invalid_request("The client_id of the body is another than that of the Authorization field.")
    return PresentedSecret(readings, "client_secret_basic")


def _posted(client_id: str | None, secret: str) -> PresentedSecret | TokenError:
    if client_id is None:
        return _invalid_request("The parameter client_id is missing beside client_secret.")
    return PresentedSecret((Credentials(client_id, secret),), "client_secret_post")


def _assertion(assertion: str, form: Form) -> PresentedAssertion | TokenError:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        return _invalid_request(f"The parameter client_assertion_type must be {ASSERTION_TYPE}.")
    return PresentedAssertion(assertion, form.get("client_id"))


def _certificate(request: ClientRequest) -> PresentedCertificate | TokenError:
    client_id = request.form.get("client_id")
    if request.certificate is None:
        return _invalid_client(f"Client authentication is missing: use {_METHODS}.")
    if client_id is None:
        return _invalid_client("Client authentication is missing: send client_id beside the certificate.")
    return PresentedCertificate(client_id, request.certificate)


def _invalid_request(description: str) -> TokenError:
    return TokenError(TokenErrorCode.INVALID_REQUEST, description)


def _invalid_client(description: str) -> TokenError:
    return TokenError(TokenErrorCode.INVALID_CLIENT, description)
