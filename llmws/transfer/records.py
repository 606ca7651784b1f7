"""The conversations in a file that somebody else wrote, one after the other, however large the file is.

The file is untrusted. It is read event by event; a record that is nested too deep or too large is left out and named,
and the next one is read; what is built at any time is one record. A ZIP is read without being unpacked, and no further
than `LARGEST_UNPACKED`.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import ijson

from .conversations import LARGEST_ATTACHMENT, Unreadable

DEEPEST = 64
MOST_VALUES = 1_000_000
LARGEST_RECORD = 32 << 20
LARGEST_UNPACKED = 4 << 30
# Conversations shrink to a fifth or so; a bomb to a thousandth.
_STEEPEST, _NO_BOMB = 200, 64 << 20
_BUFFER = 1 << 16
# ChatGPT's, in one file or in several, in whatever folder.
_CONVERSATIONS = re.compile(r"(?:^|/)conversations(?:-\d+)?\.json$")
# What ChatGPT calls a file: `file-…` and, newer, `file_…`; what follows is what the person called it.
_ASSET = re.compile(r"file-[A-Za-z0-9]+|file_[0-9a-f]+")
# Shorter strings are none that anybody keeps elsewhere, but for the bytes of a small file, which are called so.
_SHORT, _BYTES = 64, "data"
_OPENING, _CLOSING = ("start_map", "start_array"), ("end_map", "end_array")


@dataclass(frozen=True, slots=True)
class Record:
    """A conversation as it stands in the file, or the reason why it cannot be read. `place` counts from 1."""

    place: int
    value: dict[str, Any] | None
    reason: str = ""


# Told how many bytes of the file were read.
Tell = Callable[[int], None]
# Given the keys that lead to a string in a record, what stands beside it, and the string: what to keep in its place.
Spill = Callable[[tuple[str, ...], Mapping[str, Any], str], str]


class Assets:
    """The files that lie beside the conversations in a ZIP, by the ids at the begin of their names."""

    def __init__(self) -> None:
        self._archive: ZipFile | None = None
        self._entries: dict[str, ZipInfo] = {}

    def open(self, archive: ZipFile) -> None:
        self._archive = archive
        for entry in archive.infolist():
            if found := _ASSET.match(PurePosixPath(entry.filename).name):
                self._entries[found[0]] = entry

    def read(self, id: str) -> bytes | None:
        """The bytes of a file; None where there is none, or none that can be attached."""
        entry = self._entries.get(id)
        if entry is None or self._archive is None or entry.file_size > LARGEST_ATTACHMENT:
            return None
        try:
            with self._archive.open(entry) as file:
                return file.read(LARGEST_ATTACHMENT)
        except (BadZipFile, RuntimeError, NotImplementedError, OSError, zlib.error):
            return None


def read(
    path: Path, tell: Tell, spill: Spill = lambda where, beside, text: text, assets: Assets | None = None
) -> Iterator[Record]:
    """Yield the records of a JSON file, or of the conversations in a ZIP.

    Args:
        tell: told of each piece of the file.
        spill: gives what is to be kept in the place of a string, which may be large.
        assets: gets to know what else is in a ZIP.

    Raises:
        Unreadable: the file is of no kind that is known, or broken from some place on.
    """
    place = 0
    with _opened(path, assets) as files:
        for file in files:
            try:
                for value in _values(_Counted(file, tell), spill):
                    place += 1
                    yield Record(place, None, value) if isinstance(value, str) else Record(place, value)
            except (ijson.JSONError, ValueError, ArithmeticError) as problem:
                after = f" after conversation {place}" if place else ""
                raise Unreadable(f"The file is not JSON{after}, or it breaks off: {_brief(problem)}.") from None
            except (BadZipFile, zlib.error):
                raise Unreadable("The ZIP is damaged.") from None


def _values(file: _Counted, spill: Spill) -> Iterator[dict[str, Any] | str]:
    """The records of one file: elements of an array, of an object's "chats", or the object itself."""
    # Not with `use_float`, with which the parser itself ends at a number of more than 64 bits.
    events = ijson.basic_parse(file, buf_size=_BUFFER)
    first = next(events, ("", None))
    if first[0] == "start_array":
        yield from _elements(events, spill)
        return
    if first[0] != "start_map":
        raise Unreadable("The file holds neither a list nor an object.")
    several = False
    builder = _Builder(spill)
    builder.take("start_map", None)
    for event, value in events:
        if event == "map_key" and value == "chats" and builder.depth == 1:
            if next(events)[0] != "start_array":
                raise Unreadable("Its `chats` are no list.")
            _check_version(builder.value if isinstance(builder.value, dict) else {})
            yield from _elements(events, spill)
            several = True
        else:
            builder.take(event, value)
    if not several:
        yield builder.result()


def _elements(events: Iterator[tuple[str, Any]], spill: Spill) -> Iterator[dict[str, Any] | str]:
    """The elements of the array that `events` have opened, and no event beyond its end."""
    for event, value in events:
        if event == "end_array":
            return
        builder = _Builder(spill)
        builder.take(event, value)
        while builder.depth:
            builder.take(*next(events))
        yield builder.result()


