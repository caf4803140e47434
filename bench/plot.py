"""Bars as SVG: a group per workload, a bar per contender, on a scale that shows small and large ones."""

import math
from collections.abc import Mapping
from html import escape
from typing import Final

WIDTH: Final = 860
BAR: Final = 16
GAP: Final = 14
LEFT: Final = 130
RIGHT: Final = 110
TOP: Final = 64
COLOURS: Final = {"engine": "#1f6feb", "celery": "#37a169", "dbos": "#d97706", "prefect": "#7c3aed"}
OTHER_COLOUR: Final = "#6b7280"

Bars = Mapping[str, Mapping[str, float]]


def draw_bars(groups: Bars, *, title: str) -> str:
    """Return an SVG of positive values, on a logarithmic scale. Readable on light and on dark ground."""
    values = [value for bars in groups.values() for value in bars.values()]
    scale = _Scale(lowest=min(values, default=1.0), highest=max(values, default=10.0))
    parts, top = [], TOP
    for name, bars in groups.items():
        parts.append(_text(LEFT - 10, top + len(bars) * BAR / 2 + 4, name, anchor="end"))
        for contender, value in bars.items():
            colour = COLOURS.get(contender, OTHER_COLOUR)
            length = scale.length(value)
            parts.append(
                f'<rect x="{LEFT}" y="{top:.0f}" width="{length:.1f}" height="{BAR - 3}" rx="2" fill="{colour}"/>'
            )
            parts.append(_text(LEFT + length + 6, top + BAR - 5, f"{value:.2f}", size=11))
            top += BAR
        top += GAP
    height = top + 10
    head = [_text(LEFT, 24, title, size=15, weight="bold"), *_legend(groups), *_grid(scale, bottom=top - GAP)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="system-ui, sans-serif" role="img">'
        f"<title>{escape(title)}</title>"
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>' + "".join([*head, *parts]) + "</svg>\n"
    )


class _Scale:
    """From a value to the length of its bar."""

    def __init__(self, *, lowest: float, highest: float) -> None:
        self.first = math.floor(math.log10(lowest))
        self.last = max(self.first + 1, math.ceil(math.log10(highest)))

    def length(self, value: float) -> float:
        share = (math.log10(value) - self.first) / (self.last - self.first)
        return max(2.0, share * (WIDTH - LEFT - RIGHT))


def _legend(groups: Bars) -> list[str]:
    parts, left = [], float(LEFT)
    for contender in dict.fromkeys(contender for bars in groups.values() for contender in bars):
        colour = COLOURS.get(contender, OTHER_COLOUR)
        parts.append(f'<rect x="{left:.0f}" y="36" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(_text(left + 18, 46, contender))
        left += 40 + 8 * len(contender)
    return parts


def _grid(scale: _Scale, *, bottom: float) -> list[str]:
    parts = []
    for power in range(scale.first, scale.last + 1):
        at = LEFT + scale.length(10.0**power) if power > scale.first else float(LEFT)
        parts.append(f'<path d="M{at:.1f} {TOP - 6}V{bottom:.0f}" stroke="#d1d5db" stroke-width="1"/>')
        parts.append(_text(at, TOP - 8, f"{10.0**power:g}", size=10, anchor="middle"))
    return parts


def _text(x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}"'
        f' fill="#1f2937">{escape(text)}</text>'
    )
