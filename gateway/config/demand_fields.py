"""Field types of what a route demands of those who may be let in."""

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from gateway.config.fields import Text
from gateway.config.gateway_fields import each_once


def _clients(value: Any) -> Any:
    """A list of client ids, or one for each issuer; empty ones are refused, since they would let nobody in."""
    lists = value.values() if isinstance(value, dict) else (value,)
    for clients in lists:
        if not isinstance(clients, tuple) or not clients or not all(isinstance(item, str) and item for item in clients):
            raise ValueError("must be a list of client ids, such as [nightly-batch], or one for each issuer")
        each_once(clients)
    if not lists:
        raise ValueError("must not be empty: list at least one client, or write deny: true")
    return value


_LIST = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "uniqueItems": True}
_ANY_CLIENTS = WithJsonSchema(
    {
        "anyOf": [
            _LIST,
            {"type": "object", "additionalProperties": _LIST, "minProperties": 1},
        ],
        "examples": [["nightly-batch"], {"local": ["nightly-batch"], "corporate": ["reports"]}],
    }
)

Clients = Annotated[tuple[Text, ...] | dict[str, tuple[Text, ...]], BeforeValidator(_clients), _ANY_CLIENTS]
"""Of the only issuer, or by issuer."""
