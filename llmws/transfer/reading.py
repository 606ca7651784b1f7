"""What the readers of other programs' records share: values that may be anything, and a tree put together from them."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ..messages import Parameters
from .conversations import Node, parents_first

_LATEST = 4e9
# Names of models, folders, tags and titles are shown in a line.
LONGEST_NAME, LONGEST_TITLE, LONGEST_TAG, MOST_TAGS = 255, 1000, 100, 50


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def line(value: Any, longest: int = LONGEST_TITLE) -> str:
    """`value` as one line of no more than `longest` characters.

    Example:
        >>> line(" a\\n\\x00b ")
        'a b'
    """
    return " ".join(text(value).replace("\0", " ").split())[:longest]


def name(value: Any) -> str:
    return line(value, LONGEST_NAME)


def tags(values: Iterable[Any]) -> tuple[str, ...]:
    found = (line(value, LONGEST_TAG) for value in values)
    return tuple(dict.fromkeys(tag for tag in found if tag))[:MOST_TAGS]


def moment(value: Any, default: float) -> float:
    """Epoch seconds, from those, from milli-, micro- or nanoseconds, or from ISO 8601.

    Example:
        >>> moment(1_700_000_000_000, 0.0), moment("2024-01-01T00:00:00Z", 0.0), moment(None, 5.0)
        (1700000000.0, 1704067200.0, 5.0)
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError, OSError):
            return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        return default
    while value > _LATEST:
        value /= 1000
    return float(value)


def count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31 else 0


def seconds(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and 0 <= value < 1e7 else None


def address(value: Any) -> str:
    """A web address; else nothing."""
    found = text(value)
    return found if re.match(r"https?://", found) and len(found) <= 2000 else ""


def plain(markup: str) -> str:
    """What stands between tags, as it was before it was escaped."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


def parameters(value: Any) -> Parameters:
    """What of `value` are parameters of ours."""
    told = mapping(value)
    stop = told.get("stop")
    stops = [stop] if isinstance(stop, str) else items(stop)
    return Parameters(
        temperature=seconds(told.get("temperature")),
        top_p=seconds(told.get("top_p")),
        max_tokens=count(told.get("max_tokens")) or None,
        seed=count(told.get("seed")) or None,
        stop=tuple(each for each in stops if isinstance(each, str) and each)[:8],
    )


def tree(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """`nodes` parents first, each with an id of its own, none older than its parent or the sibling before."""
    unique = {node.id: node for node in nodes}
    ordered = parents_first(
        node if node.parent_id in unique else Node(node.id, None, node.message, node.created_at)
        for node in unique.values()
    )
    times: dict[str | None, float] = {}
    youngest: dict[str | None, float] = {}
    found = []
    for node in ordered:
        # A microsecond apart where the file tells no better: siblings keep their order, and what follows comes after.
        above = max(times.get(node.parent_id, 0.0), youngest.get(node.parent_id, 0.0))
        times[node.id] = youngest[node.parent_id] = max(node.created_at, above + 1e-6)
        found.append(Node(node.id, node.parent_id, node.message, times[node.id]))
    return tuple(found)


def newest_leaf(nodes: tuple[Node, ...]) -> str | None:
    """The id of the newest message that nothing follows; None where there is none."""
    parents = {node.parent_id for node in nodes}
    leaves = [node for node in nodes if node.id not in parents]
    return max(leaves, key=lambda node: node.created_at).id if leaves else None
