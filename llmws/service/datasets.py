"""What can be trained on: the samples that come along, and the datasets in the data folder's own `datasets/`.

Both are folders with a `dataset_info.json`, as LLaMA-Factory has them. Files may be large or broken, and are looked at
in a thread; one that cannot be read is listed with what is wrong, since hiding it helps nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter

from ..datasets import samples, validation
from ..datasets.formats import INFO, Entry, entries
from ..datasets.rows import read_rows
from ..errors import DatasetError
from ..settings import Settings
from ..store.values import whole
from .access import Reader
from .here import here

_PREVIEW, _LONGEST, _DEEPEST = 3, 500, 20


@dataclass(slots=True)
class Datasets:
    """The folders of datasets; of one name the person's own counts.

    A `dataset_info.json` that cannot be read is listed in place of what it would name. It hides no sample, but that one
    which it may name, too: nobody is to be trained on other rows than were meant.
    """

    settings: Settings
    # A file is read once, until it changes: path → (size, time), what was found.
    _seen: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = field(default_factory=dict)

    def folder_of(self, name: str) -> Path:
        """The folder that has the dataset; an unknown name is a `DatasetError` that names those there are."""
        known: list[str] = []
        unread: DatasetError | None = None
        for folder in self._folders():
            told, problem = _entries(folder)
            if name in told:
                return folder
            if problem is not None and _may_name(folder, name):
                raise problem
            known += told
            unread = unread or problem
        raise unread or DatasetError(
            f"There is no dataset {name!r}.", remedy=f"There are: {', '.join(known) or 'none'}."
        )

    async def check(self, name: str, stage: str) -> None:
        """Read every row; the first that cannot be trained on is a `DatasetError` with its line."""
        await asyncio.to_thread(lambda: validation.check(self.folder_of(name), name, stage=stage))

    async def all(self) -> list[dict[str, Any]]:
        """The datasets as JSON, the samples first."""
        return await asyncio.to_thread(self._all)

    def _folders(self) -> list[Path]:
        own = self.settings.data / "datasets"
        return [own, samples.folder()] if (own / INFO).is_file() else [samples.folder()]

    def _all(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for folder in reversed(self._folders()):
            told, problem = _entries(folder)
            for name, entry in told.items():
                found[name] = self._about(folder, name, entry)
            if problem is not None:
                found[INFO] = _unreadable(folder, INFO, problem)
        return list(found.values())

    def _about(self, folder: Path, name: str, told: Any) -> dict[str, Any]:
        """One dataset as JSON; `told` is its entry in `dataset_info.json`."""
        try:
            entry = Entry.from_info(name, told)
        except DatasetError as problem:
            return _unreadable(folder, name, problem)
        return _listed(folder, entry, self._read(folder / entry.file_name))

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            told = path.stat()
            version = (told.st_size, told.st_mtime_ns)
        except OSError:
            version = (-1, -1)
        if path not in self._seen or self._seen[path][0] != version:
            self._seen[path] = version, _look(path)
        return self._seen[path][1]


def _entries(folder: Path) -> tuple[Mapping[str, Any], DatasetError | None]:
    """What a folder's `dataset_info.json` says; where it cannot be read, nothing and why."""
    try:
        return entries(folder), None
    except DatasetError as problem:
        return {}, problem


def _may_name(folder: Path, name: str) -> bool:
    """Whether a `dataset_info.json` that cannot be read may have an entry of that name."""
    try:
        content = (folder / INFO).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return f'"{name}"' in content


def _unreadable(folder: Path, name: str, problem: DatasetError) -> dict[str, Any]:
    return _listed(folder, Entry(name, ""), {"rows": None, "preview": [], "problem": problem.to_dict()})


def _listed(folder: Path, entry: Entry, read: dict[str, Any]) -> dict[str, Any]:
    about = entry.about
    return {
        "name": whole(entry.name),
        "formatting": entry.formatting,
        "description": whole(str(about.get("description", ""))),
        "language": whole(str(about.get("language", ""))),
        "licence": whole(str(about.get("licence", ""))),
        "manner": _shortened(about.get("manner", {})),
        "source": "sample" if folder == samples.folder() else "own",
        **read,
    }


def _look(path: Path) -> dict[str, Any]:
    """How many rows a file has, the first of them, and why it cannot be read, if so."""
    preview: list[Any] = []
    count = 0
    try:
        rows = read_rows(path)
        for _, row in islice(rows, _PREVIEW):
            preview.append(_shortened(row))
        count = len(preview) + sum(1 for _ in rows)
    except DatasetError as problem:
        return {"rows": None, "preview": preview, "problem": problem.to_dict()}
    return {"rows": count, "preview": preview, "problem": None}


def _shortened(value: Any, deeper: int = _DEEPEST) -> Any:
    """The value as any JSON can say it: with long texts cut, all the way down, and what lies too deep left out."""
    if isinstance(value, str):
        return whole(value if len(value) <= _LONGEST else value[:_LONGEST] + "…")
    if not deeper and isinstance(value, list | dict):
        return "…"
    if isinstance(value, list):
        return [_shortened(item, deeper - 1) for item in value]
    if isinstance(value, dict):
        return {whole(key): _shortened(item, deeper - 1) for key, item in value.items()}
    return value


TheDatasets = Annotated[Datasets, here("datasets")]
router = APIRouter(tags=["training"])


@router.get("/api/datasets")
async def list_datasets(person: Reader, datasets: TheDatasets) -> dict[str, Any]:
    """The datasets that can be trained on, each with its first rows."""
    return {"items": await datasets.all()}
