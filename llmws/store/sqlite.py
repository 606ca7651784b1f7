"""SQLite: one file in the data folder, migrated by the service itself when it starts.

It runs in WAL mode with `synchronous=FULL`: COMMIT returns when the disk has the change, so what was acknowledged
survives a SIGKILL of the process, a crash of the system and (on a disk that does not lie about flushing) a loss of
power. `NORMAL` would survive the first as well and save the flush, 0.3 ms where we measured, but a loss of power would
take back up to half a minute of acknowledged messages and usage. The writer's batches share one flush, so it is cheap.

Who else may hold the file is ruled by the lock of the data folder, which is not known here.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from ..errors import SettingsError, StoreError
from . import faults, schema, values

READERS = 4
BUSY_S = 5


class SQLite:
    """The database in `file`; `open` makes or migrates it as needed."""

    def __init__(self, file: Path) -> None:
        self.name = str(file)
        self._file = file
        self.writing = _engine(file, "BEGIN IMMEDIATE", connections=1)
        self.reading = _engine(file, "BEGIN", connections=READERS)

    def open(self) -> None:
        try:
            _make(self._file)
            _check(self.writing, self._file)
            _migrate(self.writing, self._file)
        finally:
            self.writing.dispose()

    def explain(self, error: Exception, *, committing: bool | None = None) -> Exception:
        # Whatever fails, SQLite has committed nothing: https://sqlite.org/lang_transaction.html
        return faults.of_sqlite(error, self._file)

    def in_transaction(self, connection: Connection) -> bool:
        driver: Any = connection.connection.driver_connection
        return bool(driver.in_transaction)

    def upgrade(self, tell: Callable[[str], None]) -> None:
        raise SettingsError(
            f"The database {self.name} needs no upgrade by hand.",
            remedy="The service does it when it starts, and keeps a copy of the older one beside it.",
        )

    def close(self) -> None:
        self.reading.dispose()
        self.writing.dispose()


def _engine(file: Path, begin: str, connections: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        hide_parameters=True,
        json_serializer=values.dumps,
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": BUSY_S},
    )
    values.settle(engine)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: Any) -> None:
        # Left alone, Python's driver begins no transaction for SELECT, and so gives no snapshot:
        # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA query_only = {'ON' if begin == 'BEGIN' else 'OFF'}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _make(file: Path) -> None:
    """Make file and folder, readable by nobody else; where SQLite could only read, this fails.

    A database that is there is not opened: closing it again would drop all locks that this process holds on it by other
    connections (POSIX), and another process would take its log for an orphan. https://sqlite.org/howtocorrupt.html
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file)) from None
        if not os.access(file, os.W_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file)) from None


def _check(engine: Engine, file: Path) -> None:
    """Switch to WAL, and look for damage: a tenth of a second per 100 MB, rather than a surprise in mid-chat."""
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        if cursor.fetchone() != ("wal",):
            raise StoreError(
                f"The file system of {file} cannot share memory, which SQLite's WAL mode needs.",
                remedy="Choose a data folder on a local disk with LLMWS_DATA.",
            )
        cursor.execute("PRAGMA quick_check(1)")
        if cursor.fetchone() != ("ok",):
            raise faults.damaged(file)


def _migrate(engine: Engine, file: Path) -> None:
    """Run the steps that are due, all in one transaction, after a copy of an older database was put beside it."""
    with engine.begin() as connection:
        steps, current = schema.due(connection, str(file)), schema.revision(connection)
    if not steps:
        return
    if current is not None:
        _copy(engine, file, current)
    with engine.begin() as connection:
        for step in steps:
            step.run(connection)


def _copy(engine: Engine, file: Path, revision: str) -> None:
    """A copy of the older database beside it, `<name>.<revision>`, complete or not there at all."""
    copy, aside = (file.with_name(f"{file.name}.{revision}{end}") for end in ("", ".part"))
    aside.unlink(missing_ok=True)
    try:
        # SQLite fills an empty file that is there, and so keeps its rights.
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL, 0o600))
        # By the driver itself: VACUUM cannot run in a transaction, and SQLAlchemy always begins one.
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("VACUUM INTO ?", (str(aside),))
        aside.replace(copy)
    finally:
        aside.unlink(missing_ok=True)
