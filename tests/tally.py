"""How many attacks were tried, and on what: told at the end of a run, whichever of its processes they ran in."""

from __future__ import annotations

from collections import Counter

TRIED: Counter[str] = Counter()


def lines(tried: Counter[str]) -> list[str]:
    """A table of them, if there are any. Each that succeeded has failed its test.

    Example:
        >>> lines(Counter({"the hub": 5224}))
        ['attacks that were tried:', '   5,224  the hub']
    """
    rows = [f"{number:8,}  {what}" for what, number in sorted(tried.items())]
    return ["attacks that were tried:", *rows] if rows else []
