"""The OpenAPI document, made of the table of routes."""

from __future__ import annotations

from typing import Any

import ivbpr_numba
from ivbpr_cli.web.routes import MOST_BYTES, ROUTES, Route

__all__ = ["openapi"]

PROBLEM = {"$ref": "#/components/schemas/Problem"}


def openapi() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ivbpr serve",
            "version": ivbpr_numba.__version__,
            "description": "Recommendations with reasons, which a shopper can push around. Documents are "
            "those of the commands of the same name. Parameters that repeat are read in the order given.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["error", "hint"],
                    "properties": {"error": {"type": "string"}, "hint": {"type": "string"}},
                }
            }
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    parameters = [
        {
            "name": one.name,
            "in": "query",
            "description": one.help,
            "required": False,
            "schema": one.schema(),
            **({"explode": True, "style": "form"} if one.most > 1 else {}),
        }
        for one in route.parameters.values()
    ]
    if route.id_help:
        path_id = {
            "name": "id",
            "in": "path",
            "required": True,
            "description": f"{route.id_help} Id, encoded.",
        }
        parameters.insert(0, {**path_id, "schema": {"type": "string"}})
    wrong = {"description": "Wrong parameters.", "content": {"application/json": {"schema": PROBLEM}}}
    content = {"schema": {"type": "object"}} if route.media == "application/json" else {}
    found: dict[str, Any] = {
        "operationId": route.handler,
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": route.summary, "content": {route.media: content}},
            "400": wrong,
            **{str(status): {**wrong, "description": text} for status, text in route.also.items()},
        },
    }
    if route.method == "POST":
        found["requestBody"] = {
            "required": True,
            "description": f"The image itself, at most {MOST_BYTES:,} bytes.",
            "content": {
                "image/*": {"schema": {"type": "string", "format": "binary", "maxLength": MOST_BYTES}}
            },
        }
    return found
