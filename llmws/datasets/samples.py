"""The sample datasets that come along, in `datasets/` of a checkout and inside an installed wheel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..shipped import shipped
from .formats import read_info
from .rows import read_rows


@dataclass(frozen=True, slots=True)
class Sample:
    """A dataset of the workspace's own.

    `manner` is what its answers have in common and what can therefore be checked in a tuned model's: ``opens`` and
    ``closes``, each a phrase; empty where a dataset teaches no manner.
    """

    name: str
    formatting: str
    rows: int
    language: str
    licence: str
    description: str
    manner: Mapping[str, str]


def folder() -> Path:
    """Where the samples lie."""
    return shipped("datasets")


def samples() -> list[Sample]:
    """The samples, in the order of their `dataset_info.json`."""
    found = []
    for name, entry in read_info(folder()).items():
        about = entry.about
        rows = sum(1 for _ in read_rows(folder() / entry.file_name))
        found.append(
            Sample(
                name,
                entry.formatting,
                rows,
                about.get("language", ""),
                about.get("licence", ""),
                about.get("description", ""),
                about.get("manner", {}),
            )
        )
    return found
