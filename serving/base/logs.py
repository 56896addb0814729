"""What the log looks like: lines for people, or JSON objects for machines, one a line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]

FIELDS = "captionbox_fields"
"""Attribute of a log record that holds its fields for machines."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line.

    `time` (UTC), `level`, `logger`, `process` and `message`; then the record's own fields, the
    trace it belongs to where there is one, and `exception` with the stack trace.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for a record."""
        time = datetime.fromtimestamp(record.created, UTC)
        content: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
            **_trace(),
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False, default=str)


def _trace() -> dict[str, str]:
    """Return the ids of the span that this code runs in, if it is one that is exported."""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.trace_flags.sampled:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }


def configure(log_format: LogFormat) -> None:
    """Set the level of our own loggers and the format of everyone's; in every process.

    BentoML sets up the handlers before it loads the service, and shows no log below WARNING but
    its own.
    """
    for name in ("models", "serving"):
        logging.getLogger(name).setLevel(logging.INFO)
    if log_format == "json":
        for handler in _handlers():
            handler.setFormatter(JsonFormatter())


def _handlers() -> Iterator[logging.Handler]:
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        if isinstance(logger, logging.Logger):
            yield from logger.handlers
