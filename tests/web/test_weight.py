"""How light the page is, and how still while it comes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Opener
from tests.web.test_access import PHONE

MOST_BYTES = 150_000

_LOADED = """() => ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type))
  .map(({ name, encodedBodySize }) => [name, encodedBodySize])"""

_SHIFTS = """() => new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 500);
})"""


def test_all_of_it_is_light(open_page: Opener) -> None:
    page = open_page()
    loaded: dict[str, int] = dict(page.evaluate(_LOADED))
    assert any(name.endswith("js/main.js") for name in loaded)
    assert any(name.endswith("samples/dog.jpg") for name in loaded)
    assert sum(loaded.values()) < MOST_BYTES, sorted(loaded.items(), key=lambda each: -each[1])


@pytest.mark.parametrize(
    "device",
    [{"viewport": {"width": 1280, "height": 800}}, PHONE],
    ids=["laptop", "phone"],
)
def test_nothing_jumps_while_it_loads(open_page: Opener, device: dict[str, Any]) -> None:
    assert open_page(**device).evaluate(_SHIFTS) < 0.001
