"""What a conversation of OpenAI's chat completions asks: which picture, and what of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from serving.api.openai.schemas import ImagePart, Message, TextPart
from serving.base.problems import FieldError, fault, from_validation, invalid_fields

_READ = ("user", "system", "developer")
_ANSWERS = ("assistant", "tool", "function")
"""Roles of messages that say what was answered before; what they hold is not looked at."""

M = TypeVar("M", bound=BaseModel)


class Question(NamedTuple):
    """What is asked.

    Attributes:
        text: what the user writes, a line a text; may be empty.
        url: the picture's; `None` where there is none.
    """

    text: str
    url: str | None


class Turns:
    """A conversation as it is read: of the user's messages, the newest that has pictures counts.

    Attributes:
        said: whether the user has written anything at all.
    """

    def __init__(self) -> None:
        self.said = False
        self._texts: list[str] = []
        self._url: str | None = None

    def user(self, texts: list[str], urls: list[str]) -> None:
        """Add a message of the user."""
        written = [text for text in map(str.strip, texts) if text]
        self._texts += written
        self.said = self.said or bool(written)
        if urls:
            self._url = urls[0]

    def answer(self) -> None:
        """Add what was answered: the user's texts before it are no longer asked."""
        self._texts.clear()

    def question(self) -> Question:
        """Return what is asked at last: about the newest picture, its message's first."""
        return Question("\n".join(self._texts), self._url)


def question(messages: list[Any]) -> Question:
    """Return what the messages of a chat ask.

    Raises:
        Problem: a message is malformed, or the user says nothing and shows nothing.
    """
    turns = Turns()
    silent: list[str] = []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        role = _role(message, place)
        if role in _ANSWERS:
            turns.answer()
            continue
        if role == "user" and message.get("content") is None:
            silent.append(f"{place}.content")
        parts = list(_parts(message, place))
        if role == "user":
            turns.user(
                [part.text for part in parts if isinstance(part, TextPart)],
                [part.image_url.url for part in parts if isinstance(part, ImagePart)],
            )
    asked = turns.question()
    if asked.url is None and not turns.said:
        if silent:
            raise fault(silent[0], "must be a text or a list of parts")
        raise fault("messages", "no picture: send one as an `image_url` part of a user message")
    return asked


def _role(message: Any, place: str) -> str:
    if not isinstance(message, dict):
        raise fault(place, "must be an object", message)
    role = message.get("role")
    if role not in (*_READ, *_ANSWERS):
        raise fault(f"{place}.role", f"must be one of: {', '.join((*_READ, *_ANSWERS))}", role)
    return str(role)


def _parts(message: dict[str, Any], place: str) -> Iterator[TextPart | ImagePart]:
    """Yield a message's parts; a message that is a mere text has one."""
    parts = content_parts(message.get("content"), place, "text")
    validated(Message, {**message, "content": None}, place)
    for part, where in parts:
        kind = part.get("type")
        if kind == "text":
            yield validated(TextPart, part, where)
        elif kind == "image_url" and message["role"] == "user":
            yield validated(ImagePart, part, where)
        elif kind == "image_url":
            raise fault(where, "only a user's message may have a picture")
        else:
            raise fault(f"{where}.type", "must be `text` or `image_url`", kind)


def content_parts(
    content: Any, place: str, text_type: str
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Return the parts of what a message holds, each with where it stands.

    Args:
        content: as it was sent: nothing, a text, which is one part, or a list of parts.
        place: where the message stands.
        text_type: type of a part that is a text.

    Raises:
        Problem: it is something else; or, as they are taken, a part is no object.
    """
    if content is not None and not isinstance(content, str | list):
        raise fault(f"{place}.content", "must be a text or a list of parts", content)
    parts = [{"type": text_type, "text": content}] if isinstance(content, str) else content or []
    return _objects(parts, f"{place}.content")


def _objects(parts: list[Any], place: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    for number, part in enumerate(parts):
        where = f"{place}[{number}]"
        if not isinstance(part, dict):
            raise fault(where, "must be an object", part)
        yield part, where


def validated(model: type[M], value: Any, place: str) -> M:
    """Return a part of a request as a model has it.

    Args:
        model: of the part.
        value: as it was sent.
        place: where it stands, for the account of what is wrong with it.

    Raises:
        Problem: it is not as the model has it.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = [
            FieldError(field=f"{place}.{one.field}", detail=one.detail, received=one.received)
            for one in from_validation(error).errors or ()
        ]
        raise invalid_fields(errors) from None
