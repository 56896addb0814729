"""Small charts as inline SVG: no library, no script; colours come from the page's CSS variables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 480, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 36, 46
_MOST_POINTS = 300

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """One axis, in the data's units.

    Attributes:
        label: what it shows.
        low, high: its ends; `low < high`.
        ticks: where it is marked.
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, label: str, values: Sequence[float], from_zero: bool = False) -> Axis:
        """Return an axis with round ends around all `values` (at least one)."""
        low, high = min(values), max(values)
        low = min(low, 0.0) if from_zero else low
        if high - low < 1e-9:
            low, high = low - 0.5, high + 0.5
        step = _round_step((high - low) / 4)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(step * i for i in range(first, last + 1))
        return cls(label, ticks[0], ticks[-1], ticks)


def line_chart(title: str, points: Sequence[Point], x_label: str, y_label: str) -> str:
    """Return a line through `points` as an SVG element; few points get dots, the highest a big one.

    Args:
        title: for readers that do not see it.
        points: (x, y), ascending in x, at least one.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
    """
    few = len(points) <= 60
    shown = list(points) if few else _thinned(points)
    x_axis = Axis.over(x_label, [x for x, _ in shown], from_zero=True)
    y_axis = Axis.over(y_label, [y for _, y in shown])
    places = [(_x(x, x_axis), _y(y, y_axis)) for x, y in shown]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [_frame(x_axis, y_axis), f'<polyline class="line" points="{path}"/>']
    if few:
        parts += [
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3">'
            f"<title>{escape(x_label)} {_number(point[0])}: {point[1]:.4f}</title></circle>"
            for (x, y), point in zip(places, shown, strict=True)
        ]
        x, y = places[max(range(len(shown)), key=lambda i: shown[i][1])]
        parts.append(f'<circle class="best" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>')
    return _svg(title, parts)


def histogram(title: str, values: Sequence[float], x_label: str, bins: int = 24) -> str:
    """Return how `values` (at least one, none negative) are spread, as an SVG element."""
    x_axis = Axis.over(x_label, values, from_zero=True)
    width = (x_axis.high - x_axis.low) / bins
    counts = [0] * bins
    for value in values:
        counts[min(int((value - x_axis.low) / width), bins - 1)] += 1
    y_axis = Axis.over("pictures", counts, from_zero=True)
    parts = [_frame(x_axis, y_axis)]
    for number, count in enumerate(counts):
        left = _x(x_axis.low + number * width, x_axis) + 1
        right, top = _x(x_axis.low + (number + 1) * width, x_axis), _y(count, y_axis)
        start, end = x_axis.low + number * width, x_axis.low + (number + 1) * width
        parts.append(
            f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{_HEIGHT - _BOTTOM - top:.1f}"><title>{start:.2f} to {end:.2f}: {count} '
            "pictures</title></rect>"
        )
    return _svg(title, parts)


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )


def _frame(x_axis: Axis, y_axis: Axis) -> str:
    """Return grid, marks and labels."""
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for tick in y_axis.ticks:
        y = _y(tick, y_axis)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 5:.1f}" text-anchor="end">{_number(tick)}</text>'
        )
    for tick in x_axis.ticks:
        x = _x(tick, x_axis)
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{_number(tick)}</text>'
        )
    parts.append(
        f'<text class="axis" x="{right}" y="{_HEIGHT - 4}" text-anchor="end">'
        f"{escape(x_axis.label)}</text>"
    )
    parts.append(f'<text class="axis" x="{_LEFT}" y="16">{escape(y_axis.label)}</text>')
    return "".join(parts)


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most `_MOST_POINTS` points, each the mean of its neighbours."""
    size = math.ceil(len(points) / _MOST_POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]


def _x(value: float, axis: Axis) -> float:
    share = (value - axis.low) / (axis.high - axis.low)
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, axis: Axis) -> float:
    share = (value - axis.low) / (axis.high - axis.low)
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)


def _round_step(step: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= step * 0.999)


def _number(value: float) -> str:
    return f"{round(value, 6):g}"
