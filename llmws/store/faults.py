"""What SQLite and the file system say when they fail, as a `StoreError` that names the remedy."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from ..errors import StoreError

_RECOVER = "Stop the service and put a backup in its place; `sqlite3 FILE .recover` prints what can still be read."
_RIGHTS = "Give this account the right to write the file and its folder, or choose another place with LLMWS_DATA."
_END = "End that program, then try again."

# By SQLite's primary result code (https://sqlite.org/rescode.html): what happened, and what helps.
_FAULTS = {
    sqlite3.SQLITE_CORRUPT: ("The database {} is damaged.", _RECOVER),
    sqlite3.SQLITE_NOTADB: ("The file {} is not a database.", "Move it away, or put a backup in its place."),
    sqlite3.SQLITE_FULL: ("The disk that holds {} is full.", "Free some space; what was acknowledged is safe."),
    sqlite3.SQLITE_READONLY: ("The database {} cannot be written.", _RIGHTS),
    sqlite3.SQLITE_CANTOPEN: ("The database {} cannot be opened.", _RIGHTS),
    sqlite3.SQLITE_PERM: ("The database {} cannot be opened.", _RIGHTS),
    sqlite3.SQLITE_BUSY: ("Another program holds the database {}.", _END),
    sqlite3.SQLITE_LOCKED: ("Another program holds the database {}.", _END),
    sqlite3.SQLITE_IOERR: ("The disk that holds {} failed.", "Look whether it is full, or broken."),
}


def explain(error: Exception, file: Path) -> Exception:
    """`error` as the `StoreError` it means; one that is no fault of the database is returned as it is.

    The statement and its values, which may be what people wrote, are left out.
    """
    if not isinstance(error, DBAPIError | sqlite3.Error) or isinstance(error, IntegrityError | ProgrammingError):
        return error
    said = error.orig if isinstance(error, DBAPIError) else error
    # The primary result code is the low byte of an extended one.
    fault = _fault(getattr(said, "sqlite_errorcode", 0) & 0xFF, file) or StoreError(f"The database refused: {said}.")
    fault.__cause__ = error
    return fault


def explain_os(error: OSError, file: Path) -> StoreError:
    """The same for what the file system said."""
    code = sqlite3.SQLITE_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    return _fault(code, file) or StoreError(f"The database {file} cannot be opened: {error.strerror}.", remedy=_RIGHTS)


def damaged(file: Path) -> StoreError:
    """What a check found."""
    return StoreError(f"The database {file} is damaged.", remedy=_RECOVER)


def _fault(code: int | None, file: Path) -> StoreError | None:
    if code not in _FAULTS:
        return None
    message, remedy = _FAULTS[code]
    return StoreError(message.format(file), remedy=remedy)
