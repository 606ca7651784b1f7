from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from llmws.errors import StoreError
from llmws.store import Store, chats, new_id, schema, tables

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
    """The migrations of a version to come."""
    return shutil.copytree(Path(schema.__file__).parent / "migrations", tmp_path / "migrations")


def add_step(steps: Path, file: Path, more: str = "") -> str:
    (head,) = ask(file, "SELECT version_num FROM alembic_version")
    (steps / "next.py").write_text(NEXT_STEP.format(head=head, more=more))
    return head


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


def open_with(steps: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = schema.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(schema, "upgrade", lambda engine, file: upgrade(engine, file, steps))
        Store.open(f"sqlite:///{file}").close()


async def test_the_migrations_lead_to_the_tables(store: Store) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), tables.metadata))

    assert await store.write(differences) == []


def test_a_new_database_needs_no_copy(older: Path) -> None:
    assert [part.name for part in older.parent.iterdir()] == [older.name]


def test_an_older_database_is_copied_then_migrated(older: Path, steps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = add_step(steps, older)
    open_with(steps, older, monkeypatch)
    copy = older.with_name(f"{older.name}.{head}")
    assert "colour" in columns(older)
    assert "colour" not in columns(copy)
    assert ask(older, "SELECT title FROM chats") == ask(copy, "SELECT title FROM chats") == ["kept"]
    assert ask(copy, "SELECT version_num FROM alembic_version") == [head]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    open_with(steps, older, monkeypatch)
    assert sorted(part.name for part in older.parent.iterdir()) == sorted([older.name, copy.name])


def test_a_migration_that_fails_changes_nothing(older: Path, steps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = add_step(steps, older, more='op.drop_table("nowhere")')
    with pytest.raises(StoreError, match="no such table: nowhere"):
        open_with(steps, older, monkeypatch)
    assert "colour" not in columns(older)
    assert ask(older, "SELECT version_num FROM alembic_version") == [head]
    add_step(steps, older)
    open_with(steps, older, monkeypatch)
    assert "colour" in columns(older)


def test_a_newer_database_is_left_alone(older: Path, steps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_step(steps, older)
    open_with(steps, older, monkeypatch)
    before = older.read_bytes()
    with pytest.raises(StoreError, match="newer version") as refused:
        Store.open(f"sqlite:///{older}")
    assert "Upgrade llmws" in refused.value.remedy
    assert older.read_bytes() == before
