"""The identity of a request: taken from `X-Request-ID` where it is sane, else made here.

Also whose it is, where keys are configured, and how it is told of in the log.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

HEADER = "X-Request-ID"
_KEY = "captionbox.request_id"
_KEY_NAME = "captionbox.key_name"
_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def assign(scope: Mapping[str, Any]) -> str:
    """Return the identity for a request that just came in."""
    for name, value in scope.get("headers", ()):
        if name == b"x-request-id" and _SANE.fullmatch(value):
            return str(value, "ascii")
    return uuid.uuid4().hex


def put(scope: Any, identity: str) -> None:
    """Keep the identity with the request."""
    scope[_KEY] = identity


def of(scope: Mapping[str, Any]) -> str:
    """Return the request's identity."""
    return str(scope.get(_KEY, ""))


def put_key_name(scope: Any, name: str) -> None:
    """Keep the name of the API key that the request came with."""
    scope[_KEY_NAME] = name


def key_name(scope: Mapping[str, Any]) -> str | None:
    """Return the name of the request's API key; None where it had, or needed, none."""
    name: str | None = scope.get(_KEY_NAME)
    return name


def describe(scope: Mapping[str, Any]) -> str:
    """Return the request for the log: one line whatever was asked for, and not a long one."""
    key = key_name(scope)
    by = "" if key is None else f", key {key}"
    path = quote(scope.get("path", "")[:200])
    return f"{scope.get('method')} {path}, request {of(scope)}{by}"
