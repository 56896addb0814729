"""BentoML APIs from request models: the parameters are the model's fields, declared there once.

They are what `/schema.json` tells BentoML's clients, and what code in this process calls. Over HTTP
the same addresses are answered by the mounted application.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import bentoml
from bentoml.validators import ContentType
from pydantic import BaseModel, Field, ValidationError, create_model

from serving.base.problems import from_validation

M = TypeVar("M", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)

_File = Annotated[Path, ContentType("image/*")]
_FILES: dict[Any, Any] = {bytes: _File, list[bytes]: list[_File]}
"""What a field of a file's content is to BentoML: files, which its clients send as such."""


def typed_api(method: Callable[[Any, M], Awaitable[A]]) -> Any:
    """Make a BentoML API, called by its name, of a method that takes one request model.

    Args:
        method: takes a request, of the type that its only parameter is annotated with.

    Raises:
        Problem: when it is called with fields that the model does not allow.
    """
    hints = get_type_hints(method)
    (model,) = (hint for name, hint in hints.items() if name != "return")
    spec = _with_files(model)

    async def call(self: Any, **fields: Any) -> A:
        return await method(self, await asyncio.to_thread(_read, model, fields))

    call.__name__, call.__qualname__ = method.__name__, method.__qualname__
    call.__doc__, call.__module__ = method.__doc__, method.__module__
    parameters = [
        inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        *spec.__signature__.parameters.values(),
    ]
    signature = inspect.Signature(parameters, return_annotation=hints["return"])
    call.__signature__ = signature  # type: ignore[attr-defined]
    answer = _of_one_kind(hints["return"])
    return bentoml.api(route=f"/{method.__name__}", input_spec=spec, output_spec=answer)(call)


def _with_files(model: type[BaseModel]) -> type[BaseModel]:
    """Return the model with files in the place of their contents."""
    return _replaced(model, _FILES.get)


def _of_one_kind(model: type[BaseModel]) -> type[BaseModel]:
    """Return the model with objects of any kind in the place of lists of several kinds.

    BentoML's client knows the first of several kinds only, and drops all that this one has not.
    """

    def plain(annotation: Any) -> Any:
        mixed = get_origin(annotation) is list and len(get_args(get_args(annotation)[0])) > 1
        return list[dict[str, Any]] if mixed else None

    return _replaced(model, plain)


def _replaced(model: type[BaseModel], other: Callable[[Any], Any]) -> type[BaseModel]:
    """Return the model with other types for those fields whose type `other` knows one for."""
    fields: dict[str, Any] = {
        name: (other(about.annotation), Field(description=about.description))
        for name, about in model.model_fields.items()
        if other(about.annotation) is not None
    }
    return create_model(model.__name__, __base__=model, __module__=__name__, **fields)


def _read(model: type[M], fields: dict[str, Any]) -> M:
    values = {name: _content(value) for name, value in fields.items()}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise from_validation(error) from None


def _content(value: Any) -> Any:
    if isinstance(value, Path):
        return value.read_bytes()
    if isinstance(value, list):
        return [_content(one) for one in value]
    return value
