"""The token request's body: application/x-www-form-urlencoded, read strictly (RFC 6749 §3.2 and appendix B)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from gateway.issuer.errors import TokenError, TokenErrorCode

FORM_TYPE = "application/x-www-form-urlencoded"
MOST_BODY_BYTES = 64 << 10
_MOST_PARAMETERS = 100
_REPEATABLE = "resource"


@dataclass(frozen=True, slots=True, repr=False)
class Form:
    """The parameters that have a value; `resources` are the values of `resource`, the only one that may repeat."""

    values: Mapping[str, str]
    resources: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        """The parameter's value; None when it was left out or empty."""
        return self.values.get(name)


def read_form(content_type: str, body: bytes) -> Form | TokenError:
    """Read the body of a token request."""
    if not _is_form(content_type):
        return _invalid(f"The body must be {FORM_TYPE}, and the Content-Type field must say so.")
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except UnicodeDecodeError:
        return _invalid("The body must be UTF-8.")
    except ValueError:
        return _invalid(f"The body must hold at most {_MOST_PARAMETERS} parameters.")
    # RFC 6749 §3.2: a parameter without a value counts as left out.
    present = [(name, value) for name, value in pairs if value]
    counts = Counter(name for name, _ in present)
    repeated = next((name for name, count in counts.items() if count > 1 and name != _REPEATABLE), None)
    if repeated is not None:
        return _invalid(f"The parameter {repeated[:40]} is repeated: send it once.")
    return Form(dict(present), tuple(value for name, value in present if name == _REPEATABLE))


def _is_form(content_type: str) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [
        value.strip('"') for name, _, value in (part.partition("=") for part in parameters) if name == "charset"
    ]
    return media_type == FORM_TYPE and all(charset in {"utf-8", "utf8"} for charset in charsets)


def _invalid(description: str) -> TokenError:
    return TokenError(TokenErrorCode.INVALID_REQUEST, description)
