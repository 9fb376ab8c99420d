"""The OpenAPI 3.1 document of the endpoints, made from their declarations."""

from typing import Any

import msgspec

import stream
from stream.http import shapes
from stream.http.endpoints import EVENTS, JSON, TABLE, TEXT, Endpoint

REF = "#/components/schemas/{name}"
KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "description": "the stream's key: its bytes, percent-encoded, `/` too (%2F)",
    "schema": {"type": "string", "minLength": 1},
    "example": "pump",
}
ALWAYS = {
    400: "the path is badly encoded, or the body is no JSON",
    401: "the token is missing or wrong",
    403: "without a token: the Host is not this machine's, or another site's page asks",
    413: "the body is too large",
    415: "the body is not declared as application/json",
    422: "a parameter is not known or out of range, or the model cannot answer this",
}


def document(secured: bool) -> dict[str, Any]:
    """secured: whether a token is set."""
    types = {shape for one in TABLE for _, shape in one.answers.values() if not isinstance(shape, str)}
    types |= {one.body for one in TABLE if one.body is not None} | {shapes.Error}
    _, components = msgspec.json.schema_components(sorted(types, key=lambda t: t.__name__), ref_template=REF)
    paths: dict[str, Any] = {}
    for one in TABLE:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "statecast",
            "version": stream.VERSION,
            "description": "A running service: how it does, its streams, and their futures. Times are epoch "
            "milliseconds; surprise is -log10 of a probability.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}] if secured else [],
    }


def _operation(one: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": one.summary,
        "operationId": one.run.__name__,
        "parameters": ([KEY] if "{key}" in one.path else []) + _parameters(one),
        "responses": {str(status): _answer(text, one.media, shape) for status, (text, shape) in one.answers.items()},
    }
    if one.open:
        operation["security"] = []
    if one.body is not None:
        schema = {"$ref": REF.format(name=one.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    for status, text in ALWAYS.items():
        if not one.open or status == 413:
            operation["responses"].setdefault(str(status), _answer(text, JSON, shapes.Error))
    return operation


def _parameters(one: Endpoint) -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([one.query], ref_template=REF)
    found = []
    for name, schema in components[one.query.__name__]["properties"].items():
        description = schema.pop("description")
        found.append({"name": name, "in": "query", "description": description, "schema": schema})
    return found


def _answer(text: str, media: str, shape: Any) -> dict[str, Any]:
    if shape == TEXT:
        return {"description": text, "content": {TEXT: {"schema": {"type": "string"}}}}
    if shape is shapes.Error:
        media = JSON
    schema: dict[str, Any] = {"$ref": REF.format(name=shape.__name__)}
    if media == EVENTS:
        data = {"type": "string", "contentMediaType": JSON, "contentSchema": schema}
        fields = {"id": {"type": "string", "description": "the offset"}, "data": data}
        schema = {"type": "object", "properties": fields, "required": ["id", "data"], "description": "one event"}
    return {"description": text, "content": {media: {"schema": schema}}}
