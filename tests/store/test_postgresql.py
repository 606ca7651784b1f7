"""What only a database server does: it restarts, drops connections, is led by one service, asks for a password."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from llmws.errors import Error, InvalidRequest, SettingsError, StoreError
from llmws.messages import Message
from llmws.store import Store, adapters, chats, generations, messages, new_id, upgrade, writer

from .postgresql_server import ROOT, Server

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("patient")]

LIMIT_S = 60.0


@pytest.fixture
def store(server: Server, database: str) -> Iterator[Store]:
    store = Store.open(server.address(database))
    yield store
    store.close()


def create(connection: Connection, title: str) -> str:
    return chats.create(connection, "ada", new_id(), "echo", title).id


async def titles(store: Store) -> set[str]:
    return {chat.title for chat in (await store.read(chats.page, "ada", limit=1000))[0]}


def lose(connection: Connection, by: signal.Signals = signal.SIGKILL) -> None:
    """End the server's process for this connection, and ask it for something."""
    os.kill(connection.scalar(text("SELECT pg_backend_pid()")), by)
    connection.execute(text("SELECT pg_sleep(60)"))


# What a session is


async def test_the_settings_that_durability_and_snapshots_rest_on(server: Server, database: str) -> None:
    names = ("transaction_isolation", "transaction_read_only", "synchronous_commit", "statement_timeout")

    def shown(connection: Connection) -> list[str | None]:
        return [connection.scalar(text(f"SHOW {name}")) for name in (*names, "lock_timeout", "application_name")]

    with server.connect(database) as connection:
        connection.execute(f"ALTER DATABASE {database} SET synchronous_commit = off".encode())
    store = Store.open(server.address(database))
    who = f"llmws service on {os.uname().nodename}"[:63]
    assert await store.write(shown) == ["read committed", "off", "on", "1min", "5s", who]
    assert (await store.read(shown))[:2] == ["repeatable read", "on"]
    store.close()


async def test_a_stronger_setting_of_the_server_stays(server: Server, database: str) -> None:
    with server.connect(database) as connection:
        connection.execute(f"ALTER DATABASE {database} SET synchronous_commit = remote_apply".encode())
    store = Store.open(server.address(database) + "&options=-c%20work_mem%3D8MB&connect_timeout=9")
    shown = [await store.write(lambda connection, name=name: connection.scalar(text(f"SHOW {name}")))
             for name in ("synchronous_commit", "work_mem", "lock_timeout")]  # fmt: skip
    assert shown == ["remote_apply", "8MB", "5s"]
    store.close()


async def test_what_does_not_fit_is_the_request_s_fault(store: Store) -> None:
    with pytest.raises(InvalidRequest, match="does not fit"):
        await store.write(adapters.add, "ada", "x" * 256, "base", None, "/x")
    assert await store.read(adapters.list, "ada") == []


async def test_a_statement_that_takes_too_long_ends_alone(server: Server, database: str, store: Store) -> None:
    def dawdle(connection: Connection) -> None:
        create(connection, "half-done")
        connection.execute(text("SET LOCAL statement_timeout = '10ms'"))
        connection.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(StoreError, match="took too long"):
        await store.write(dawdle)
    with server.connect(database) as other:
        other.autocommit = False
        other.execute("LOCK TABLE chats")
        with pytest.raises(StoreError, match="holds a part"):
            await store.write(lambda c: (c.execute(text("SET LOCAL lock_timeout = '10ms'")), create(c, "waits")))
    assert await titles(store) == set()
    await store.write(create, "the writer goes on")
    assert await titles(store) == {"the writer goes on"}


# Connections are lost


async def test_a_restarted_server_is_not_noticed(server: Server, store: Store) -> None:
    await store.write(create, "before")
    await asyncio.gather(*(titles(store) for _ in range(8)))
    server.stop()
    reading = [asyncio.create_task(titles(store)) for _ in range(8)]
    writing = asyncio.create_task(store.write(create, "meanwhile"))
    await asyncio.to_thread(server.start)
    assert all(kept >= {"before"} for kept in await asyncio.gather(*reading))
    await writing
    assert await titles(store) == {"before", "meanwhile"}


async def test_while_the_server_is_away_it_says_so_and_nothing_is_kept(
    hasty: None, server: Server, store: Store
) -> None:
    await store.write(create, "before")
    server.stop()
    try:
        with pytest.raises(StoreError, match="cannot be reached") as refused:
            await store.write(create, "away")
        assert refused.value.details == {"saved": False}
        with pytest.raises(StoreError, match="cannot be reached"):
            await titles(store)
    finally:
        server.start()
    await store.write(create, "after")
    assert await titles(store) == {"before", "after"}


