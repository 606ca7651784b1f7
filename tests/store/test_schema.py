from __future__ import annotations

import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from llmws.errors import StoreError
from llmws.store import Store, chats, new_id, schema, search_index, tables, upgrade

from .postgresql_server import Server

NEXT_STEP = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("chats", sa.Column("colour", sa.Text()))
    {more}
"""


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """The migrations of a version to come; `next_version` adds a step and makes it today's."""
    return shutil.copytree(schema.FOLDER, tmp_path / "migrations")


@contextmanager
def next_version(steps: Path, more: str = "") -> Iterator[str]:
    """Be that version for a while; tells the revision of the one before."""
    head = ScriptDirectory(str(schema.FOLDER), version_locations=[str(schema.FOLDER)]).get_current_head()
    assert head is not None
    (steps / "next.py").write_text(NEXT_STEP.format(head=head, more=more))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "FOLDER", steps)
        yield head


def ask(file: Path, question: str) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute(question)]


def columns(file: Path) -> list[str]:
    return ask(file, "SELECT name FROM pragma_table_info('chats')")


@pytest.fixture
def older(file: Path) -> Path:
    """A database of today, which the next version finds."""
    store = Store.open(f"sqlite:///{file}")
    store._writer.submit(chats.create, "ada", new_id(), "echo", "kept")
    store.close()
    return file


def reopen(file: Path) -> None:
    Store.open(f"sqlite:///{file}").close()


async def test_the_migrations_lead_to_the_tables(store: Store) -> None:
    def is_described(name: str | None, kind: str, _parents: object) -> bool:
        # The search index is each database's own, see `search_index.py`.
        return not (kind == "table" and str(name).startswith(search_index.index.name))

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"include_name": is_described})
        return list(compare_metadata(context, tables.metadata))

    assert await store.write(differences) == []


def test_a_new_database_needs_no_copy(older: Path) -> None:
    assert [part.name for part in older.parent.iterdir()] == [older.name]


def test_an_older_database_is_copied_then_migrated(older: Path, steps: Path) -> None:
    with next_version(steps) as head:
        reopen(older)
        copy = older.with_name(f"{older.name}.{head}")
        assert "colour" in columns(older)
        assert "colour" not in columns(copy)
        assert ask(older, "SELECT title FROM chats") == ask(copy, "SELECT title FROM chats") == ["kept"]
        assert ask(copy, "SELECT version_num FROM alembic_version") == [head]
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        reopen(older)
    assert sorted(part.name for part in older.parent.iterdir()) == sorted([older.name, copy.name])


def test_a_migration_that_fails_changes_nothing(older: Path, steps: Path) -> None:
    with next_version(steps, more='op.drop_table("nowhere")') as head:
        with pytest.raises(StoreError, match="no such table: nowhere"):
            reopen(older)
        assert "colour" not in columns(older)
        assert ask(older, "SELECT version_num FROM alembic_version") == [head]
    with next_version(steps):
        reopen(older)
    assert "colour" in columns(older)


def test_a_newer_database_is_left_alone(older: Path, steps: Path) -> None:
    with next_version(steps):
        reopen(older)
    before = older.read_bytes()
    with pytest.raises(StoreError, match="newer version") as refused:
        reopen(older)
    assert "Upgrade llmws" in refused.value.remedy
    assert older.read_bytes() == before


def test_a_database_that_another_program_migrates_alike(file: Path) -> None:
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE users (name TEXT)")
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
        other.execute("INSERT INTO alembic_version VALUES ('4621fec11365')")
        other.commit()
    with pytest.raises(StoreError, match="belongs to another program"):
        reopen(file)


# On a server, where `llmws db upgrade` does it

UPGRADE = "import sys; from llmws.store import upgrade; upgrade(sys.argv[1])"
DYING = """
import os, signal, sys
from llmws.store import upgrade
upgrade(sys.argv[1], lambda line: (print(line, flush=True), os.kill(os.getpid(), signal.SIGKILL)))
"""


def revisions() -> list[str]:
    return sorted(path.name[1:5] for path in schema.FOLDER.glob("r*.py"))


def upgrading(address: str, program: str = UPGRADE) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, address], stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> list[str]:
    """The steps that an upgrade told of, once it has ended."""
    lines = process.communicate(timeout=60)[0].splitlines()
    return [line.split()[0] for line in lines if not line.endswith("is up to date.")]


