"""How tests ask the server for captions and judge its refusals."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx

from serving.contract.problem_details import ProblemDetails
from tests.drawings import draw, encode
from tests.server import Server

PICTURE = encode(draw("red ring"))

PHOTOPRISMS_LABELS = {
    "type": "object",
    "properties": {
        "labels": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
                    "topicality": {"type": "number", "minimum": 0, "maximum": 1},
                },
                "required": ["name", "confidence", "topicality"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["labels"],
}
"""The JSON schema that PhotoPrism sends when it asks for labels."""


def post(client: httpx.Client, path: str, **asked: Any) -> Any:
    """Ask in JSON; return the good answer's."""
    answer = client.post(path, json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


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


def assert_logged(server: Server, identity: str, status: int, slug: str, more: str = "") -> None:
    """Check that one line of the access log tells of a refusal.

    Args:
        server: what was asked.
        identity: the request's.
        status: of the answer.
        slug: kind of the problem.
        more: that the line has to have before the identity.
    """
    pattern = rf".* {status} {slug} in .*{re.escape(more)}, id {re.escape(identity)}\b.*"
    deadline = time.monotonic() + 10
    while True:
        lines = re.findall(pattern, server.log.read_text(errors="replace"))
        if lines or time.monotonic() > deadline:
            break
        time.sleep(0.05)  # the answer may be here before the line is written
    assert len(lines) == 1, server.tail()
