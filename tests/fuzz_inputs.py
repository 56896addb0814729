"""What schemathesis sends where the OpenAPI document says "a file" or "a data URL".

Good pictures, broken ones, any bytes. Loaded by its command through SCHEMATHESIS_HOOKS.
"""

from __future__ import annotations

import base64
from typing import Any

import schemathesis
from hypothesis import strategies as st

from tests.drawings import draw, encode

PICTURES = [encode(draw("red ring"), fmt) for fmt in ("PNG", "JPEG", "GIF", "WEBP")]
DATA_URL = "data:;base64," + base64.b64encode(PICTURES[0]).decode()


def _cut(data: bytes) -> st.SearchStrategy[bytes]:
    return st.integers(0, len(data)).map(lambda end: data[:end])


schemathesis.openapi.format(
    "binary",
    st.one_of(
        st.sampled_from(PICTURES),
        st.sampled_from(PICTURES).flatmap(_cut),
        st.binary(max_size=200),
    ),
)


_ADDRESSES = ("url", "image_url")
"""Members, wherever they stand, that hold a picture's address."""


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Make every other address one of a real picture."""
    return _with_pictures(body)


def _with_pictures(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _with_pictures(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [_with_pictures(member, name) for member in value]
    return DATA_URL if name in _ADDRESSES and isinstance(value, str) and len(value) % 2 else value
