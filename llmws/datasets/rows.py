"""Rows of a JSON or JSON lines file, one after the other, each with the line it begins on.

A dataset may be larger than memory, and a message that names the line is worth more than a traceback: so neither the
whole file is read, nor is a broken row skipped. This module knows no format beyond JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ..errors import DatasetError

SUFFIXES = (".json", ".jsonl")
_CHUNK = 1 << 16
# A row that long is a file whose end was never found.
_LONGEST_ROW = 1 << 26
_MEND = "Mend the row, or write one row per line and name the file .jsonl."
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")


def read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line, row); lines count from 1.

    Raises:
        DatasetError: the file is missing, of another kind, not UTF-8 or, from some line on, not JSON.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "rows.json"
        >>> _ = file.write_text('[{"a": 1},\\n {"a": 2}]')
        >>> list(read_rows(file))
        [(1, {'a': 1}), (2, {'a': 2})]
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DatasetError(
            f"{path.name} is not a {' or '.join(SUFFIXES)} file.", remedy="Convert it to JSON lines first."
        )
    try:
        with path.open(encoding="utf-8-sig") as file:
            if path.suffix.lower() == ".jsonl" or not _opens_array(file):
                yield from _lines(path, file)
            else:
                yield from _array(path, file)
    except FileNotFoundError:
        raise DatasetError(f"There is no file {path}.", remedy="Check its name and folder.") from None
    except UnicodeDecodeError:
        line = _undecodable_line(path)
        raise DatasetError(
            f"{path.name}, line {line} is not UTF-8.",
            remedy="Save the file as UTF-8.",
            details={"path": str(path), "line": line},
        ) from None
    except OSError as problem:
        raise DatasetError(f"{path} cannot be read: {problem.strerror}.", remedy="Check its permissions.") from None


def broken(path: Path, line: int, message: str, remedy: str, **details: Any) -> DatasetError:
    """The error about one line of a file."""
    return DatasetError(
        f"{path.name}, line {line}: {message}", remedy=remedy, details={"path": str(path), "line": line, **details}
    )


def _opens_array(file: IO[str]) -> bool:
    """Whether the first character that counts is a bracket; a `.json` file may hold JSON lines, too."""
    while (head := file.read(1)) and head.isspace():
        pass
    file.seek(0)
    return head in ("[", "")


def _lines(path: Path, file: IO[str]) -> Iterator[tuple[int, Any]]:
    for number, text in enumerate(file, 1):
        if text.strip():
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as problem:
                raise broken(path, number, f"this is not JSON ({problem}).", "Write one whole row per line.") from None
            yield number, row


class _Text:
    """The unread part of a file (from `at` on), and the line on which that begins."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self.path, self.file, self.line = path, file, 1
        self.text, self.at, self.ended = "", 0, False

    def more(self) -> None:
        self.text = self.text[self.at :]
        self.at = 0
        # As much again as there is: a row of n characters is then parsed log(n) times, not n.
        chunk = self.file.read(max(_CHUNK, len(self.text)))
        self.ended = not chunk
        self.text += chunk

    def go(self, to: int) -> None:
        self.line += self.text.count("\n", self.at, to)
        self.at = to

    def next(self) -> str:
        """The next character that counts, left where it is; empty at the end of the file."""
        while True:
            self.go(_SPACE.match(self.text, self.at).end())  # type: ignore[union-attr]
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.more()

    def value(self) -> Any:
        """Take one JSON value."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as problem:
                if self.ended or len(self.text) - self.at > _LONGEST_ROW or self._certain(problem):
                    raise broken(
                        self.path,
                        self.line + self.text.count("\n", self.at, problem.pos),
                        f"this is not JSON ({problem.msg}).",
                        _MEND,
                    ) from None
                self.more()
                continue
            except (ValueError, RecursionError) as problem:  # a number or a nesting that Python does not take
                raise broken(self.path, self.line, f"this is not JSON ({problem}).", _MEND) from None
            if end == len(self.text) and not self.ended:  # a number may go on
                self.more()
                continue
            self.go(end)
            return value

    def _certain(self, problem: json.JSONDecodeError) -> bool:
        """Whether the fault lies before the place where the text was cut."""
        return problem.pos < len(self.text) - 16 and not problem.msg.startswith("Unterminated")


def _array(path: Path, file: IO[str]) -> Iterator[tuple[int, Any]]:
    text = _Text(path, file)
    if text.next() != "[":
        return
    text.go(text.at + 1)
    if text.next() == "]":
        return
    while True:
        text.next()
        line = text.line
        yield line, text.value()
        mark = text.next()
        if mark not in (",", "]"):
            what = "the file ends in the middle." if not mark else f"a comma is missing before {mark!r}."
            raise broken(path, text.line, what, "Separate rows by commas, and close the array with ].")
        text.go(text.at + 1)
        if mark == "]":
            break
    if rest := text.next():
        raise broken(path, text.line, f"{rest!r} follows the end of the array.", "Remove it.")


def _undecodable_line(path: Path) -> int:
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 0
