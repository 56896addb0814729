"""What the OpenAPI document says of API keys, on every operation that needs one."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same."},
}


def add_security(
    document: dict[str, Any], refusal: dict[str, Any], open_paths: Container[str]
) -> None:
    """Complete the OpenAPI document of a server that has keys, in place.

    Args:
        document: with all its paths.
        refusal: the response object of a 401.
        open_paths: these need no key.
    """
    document["components"]["securitySchemes"] = _SCHEMES
    document["security"] = [{name: []} for name in _SCHEMES]
    described = {
        **refusal,
        "headers": {
            "WWW-Authenticate": {
                "description": "`Bearer`, with `error` where the key is wrong.",
                "schema": {"type": "string"},
            }
        },
    }
    for path, item in document["paths"].items():
        for operation in item.values():
            if "responses" not in operation:
                continue  # not an operation, but what all of the path have in common
            if path in open_paths:
                operation["security"] = []
            else:
                operation["responses"]["401"] = described
