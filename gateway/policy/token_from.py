"""A token that a route takes from elsewhere than Authorization: from another field, or from a cookie.

A browser adds cookies to requests that other sites make it send. So a cookie's token counts for a request that may
change something only where the browser says that a page of this very origin sent it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from gateway.policy.denial import Denial, Reason, unmet
from gateway.policy.fields import dashed
from gateway.policy.model import RequestHead, TokenFrom

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110 §9.2.1); TRACE is never forwarded."""

_BEARER = re.compile(rb"\Abearer +", re.IGNORECASE)
_SEPARATOR = re.compile(rb"[\s,;]")
_NO_NAME = re.sub(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]", b"", bytes(range(256)))
"""What can stand in no name (RFC 9110 §5.6.2)."""

_DEFAULT_PORT = re.compile(r"\A(?:(http://.*):80|(https://.*):443)\Z")

Field = tuple[bytes, bytes]


def as_authorization(head: RequestHead, place: TokenFrom, origin: str) -> RequestHead | Denial:
    """The head as it would be with the token in Authorization, where the rest of the journey looks for it.

    Args:
        head: as received.
        place: where the route's token is, and nowhere else.
        origin: the gateway's own, as clients know it: `https://api.example`.

    Returns:
        The head; or a Denial: token_missing, request_malformed where there is more than one token, origin_untrusted.
    """
    token = _one_token(head, place)
    if isinstance(token, Denial):
        return token
    if place.kind == "cookie" and (denial := _cross_site(head, origin)) is not None:
        return denial
    return head._replace(authorization=(b"Bearer " + token,))


def _one_token(head: RequestHead, place: TokenFrom) -> bytes | Denial:
    values = _in_field(head, place.name) if place.kind == "header" else _in_cookies(head, place.name)
    if isinstance(values, Denial):
        return values
    if not any(values):
        return _refused(
            Reason.TOKEN_MISSING,
            place,
            "none",
            f"Get a token from the authorization server and send it in the {place}.",
        )
    if head.authorization:
        return _several(place, "an Authorization field beside it")
    if len(values) > 1:
        return _several(place, f"{len(values)} of them")
    token = values[0] if place.kind == "cookie" else _BEARER.sub(b"", values[0], count=1)
    return _several(place, "more than one token in it") if _SEPARATOR.search(token) else token


def without_token(fields: Iterable[Field], place: TokenFrom) -> list[Field]:
    """The fields that go on, without the token: its field in all spellings, or its pair among the cookies."""
    if place.kind == "header":
        name = dashed(place.name.encode())
        return [field for field in fields if dashed(field[0]) != name]
    kept = ((name, _without_pair(value, place.name) if _is_cookie(name) else value) for name, value in fields)
    return [(name, value) for name, value in kept if value or not _is_cookie(name)]


def only_token(fields: Iterable[Field], place: TokenFrom) -> list[Field]:
    """The fields that go on with the token: its field in no other spelling than the one that was judged."""
    if place.kind == "cookie":
        return list(fields)
    own = place.name.lower().encode()
    return [field for field in fields if field[0].lower() == own or dashed(field[0]) != dashed(own)]


def _in_field(head: RequestHead, name: str) -> list[bytes]:
    lower = name.lower().encode()
    return [value.strip(b" \t") for each, value in head.fields if each.lower() == lower]


def _in_cookies(head: RequestHead, name: str) -> list[bytes] | Denial:
    """The values of the cookie in the one Cookie field (RFC 6265 §5.4)."""
    cookies = [value for each, value in head.fields if _is_cookie(each)]
    if len(cookies) > 1:
        return unmet(Reason.REQUEST_MALFORMED, "token", "one Cookie field", f"{len(cookies)} of them")
    pairs = [_pair(part) for value in cookies for part in value.split(b";")]
    return [value for each, value in pairs if each == name.encode()]


def _is_cookie(name: bytes) -> bool:
    return dashed(name) == b"cookie"


def _pair(part: bytes) -> Field:
    """Name and value. Servers strip from a name what they take for a blank, U+00A0 too, or for quotes."""
    name, _, value = part.partition(b"=")
    return name.strip(_NO_NAME), value.strip(b" \t")


def _without_pair(value: bytes, name: str) -> bytes:
    kept = [part for part in value.split(b";") if _pair(part)[0] != name.encode()]
    return b";".join(kept).strip(b" \t")


def _cross_site(head: RequestHead, origin: str) -> Denial | None:
    """A refusal unless the request is safe, or a page of this origin sent it (Fetch Metadata, RFC 6454 §7)."""
    if head.method in SAFE and not head.upgrades:
        return None
    told, sites = _in_field(head, "Origin"), _in_field(head, "Sec-Fetch-Site")
    if not told and not sites:
        return _foreign(origin, "neither Origin nor Sec-Fetch-Site")
    if told and [_normal(value.decode("latin-1")) for value in told] != [_normal(origin)]:
        return _foreign(origin, f"Origin {b', '.join(told).decode('latin-1')}")
    return (
        None
        if not sites or sites == [b"same-origin"]
        else _foreign(origin, f"Sec-Fetch-Site {b', '.join(sites).decode('latin-1')}")
    )


def _normal(origin: str) -> str:
    lower = origin.lower().removesuffix("/") if "://" in origin else origin
    found = _DEFAULT_PORT.match(lower)
    return lower if found is None else found[1] or found[2]


def _foreign(origin: str, found: str) -> Denial:
    return unmet(Reason.ORIGIN_UNTRUSTED, "origin", f"a page of {_normal(origin)}", found)


def _several(place: TokenFrom, found: str) -> Denial:
    hint = f"Send one token, in the {place}, and no Authorization field."
    return _refused(Reason.REQUEST_MALFORMED, place, found, hint)


def _refused(reason: Reason, place: TokenFrom, found: str, hint: str) -> Denial:
    return replace(unmet(reason, "token", f"one token in the {place}", found), hint=hint)