async def test_a_backend_killed_in_mid_batch_takes_the_batch_and_says_so(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "BATCH_S", LIMIT_S)
    release = threading.Event()

    def die(connection: Connection) -> None:
        create(connection, "half-done")
        lose(connection)

    held = asyncio.create_task(store.write(lambda _: release.wait(LIMIT_S)))
    batch = [asyncio.create_task(store.write(work)) for work in (lambda c: create(c, "before"), die)]
    await asyncio.sleep(0)
    release.set()
    for write in (held, *batch):
        with pytest.raises(StoreError, match="lost before the change was saved") as lost:
            await write
        assert lost.value.details == {"saved": False}
    server.wait()
    await store.write(create, "the writer goes on")
    assert await titles(store) == {"the writer goes on"}


async def test_a_lost_connection_is_noticed_even_where_a_write_overlooks_it(server: Server, store: Store) -> None:
    def overlook(connection: Connection) -> None:
        create(connection, "half-done")
        with contextlib.suppress(OperationalError):
            lose(connection)

    with pytest.raises(StoreError, match="lost") as lost:
        await store.write(overlook)
    assert lost.value.details == {"saved": False}
    server.wait()
    assert await titles(store) == set()


SLOW_COMMIT = """
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON chats DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION dawdle();
"""


@pytest.fixture
def no_replica(server: Server) -> Iterator[None]:
    """Has the server wait, after it has committed, for a copy that there is none of."""
    with server.connect("postgres") as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        connection.execute("SELECT pg_reload_conf()")
        yield
        connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        connection.execute("SELECT pg_reload_conf()")


def break_while_it_waits(server: Server, database: str, wait: str) -> None:
    """End the session that waits for `wait`, as PostgreSQL calls it."""
    waiting = "FROM pg_stat_activity WHERE datname = %s AND wait_event = %s"
    while not server.ask("postgres", f"SELECT 1 {waiting}", database, wait):
        time.sleep(0.01)
    assert server.ask("postgres", f"SELECT pg_terminate_backend(pid, 10000) {waiting}", database, wait) == [(True,)]


async def test_lost_during_commit_and_not_kept(server: Server, database: str, store: Store) -> None:
    with server.connect(database) as connection:
        connection.execute(SLOW_COMMIT.encode())
    write = asyncio.create_task(store.write(create, "perhaps"))
    await asyncio.to_thread(break_while_it_waits, server, database, "PgSleep")
    with pytest.raises(StoreError, match="it may be kept or not") as lost:
        await write
    assert lost.value.details == {"saved": None}
    assert await titles(store) == set()


async def test_lost_during_commit_and_kept(server: Server, database: str, store: Store, no_replica: None) -> None:
    write = asyncio.create_task(store.write(create, "perhaps"))
    await asyncio.to_thread(break_while_it_waits, server, database, "SyncRep")
    with pytest.raises(StoreError, match="it may be kept or not") as lost:
        await write
    assert lost.value.details == {"saved": None}
    assert await titles(store) == {"perhaps"}


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
async def test_a_read_whose_connection_is_lost_is_read_again(server: Server, store: Store, by: signal.Signals) -> None:
    await store.write(create, "kept")
    seen: list[int] = []

    def look(connection: Connection) -> int:
        seen.append(len(chats.page(connection, "ada")[0]))
        if len(seen) == 1:
            lose(connection, by)
        return seen[-1]

    assert await store.read(look) == 1
    assert seen == [1, 1]

    with pytest.raises(StoreError, match=r"The connection to the database .* was lost\."):
        await store.read(lose, by)
    server.wait()


async def test_connections_that_broke_unused_are_replaced(server: Server, database: str, store: Store) -> None:
    await store.write(create, "one")
    await asyncio.gather(*(titles(store) for _ in range(8)))
    ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
    assert server.ask("postgres", ended, database)
    await store.write(create, "two")
    for kept in await asyncio.gather(*(titles(store) for _ in range(8))):
        assert kept == {"one", "two"}


# One service leads


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_a_second_service_is_refused_until_the_first_has_gone(server: Server, database: str, hasty: None) -> None:
    first = Store.open(server.address(database))
    with pytest.raises(StoreError, match=r"held by another program \(llmws service on .+\)") as refused:
        Store.open(server.address(database))
    assert "One service at a time" in refused.value.remedy
    assert "LLMWS_DATABASE" in refused.value.remedy
    with server.database() as another:
        Store.open(server.address(another)).close()
    first.close()
    Store.open(server.address(database)).close()