@pytest.fixture
def empty(server: Server) -> Iterator[str]:
    with server.database(upgraded=False) as name:
        yield name


@pytest.mark.long
def test_an_empty_database_is_upgraded_by_hand_alone(server: Server, empty: str) -> None:
    address = server.address(empty)
    with pytest.raises(StoreError, match="is empty") as refused:
        Store.open(address)
    assert "llmws db upgrade" in refused.value.remedy
    assert server.ask(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    lines: list[str] = []
    upgrade(address, lines.append)
    assert [line.split()[0] for line in lines[:-1]] == revisions()
    assert lines[-1] == f"The database {empty} on {server.folder} is up to date."
    Store.open(address).close()
    upgrade(address, lines.append)
    assert lines[-2:] == [lines[-1]] * 2


@pytest.mark.long
def test_two_upgrades_at_once_do_each_step_once(server: Server, empty: str) -> None:
    both = [upgrading(server.address(empty)) for _ in range(2)]
    steps = [told(process) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(steps) == [[], revisions()]


@pytest.mark.long
def test_an_upgrade_that_is_killed_goes_on_where_it_was(server: Server, empty: str) -> None:
    done: list[str] = []
    for _ in revisions():
        process = upgrading(server.address(empty), DYING)
        done += told(process)
        assert process.returncode == -signal.SIGKILL
    assert done == revisions()
    assert told(upgrading(server.address(empty))) == []
    Store.open(server.address(empty)).close()


@pytest.mark.long
def test_a_server_s_older_database_is_refused_then_upgraded(server: Server, database: str, steps: Path) -> None:
    address = server.address(database)
    store = Store.open(address)
    store._writer.submit(chats.create, "ada", new_id(), "echo", "kept")
    store.close()
    with next_version(steps, more='op.drop_table("nowhere")') as head:
        with pytest.raises(ProgrammingError, match="nowhere"):
            upgrade(address)
        assert server.ask(database, "SELECT version_num FROM alembic_version") == [(head,)]
    with next_version(steps):
        with pytest.raises(StoreError, match=rf"older version \(its schema is {head}\)") as refused:
            Store.open(address)
        assert "llmws db upgrade" in refused.value.remedy
        upgrade(address)
        Store.open(address).close()
    assert server.ask(database, "SELECT title, colour FROM chats") == [("kept", None)]
    for attempt in (Store.open, upgrade):
        with pytest.raises(StoreError, match="newer version"):
            attempt(address)


@pytest.mark.long
def test_no_upgrade_while_a_service_runs(server: Server, database: str, hasty: None) -> None:
    store = Store.open(server.address(database))
    with pytest.raises(StoreError, match=r"held by another program \(llmws service on"):
        upgrade(server.address(database))
    store.close()
    upgrade(server.address(database))


@pytest.mark.long
@pytest.mark.parametrize("table", ["users (name TEXT)", "alembic_version AS SELECT '4621fec11365' AS version_num"])
def test_a_server_s_database_of_another_program_is_left_alone(server: Server, empty: str, table: str) -> None:
    with server.connect(empty) as connection:
        connection.execute(f"CREATE TABLE {table}".encode())
        connection.execute(b"CREATE TABLE servers (name TEXT)")
    for attempt in (Store.open, upgrade):
        with pytest.raises(StoreError, match="belongs to another program"):
            attempt(server.address(empty))
    assert server.ask(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(2,)]


@pytest.mark.long
@pytest.mark.parametrize(
    "options", ["ENCODING 'LATIN1' LOCALE 'C'", "ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"]
)
def test_a_database_that_does_not_know_all_letters_is_refused(server: Server, options: str) -> None:
    if "LATIN1" in options:
        options = f"LOCALE_PROVIDER libc {options}"
    with (
        server.database(upgraded=False, options=f"TEMPLATE template0 {options}") as name,
        pytest.raises(StoreError, match="does not know all letters"),
    ):
        upgrade(server.address(name))


@pytest.mark.long
def test_the_database_that_the_remedy_makes_will_do(server: Server) -> None:
    options = "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C.UTF-8'"
    with server.database(upgraded=False, options=options) as name:
        upgrade(server.address(name))
        Store.open(server.address(name)).close()
