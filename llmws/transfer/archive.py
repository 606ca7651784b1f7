"""Many files in one that is written as it is read: a ZIP of conversations, without ever being whole anywhere."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_EARLIEST = (1980, 1, 1, 0, 0, 0)


def write(files: Iterable[tuple[str, float, Iterable[str]]]) -> Iterator[bytes]:
    """The archive, piece by piece.

    Args:
        files: of each its name, its time (epoch seconds, as UTC) and its text. A name that came before gets a number.
    """
    sink = _Sink()
    names: set[str] = set()
    with ZipFile(sink, "w", ZIP_DEFLATED) as archive:
        for name, time, text in files:
            at = datetime.fromtimestamp(time, UTC).timetuple()[:6]
            entry = ZipInfo(_unused(name, names), max(at, _EARLIEST))
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            with archive.open(entry, "w", force_zip64=True) as file:
                for piece in text:
                    file.write(piece.encode("utf-8", "backslashreplace"))
                    yield sink.take()
    yield sink.take()


def _unused(name: str, names: set[str]) -> str:
    stem, dot, suffix = name.rpartition(".")
    number, free = 1, name
    # On many a disk names that differ in case alone are one file.
    while free.casefold() in names:
        number += 1
        free = f"{stem} {number}{dot}{suffix}"
    names.add(free.casefold())
    return free


class _Sink(io.RawIOBase):
    """A file that can be written to only; without `tell`, zipfile puts sizes behind what they are of."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._held += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken
