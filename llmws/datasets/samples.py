"""The sample datasets that come along, in `datasets/` of a checkout and inside an installed wheel."""

from __future__ import annotations

from pathlib import Path

from ..shipped import shipped


def folder() -> Path:
    """Where the samples lie, with their `dataset_info.json`.

    `manner` of an entry is what its answers have in common, and what can therefore be checked in a tuned model's:
    ``opens`` and ``closes``, each a phrase; it is absent where a dataset teaches no manner.
    """
    return shipped("datasets")
