"""The catalogue's own knowledge of models, where their vendor's list tells nothing: rows with their source."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, time
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

ROWS = Path(__file__).with_name("known_models.toml")

_NAMES = ("vision", "tools", "reasoning", "json_schema", "embeddings")


@cache
def _catalogue() -> Mapping[str, Any]:
    return tomllib.loads(ROWS.read_text("utf-8"))


def checked_at() -> float:
    """When the rows were last compared with their sources, as epoch seconds."""
    return datetime.combine(_catalogue()["checked"], time(), UTC).timestamp()


def known(vendor: str, model: str) -> dict[str, bool]:
    """What the catalogue says of a vendor's `model`, by the names of `ModelInfo`.

    Example:
        >>> known("openai", "text-embedding-3-small")["embeddings"], known("compatible", "my-own")
        (True, {})
    """
    told: dict[str, bool] = {}
    for row in _catalogue()["row"]:
        if ("*" in row["vendors"] or vendor in row["vendors"]) and _fits(model, row["models"]):
            told = {name: row[name] for name in _NAMES if name in row} | told
            if not any(name in row for name in _NAMES):
                break  # of these nothing is known, whatever the rows below say
    return told


def _fits(model: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(model.lower(), pattern) for pattern in patterns)
