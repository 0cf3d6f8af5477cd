"""The JSON Schema of a configuration file, for editors: completion, and a description of every key."""

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gateway.config.gateway_file import GatewayConfig


class _AsWritten(GenerateJsonSchema):
    """A key that may be left out may not be written empty, so no null appears in the schema."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ()) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return True


def schema(model: type[BaseModel] = GatewayConfig, title: str = "Scopegate gateway configuration") -> dict[str, Any]:
    """The schema, as draft 2020-12."""
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return model.model_json_schema(schema_generator=_AsWritten) | about


def schema_text(whole: dict[str, Any]) -> str:
    """The schema as its file in `config/` holds it."""
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
