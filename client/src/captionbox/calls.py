"""Requests as values: what is sent for each call, and how its answer is read. No network here.

The sync and the async client send the same `Call`s, so they cannot come to differ.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Generic, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from captionbox.errors import ImageInputError, UnexpectedAnswerError
from captionbox.images import Link, Upload
from captionbox.options import CaptionOptions, given
from captionbox.results import CaptionResult, MatchResult, ModelInfo, ModelList
from captionbox.version import __version__, mismatch

VERSION_HEADER = "X-Captionbox-Version"
REQUEST_ID_HEADER = "X-Request-ID"

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

_File = tuple[str, tuple[str, bytes, str]]
_Stream = tuple[str, tuple[str, BytesIO, str]]


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call of the server.

    Attributes:
        method: HTTP method.
        path: below the base URL.
        read: turns a good answer into the result.
        files: multipart files, field name first.
        form: multipart fields.
        body: JSON body.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    files: Sequence[_File] = ()
    form: Mapping[str, str | list[str]] = field(default_factory=dict)
    body: Mapping[str, object] | None = None

    def build_with(self, build: Callable[..., httpx.Request]) -> httpx.Request:
        """Return the request; `build` is `build_request` of an httpx client."""
        arguments: dict[str, Any] = {}
        if self.files:
            # As files, they are sent in pieces, and each piece has the time of `timeout`: a slow
            # upload is none that stands still.
            streams: list[_Stream] = [
                (field, (name, BytesIO(content), kind))
                for field, (name, content, kind) in self.files
            ]
            arguments = {"files": streams, "data": dict(self.form)}
        elif self.body is not None:
            arguments = {"json": dict(self.body)}
        # Chosen here, so that a request that got no answer can be found in the server's log, too.
        arguments["headers"] = {REQUEST_ID_HEADER: uuid.uuid4().hex}
        return build(self.method, self.path, **arguments)


def read_answer(call: Call[T], response: httpx.Response) -> T:
    """Return the result in a good answer.

    Raises:
        UnexpectedAnswerError: it cannot be read; carries the request's identity.
    """
    try:
        return call.read(response)
    except UnexpectedAnswerError as error:
        error.of_request(response.request.headers.get(REQUEST_ID_HEADER))
        raise


def caption_call(image: Upload | Link, options: CaptionOptions) -> Call[CaptionResult]:
    """Return the call that captions one image."""
    chosen = given(options)
    if isinstance(image, Link):
        body = {"url": image.url, **chosen}
        return Call("POST", "/caption_url", reader(CaptionResult), body=body)
    return Call(
        "POST",
        "/caption",
        reader(CaptionResult),
        files=[upload_field("image", image)],
        form=form(chosen),
    )


def match_call(image: Upload | Link, texts: Sequence[str], model: str | None) -> Call[MatchResult]:
    """Return the call that ranks texts for an image.

    Raises:
        ImageInputError: the image is an http(s) URL; the server matches uploads only.
        ValueError: there are no texts.
        TypeError: `texts` is one string; a list is meant.
    """
    if isinstance(texts, str):
        raise TypeError("texts is a list of strings, not one string")
    if not texts:
        raise ValueError("give at least one text to match")
    if isinstance(image, Link):
        raise ImageInputError("match needs the picture itself, not its address: download it first")
    fields: dict[str, str | list[str]] = {"texts": list(texts)}
    if model is not None:
        fields["model"] = model
    files = [upload_field("image", image)]
    return Call("POST", "/match", reader(MatchResult), files=files, form=fields)


def models_call() -> Call[list[ModelInfo]]:
    """Return the call that lists the served models."""

    def read(response: httpx.Response) -> list[ModelInfo]:
        return reader(ModelList)(response).data

    return Call("GET", "/v1/models", read)


def agent_call(method: str, params: Mapping[str, object]) -> Call[Mapping[str, Any]]:
    """Return the call of the server's tools for agents; its result is a message of JSON-RPC.

    Args:
        method: of the Model Context Protocol, such as `tools/list`.
        params: of the method.
    """

    def read(response: httpx.Response) -> Mapping[str, Any]:
        try:
            message = json.loads(response.content)
        except ValueError:
            message = None
        if not isinstance(message, dict) or not {"result", "error"} & message.keys():
            raise unexpected(response, "it is no message of JSON-RPC")
        return message

    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params)}
    return Call("POST", "/mcp", read, body=body)


def version_call() -> Call[str | None]:
    """Return the call that asks for the server's version."""

    def read(response: httpx.Response) -> str | None:
        header = response.headers.get(VERSION_HEADER)
        if header is not None:
            return str(header)
        try:
            return str(json.loads(response.content)["info"]["version"])
        except (ValueError, KeyError, TypeError):
            return None

    return Call("GET", "/docs.json", read)


def upload_field(name: str, image: Upload) -> _File:
    """Return an image as a multipart file."""
    return name, (image.name, image.content, image.media_type)


def form(options: Mapping[str, object]) -> dict[str, str | list[str]]:
    """Return options as form fields."""
    return {name: _text(value) for name, value in options.items()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def reader(model: type[M]) -> Callable[[httpx.Response], M]:
    """Return a function that reads an answer as `model`.

    The function raises UnexpectedAnswerError where the answer is something else.
    """

    def read(response: httpx.Response) -> M:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise unexpected(response, _first(error)) from error

    return read


def unexpected(response: httpx.Response, reason: str) -> UnexpectedAnswerError:
    """Return the error for a good answer that cannot be read; speaks of versions if they differ."""
    version = response.headers.get(VERSION_HEADER)
    text = mismatch(version) or (
        f"is there a Captionbox server at {response.request.url.copy_with(userinfo=b'')}? "
        f"(this client is {__version__}, the server says {version or 'no version'})"
    )
    return UnexpectedAnswerError(f"the answer cannot be read, {reason}; {text}")


def _first(error: ValidationError) -> str:
    item = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, item["loc"]))
    reason = item["msg"].removeprefix("Value error, ")
    return f"{place}: {reason}" if place else reason
