"""Reads request bodies into pydantic models, as FastAPI dependencies: every field known and valid.

FastAPI's own reading is not strict enough for this interface. It takes an empty field for none,
lets the last of several fields win, and turns whatever goes wrong while a body comes in (it is too
large, the client has left) into a 400. What a body may hold is still said in one place, the model:
`serving.api.document` describes bodies by the readers that it finds among a route's dependencies.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, get_args, get_origin

from annotated_types import MaxLen
from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaMode
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException

from serving.api.multipart import UploadParser
from serving.base.long_texts import read_long
from serving.base.problems import (
    FieldError,
    Problem,
    from_validation,
    invalid_field,
    invalid_fields,
)
from serving.base.settings import Settings
from serving.contract.requests import Needed

T = TypeVar("T", bound=BaseModel)

Terms: TypeAlias = Callable[[Settings], Mapping[str, Mapping[str, Any]]]
"""What a server's settings add to the schemas of fields, by the fields' names."""

Part: TypeAlias = tuple[type[BaseModel], JsonSchemaMode]
"""A model, and whether it is read or written."""


class Body(ABC, Generic[T]):
    """A dependency that reads a body.

    Attributes:
        media_type: of the body.

    Args:
        model: what it is read into.
        terms: for the OpenAPI document.
        parts: further models that the document is to have.
    """

    media_type: ClassVar[str]

    def __init__(self, model: type[T], terms: Terms, parts: Sequence[Part] = ()) -> None:
        self.model, self.terms, self.parts = model, terms, parts

    @abstractmethod
    async def __call__(self, request: Request) -> T:
        """Read and check the body.

        Raises:
            Problem: 400 it cannot be read; 413 it is too large; 415 it is of another type; 422 a
                field is missing, unknown, repeated or out of range.
        """


MOST_MEMBERS = 20_000
"""Members and elements that a JSON body may have. Each costs time and memory while it is checked,
and no request means anything with so many."""


class JsonBody(Body[T]):
    """Reads JSON. No type is bent: `"3"` is no number.

    Args:
        model: what it is read into.
        terms: for the OpenAPI document.
        parts: further models that the document is to have.
        any_type: whether a body is read whatever the request says that it is.
    """

    media_type = "application/json"

    def __init__(
        self,
        model: type[T],
        terms: Terms,
        parts: Sequence[Part] = (),
        *,
        any_type: bool = False,
    ) -> None:
        super().__init__(model, terms, parts)
        self._any_type = any_type

    async def __call__(self, request: Request) -> T:
        """Read and check the body; see `Body`."""
        if not self._any_type and _kind(request) != self.media_type.encode():
            raise _unsupported(request, f"Send {self.media_type}; Content-Type says {{}}.")
        chunks = [chunk async for chunk in request.stream()]
        return await read_long(sum(map(len, chunks)), lambda: self._read(chunks))

    def _read(self, chunks: list[bytes]) -> T:
        """Check a body; nothing else holds it any longer."""
        body = b"".join(chunks)
        chunks.clear()
        check_members(body)
        try:
            return self.model.model_validate_json(body, strict=True)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            if first["type"] == "json_invalid":
                reason = first["msg"].removeprefix("Invalid JSON: ")
                raise Problem("malformed-request", f"The body is not JSON: {reason}.") from None
            raise from_validation(error) from None


class FormBody(Body[T]):
    """Reads a multipart form: a field of `bytes` is a file, one of a list may be repeated.

    Whatever comes in a file's field is one, with a file's name or without.

    Args:
        model: what it is read into.
        terms: for the OpenAPI document.
        max_parts: most files, and most other fields, that are counted to say what is wrong with
            them; with more, the form is not read on.
        max_field_bytes: most bytes of a field that is no file.
        with_query: whether fields may stand in the URL's query as well.
    """

    media_type = "multipart/form-data"

    def __init__(
        self,
        model: type[T],
        terms: Terms,
        *,
        max_parts: int = 200,
        max_field_bytes: int = 16 * 1024,
        with_query: bool = True,
    ) -> None:
        super().__init__(model, terms)
        self._fields = {name: _Field(name, about) for name, about in model.model_fields.items()}
        self._max_parts, self._max_field_bytes = max_parts, max_field_bytes
        self._with_query = with_query

    async def __call__(self, request: Request) -> T:
        """Read and check the form; see `Body`."""
        form = await self._read(request)
        try:
            # `/caption?model=NAME` means the same as the field; a query is not left unread.
            query = request.query_params.multi_items() if self._with_query else []
            given = _grouped([*query, *form.multi_items()])
            if _is_bentoml_client(request):
                given = {name: _decoded(values) for name, values in given.items()}
            return await self._checked({name: values for name, values in given.items() if values})
        finally:
            await form.close()

    async def _read(self, request: Request) -> FormData:
        if _kind(request) != self.media_type.encode():
            picture = next(field.name for field in self._fields.values() if field.is_file)
            raise _unsupported(
                request,
                f"Send {self.media_type} with the picture in the field {picture!r}; "
                "the Content-Type says {}.",
            )
        try:
            async with aclosing(request.stream()) as stream:
                parser = UploadParser(
                    request.headers,
                    stream,
                    files=[field.name for field in self._fields.values() if field.is_file],
                    max_files=self._max_parts,
                    max_fields=self._max_parts,
                    max_part_size=self._max_field_bytes,
                )
                return await parser.parse()
        except MultiPartException as error:
            detail = f"The form cannot be read: {error.message}"
            raise Problem("malformed-request", detail) from None
        except ValueError:  # a charset that is no word
            raise Problem("malformed-request", "The form cannot be read.") from None

    async def _checked(self, given: dict[str, list[Any]]) -> T:
        errors = list(self._faults(given))
        if errors:
            raise invalid_fields(errors)
        values = {name: await self._fields[name].value(given[name]) for name in given}
        try:
            return self.model.model_validate(values)
        except ValidationError as error:
            raise from_validation(error) from None

    def _faults(self, given: Mapping[str, list[Any]]) -> Iterator[FieldError]:
        """Yield what is wrong with the fields as such; their values are checked later."""
        for name, values in given.items():
            field = self._fields.get(name)
            if field is None:
                known = f"unknown field; known: {', '.join(self._fields)}"
                yield invalid_field(name, known)
            elif (fault := field.fault(values)) is not None:
                yield invalid_field(name, fault)
        for field in self._fields.values():
            if field.needed is not None and field.name not in given:
                yield invalid_field(field.name, f"required: {field.needed}")


class _Field:
    """How a field of a model stands in a form."""

    def __init__(self, name: str, about: FieldInfo) -> None:
        self.name = name
        self.repeated = get_origin(about.annotation) is list
        kind = get_args(about.annotation)[0] if self.repeated else about.annotation
        self.is_file = kind is bytes
        limits = [one.max_length for one in about.metadata if isinstance(one, MaxLen)]
        self.most = limits[0] if self.repeated and limits else 1
        words = [one.what for one in about.metadata if isinstance(one, Needed)]
        self.needed = next(iter(words), name) if about.is_required() else None

    def fault(self, values: list[Any]) -> str | None:
        """Return what is wrong with how the field is given."""
        files = sum(isinstance(value, UploadFile) for value in values)
        if self.is_file and files < len(values):
            return "must be a file, not text"
        if not self.is_file and files:
            return "must be text, not a file"
        if len(values) > self.most:
            if self.repeated:
                what = "pictures" if self.is_file else self.name
                return f"at most {self.most} {what}, got {len(values)}"
            return f"given {len(values)} times, give it once"
        return None

    async def value(self, values: list[Any]) -> Any:
        """Return what the model is to check."""
        if self.is_file:
            values = [await upload.read() for upload in values]
        return values if self.repeated else values[0]


def check_members(body: bytes) -> None:
    """Refuse JSON with too many members, before anything is made of them.

    Commas in texts are counted, too: a prompt may have thousands.

    Raises:
        Problem: 422.
    """
    if body.count(b",") >= MOST_MEMBERS:
        raise Problem(
            "invalid-request",
            f"The body has more than {MOST_MEMBERS:,} members, the most that a request may have.",
        )


def _kind(request: Request) -> bytes:
    return parse_options_header(request.headers.get("content-type", ""))[0]


def _unsupported(request: Request, detail: str) -> Problem:
    received = request.headers.get("content-type", "").split(";")[0][:100] or "nothing"
    return Problem("unsupported-media-type", detail.format(received))


def _grouped(items: Iterable[tuple[str, UploadFile | str]]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for name, value in items:
        grouped.setdefault(name, []).append(value)
    return grouped


def _is_bentoml_client(request: Request) -> bool:
    """Whether BentoML's own client asks: it sends every field as JSON, texts in quotes."""
    return request.headers.get("user-agent", "").startswith("BentoML HTTP Client/")


def _decoded(values: list[Any]) -> list[Any]:
    """Return a field of BentoML's client as others send it: null is not sent, a list repeated."""
    if len(values) != 1 or not isinstance(values[0], str):
        return values
    try:
        decoded = json.loads(values[0])
    except ValueError:
        return values
    if isinstance(decoded, list) and all(isinstance(value, str) for value in decoded):
        return decoded
    return [] if decoded is None else [decoded] if isinstance(decoded, str) else values
