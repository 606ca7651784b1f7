"""What only SQLite does: a file, its rights, its damage, a full disk."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import Connection

from llmws.errors import Error, SettingsError, StoreError
from llmws.messages import Message
from llmws.store import Store, chats, messages, new_id, sqlite, upgrade

NOBODY = 65534


def reopened(file: Path) -> Store:
    return Store.open(f"sqlite:///{file}")


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    store = reopened(file)
    yield store
    store.close()


@pytest.fixture
def filled(file: Path) -> Path:
    """A database of some hundred kilobytes, closed."""
    store = reopened(file)
    for _ in range(100):
        store._writer.submit(chats.create, "ada", new_id(), "echo", "title " * 500)
    store.close()
    return file


async def test_the_settings_that_durability_rests_on(store: Store) -> None:
    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert await store.read(pragmas) == ["wal", 2, 1, 5000]
    assert await store.write(pragmas) == ["wal", 2, 1, 5000]


def test_the_database_is_its_owners_alone(store: Store, file: Path) -> None:
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    for part in file.parent.iterdir():
        assert stat.S_IMODE(part.stat().st_mode) == 0o600, part.name


# Refused with one sentence and a remedy


def refused(file: Path, match: str, remedy: str) -> None:
    before = file.read_bytes() if file.is_file() and os.access(file, os.R_OK) else None
    with pytest.raises(Error, match=match) as error:
        reopened(file)
    assert isinstance(error.value, StoreError)
    assert str(file) in error.value.message
    assert remedy in error.value.remedy
    assert before is None or file.read_bytes() == before


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "llmws.db"
    file.write_text("This is a letter, not a database.\n" * 200)
    refused(file, "is not a database", "Move it away")


def tear(file: Path) -> None:
    """Overwrite the heads of pages that hold chats; those in front, which hold the schema, stay whole."""
    content = bytearray(file.read_bytes())
    for page in range(40 * 4096, len(content), 8192):
        content[page : page + 64] = os.urandom(64)
    file.write_bytes(content)


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("damage", [tear, cut_off])
def test_a_damaged_database(filled: Path, damage: Callable[[Path], None]) -> None:
    damage(filled)
    refused(filled, "is damaged", ".recover")


async def test_damage_that_comes_later(filled: Path) -> None:
    store = reopened(filled)
    tear(filled)
    with pytest.raises(StoreError, match="is damaged"):
        await store.read(chats.page, "ada", limit=100)
    store.close()


def test_a_folder_where_a_database_should_be(tmp_path: Path) -> None:
    refused(tmp_path, "cannot be opened", "LLMWS_DATA")


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    refused(tmp_path / "data" / "llmws.db", "cannot be opened", "LLMWS_DATA")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others may reach, unlike pytest's own."""
    with TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Be the folder's owner, but not root, whom nothing stops."""
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, NOBODY, -1)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o700)


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    with without_rights(folder):
        folder.chmod(0o500)
        refused(folder / "llmws.db", "cannot be opened: Permission denied", "LLMWS_DATA")
        refused(folder / "new" / "llmws.db", "cannot be opened: Permission denied", "LLMWS_DATA")


def test_a_database_that_cannot_be_written(folder: Path) -> None:
    file = folder / "llmws.db"
    reopened(file).close()
    with without_rights(folder):
        file.chmod(0o400)
        refused(file, "cannot be opened: Permission denied", "LLMWS_DATA")
        file.chmod(0o600)
        folder.chmod(0o500)
        refused(file, "cannot be (opened|written)", "LLMWS_DATA")


def test_a_database_that_another_program_holds(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_S", 0.01)
    with closing(sqlite3.connect(filled, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused(filled, "Another program holds", "End that program")


def test_a_database_of_another_program(tmp_path: Path) -> None:
    file = tmp_path / "jupyterhub.sqlite"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE users (name TEXT)")
        other.execute("PRAGMA journal_mode = WAL")
    refused(file, "belongs to another program", "LLMWS_DATABASE")


async def test_a_full_disk_loses_nothing_that_was_acknowledged(store: Store) -> None:
    def allow(connection: Connection, pages: int) -> None:
        used = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {used + pages}")

    chat = await store.write(chats.create, "ada", new_id(), "echo")
    await store.write(allow, 20)
    large = Message.user("x" * 20_000)
    said = [store.write(messages.append, "ada", new_id(), large, chat_id=chat.id) for _ in range(20)]
    outcomes = await asyncio.gather(*said, return_exceptions=True)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert refusals
    assert {type(refusal) for refusal in refusals} == {StoreError}
    assert "is full. Free some space" in str(refusals[0])
    assert "xxx" not in str(refusals[0])
    kept = {message.id for message in await store.read(messages.path, "ada", chat.id)}
    assert kept == {outcome.id for outcome in outcomes if not isinstance(outcome, BaseException)}
    await store.write(allow, 10_000)
    await store.write(messages.append, "ada", new_id(), large, chat_id=chat.id)


def test_it_is_not_upgraded_by_hand(filled: Path) -> None:
    with pytest.raises(SettingsError, match="needs no upgrade"):
        upgrade(f"sqlite:///{filled}")


def test_a_second_store_in_a_process_leaves_the_locks_of_the_first(file: Path) -> None:
    """Closing any descriptor of a file drops a process's locks on it; whoever then closes the database ends its log."""
    code = "import sys; from llmws.store import Store; Store.open(sys.argv[1]).close()"
    store, owner = Store.open(f"sqlite:///{file}"), "ada"
    asyncio.run(store.write(chats.create, owner, new_id(), "echo"))
    second = Store.open(f"sqlite:///{file}")
    subprocess.run([sys.executable, "-c", code, f"sqlite:///{file}"], check=True)
    asyncio.run(store.write(chats.create, owner, new_id(), "echo"))
    count = (
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('select count(*) from chats').fetchone()[0])"
    )
    told = subprocess.run([sys.executable, "-c", count, str(file)], check=True, capture_output=True, text=True)
    assert int(told.stdout) == 2
    second.close()
    store.close()
