"""Keeps known secrets out of the log: whatever a library or a provider says there, it passes `LogFormatter`.

What a provider says to a person is redacted where it is named (`providers/failures.py`); this is the net below. A
process has one log, so it has one `KNOWN`, which learns each secret when that is decrypted or typed.
"""

from __future__ import annotations

import logging

from ..redaction import Redaction


class LogFormatter(logging.Formatter):
    """The format of our logs, without secrets, tracebacks included."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return KNOWN.of(super().format(record))


KNOWN = Redaction()
