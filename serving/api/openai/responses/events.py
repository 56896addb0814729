"""A response as the events of a stream, in the order of OpenAI's interface."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from serving.api.openai.responses.schemas import ResponsesAnswer


def events(answer: ResponsesAnswer) -> str:
    """Return a stream's whole text.

    The caption is whole in one delta: a search knows its best one at the end only.
    """
    return "".join(
        _event({**event, "sequence_number": number}) for number, event in enumerate(_all(answer))
    )


def _all(answer: ResponsesAnswer) -> Iterator[dict[str, Any]]:
    begun = answer.model_copy(
        update={
            "status": "in_progress",
            "incomplete_details": None,
            "output": [],
            "output_text": "",
            "usage": None,
        }
    ).model_dump()
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, message in enumerate(answer.output):
        item, where = message.model_dump(), {"output_index": index}
        started = {**item, "status": "in_progress", "content": []}
        yield {"type": "response.output_item.added", **where, "item": started}
        for number, part in enumerate(item["content"]):
            place = {**where, "item_id": message.id, "content_index": number}
            empty = {**part, "text": ""}
            text = part["text"]
            kind = "response.output_text"
            yield {"type": "response.content_part.added", **place, "part": empty}
            yield {"type": f"{kind}.delta", **place, "delta": text, "logprobs": []}
            yield {"type": f"{kind}.done", **place, "text": text, "logprobs": []}
            yield {"type": "response.content_part.done", **place, "part": part}
        yield {"type": "response.output_item.done", **where, "item": item}
    yield {"type": f"response.{answer.status}", "response": answer.model_dump()}


def _event(event: dict[str, Any]) -> str:
    data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return f"event: {event['type']}\ndata: {data}\n\n"
