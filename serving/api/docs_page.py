"""`GET /docs`: Swagger UI from files of this machine, showing our own OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from starlette.routing import Route

from serving.api.pages import WEB, file_route

# Only the distribution's files are used: its code, which is for FastAPI, is never imported.
SWAGGER_UI = Path(str(distribution("fastapi-offline").locate_file("fastapi_offline/static")))
"""Swagger UI's own distribution, unchanged, as a package from PyPI carries it."""


def docs_routes() -> Iterator[Route]:
    """Yield the routes of the Swagger UI."""
    yield file_route("/docs", WEB, "docs.html")
    yield file_route("/docs/swagger-ui.css", SWAGGER_UI, "swagger-ui.css")
    yield file_route("/docs/swagger-ui.js", SWAGGER_UI, "swagger-ui-bundle.js")
