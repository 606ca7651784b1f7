"""Which database an address means. What differs between them stands in `sqlite.py` and `postgresql.py` alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from ..errors import SettingsError
from .postgresql import PostgreSQL
from .sqlite import SQLite

_FORMS = "Write sqlite:////path/to/llmws.db or postgresql+psycopg://account:password@host/database."


class Database(Protocol):
    """What the store asks of a database. Making one connects to nothing."""

    @property
    def writing(self) -> Engine:
        """Gives one connection, for the one thread that writes."""

    @property
    def reading(self) -> Engine:
        """Gives connections that see one moment of the database and cannot change it."""

    def open(self) -> None:
        """Make sure that it can be used and is nobody else's; raises what `explain` understands, or a `StoreError`."""

    def explain(self, error: Exception, *, committing: bool | None = None) -> Exception:
        """`error` as the `StoreError` it means; one that is no fault of the database is returned as it is.

        `committing` is None for what was read, False for writes that were not to be committed yet, True for those
        that were.
        """

    def in_transaction(self, connection: Connection) -> bool:
        """Whether the transaction of a connection to write with is still there, and may be committed."""

    def upgrade(self, tell: Callable[[str], None]) -> None:
        """Bring an older or empty database to today's shape, telling a line for each step."""

    def close(self) -> None:
        """Let go of all connections."""


def find(url: str) -> Database:
    """The database at a SQLAlchemy address; `SettingsError` where the address cannot be one.

    Example:
        >>> find("postgresql+psycopg://ada:secret@db/llmws").name
        'llmws on db'
    """
    try:
        address = make_url(url)
        kind = address.get_backend_name()
    except (ArgumentError, ValueError):
        # The address stays out of the message and of its causes: there may be a password in it.
        raise _no_address() from None
    if kind == "sqlite" and address.database not in (None, "", ":memory:"):
        return SQLite(Path(str(address.database)).absolute())
    # Of a password with an @ in it, the end would be taken for the host, and be told in messages.
    if address.drivername in ("postgresql", "postgresql+psycopg") and url.partition("?")[0].count("@") <= 1:
        return PostgreSQL(address)
    raise _no_address()


def _no_address() -> SettingsError:
    return SettingsError(
        "LLMWS_DATABASE is not the address of a SQLite file or a PostgreSQL database.",
        remedy=f"{_FORMS} An @ in a password is written %40.",
    )
