"""Many images in one request: how a list is cut up, and how the answers are put together.

The server takes at most 32 pictures a request. Pictures that it is to fetch itself (http(s) URLs)
go alone; so does everything where the server has no `/caption_batch`, where the pictures together
are more than one upload may be, or where the server failed at the request as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from captionbox.calls import Call, form, unexpected, upload_field
from captionbox.errors import (
    APITimeoutError,
    CaptionboxError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    ServerError,
    ServiceUnavailableError,
    status_error,
)
from captionbox.images import ImageInput, Link, Upload
from captionbox.options import CaptionOptions, given
from captionbox.outcomes import Outcome
from captionbox.problems import from_value
from captionbox.results import CaptionResult

MOST_IMAGES = 32
"""Most pictures in one request: the server's limit."""

MOST_BYTES = 16 * 1024 * 1024
"""Bytes of pictures beyond which a request is cut in two; below what servers allow as they come."""

ImageT = TypeVar("ImageT", bound=ImageInput)
Answer = CaptionResult | CaptionboxError
Indexed = tuple[int, Upload]

Plan = Generator[Call[Any] | Upload | Link, Any, dict[int, Answer]]
"""Yields calls of many images, and single images to be captioned alone; is sent the results or the
errors that these ended in; returns an answer an image."""


class BatchRoute:
    """Remembers whether the server has `/caption_batch`: yes, until it says otherwise."""

    def __init__(self) -> None:
        self.there = True


def plan(
    images: Sequence[Upload | Link | CaptionboxError], options: CaptionOptions, route: BatchRoute
) -> Plan:
    """Ask for every image in few requests. An image that is an error is its own answer."""
    answers: dict[int, Answer] = {}
    alone: list[tuple[int, Upload | Link]] = []
    for group in groups(images):
        if not route.there or len(group) == 1:
            alone += group
            continue
        reply = yield batch_call([upload for _, upload in group], options)
        if isinstance(reply, CaptionboxError):
            if _is_missing(reply):
                route.there = False
            if _is_missing(reply) or isinstance(reply, PayloadTooLargeError) or _is_hiccup(reply):
                alone += group
                continue
            reply = [reply] * len(group)
        answers.update({index: one for (index, _), one in zip(group, reply, strict=True)})
    alone += [(index, image) for index, image in enumerate(images) if isinstance(image, Link)]
    for index, image in alone:
        answers[index] = yield image
    errors = {i: image for i, image in enumerate(images) if isinstance(image, CaptionboxError)}
    return answers | errors


def outcomes(images: Sequence[ImageT], answers: dict[int, Answer]) -> list[Outcome[ImageT]]:
    """Put images and answers together, in the images' order."""
    return [outcome(index, image, answers[index]) for index, image in enumerate(images)]


def outcome(index: int, image: ImageT, answer: Answer) -> Outcome[ImageT]:
    """Return what became of one image."""
    if isinstance(answer, CaptionboxError):
        return Outcome(index, image, error=answer)
    return Outcome(index, image, result=answer)


def groups(images: Sequence[Upload | Link | CaptionboxError]) -> Iterator[list[Indexed]]:
    """Cut the uploads among `images` into groups for one request each, in order, with positions."""
    group: list[Indexed] = []
    size = 0
    for index, image in enumerate(images):
        if not isinstance(image, Upload):
            continue
        size += len(image.content)
        if group and (len(group) == MOST_IMAGES or size > MOST_BYTES):
            yield group
            group, size = [], len(image.content)
        group.append((index, image))
    if group:
        yield group


def batch_call(uploads: Sequence[Upload], options: CaptionOptions) -> Call[list[Answer]]:
    """Return the call that captions several pictures; its result has one entry each, in order."""

    def read(response: httpx.Response) -> list[Answer]:
        return _read(response, len(uploads))

    files = [upload_field("images", upload) for upload in uploads]
    return Call("POST", "/caption_batch", read, files=files, form=form(given(options)))


def _is_missing(error: CaptionboxError) -> bool:
    if isinstance(error, NotFoundError):
        return error.problem.kind != "unknown-model"
    return isinstance(error, MethodNotAllowedError)


def _is_hiccup(error: CaptionboxError) -> bool:
    """Whether a fault may be of one picture, or of the request's size: the others go on alone."""
    if isinstance(error, ServerError):
        return not isinstance(error, ServiceUnavailableError)
    return isinstance(error, APITimeoutError)


def _read(response: httpx.Response, count: int) -> list[Answer]:
    try:
        results = json.loads(response.content)["results"]
        answers = [_entry(item) for item in results]
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise unexpected(response, "it is not a list of results") from error
    if len(answers) != count:
        raise unexpected(response, f"{count} pictures were sent, {len(answers)} answered")
    return answers


def _entry(item: dict[str, object]) -> Answer:
    if "error" in item:
        return status_error(from_value(item, 422))
    return CaptionResult.model_validate(item)
