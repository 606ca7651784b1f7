"""The store: what the service remembers, read by a few threads and written by one.

SQLite runs in WAL mode with `synchronous=FULL`: COMMIT returns when the disk has the change, so what was acknowledged
survives a SIGKILL of the process, a crash of the system and (on a disk that does not lie about flushing) a loss of
power. `NORMAL` would survive the first as well and save the flush, 0.3 ms where we measured, but a loss of power would
take back up to half a minute of acknowledged messages and usage. The writer's batches share one flush, so it is cheap.

Nothing here knows of HTTP, or of who may see what: each function of a noun (`chats.page`, `generations.begin`) takes
the `owner` and finds nothing of another.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from ..errors import SettingsError, StoreError
from . import faults, schema
from .writer import Writer

READERS = 4
BUSY_S = 5

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """An open database. `open` it once in a process, and `close` it.

    Example::

        store = Store.open("sqlite:////home/ada/.local/share/llmws/llmws.db")
        chat = await store.write(chats.create, "ada", new_id(), "smollm2-135m")
        found, following = await store.read(chats.page, "ada", limit=20)
        store.close()
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writing = _engine(file, "BEGIN IMMEDIATE", connections=1)
        self._reading = _engine(file, "BEGIN", connections=READERS)
        try:
            _make(file)
            _check(self._writing, file)
            schema.upgrade(self._writing, file)
        except OSError as error:
            raise faults.explain_os(error, file) from error
        except (DBAPIError, sqlite3.Error) as error:
            raise faults.explain(error, file) from error
        finally:
            self._writing.dispose()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._writer = Writer(self._writing, partial(faults.explain, file=file))
        self._closed = False

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the database at a SQLAlchemy address, making or migrating it as needed.

        Raises `StoreError` where it is damaged, newer than this version, another program's, held by another
        program or not writable, and `SettingsError` where the address is not one of a SQLite file.
        """
        return cls(_file(url))

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(connection, …)` in a thread, over one snapshot of the database; it cannot write."""
        if self._closed:
            raise StoreError("The store is closed.", remedy="The service is shutting down; try again later.")
        work = partial(self._read, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(connection, …)` in the one writing thread; returns after COMMIT.

        What was handed over happens, even when the caller is cancelled while it waits.
        """
        return await asyncio.wrap_future(self._writer.submit(function, *args, **kwargs))

    def close(self) -> None:
        """Wait for what is being read and written, then let the database go."""
        self._closed = True
        self._readers.shutdown()
        self._writer.close()
        self._reading.dispose()
        self._writing.dispose()

    def _read(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        try:
            with self._reading.begin() as connection:
                return function(connection, *args, **kwargs)
        except (DBAPIError, sqlite3.Error) as error:
            raise faults.explain(error, self._file) from error


def _file(url: str) -> Path:
    try:
        address = make_url(url)
    except ArgumentError:
        address = None
    if address is None or address.get_backend_name() != "sqlite" or address.database in (None, "", ":memory:"):
        raise SettingsError(
            "LLMWS_DATABASE is not the address of a SQLite file.",
            remedy="Write sqlite:////path/to/llmws.db; other databases are not supported yet.",
        )
    return Path(str(address.database)).absolute()


def _engine(file: Path, begin: str, connections: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": BUSY_S},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: Any) -> None:
        # Left alone, Python's driver begins no transaction for SELECT, and so gives no snapshot:
        # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable
        connection.isolation_level = None
        # SQLite's own lower() knows ASCII only, so that a search would not find `Ärger` by `ärger`.
        connection.create_function("lower", 1, _lower, deterministic=True)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA query_only = {'ON' if begin == 'BEGIN' else 'OFF'}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _make(file: Path) -> None:
    """Make file and folder, readable by nobody else; where SQLite could only read, this fails."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))


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


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value
