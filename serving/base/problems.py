"""What can be refused and why: one catalogue of kinds, and the exception that names one.

Code on any floor raises `Problem`; `serving.http.problem_answers` makes answers of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

TYPE_PREFIX = "/problems/"
RETRY_AFTER_SECONDS = 2
"""What 429 and 503 answers advise where the code that refuses knows nothing better."""


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        status: HTTP status code.
        title: the same for every problem of the kind.
        advice: detail where there is nothing more specific to say, and its documentation.
    """

    status: int
    title: str
    advice: str


KINDS: dict[str, Kind] = {
    "malformed-request": Kind(400, "Malformed request", "The request could not be understood."),
    "unauthorized": Kind(401, "Not authorised", "This needs a valid API key."),
    "forbidden": Kind(403, "Forbidden", "This is not allowed."),
    "urls-not-allowed": Kind(
        403,
        "URLs not allowed",
        "This server fetches no pictures: send the picture itself, or a data: URL. "
        "Its owner may set `CAPTIONBOX_ALLOW_URLS`.",
    ),
    "not-found": Kind(404, "Not found", "There is nothing at this address."),
    "unknown-model": Kind(404, "Unknown model", "No model of that name is served."),
    "no-matcher": Kind(
        404,
        "No matcher",
        "This server ranks no texts: whoever runs it names a matcher in `CAPTIONBOX_MATCHER`.",
    ),
    "method-not-allowed": Kind(
        405, "Method not allowed", "This address does not take that method; see `Allow`."
    ),
    "upload-too-slow": Kind(
        408, "Upload too slow", "The request's body came too slowly, or not at all."
    ),
    "too-large": Kind(413, "Request too large", "The request's body is over the size limit."),
    "unsupported-media-type": Kind(
        415, "Unsupported media type", "The body is not of the type that this address takes."
    ),
    "unsupported-image": Kind(
        415, "Unsupported image", "The file is not a picture of a format that is read here."
    ),
    "broken-image": Kind(422, "Broken image", "The picture is truncated, damaged or empty."),
    "too-many-pixels": Kind(422, "Too many pixels", "The picture has more pixels than the limit."),
    "invalid-request": Kind(422, "Invalid request", "A field is missing, unknown or out of range."),
    "url-refused": Kind(
        422,
        "URL refused",
        "The URL is malformed, or leads where nothing is fetched from: only http and https on "
        "allowed ports, and addresses of the public internet.",
    ),
    "url-answer": Kind(
        422, "No picture at the URL", "What answers at the URL does not give a picture."
    ),
    "unsupported-option": Kind(
        422, "Unsupported option", "The model cannot honour an option that was given."
    ),
    "too-many-requests": Kind(
        429,
        "Too many requests",
        "As many pictures, or bytes of them, as allowed are in progress; try again shortly.",
    ),
    "internal-error": Kind(
        500, "Internal error", "Something went wrong here; the server's log knows more."
    ),
    "url-unreachable": Kind(502, "URL unreachable", "The URL cannot be reached from here."),
    "overloaded": Kind(
        503, "Overloaded", "The answer would take too long at the moment; try again shortly."
    ),
    "engine-unavailable": Kind(
        503, "Engine unavailable", "The captioning engine is starting or restarting; try again."
    ),
    "not-ready": Kind(503, "Not ready", "The service is not ready to caption pictures yet."),
    "timeout": Kind(504, "Timed out", "There was no answer in time."),
    "url-timeout": Kind(504, "URL too slow", "Fetching from the URL took too long."),
}
"""Every kind by its slug; a problem's `type` is `/problems/<slug>`."""


MOST_ERRORS = 20
"""Fields that an answer names; of more it tells how many."""

_LONGEST_DETAIL = 4_000
_LONGEST_FIELD = 100


class FieldError(BaseModel):
    """One field of a request that was refused, and why."""

    field: Annotated[str, Field(description="Name of the field.", examples=["num_beams"])]
    detail: Annotated[
        str, Field(description="What is wrong.", examples=["should be less than or equal to 8"])
    ]
    received: Annotated[
        str | None, Field(description="What was sent, cut short.", examples=["99"])
    ] = None


class Problem(Exception):  # noqa: N818 - what RFC 9457 calls it
    """A refusal to be sent to the client.

    Args:
        type_slug: key of `KINDS`, which gives status and title.
        detail: what happened, for people; the kind's advice by default. No internals.
        headers: more response headers.
        errors: the fields at fault.
    """

    def __init__(
        self,
        type_slug: str,
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] | None = None,
    ) -> None:
        kind = KINDS[type_slug]
        self.type_slug, self.status, self.title = type_slug, kind.status, kind.title
        self.detail = detail or kind.advice
        self.headers = dict(headers or {})
        self.errors = list(errors) if errors else None
        if self.status in (429, 503):
            self.headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
        super().__init__(self.detail)


def from_validation(error: ValidationError) -> Problem:
    """Return the 422 for values that pydantic refused, one entry a field."""
    errors = []
    for item in error.errors(include_url=False, include_context=False)[:MOST_ERRORS]:
        field = ".".join(str(part) for part in item["loc"]) or "the options together"
        reason = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
        received = item["input"] if item["loc"] else None
        errors.append(invalid_field(field, reason, received))
    return invalid_fields(errors, error.error_count())


def invalid_field(field: str, detail: str, received: object = None) -> FieldError:
    """Return the account of one field; its name and what was received are cut to 100 characters."""
    text = None if received is None else str(received)
    if text is not None and len(text) > 100:
        text = text[:99] + "…"
    return FieldError(field=field[:_LONGEST_FIELD], detail=detail, received=text)


def fault(field: str, detail: str, received: object = None) -> Problem:
    """Return the 422 of one field; see `invalid_field`."""
    return invalid_fields([invalid_field(field, detail, received)])


def invalid_fields(errors: Sequence[FieldError], count: int | None = None) -> Problem:
    """Return the 422 that names the fields at fault, at most `MOST_ERRORS` of them.

    Args:
        errors: of at least the first `MOST_ERRORS`.
        count: how many there are, if not these.
    """
    count = len(errors) if count is None else count
    errors = errors[:MOST_ERRORS]
    parts = []
    for error in errors:
        got = "" if error.received is None else f", got {error.received!r}"
        parts.append(f"{error.field}: {error.detail}{got}")
    more = f"; and {count - len(errors):,} more" if count > len(errors) else ""
    detail = "; ".join(parts)
    if len(detail) > _LONGEST_DETAIL:
        detail = detail[: _LONGEST_DETAIL - 1] + "…"
    return Problem("invalid-request", detail + more, errors=errors)
