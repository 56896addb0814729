"""Bars for a table of ratios, as SVG: a group a column, a bar a row."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_COLOURS = {"captionbox": "#0b6b62", "transformers": "#9a9a9a", "optimum": "#b4441f"}
_OTHER = "#4553a5"
_ROW, _GROUP_GAP, _LEFT, _WIDTH = 18, 34, 230, 620
_STYLE = "text{font:13px system-ui,sans-serif;fill:#333}.title{font-weight:600}"


def bars(title: str, names: Sequence[str], groups: dict[str, Sequence[float]]) -> str:
    """Return the plot.

    Args:
        title: above everything.
        names: what the bars are; the first word decides the colour.
        groups: by title, one value a name; bars of all groups have the same scale.
    """
    longest = max(value for values in groups.values() for value in values)
    parts, top = [_text(8, 22, title, "title")], 44
    for group, values in groups.items():
        parts.append(_text(8, top + 4, group, "title"))
        top += 12
        for name, value in zip(names, values, strict=True):
            colour = _COLOURS.get(name.split()[0], _OTHER)
            width = (_WIDTH - 60) * value / longest
            parts.append(_text(24, top + 13, name))
            parts.append(
                f'<rect x="{_LEFT}" y="{top + 2}" width="{width:.1f}" height="{_ROW - 5}" '
                f'fill="{colour}"/>'
            )
            parts.append(_text(_LEFT + width + 6, top + 13, f"{value:.2f}"))
            top += _ROW
        top += _GROUP_GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH} {top}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        + "".join(parts)
        + "</svg>\n"
    )


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{attribute}>{escape(text)}</text>'
