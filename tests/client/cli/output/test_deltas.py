"""What a file was, told by what it is."""

from __future__ import annotations

import base64
import os

from captionbox.cli.output.deltas import delta, restored
from hypothesis import example, given
from hypothesis import strategies as st

SOME = st.binary(max_size=40) | st.lists(st.sampled_from([b"a", b"ab", b"\0"])).map(b"".join)


@given(SOME, SOME, SOME, SOME)
@example(b"a", b"", b"aa", b"a")
def test_any_change_is_taken_back(begin: bytes, old: bytes, new: bytes, end: bytes) -> None:
    one, other = begin + old + end, begin + new + end
    assert restored(other, delta(one, other)) == one


def test_little_is_kept_where_little_changes() -> None:
    begin, end = os.urandom(300_001), os.urandom(70_003)
    difference = delta(begin + b"old" + end, begin + b"newer" + end)
    assert len(base64.b64decode(difference["middle"])) <= 3
