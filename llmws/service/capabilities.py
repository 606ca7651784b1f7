"""What is known of a model, and who says so: a person before a live probe, that before its provider, and the catalogue.

Each source speaks of what it knows; what nobody says stays None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..providers.base import ModelInfo
from ..store.capabilities import Capability, Source

NAMES = ("context", "vision", "tools", "reasoning", "json_schema", "embeddings")
# Who is believed first.
PRECEDENCE: tuple[Source, ...] = ("person", "probe", "provider", "catalogue")


@dataclass(frozen=True, slots=True)
class Known:
    """One thing that is known of a model: who said it, when, and what a probe saw."""

    name: str
    value: bool | int
    source: Source
    checked_at: float | None
    evidence: str = ""


def merged(
    info: ModelInfo,
    listed_at: float | None,
    kept: Iterable[Capability] = (),
    catalogue: Mapping[str, Any] | None = None,
    catalogue_at: float | None = None,
) -> list[Known]:
    """What is known of a model, one source for each name.

    Args:
        info: what its provider listed, at `listed_at`.
        kept: what a probe found and a person corrected.
        catalogue: what comes along, as it was at `catalogue_at`.

    Example:
        >>> said = Capability("local", "m", "tools", True, "probe", 2.0)
        >>> found = merged(ModelInfo("m", "M", context=8192, tools=False), 1.0, [said])
        >>> [(one.name, one.value, one.source) for one in found]
        [('context', 8192, 'provider'), ('tools', True, 'probe')]
    """
    said: dict[tuple[str, Source], Known] = {}
    for name, value in (catalogue or {}).items():
        said[name, "catalogue"] = Known(name, value, "catalogue", catalogue_at)
    for name in NAMES:
        if (value := getattr(info, name)) is not None:
            said[name, "provider"] = Known(name, value, "provider", listed_at)
    for one in kept:
        said[one.name, one.source] = Known(one.name, one.value, one.source, one.checked_at, one.evidence)
    best = (next((said[name, source] for source in PRECEDENCE if (name, source) in said), None) for name in NAMES)
    return [known for known in best if known is not None]


def plain(known: Iterable[Known]) -> dict[str, bool | int]:
    """The same as fields of a `ModelInfo`.

    Example:
        >>> plain([Known("vision", True, "person", 0.0)])
        {'vision': True}
    """
    return {one.name: one.value for one in known}
