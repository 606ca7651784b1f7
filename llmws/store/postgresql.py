"""PostgreSQL: a database on a server, for a hub; upgraded by ``llmws db upgrade`` and by nothing else.

One service at a time may lead it. The session that writes holds an advisory lock for as long as it lives, so whoever
writes leads: where the connection is lost, the lock goes with it, and a new one writes only if it gets the lock again.
Else its service has lost the lead (`LeadLost`), and ends. A second service is refused; one that is restarted until it
gets the lock is a stand-by. An upgrade holds the same lock.

COMMIT returns when the server has the change on its disk (`synchronous_commit` is put on where somebody put it off).
Readers see one snapshot (REPEATABLE READ, READ ONLY). What was lost between statements is told as not saved; only of
a connection that breaks during COMMIT nobody knows.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.dialects.postgresql.base import PGTypeCompiler

from ..errors import MissingTool, SettingsError, StoreError
from . import faults, schema, values
from .faults import LeadLost
from .schema import Step

READERS = 4
# How long to wait for a server that answered before and is being restarted, and for a lock.
PATIENCE_S = 5.0
# The advisory lock's key: "llmws" in ASCII.
_LEADER = 0x6C6C6D7773

_UPGRADE = "Stop the service, make a backup, then run `llmws db upgrade`."
_UPGRADING = "llmws db upgrade"
_LOCK_NOT_AVAILABLE = "55P03"

# What an address may say otherwise. A host that has vanished is found out within half a minute, by both ends.
_LINK = {
    "connect_timeout": "5",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_SESSION = {
    "statement_timeout": "60s",
    "lock_timeout": f"{PATIENCE_S:.0f}s",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class PostgreSQL:
    """The database at `address`; `open` refuses it unless `upgrade` brought it to today's shape."""

    def __init__(self, address: URL) -> None:
        self._address = address.set(drivername="postgresql+psycopg")
        self.name = _name(address)
        self._answered = False
        self._for_upgrade = self._led = False
        # The writer is alone, and always sees what is there now.
        self.writing = self._engine(1, isolation_level="READ COMMITTED")
        self.reading = self._engine(
            READERS, isolation_level="REPEATABLE READ", execution_options={"postgresql_readonly": True}
        )
        event.listen(self.writing, "connect", self._lead)

    def open(self) -> None:
        with self.writing.begin() as connection:
            _check_encoding(connection, self.name)
            current, steps = schema.revision(connection), schema.due(connection, self.name)
        if steps:
            is_what = "is empty" if current is None else f"is of an older version (its schema is {current})"
            raise StoreError(f"The database {self.name} {is_what}.", remedy=_UPGRADE)

    def explain(self, error: Exception, *, committing: bool | None = None) -> Exception:
        return faults.of_postgresql(error, self.name, committing)

    def in_transaction(self, connection: Connection) -> bool:
        driver: Any = connection.connection.driver_connection
        return bool(driver.info.transaction_status.name == "INTRANS")

    def upgrade(self, tell: Callable[[str], None]) -> None:
        self._for_upgrade = True
        # Text is compared by its bytes, as SQLite does: pages are the same on both, and no index depends on the
        # collations of the server's system, which change with it. Titles and texts, `TEXT` here, are only searched.
        self.writing.dialect.type_compiler_instance = _Types(self.writing.dialect)
        # The one connection stays in the pool between the steps, and the lock with it.
        with self.writing.begin() as connection:
            connection.execute(text("SET statement_timeout = 0"))
            _check_encoding(connection, self.name)
        while (step := self._run_next_step()) is not None:
            tell(f"{step.revision}  {step.about}")
        tell(f"The database {self.name} is up to date.")

    def close(self) -> None:
        self.reading.dispose()
        self.writing.dispose()

    def _run_next_step(self) -> Step | None:
        with self.writing.begin() as connection:
            step = next(iter(schema.due(connection, self.name)), None)
            if step is not None:
                step.run(connection)
        return step

    def _engine(self, connections: int, **more: Any) -> Engine:
        given = dict(self._address.query)
        session = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
        try:
            engine = create_engine(
                self._address,
                hide_parameters=True,
                json_serializer=values.dumps,
                pool_size=connections,
                max_overflow=0,
                # A connection that broke while nobody used it is replaced before anybody notices.
                pool_pre_ping=True,
                connect_args={
                    **{name: value for name, value in _LINK.items() if name not in given},
                    "options": f"{session} {given.get('options', '')}".strip(),
                },
                **more,
            )
        except ImportError as problem:
            raise MissingTool(
                f"PostgreSQL's driver cannot be loaded: {problem}.", remedy="pip install 'llmws[postgresql]'"
            ) from None
        values.settle(engine)
        event.listen(engine, "do_connect", self._connect)
        return engine

    def _connect(self, dialect: Any, _record: Any, arguments: Any, options: dict[str, Any]) -> Any:
        """Connect; where the server answered before, it may just be restarting, and is waited for."""
        name = f"{_UPGRADING if self._for_upgrade else 'llmws service'} on {platform.node()}"
        until = time.monotonic() + PATIENCE_S * self._answered
        while True:
            try:
                connection = dialect.connect(*arguments, **{**options, "application_name": name[:63]})
            except dialect.loaded_dbapi.ProgrammingError as problem:
                raise SettingsError(
                    f"The address in LLMWS_DATABASE cannot be used: {str(problem).strip()}.",
                    remedy="Mend what follows its question mark.",
                ) from None
            except dialect.loaded_dbapi.OperationalError:
                if time.monotonic() >= until:
                    self._answered = False
                    raise
                time.sleep(0.1)
            else:
                self._answered = True
                return connection

    def _lead(self, connection: Any, _record: Any) -> None:
        """Take the lock for as long as this session lives, or raise whose it is."""
        try:
            while not _locked(connection):
                holder = _holder(connection)
                # Another upgrade ends; a service does not.
                if not (self._for_upgrade and holder.startswith(_UPGRADING)):
                    raise _is_led(self.name, holder, LeadLost if self._led else StoreError)
            self._led = True
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') = 'off'"
            )
            connection.commit()
        except BaseException:
            connection.close()
            raise


