"""The store: what the service remembers, read by a few threads and written by one.

Nothing here knows of HTTP, or of who may see what: each function of a noun (`chats.page`, `generations.begin`) takes
the `owner` and finds nothing of another. What a database survives, and who else may hold it, is said in its own
module: `sqlite.py`, `postgresql.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..errors import StoreError
from . import databases
from .databases import Database
from .faults import LeadLost
from .writer import Writer

READERS = 4

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

    def __init__(self, database: Database) -> None:
        self._database = database
        try:
            with _explained(database):
                database.open()
        except Exception:
            database.close()
            raise
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._writer = Writer(database)
        self._closed = False

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the database at a SQLAlchemy address; a SQLite file is made or migrated as needed.

        Raises `StoreError` where it is damaged, newer than this version, another program's, held by another
        program, not writable, or (on a server) older than this version, and `SettingsError` where the address is not
        one of a database that is known here.
        """
        return cls(databases.find(url))

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(connection, …)` in a thread, over one snapshot of the database; it cannot write.

        Where the connection is lost it is run once more, from its beginning, over another.
        """
        if self._closed:
            raise StoreError("The store is closed.", remedy="The service is shutting down; try again later.")
        work = partial(self._read, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(connection, …)` in the one writing thread; returns after COMMIT.

        What was handed over happens, even when the caller is cancelled while it waits. Where the connection to a
        server is lost, the `StoreError` has `details["saved"]`: False, or None where nobody knows.
        """
        return await asyncio.wrap_future(self._writer.submit(function, *args, **kwargs))

    def when_lead_is_lost(self, tell: Callable[[LeadLost], None]) -> None:
        """Call `tell`, in the writing thread, for each write that another program's lead refuses."""
        self._writer.on_lead_lost = tell

    def close(self) -> None:
        """Wait for what is being read and written, then let the database go."""
        self._closed = True
        self._readers.shutdown()
        self._writer.close()
        self._database.close()

    def _read(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        look = partial(self._look, function, *args, **kwargs)
        with _explained(self._database):
            try:
                return look()
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            return look()

    def _look(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        with self._database.reading.begin() as connection:
            return function(connection, *args, **kwargs)


def upgrade(url: str, tell: Callable[[str], None] = print) -> None:
    """Bring the database of a server, empty or older, to today's shape, telling a line for each step.

    Each step is a transaction, so that after a crash another run goes on where this one ended; two at once do each
    step once. Raises `StoreError` where a service runs on it, or it is newer or another program's.
    """
    database = databases.find(url)
    try:
        with _explained(database):
            database.upgrade(tell)
    finally:
        database.close()


@contextmanager
def _explained(database: Database) -> Iterator[None]:
    """Raise what the database says as the `StoreError` that it means."""
    try:
        yield
    except Exception as error:
        meant = database.explain(error)
        if meant is error:
            raise
        raise meant from error
