"""What every bench says in the same form: rows against a goal or a peer, a table, a JSON file, an exit code."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A measured value beside its peer's; `goal` says in words what `met` decides (None: stated only)."""

    name: str
    value: float | None
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    goal: str | None = None
    met: bool | None = None
    spread: str | None = None


def spread(values: Sequence[float]) -> str:
    """Least and most of what the median stands for.

    Example:
        >>> spread([3.0, 1.0, 2.0])
        '1–3 (n=3)'
    """
    return f"{min(values):.3g}–{max(values):.3g} (n={len(values)})"


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a named subset, within a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    return parser.parse_args()


def finish(rows: Sequence[Row], file: Path | None) -> None:
    """Print the table, write the JSON, and exit: 1 where a goal is not met."""
    columns = ["name", "value", "unit", "spread", "peer", "peer_value", "ratio", "goal", "met"]
    cells = [columns] + [[_cell(getattr(row, column)) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if file is not None:
        file.write_text(
            json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    sys.exit(any(row.met is False for row in rows))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
