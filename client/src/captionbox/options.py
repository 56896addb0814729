"""How to caption: the options every captioning call takes, by keyword, with the server's limits.

The server decides: it refuses what is out of range, and what the chosen model cannot honour, with a
422 (`UnprocessableContentError`) that names the option. Nothing is silently ignored. An option left
out, or None, takes the model's own default.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, TypedDict, get_type_hints


class CaptionOptions(TypedDict, total=False):
    """Options of `caption`, `caption_batch` and `caption_many`."""

    model: Annotated[str | None, "Name of a served model; the server's first by default."]
    num_captions: Annotated[int | None, "How many captions to return, best first, 1 to 10."]
    num_beams: Annotated[
        int | None,
        "Width of the beam search, 1 to 8; 1 is greedy. At least num_captions when both are given. "
        "Not together with temperature.",
    ]
    max_length: Annotated[int | None, "Longest caption in tokens, 4 to 64."]
    length_penalty: Annotated[
        float | None, "Above 0 favours longer captions, below 0 shorter ones; -2 to 5."
    ]
    temperature: Annotated[
        float | None,
        "Sample instead of searching, above 0 to 5: low is careful, 1 the model's own, high "
        "adventurous.",
    ]
    top_p: Annotated[
        float | None,
        "Sample from the likeliest tokens whose probabilities sum to this, above 0 to 1. Needs "
        "temperature.",
    ]
    seed: Annotated[
        int | None, "Makes sampling repeatable, 0 to 9223372036854775807. Needs temperature."
    ]
    prompt: Annotated[
        str | None,
        "Text the caption continues or answers, 1 to 500 characters, for methods that take one.",
    ]
    attention: Annotated[
        bool | None, "Also return where the model looked, for methods with cross-attention."
    ]
    rerank: Annotated[
        bool | None, "Order the captions by the matcher's score, where one is served."
    ]
    id: Annotated[str | None, "Any text of 1 to 200 characters; comes back with the answer."]


def describe(name: str) -> str:
    """Return what the option of that name means, and its limits."""
    hint = get_type_hints(CaptionOptions, include_extras=True)[name]
    text: str = hint.__metadata__[0]
    return text


def given(options: Mapping[str, object]) -> dict[str, object]:
    """Return the options that were given, by name.

    Raises:
        TypeError: there is no option of some name. Says which was probably meant.
    """
    known = CaptionOptions.__annotations__
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise TypeError(f"there is no option {name!r}; {hint}")
    return {name: value for name, value in options.items() if value is not None}
