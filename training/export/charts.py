"""Charts as SVG, without a script: inline in a page, whose CSS colours them, or as files.

Every chart is a `Drawing` of texts, rules, bars, lines and dots, and one template writes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from training.export.rendering import render

PALETTE = ("#0b6b62", "#b4441f", "#4553a5")
"""Colours of a file's lines, in turn; a page's chart has one line, of the page's colour."""

_WIDTH, _HEIGHT = 480, 260  # of a chart in a page
_MOST_POINTS = 300
_MOST_DOTS = 60

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

    def share(self, value: float) -> float:
        """Return where `value` lies, 0 at the low end and 1 at the high one."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Text:
    """Words at a place; `anchor` is which end of them lies there: start, middle or end."""

    x: float
    y: float
    text: str
    kind: str = ""
    anchor: str = "start"
    colour: str = ""


@dataclass(frozen=True)
class Rule:
    """A straight line from left to right."""

    left: float
    right: float
    y: float
    kind: str = "grid"


@dataclass(frozen=True)
class Bar:
    """A filled rectangle; `note` is what pointing at it tells."""

    x: float
    y: float
    width: float
    height: float
    colour: str = ""
    note: str = ""


@dataclass(frozen=True)
class Line:
    """A line through places."""

    places: Sequence[Point]
    colour: str = ""


@dataclass(frozen=True)
class Dot:
    """A disc; `note` is what pointing at it tells."""

    x: float
    y: float
    radius: float
    kind: str = "dot"
    note: str = ""


@dataclass
class Drawing:
    """What is to be seen, in SVG units; later kinds lie over earlier ones.

    Attributes:
        title: for readers that do not see it.
        width, height: of everything.
        rules, texts, bars, lines, dots: the parts.
    """

    title: str
    width: float
    height: float
    rules: list[Rule] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)

    def inline(self) -> Markup:
        """Return it as an element of a page, whose CSS has the colours."""
        return render("chart.svg.j2", drawing=self, file=False)

    def file(self) -> str:
        """Return it as a file of its own, with colours on white."""
        return str(render("chart.svg.j2", drawing=self, file=True)) + "\n"


@dataclass(frozen=True)
class _Plot:
    """A rectangle of a drawing with an axis along its bottom and one along its left side."""

    x_axis: Axis
    y_axis: Axis
    left: float = 52
    right: float = _WIDTH - 16
    top: float = 36
    bottom: float = _HEIGHT - 46

    def place(self, x: float, y: float) -> Point:
        """Return where the values lie."""
        return (
            self.left + self.x_axis.share(x) * (self.right - self.left),
            self.bottom - self.y_axis.share(y) * (self.bottom - self.top),
        )

    def frame(self, drawing: Drawing) -> None:
        """Draw grid, marks and labels."""
        for tick in self.y_axis.ticks:
            _, y = self.place(self.x_axis.low, tick)
            drawing.rules.append(Rule(self.left, self.right, y))
            drawing.texts.append(Text(self.left - 8, y + 5, _number(tick), anchor="end"))
        for tick in self.x_axis.ticks:
            x, _ = self.place(tick, self.y_axis.low)
            drawing.texts.append(Text(x, self.bottom + 20, _number(tick), anchor="middle"))
        below = Text(self.right, self.bottom + 42, self.x_axis.label, "axis", "end")
        drawing.texts += [below, Text(self.left, self.top - 20, self.y_axis.label, "axis")]


@dataclass(frozen=True)
class Timelines:
    """What one panel of `timelines` shows.

    Attributes:
        label: what the values are.
        lines: by name, (seconds, value), ascending; a line may be empty.
        mark: a value to mark, by name.
    """

    label: str
    lines: Mapping[str, Sequence[Point]]
    mark: tuple[str, float] | None = None


def line_chart(title: str, points: Sequence[Point], x_label: str, y_label: str) -> Markup:
    """Return a line through `points` for a page; few points get dots, the highest a big one.

    Args:
        title: for readers that do not see it.
        points: (x, y), ascending in x, at least one.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
    """
    few = len(points) <= _MOST_DOTS
    shown = list(points) if few else _thinned(points)
    plot = _Plot(
        Axis.over(x_label, [x for x, _ in shown], from_zero=True),
        Axis.over(y_label, [y for _, y in shown]),
    )
    drawing = Drawing(title, _WIDTH, _HEIGHT)
    plot.frame(drawing)
    places = [plot.place(x, y) for x, y in shown]
    drawing.lines.append(Line(places))
    if few:
        drawing.dots += [
            Dot(*place, radius=3, note=f"{x_label} {_number(x)}: {y:.4f}")
            for place, (x, y) in zip(places, shown, strict=True)
        ]
        highest = places[max(range(len(shown)), key=lambda i: shown[i][1])]
        drawing.dots.append(Dot(*highest, radius=5.5, kind="best"))
    return drawing.inline()


def histogram(title: str, values: Sequence[float], x_label: str, bins: int = 24) -> Markup:
    """Return how `values` (at least one, none negative) are spread, for a page."""
    x_axis = Axis.over(x_label, values, from_zero=True)
    width = (x_axis.high - x_axis.low) / bins
    counts = [0] * bins
    for value in values:
        counts[min(int((value - x_axis.low) / width), bins - 1)] += 1
    plot = _Plot(x_axis, Axis.over("pictures", counts, from_zero=True))
    drawing = Drawing(title, _WIDTH, _HEIGHT)
    plot.frame(drawing)
    for number, count in enumerate(counts):
        start, end = x_axis.low + number * width, x_axis.low + (number + 1) * width
        (left, top), (right, _) = plot.place(start, count), plot.place(end, count)
        note = f"{start:.2f} to {end:.2f}: {count} pictures"
        drawing.bars.append(
            Bar(left + 1, top, right - left - 1, max(0.0, plot.bottom - top), note=note)
        )
    return drawing.inline()


def bars(
    title: str,
    names: Sequence[str],
    groups: Mapping[str, Sequence[float]],
    colours: Sequence[str],
) -> str:
    """Return a table of ratios as bars in groups, as a file.

    Args:
        title: above everything.
        names: what the bars of each group are.
        groups: by title, one value a name; bars of all groups have the same scale.
        colours: one a name.
    """
    row, gap, left, longest_bar = 18, 34, 230, 560
    most = max(value for values in groups.values() for value in values)
    drawing = Drawing(title, left + longest_bar + 60, 0, texts=[Text(8, 22, title, "title")])
    top = 44
    for group, values in groups.items():
        drawing.texts.append(Text(8, top + 4, group, "title"))
        top += 12
        for name, value, colour in zip(names, values, colours, strict=True):
            width = longest_bar * value / most
            drawing.texts.append(Text(24, top + 13, name))
            drawing.bars.append(Bar(left, top + 2, width, row - 5, colour))
            drawing.texts.append(Text(left + width + 6, top + 13, f"{value:.2f}"))
            top += row
        top += gap
    drawing.height = top
    return drawing.file()


def timelines(title: str, panels: Sequence[Timelines], seconds: float) -> str:
    """Return panels one below the other, a line a name over one time axis, as a file.

    Args:
        title: for readers that do not see it.
        panels: the first one has the legend.
        seconds: length of the time axis.
    """
    width, height, gap, legend = 760, 210, 90, 150
    drawing = Drawing(title, width, len(panels) * (height + gap))
    for number, panel in enumerate(panels):
        values = [value for line in panel.lines.values() for _, value in line]
        if panel.mark:
            values.append(panel.mark[1])
        top = number * (height + gap) + 30
        plot = _Plot(
            Axis.over("seconds", [0.0, seconds]),
            Axis.over(panel.label, [*values, 0.0], from_zero=True),
            left=64,
            right=width - legend,
            top=top,
            bottom=top + height,
        )
        plot.frame(drawing)
        if panel.mark:
            _, y = plot.place(0, panel.mark[1])
            drawing.rules.append(Rule(plot.left, plot.right, y, "mark"))
            drawing.texts.append(Text(plot.right + 8, y + 4, panel.mark[0]))
        for index, (name, line) in enumerate(panel.lines.items()):
            colour = PALETTE[index % len(PALETTE)]
            drawing.lines.append(Line([plot.place(*point) for point in line], colour))
            if number == 0:
                y = plot.bottom - 12 - 20 * index
                drawing.texts.append(Text(plot.right + 8, y, name, colour=colour))
    return drawing.file()


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most `_MOST_POINTS` points, each the mean of its neighbours."""
    size = math.ceil(len(points) / _MOST_POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]


def _round_step(step: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= step * 0.999)


def _number(value: float) -> str:
    return f"{round(value, 6):g}"
