"""What a cell or a terminal shows while there is something to wait for: one line that is written over."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TextIO, TypeVar

from .bridge import Bridge

T = TypeVar("T")


def overwrites(out: TextIO) -> bool:
    """Whether `out` is a terminal or a cell, where a line may be written over and has colours."""
    return out.isatty() or in_cell(out)


def in_cell(out: TextIO) -> bool:
    """Whether what is written to `out` stands below a notebook's cell."""
    return type(out).__module__.startswith("ipykernel.")


def follow(bridge: Bridge, states: AsyncGenerator[T], line: Callable[[T], str], show: bool) -> None:
    """Wait for the last of `states`; `show` writes each as a `line` to stdout, in a file only the last."""
    with contextlib.closing(bridge.iterate(states)) as told:
        if show:
            _write(map(line, told), sys.stdout)
        else:
            for _ in told:
                pass


def _write(lines: Iterator[str], out: TextIO) -> None:
    live, line, before = overwrites(out), "", ""
    try:
        for line in lines:
            if live:
                out.write(f"\r{line.ljust(len(before))}")
                out.flush()
                before = line
    finally:
        if line:
            out.write("\n" if live else f"{line}\n")
            out.flush()
