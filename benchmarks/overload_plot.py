"""The overload benchmark's plot: answers a second and their times, one line a setting, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.load import Answer, percentile

_WIDTH, _HEIGHT, _GAP = 760, 210, 54
_LEFT, _RIGHT, _TOP = 64, 150, 40
_COLOURS = ("#0b6b62", "#b4441f", "#4553a5")
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#444}.title{font-weight:600;fill:#222}"
    ".grid{stroke:#ddd}.line{fill:none;stroke-width:2}.peak{stroke:#888;stroke-dasharray:5 4}"
)

Series = Mapping[str, tuple[Sequence[Answer], Sequence[float]]]


def plot(series: Series, peak: float, seconds: float) -> str:
    """Return the plot.

    Args:
        series: by setting, the answers and the memory in MiB, sampled once a second.
        peak: answers a second that the server sustains, marked in the first panel.
        seconds: how long the load lasted.
    """
    moments = [float(second) for second in range(1, int(seconds) + 1)]
    rates, times, memory = {}, {}, {}
    for name, (answers, samples) in series.items():
        rates[name] = [(t, _rate(answers, max(0.0, t - 3), t)) for t in moments]
        times[name] = list(_p99(answers, moments))
        memory[name] = [(float(t), value) for t, value in enumerate(samples) if t <= seconds]
    parts = [
        _panel(0, "right answers a second", rates, seconds, peak),
        _panel(1, "time of right answers, 99th percentile, seconds", times, seconds),
        _panel(2, "memory of all processes, MiB", memory, seconds),
    ]
    height = 3 * (_HEIGHT + _GAP) + _TOP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        + "".join(parts)
        + "</svg>\n"
    )


def _rate(answers: Sequence[Answer], start: float, end: float) -> float:
    return sum(a.kind == "right" and start <= a.at < end for a in answers) / (end - start)


def _p99(answers: Sequence[Answer], moments: Sequence[float]) -> list[tuple[float, float]]:
    out = []
    for moment in moments:
        found = [a.seconds for a in answers if a.kind == "right" and moment - 3 <= a.at < moment]
        if found:
            out.append((moment, percentile(found, 0.99)))
    return out


def _panel(
    number: int,
    title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    seconds: float,
    mark: float | None = None,
) -> str:
    top = _TOP + number * (_HEIGHT + _GAP)
    right = _WIDTH - _RIGHT
    most = max([value for line in lines.values() for _, value in line] + [mark or 0.0, 1e-9]) * 1.1

    def place(t: float, value: float) -> tuple[float, float]:
        return (
            _LEFT + t / seconds * (right - _LEFT),
            top + _HEIGHT - value / most * _HEIGHT,
        )

    parts = [f'<text class="title" x="{_LEFT}" y="{top - 12}">{escape(title)}</text>']
    for step in range(5):
        value = most * step / 4
        _, y = place(0, value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for step in range(5):
        t = seconds * step / 4
        x, _ = place(t, 0)
        parts.append(
            f'<text x="{x:.1f}" y="{top + _HEIGHT + 18}" text-anchor="middle">{t:g} s</text>'
        )
    if mark is not None:
        _, y = place(0, mark)
        parts.append(f'<line class="peak" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{right + 8}" y="{y + 4:.1f}">peak</text>')
    for index, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        parts.append(f'<polyline class="line" stroke="{colour}" points="{points}"/>')
        if number == 0:
            y = top + _HEIGHT - 12 - 20 * index
            parts.append(f'<text x="{right + 8}" y="{y}" style="fill:{colour}">{name}</text>')
    return "".join(parts)
