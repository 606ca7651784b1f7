"""The one thread that writes: what arrives while a transaction is being committed shares the next one.

A commit waits for the disk, so the busier the store, the more writes one wait serves, and a lone write waits for
nobody. Each write has a savepoint of its own: one that fails takes no other with it. A batch takes up writes for at
most `BATCH_S`, so that the first of it is not held up by those that keep coming.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, NestedTransaction
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..errors import StoreError
from .databases import Database
from .faults import LeadLost

BATCH_S = 0.005

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class _Write:
    run: Callable[[Connection], Any]
    future: Future[Any] = field(default_factory=Future)
    result: Any = None
    failure: Exception | None = None

    def attempt(self, connection: Connection, database: Database) -> None:
        """Run within a savepoint; raise only where the whole transaction is lost."""
        savepoint = connection.begin_nested()
        try:
            self.result = self.run(connection)
            savepoint.commit()
        except Exception as error:
            self.failure = error
            if _is_undone(savepoint, connection, database):
                return
            if isinstance(error, DBAPIError):
                raise
            raise StoreError("The transaction was lost.", remedy="Try again.", details={"saved": False}) from error

    def settle(self, failure: Exception | None) -> None:
        if failure is not None:
            self.future.set_exception(failure)
        else:
            self.future.set_result(self.result)


class Writer:
    """Runs functions over a connection, one after the other, and resolves their futures after the COMMIT.

    Args:
        database: what it writes to; also says what its errors mean.
    """

    def __init__(self, database: Database) -> None:
        self.on_lead_lost: Callable[[LeadLost], None] = lambda problem: None
        self._database = database
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Hand over a write. It happens even when the caller stops waiting; `cancel` on the future has no effect."""
        write = _Write(lambda connection: function(connection, *args, **kwargs))
        write.future.set_running_or_notify_cancel()
        with self._closing:
            if self._closed:
                raise StoreError("The store is closed.", remedy="The service is shutting down; try again later.")
            self._queue.put(write)
        return write.future

    def close(self) -> None:
        """Finish what was handed over, then end."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            if not self._commit(first):
                return

    def _commit(self, first: _Write) -> bool:
        """One transaction of `first` and what follows it within `BATCH_S`; False when the last write was among them."""
        batch: list[_Write] = []
        until = time.monotonic() + BATCH_S
        following: _Write | None = first
        lost: Exception | None = None
        last = committing = False
        try:
            with self._database.writing.connect() as connection, connection.begin() as transaction:
                while following is not None:
                    batch.append(following)
                    following.attempt(connection, self._database)
                    following, last = self._next(until)
                committing = True
                transaction.commit()
        except Exception as error:  # noqa: BLE001 - the thread must live on, and every waiting caller be told
            lost = error
        for write in batch or [first]:
            failure = lost or write.failure
            meant = None if failure is None else self._database.explain(failure, committing=committing)
            write.settle(meant)
            if isinstance(meant, LeadLost):
                self.on_lead_lost(meant)
        return not last

    def _next(self, until: float) -> tuple[_Write | None, bool]:
        """The next write that came before `until`, if any, and whether none will come again."""
        if time.monotonic() >= until:
            return None, False
        try:
            write = self._queue.get_nowait()
        except queue.Empty:
            return None, False
        return write, write is None


def _is_undone(savepoint: NestedTransaction, connection: Connection, database: Database) -> bool:
    """Whether one write alone could be taken back, and the transaction that it was part of goes on."""
    try:
        savepoint.rollback()
    except SQLAlchemyError:
        return False
    # A full or failing disk may make SQLite give up all of it (https://sqlite.org/lang_transaction.html, 3.1); a COMMIT
    # is then no error for Python's driver, though nothing is committed. Nor is it one for PostgreSQL's where the server
    # only rolls back what has failed.
    return not connection.invalidated and database.in_transaction(connection)
