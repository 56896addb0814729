"""How tests ask the server for captions and judge its refusals."""

from __future__ import annotations

from typing import Any

import httpx

from serving.problems import ProblemDetails
from tests.drawings import draw, encode

PICTURE = encode(draw("red ring"))


def caption(
    client: httpx.Client, image: bytes = PICTURE, name: str = "x.png", **fields: Any
) -> httpx.Response:
    """Ask for captions; `fields` are the form's other fields."""
    return client.post("/caption", files={"image": (name, image)}, data=fields)


def check(response: httpx.Response, status: int, slug: str) -> ProblemDetails:
    """Check that the response is this problem in every respect, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    details = ProblemDetails.model_validate(response.json())
    assert (details.type, details.status) == (f"/problems/{slug}", status)
    assert details.request_id == response.headers["x-request-id"]
    assert "Traceback" not in response.text and "site-packages" not in response.text
    return details