def test_a_successor_waits_a_moment_for_who_is_just_leaving(server: Server, database: str) -> None:
    program = "import sys; from llmws.store import Store; Store.open(sys.argv[1]); print(flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, server.address(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    leaving = threading.Timer(0.3, process.kill)
    leaving.start()
    Store.open(server.address(database)).close()
    assert process.wait(LIMIT_S) == -signal.SIGKILL


async def test_who_lost_the_lead_writes_no_more(hasty: None, server: Server, database: str, store: Store) -> None:
    await store.write(create, "mine")
    ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
    server.ask("postgres", ended, database)
    other = Store.open(server.address(database))
    with pytest.raises(StoreError, match="held by another program"):
        await store.write(create, "lost")
    assert await titles(store) == {"mine"}
    other.close()
    await store.write(create, "mine again")
    assert await titles(store) == {"mine", "mine again"}


async def test_a_killed_service_leaves_what_it_had_acknowledged(server: Server, database: str) -> None:
    program = """
import asyncio, sys
from llmws.messages import StreamEvent
from llmws.store import Store, generations, new_id

async def main():
    store, id, position = Store.open(sys.argv[1]), new_id(), 0
    await store.write(generations.begin, "ada", id, model="echo", provider="echo")
    while True:
        stretch = generations.segments([StreamEvent("text", text="0123456789")], position)
        await store.write(generations.append_segments, id, stretch)
        position = stretch[-1].last_seq
        print(id, position, flush=True)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, server.address(database), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(50)]
    process.kill()
    lines += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    generation_id, position = [line for line in lines if line.endswith(b"\n")][-1].decode().split()
    store = Store.open(server.address(database))
    assert await store.write(generations.interrupt_running) == 1
    generation = await store.read(generations.get, "ada", generation_id)
    answer: Message = (await store.read(messages.get, "ada", generation.message_id)).message
    assert (generation.finish_reason, len(answer.text)) >= ("interrupted", int(position))
    store.close()


# Refused with one sentence, a remedy, and no secret


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda server, _: server.address("nowhere"), '"nowhere" does not exist'),
        (lambda server, name: server.address(name, "not-the-" + server.password), "password authentication failed"),
        (lambda server, name: server.address(name).replace("llmws-postgresql-", "gone-"), "No such file or directory"),
        (
            lambda server, name: f"postgresql+psycopg://postgres:{server.password}@127.0.0.1:1/{name}",
            "Connection refused",
        ),
        (lambda server, name: server.address(name) + "&passwort=1", "invalid connection option"),
        (lambda server, name: server.address(name) + f"&password={server.password}x", "password authentication failed"),
    ],
)
def test_what_cannot_be_reached(
    server: Server, database: str, change: Callable[[Server, str], str], match: str
) -> None:
    with pytest.raises(Error, match=match) as refused:
        Store.open(change(server, database))
    assert isinstance(refused.value, StoreError | SettingsError)
    assert refused.value.remedy
    assert "\n" not in refused.value.message
    told = "".join(traceback.format_exception(refused.value)) + repr(refused.value.to_dict())
    assert server.password not in told


def test_an_account_without_rights(server: Server, database: str) -> None:
    with server.connect(database) as connection:
        connection.execute(f"CREATE ROLE {database}_reader LOGIN PASSWORD 'x'".encode())
    try:
        with pytest.raises(StoreError, match="not all this account's"):
            Store.open(server.address(database, "x").replace("postgres:", f"{database}_reader:"))
    finally:
        with server.connect(database) as connection:
            connection.execute(f"DROP ROLE {database}_reader".encode())


def test_the_steps_of_the_documentation(server: Server) -> None:
    page = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
    steps = page.split("```sql")[1].split("```")[0].split(";")[:-1]
    with server.connect("postgres") as connection:
        for step in steps:
            connection.execute(step.encode())
        try:
            # As in the page, but for the host, and with the password where the page has a file of passwords.
            address = server.address("llmws", "choose-one").replace("//postgres:", "//llmws:")
            upgrade(address)
            Store.open(address).close()
        finally:
            connection.execute("DROP DATABASE IF EXISTS llmws WITH (FORCE)")
            connection.execute("DROP ROLE IF EXISTS llmws")


def test_without_the_driver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Error, match="driver cannot be loaded") as refused:
        Store.open("postgresql://ada@db/llmws")
    assert "llmws[postgresql]" in refused.value.remedy


def test_a_store_that_was_refused_leaves_no_session(server: Server, database: str) -> None:
    with server.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'newer'")
    with pytest.raises(StoreError, match="newer version"):
        Store.open(server.address(database))
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'llmws%%'"
    until = time.monotonic() + LIMIT_S
    while server.ask("postgres", sessions, database) != [(0,)]:
        assert time.monotonic() < until
