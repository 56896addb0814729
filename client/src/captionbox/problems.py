"""What the server says when it refuses: RFC 9457 problem details, read from any error answer."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    import httpx

_LONGEST_TEXT = 300


class FieldProblem(BaseModel):
    """One field of a request that was refused, and why."""

    model_config = ConfigDict(frozen=True, extra="allow")

    field: str
    detail: str
    received: str | None = None


class Problem(BaseModel):
    """A problem as the server describes it.

    Attributes:
        status: HTTP status code.
        type: kind of problem, a relative URI reference; `about:blank` where the server named none.
        title: the kind in words.
        detail: what happened this time.
        instance: path of the request that failed.
        request_id: the request's identity, also in the server's log.
        errors: the fields at fault, where fields are.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    status: int
    type: str = "about:blank"
    title: str = "Error"
    detail: str | None = None
    instance: str | None = None
    request_id: str | None = None
    errors: list[FieldProblem] = []

    @property
    def kind(self) -> str:
        """Last part of `type`, such as `broken-image`."""
        return self.type.rsplit("/", 1)[-1]


def read_problem(response: httpx.Response) -> Problem:
    """Return what an error answer says, whoever made it: Captionbox, or a proxy in front of it."""
    problem = from_value(_json(response), response.status_code)
    fill: dict[str, Any] = {"status": response.status_code}
    if problem.request_id is None:
        fill["request_id"] = response.headers.get("x-request-id")
    if problem.detail is None:
        fill["detail"] = _plain_text(response)
    return problem.model_copy(update=fill)


def from_value(value: object, status: int) -> Problem:
    """Return the problem that a decoded JSON value describes.

    Args:
        value: problem details, OpenAI's `{"error": {"message": …}}`, both at once, or anything
            else.
        status: the status where `value` names none.
    """
    fields = dict(value) if isinstance(value, dict) else {}
    inner = fields.get("error")
    if isinstance(inner, dict) and "title" not in fields:
        fields = {"detail": inner.get("message"), **inner}
    elif isinstance(inner, str):
        fields.setdefault("detail", inner)
    fields = {key: item for key, item in fields.items() if item is not None}
    if not isinstance(fields.get("status"), int):
        fields["status"] = status
    fields.setdefault("title", _phrase(fields["status"]))
    try:
        return Problem.model_validate(fields)
    except ValidationError:
        # Some field has a surprising type; what was meant is in none of them for sure.
        return Problem(status=status, title=_phrase(status))


def _json(response: httpx.Response) -> object:
    try:
        return json.loads(response.content)
    except ValueError:
        return None


def _plain_text(response: httpx.Response) -> str | None:
    """Return a short plain-text body; a proxy's HTML page says no more than the status does."""
    if response.is_redirect:
        return f"the server moved to {response.headers.get('location')}: set base_url to that"
    if not response.headers.get("content-type", "").startswith("text/plain"):
        return None
    text = " ".join(response.text.split())
    return text[:_LONGEST_TEXT] or None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
