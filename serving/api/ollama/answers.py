"""What Ollama's clients get back: a caption as generated text, whole or as a stream of lines."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import Response

from serving.api.structured import Said
from serving.api.talking import Form, declined, worded
from serving.contract.schemas import CaptionResponse, Timing

Way = Literal["generate", "chat"]

_NANOSECONDS = 1_000_000


@dataclass
class Reply:
    """A reply in the making.

    Attributes:
        way: which operation was asked.
        model: its name as the client wrote it.
        text: what is answered.
        reason: why it ends: `stop`, `length`, or `load` where nothing was asked.
        tokens: how many the model wrote.
        timing: where the time went, if a picture was captioned.
        result: what PhotoPrism reads beside the text.
        began: `time.monotonic()` when the request was there.
    """

    way: Way
    model: str
    text: str = ""
    reason: Literal["stop", "length", "load"] = "stop"
    tokens: int = 0
    timing: Timing | None = None
    result: dict[str, Any] | None = None
    began: float = field(default_factory=time.monotonic)

    def caption(self, answer: CaptionResponse, form: Form) -> None:
        """Fill in what the model says of a picture, as text or as JSON."""
        (best, *_) = answer.captions
        said = Said.by(best.text, best.confidence)
        self.text = worded(said, form)
        self.reason = "length" if best.truncated else "stop"
        self.tokens = best.tokens or 0
        self.timing = answer.timing_ms
        self.result = {
            "caption": {"text": said.text, "confidence": said.confidence},
            "labels": [said.label(name) for name in said.labels],
        }

    def decline(self, form: Form) -> None:
        """Fill in what is said where there is no picture."""
        self.text = worded(declined(), form)

    def response(self, streams: bool) -> Response:
        """Return the response.

        Args:
            streams: as lines of JSON: the whole text in one, since a search knows its best caption
                at the end only, then a last one that says how it went.
        """
        if not streams or self.reason == "load":
            # One object either way: the one of a stream is a line.
            lines = [{**self._part(self.text), **self._end()}]
        else:
            lines = [{**self._part(self.text), "done": False}, {**self._part(""), **self._end()}]
        written = "".join(f"{_json(line)}\n" for line in lines)
        kind = "application/x-ndjson" if streams else "application/json; charset=utf-8"
        return Response(written, media_type=kind, headers={"X-Accel-Buffering": "no"})

    def _part(self, text: str) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        about = {"model": self.model, "created_at": now}
        if self.way == "generate":
            return {**about, "response": text}
        return {**about, "message": {"role": "assistant", "content": text}}

    def _end(self) -> dict[str, Any]:
        ended: dict[str, Any] = {"done": True, "done_reason": self.reason}
        if self.reason == "load":
            return ended
        reading = writing = 0.0
        if self.timing is not None:
            reading, writing = self.timing.decode + self.timing.queue, self.timing.inference
        # Clients divide by these.
        ended |= {
            "total_duration": _ns((time.monotonic() - self.began) * 1000),
            "load_duration": 0,
            "prompt_eval_count": 0,
            "prompt_eval_duration": _ns(reading),
            "eval_count": self.tokens,
            "eval_duration": _ns(writing),
        }
        return ended if self.result is None else {**ended, "result": self.result}


def _ns(milliseconds: float) -> int:
    return max(1, round(milliseconds * _NANOSECONDS))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
