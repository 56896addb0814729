"""The identity of a request: taken from `X-Request-ID` where it is sane, else made here."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

HEADER = "X-Request-ID"
_KEY = "captionbox.request_id"
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