class _Builder:
    """Puts one value together, within limits; past one it only counts until the value ends."""

    def __init__(self, spill: Spill) -> None:
        self.value: Any = None
        self.depth = 0
        self.problem = ""
        self._spill = spill
        self._open: list[tuple[Any, str]] = []  # containers, each with the key that is to come
        self._values = self._characters = 0

    def take(self, event: str, value: Any) -> None:
        if event == "map_key":
            self._count(value)
            if not self.problem:
                self._open[-1] = (self._open[-1][0], value)
            return
        if event in _CLOSING:
            self.depth -= 1
            if not self.problem:
                self._open.pop()
            return
        if event in _OPENING:
            self.depth += 1
            value = {} if event == "start_map" else []
        elif event == "string" and not self.problem and self._open and self._is_large(value):
            beside = self._open[-1][0]
            value = self._spill(tuple(key for _, key in self._open), beside if isinstance(beside, dict) else {}, value)
        elif event == "number" and (value := _number(value)) is None:
            self._refuse("There is a number in it that is too large.")
        self._count(value)
        if not self.problem:
            self._place(value)
            if event in _OPENING:
                self._open.append((value, ""))

    def _is_large(self, text: str) -> bool:
        return len(text) > _SHORT or self._open[-1][1] == _BYTES

    def result(self) -> dict[str, Any] | str:
        if self.problem:
            return self.problem
        return self.value if isinstance(self.value, dict) else "It is no conversation."

    def _place(self, value: Any) -> None:
        if not self._open:
            self.value = value
            return
        container, key = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[key] = value

    def _count(self, value: Any) -> None:
        if isinstance(value, str):
            self._characters += len(value)
        self._values += 1
        if self.depth > DEEPEST:
            self._refuse("It is nested too deep.")
        elif self._values > MOST_VALUES or self._characters > LARGEST_RECORD:
            self._refuse(f"It is larger than {LARGEST_RECORD >> 20} MiB.")

    def _refuse(self, problem: str) -> None:
        if not self.problem:
            self.problem, self.value = problem, None
            self._open.clear()


def _number(value: int | Decimal) -> int | float | None:
    """`value` as whoever comes after can hold it: a whole number of 64 bits, else a double; None where that is endless.

    >>> _number(3), _number(2**63), _number(Decimal("0.5")), _number(Decimal("1e400"))
    (3, 9.223372036854776e+18, 0.5, None)
    """
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _check_version(head: dict[str, Any]) -> None:
    version = head.get("version", 1)
    if head.get("format") == "llmws.chats" and (not isinstance(version, int) or version > 1):
        raise Unreadable("A newer version of llmws wrote this file: upgrade to read it.")


class _Counted:
    """A file that tells how far it was read, and gives up on one that has no end."""

    def __init__(self, file: tuple[IO[bytes], ZipInfo | None], tell: Tell) -> None:
        self._file, self._entry = file
        self._tell = tell
        self._read = 0
        self._first = True

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(_BUFFER if size < 0 else size)
        self._read += len(piece)
        packed = self._entry.compress_size if self._entry is not None else None
        if packed is not None and self._read > _NO_BOMB and self._read > _STEEPEST * packed:
            raise Unreadable("The ZIP unpacks to far more than conversations do.")
        if self._read > LARGEST_UNPACKED:
            raise Unreadable(f"The file is larger than {LARGEST_UNPACKED >> 30} GiB.")
        self._tell(len(piece))
        if self._first and piece:
            self._first = False
            piece = piece.removeprefix(b"\xef\xbb\xbf") or self.read(size)
        return piece


@contextmanager
def _opened(path: Path, assets: Assets | None) -> Iterator[Iterator[tuple[IO[bytes], ZipInfo | None]]]:
    with path.open("rb") as file:
        begin = file.read(4)
        file.seek(0)
        if begin != b"PK\x03\x04":
            yield iter([(file, None)])
            return
        try:
            with ZipFile(file) as archive:
                if assets is not None:
                    assets.open(archive)
                yield _entries(archive)
        except BadZipFile:
            raise Unreadable("The ZIP is damaged.") from None


def _entries(archive: ZipFile) -> Iterator[tuple[IO[bytes], ZipInfo | None]]:
    found = sorted(
        (entry for entry in archive.infolist() if _CONVERSATIONS.search(entry.filename)),
        key=lambda entry: entry.filename,
    )
    if not found:
        raise Unreadable("There is no conversations.json in the ZIP.")
    for entry in found:
        try:
            file = archive.open(entry)
        except (RuntimeError, NotImplementedError):  # a password, a compression that Python lacks
            raise Unreadable("The ZIP is encrypted, or of a kind that cannot be read.") from None
        with file:
            yield file, entry


def _brief(problem: Exception) -> str:
    told = next(iter(problem.args), "")
    # Below its first line the parser quotes what stands there, with an arrow that means nothing in a sentence; what it
    # quotes may be no text.
    told = told.decode(errors="replace") if isinstance(told, bytes) else str(problem)
    return "".join(told.splitlines()[:1]).strip()[:120].rstrip(".")
