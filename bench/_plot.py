"""A plot of a bench for the docs: bars of ours and of its peers, a panel for each measure, as an SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

_WIDTH, _BAR, _LABELS, _VALUES = 640, 22, 150, 110
_STYLE = """text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}
.peer{fill:#8c959f}.ours{fill:#0969da}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.peer{fill:#6e7681}.ours{fill:#58a6ff}}"""


class Panel(NamedTuple):
    """One measure: a title, and a bar for each name; the first is ours. `is_log` where they lie orders apart."""

    title: str
    bars: Sequence[tuple[str, float]]
    is_log: bool = False


def draw(panels: Sequence[Panel], file: Path) -> None:
    """Write the plot to `file`."""
    y = 8
    parts: list[str] = []
    for panel in panels:
        y += 16
        parts.append(f'<text class="title" x="0" y="{y}">{escape(panel.title)}</text>')
        y += 8
        for index, (name, value) in enumerate(panel.bars):
            middle = y + _BAR // 2 + 4
            width = max(2.0, _share(panel, value) * (_WIDTH - _LABELS - _VALUES))
            kind = "peer" if index else "ours"
            parts.append(f'<text x="0" y="{middle}">{escape(name)}</text>')
            parts.append(
                f'<rect class="{kind}" x="{_LABELS}" y="{y + 3}" width="{width:.1f}" height="{_BAR - 6}" rx="2"/>'
            )
            parts.append(f'<text x="{_LABELS + width + 8:.1f}" y="{middle}">{_said(value)}</text>')
            y += _BAR
        y += 12
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img">'
    file.write_text(f"{head}<style>{_STYLE}</style>{''.join(parts)}</svg>\n", encoding="utf-8")


def _share(panel: Panel, value: float) -> float:
    values = [value for _, value in panel.bars]
    if not panel.is_log:
        return value / max(values)
    least = min(values) / 2
    return math.log(value / least) / math.log(max(values) / least)


def _said(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