class _Types(PGTypeCompiler):
    def visit_VARCHAR(self, type_: Any, **more: Any) -> str:  # noqa: N802 - SQLAlchemy's name
        return super().visit_VARCHAR(type_, **more) + ' COLLATE "C"'


def _name(address: URL) -> str:
    """What messages call it: the database and its host, and nothing else of the address."""
    hosts = address.host or address.query.get("host") or "this host"
    return f"{address.database or address.username} on {hosts if isinstance(hosts, str) else ', '.join(hosts)}"


def _check_encoding(connection: Connection, name: str) -> None:
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8" or connection.scalar(text("SELECT lower('Ä') = 'ä'")) is not True:
        raise StoreError(
            f"The database {name} does not know all letters (its encoding is {encoding}).",
            remedy="Make it with: CREATE DATABASE name TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'.",
        )


def _locked(connection: Any) -> bool:
    """Whether the session got the lock within `lock_timeout`; one that just ended may still be letting go of it."""
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LEADER])
    except Exception as error:
        connection.rollback()
        if getattr(error, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def _holder(connection: Any) -> str:
    """What the session that holds the lock calls itself, empty where it has gone."""
    row = connection.execute(
        "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = %s AND objsubid = 1"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        [_LEADER],
    ).fetchone()
    connection.rollback()
    return str(row[0]) if row else ""


def _is_led(name: str, holder: str, kind: type[StoreError]) -> StoreError:
    return kind(
        f"The database {name} is held by another program ({holder or 'it has just gone'}).",
        remedy="One service at a time uses a database: end that one, or choose another with LLMWS_DATABASE.",
    )
