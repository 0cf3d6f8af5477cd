"""The JSON Schema of a configuration file, for editors: completion, and a description of every key."""

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gateway.config.gateway_file import GatewayConfig
from gateway.config.route_groups import ITS_OWN, RouteGroupConfig, RouteInclusionConfig
from gateway.config.route_section import RouteConfig


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
    whole = model.model_json_schema(schema_generator=_AsWritten) | about
    return _as_grouped(whole) if model is GatewayConfig else whole


def _as_grouped(whole: dict[str, Any]) -> dict[str, Any]:
    """The schema with groups and inclusions among the routes, which the models know as single ones only."""
    models = (RouteConfig, RouteGroupConfig, RouteInclusionConfig)
    known: dict[str, Any] = whole["$defs"]
    for model in models[1:]:
        known[model.__name__] = model.model_json_schema(schema_generator=_AsWritten)
    single, group = known[RouteConfig.__name__], known[RouteGroupConfig.__name__]
    known["RouteDefaults"] = {
        **{key: value for key, value in single.items() if key != "required"},
        "title": "RouteDefaults",
        "description": "What routes of a group say unless they say otherwise.",
        "properties": {key: value for key, value in single["properties"].items() if key not in ITS_OWN},
    }
    about = {key: group["properties"]["defaults"][key] for key in ("title", "description")}
    group["properties"]["defaults"] = {"$ref": "#/$defs/RouteDefaults", **about}
    entries = {"anyOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in models]}
    group["properties"]["routes"]["items"] = whole["properties"]["routes"]["items"] = entries
    return whole


def schema_text(whole: dict[str, Any]) -> str:
    """The schema as its file in `config/` holds it."""
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
