"""What databases and file systems say when they fail, as a `StoreError` that names the remedy.

The statement and its values, which may be what people wrote, are left out, and so is the address.
"""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, ProgrammingError

from ..errors import InvalidRequest, StoreError

_RECOVER = "Stop the service and put a backup in its place; `sqlite3 FILE .recover` prints what can still be read."
_RIGHTS = "Give this account the right to write the file and its folder, or choose another place with LLMWS_DATA."
_END = "End that program, then try again."
_AGAIN = "Try again."

# By SQLite's primary result code (https://sqlite.org/rescode.html): what happened, and what helps.
_SQLITE = {
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

# By PostgreSQL's code, or its first letters (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_POSTGRESQL = {
    "25006": ("The database {} cannot be written.", "Name the primary server, not a read-only copy of it."),
    "40": ("Another program changed the database {} at the same moment.", _AGAIN),
    "42501": ("The database {} is not all this account's.", "Make this account the owner of it and all that is in it."),
    "53100": ("The disk that holds {} is full.", "Free some space; what was acknowledged is safe."),
    "53300": ("The server of {} has no connection left.", "Raise its max_connections; a service needs five."),
    "53": ("The server of {} is short of memory or disk.", "See the server's log."),
    "55P03": ("Another program holds a part of the database {}.", _END),
    "57014": ("The database {} took too long.", "Try again; if it goes on, see what the server is busy with."),
    "58": ("The disk that holds {} failed.", "Look whether it is full, or broken."),
    "XX": ("The database {} is damaged.", "Stop the service and put a backup in its place; see the server's log."),
}

# A lost connection, by whether the change was being committed.
_LOST = {
    None: "The connection to the database {} was lost.",
    False: "The connection to the database {} was lost before the change was saved.",
    True: "The connection to the database {} was lost while the change was being saved; it may be kept or not.",
}


class LeadLost(StoreError):
    """Another program leads the database that this one led: its writes are refused for as long as that one lives."""


def of_sqlite(error: Exception, file: Path) -> Exception:
    """`error` as the `StoreError` it means; one that is no fault of the database is returned as it is."""
    if isinstance(error, OSError):
        return _of_file_system(error, file)
    if not isinstance(error, DBAPIError | sqlite3.Error) or isinstance(error, IntegrityError | ProgrammingError):
        return error
    said = error.orig if isinstance(error, DBAPIError) else error
    # The primary result code is the low byte of an extended one.
    fault = _fault(getattr(said, "sqlite_errorcode", 0) & 0xFF, file) or StoreError(f"The database refused: {said}.")
    fault.__cause__ = error
    return fault


def of_postgresql(error: Exception, name: str, committing: bool | None = None) -> Exception:
    """The same for PostgreSQL; `committing` is None for what was read, else whether COMMIT had been sent."""
    if not isinstance(error, DBAPIError):
        return error
    fault = _of_server(error, name, committing)
    fault.__cause__ = error
    return fault


def damaged(file: Path) -> StoreError:
    """What a check found."""
    return StoreError(f"The database {file} is damaged.", remedy=_RECOVER)


def _of_file_system(error: OSError, file: Path) -> StoreError:
    code = sqlite3.SQLITE_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    return _fault(code, file) or StoreError(f"The database {file} cannot be opened: {error.strerror}.", remedy=_RIGHTS)


def _fault(code: int | None, file: Path) -> StoreError | None:
    if code not in _SQLITE:
        return None
    message, remedy = _SQLITE[code]
    return StoreError(message.format(file), remedy=remedy)


def _of_server(error: DBAPIError, name: str, committing: bool | None) -> Exception:
    code = getattr(error.orig, "sqlstate", None)
    if error.connection_invalidated:
        details = {} if committing is None else {"saved": None if committing else False}
        return StoreError(_LOST[committing].format(name), remedy=_AGAIN, details=details)
    if code is None and isinstance(error, OperationalError):
        return _not_reached(error, name, committing)
    for start in (code or "", (code or "")[:2]):
        if start in _POSTGRESQL:
            message, remedy = _POSTGRESQL[start]
            return StoreError(message.format(name), remedy=remedy)
    if isinstance(error, IntegrityError | ProgrammingError):
        return error
    if isinstance(error, DataError):
        return InvalidRequest("A value in it does not fit into the database.", remedy="Make it shorter or smaller.")
    return StoreError(f"The database refused: {_said(error)}.")


def _not_reached(error: DBAPIError, name: str, committing: bool | None) -> StoreError:
    # libpq tells why it could not connect in words alone: "connection to server at … failed: FATAL:  …".
    why = _said(error).rpartition("failed: ")[2]
    return StoreError(
        f"The database {name} cannot be reached: {why}.",
        remedy="See that it runs, and that LLMWS_DATABASE names host, account and password rightly.",
        details={} if committing is None else {"saved": False},
    )


def _said(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    return lines[0].strip().rstrip(".")
