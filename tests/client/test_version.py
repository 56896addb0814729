"""Which versions go together."""

from __future__ import annotations

import pytest
from captionbox import version


@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [
        ("0.1.0", "0.1.9", True),
        ("0.1.0", "0.1.0+local", True),
        ("0.1.0", "0.2.0", False),
        ("0.1.0", "1.0.0", False),
        ("1.2.0", "1.7.3", True),
        ("1.2.0", "2.0.0", False),
        ("0.1.0", "nightly", True),
        ("0.1.0", "", True),
    ],
)
def test_fit(monkeypatch: pytest.MonkeyPatch, ours: str, theirs: str, fits: bool) -> None:
    monkeypatch.setattr(version, "__version__", ours)
    assert version.speaks_with(theirs) is fits
    text = version.mismatch(theirs)
    assert (text is None) is fits
    assert fits or (text and ours in text and theirs in text)


def test_no_version_is_no_complaint() -> None:
    assert version.mismatch(None) is None
