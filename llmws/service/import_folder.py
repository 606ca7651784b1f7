"""The folder of one import: all that is known of it, so that it goes on after a restart.

    about.json     whose it is, what the file is called and how large it will be
    upload         the file, as far as it has come
    report.jsonl   a line for each conversation, in the order of the file
    end.json       how it ended; while it is not there, the import goes on

A line of the report is written after its conversation is committed: what a crash leaves without one is read again, and
is then there already.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ..errors import Conflict

Outcome = Literal["imported", "updated", "present", "refused"]


@dataclass(frozen=True, slots=True)
class About:
    """What an import is of. `bytes` is how large its file will be."""

    id: str
    owner: str
    name: str
    bytes: int
    created_at: float


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one conversation; `place` counts from 1, `reason` is told of those that were refused."""

    place: int
    title: str
    outcome: Outcome
    chat_id: str | None = None
    messages: int = 0
    reason: str = ""


class ImportFolder:
    """One import on the disk.

    Args:
        folder: of its own, made by `create`.
    """

    def __init__(self, folder: Path, about: About) -> None:
        self.folder = folder
        self.about = about
        self.upload = folder / "upload"
        self._report = folder / "report.jsonl"
        self._end = folder / "end.json"
        self.received = self.upload.stat().st_size if self.upload.exists() else 0
        self.end: dict[str, Any] | None = json.loads(self._end.read_text("utf-8")) if self._end.exists() else None
        self._mend()
        lines = list(self.lines())
        self.counts: Counter[str] = Counter(line["outcome"] for line in lines)
        self.reported = len(lines)

    @classmethod
    def create(cls, root: Path, about: About) -> ImportFolder:
        folder = root / about.id
        folder.mkdir(mode=0o700, parents=True)
        _write(folder / "about.json", asdict(about))
        return cls(folder, about)

    @classmethod
    def all(cls, root: Path) -> list[ImportFolder]:
        """Those that are whole; what a crash left of the making of one goes."""
        found = []
        for folder in sorted(root.iterdir()) if root.exists() else ():
            try:
                found.append(cls(folder, About(**json.loads((folder / "about.json").read_text("utf-8")))))
            except (OSError, ValueError, TypeError):
                shutil.rmtree(folder, ignore_errors=True)
        return found

    def append(self, offset: int, data: bytes) -> None:
        """Add a piece of the file. Where that one already came it changes nothing, so that it can be sent again."""
        if offset + len(data) <= self.received:
            return
        if offset != self.received:
            raise Conflict(
                f"The file has come as far as byte {self.received}.",
                remedy="Go on from there.",
                details={"received": self.received},
            )
        with os.fdopen(os.open(self.upload, os.O_WRONLY | os.O_CREAT, 0o600), "r+b") as file:
            # Where the disk was full in the middle of a piece, its beginning goes.
            file.truncate(offset)
            file.seek(offset)
            file.write(data)
        self.received += len(data)

    def report(self, line: Line) -> None:
        with self._report.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(line)) + "\n")
        self.counts[line.outcome] += 1
        self.reported += 1

    def lines(self, after: int = 0) -> Iterator[dict[str, Any]]:
        """The report, past its `after`-th line."""
        if self._report.exists():
            with self._report.open(encoding="utf-8") as file:
                yield from map(json.loads, islice(file, after, None))

    def page(self, after: int, limit: int, outcome: Outcome | None = None) -> tuple[list[dict[str, Any]], int | None]:
        """Lines of the report past its `after`-th, of one outcome or of all, and after which the next page begins."""
        found: list[dict[str, Any]] = []
        for number, line in enumerate(self.lines(after), after):
            if outcome in (None, line["outcome"]):
                if len(found) == limit:
                    return found, number
                found.append(line)
        return found, None

    def finish(self, kind: str, error: str | None = None) -> None:
        """Say how it ended, and let the file go: what it said is in the chats now."""
        end = {"ended_at": time.time(), "kind": kind, "error": error}
        _write(self._end, end)
        self.end = end
        self.upload.unlink(missing_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mend(self) -> None:
        """A line that a crash cut off was never told to anybody."""
        if self._report.exists():
            text = self._report.read_bytes()
            whole = text.rpartition(b"\n")[0]
            if len(text) > len(whole) + 1 or (text and not whole):
                os.truncate(self._report, len(whole) + 1 if whole else 0)


def _write(file: Path, value: dict[str, Any]) -> None:
    aside = file.with_suffix(".new")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as written:
        json.dump(value, written)
    aside.replace(file)
