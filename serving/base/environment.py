"""Reads the settings from the environment, and says in a line what is wrong with them."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterator

from pydantic import ValidationError

from serving.base.settings import PREFIX, Settings

logger = logging.getLogger(__name__)

_OF_THE_CLIENT = (PREFIX + "BASE_URL", PREFIX + "API_KEY")
"""What the SDK reads; both may well stand in one environment."""


class SettingsError(ValueError):
    """The environment holds a value that no setting allows. The message is one line for people."""


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a value is not allowed; names the variable, its limit and what it got.
    """
    for message in _unknown_names():
        logger.warning(message)
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(error))) from None


def _explain(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False):
        name = PREFIX + str(item["loc"][0]).upper() if item["loc"] else "the settings"
        reason = item["msg"].removeprefix("Value error, ")
        got = "" if _is_secret(item["loc"]) else f", got {os.environ.get(name, '')!r}"
        yield f"{name}: {reason[:1].lower()}{reason[1:]}{got}"


def _is_secret(location: tuple[int | str, ...]) -> bool:
    """Whether a field's value must not be shown: someone may have put a key itself there."""
    field = Settings.model_fields.get(str(location[0])) if location else None
    extra = field.json_schema_extra if field is not None else None
    return isinstance(extra, dict) and bool(extra.get("secret"))


def _unknown_names() -> Iterator[str]:
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in (*known, *_OF_THE_CLIENT):
            near = difflib.get_close_matches(name.upper(), known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"{name} is not a setting of the service and has no effect{hint}"
