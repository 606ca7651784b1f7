"""How llmws is on a terminal: rows of a name and what there is to say, colours where there are any, a polite end."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import TextIO

_WIDTH = 14
_COLOURS = {"quiet": "90", "good": "32", "poor": "33", "bad": "31"}


def row(name: str, text: str, colour: str | None = None, out: TextIO | None = None) -> None:
    """Print one row; an empty `name` continues the one above.

    Example:
        >>> row("service", "http://127.0.0.1:8765")
        service       http://127.0.0.1:8765
    """
    out = sys.stdout if out is None else out
    print(painted(name.ljust(_WIDTH), "quiet", out) + painted(text, colour, out), file=out, flush=True)


def painted(text: str, colour: str | None, out: TextIO) -> str:
    """`text` in a colour of `_COLOURS`, as it is where `out` is no terminal."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if colour and out.isatty() else text


def size(count: float) -> str:
    """
    >>> size(917_000_000)
    '0.9 GB'
    """
    return f"{count / 1e9:.1f} GB" if count < 100e9 else f"{count / 1e9:.0f} GB"


def clock(moment: float) -> str:
    """The local time of an epoch second: the hour today, with the date before."""
    then = datetime.fromtimestamp(moment).astimezone()
    return then.strftime("%H:%M" if then.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")


def end(process: subprocess.Popen[bytes], farewell_s: float) -> None:
    """Let a child end what it started and itself; a second Ctrl-C does not wait for that."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(farewell_s)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()


@contextlib.contextmanager
def polite_end() -> Iterator[None]:
    """Ctrl-C, a closed terminal and SIGTERM alike end what we started, and are no error."""

    def leave(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell starts what it puts in the background with it ignored, and Python leaves that so.
    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        if sys.stdout.isatty():
            print()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
