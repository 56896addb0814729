"""What programs get here that talk to language models: common to the faces that such models have.

They send what they are used to send: a text that may be a request, a temperature, a form that the
answer is to have; or no picture at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from models.store import StoredModel
from serving.api.structured import Said, any_json, filled
from serving.pictures.data_url import is_data_url

NOT_A_PICTURE = "I describe pictures, and there is none in this message."
"""What is said to whoever only talks: chat programs ask for titles, too, and take any sentence."""

SHORTEST = 4
"""Fewest tokens that a caption can be limited to."""

_LONGEST_PROMPT = 500

Form: TypeAlias = str | Mapping[str, Any] | None
"""What an answer is to be: a sentence, `"json"` of no particular schema, or JSON by a schema."""


def worded(said: Said, form: Form) -> str:
    """Return what is said, as a sentence or as JSON."""
    if form is None:
        return said.text
    return any_json(said) if isinstance(form, str) else filled(form, said)


def declined() -> Said:
    """Return what is said where there is no picture."""
    return Said(NOT_A_PICTURE, 0.0, ())


def prompt_for(model: StoredModel, text: str, form: Form, honoured: Collection[str]) -> str | None:
    """Return what a model is to be asked, of what the user wrote; `None` for its own prompt.

    Models whose own prompt is a sentence do what another one asks for. Others would begin their
    captions with the text, or know a few phrases only: they are better not asked. JSON is made
    from a caption, so what asks for JSON is no prompt either.

    Args:
        model: that is to caption.
        text: as the user wrote it.
        form: what the answer is to be.
        honoured: options that the model honours.
    """
    own = model.metadata.decode.prompt or ""
    takes_requests = own.endswith((".", "?"))
    if form is not None or "prompt" not in honoured or not takes_requests:
        return None
    return text if 0 < len(text) <= _LONGEST_PROMPT else None


def picture_url(image: str) -> str:
    """Return the URL that leads to a picture: most are bare base64, which is none."""
    if is_data_url(image) or image[:8].lower().startswith(("http://", "https://")):
        return image
    return f"data:;base64,{image}"
