from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import IntegrityError

from llmws.errors import NotFound, StoreError
from llmws.store import Store, chats, new_id, writer
from llmws.store.writer import Writer

MINUTE_S = 60.0


@pytest.fixture
def engine(store: Store) -> Engine:
    return store._database.writing


@pytest.fixture
def held(store: Store) -> Iterator[threading.Event]:
    """Holds the writer up in its first write until the event is set, so that what follows has arrived by then."""
    release = threading.Event()
    store._writer.submit(lambda _: release.wait(MINUTE_S))
    yield release
    release.set()


@pytest.fixture
def one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BATCH_S", MINUTE_S)


def create(connection: Connection, title: str, id: str | None = None) -> str:
    return chats.create(connection, "ada", id or new_id(), "echo", title).id


async def titles(store: Store) -> set[str]:
    return {chat.title for chat in (await store.read(chats.page, "ada", limit=1000))[0]}


async def test_hundreds_of_writers_at_once_are_all_served(store: Store) -> None:
    ids = await asyncio.gather(*(store.write(create, str(number)) for number in range(500)))
    assert len(set(ids)) == 500
    assert await titles(store) == {str(number) for number in range(500)}


@pytest.mark.parametrize(("batch_s", "commits"), [(MINUTE_S, 1), (0.0, 41)])
async def test_writes_that_wait_share_a_transaction(
    store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch, batch_s: float, commits: int
) -> None:
    monkeypatch.setattr(writer, "BATCH_S", batch_s)
    counted: list[Connection] = []
    fresh = Writer(store._database)
    event.listen(engine, "commit", counted.append)
    release = threading.Event()
    fresh.submit(lambda _: release.wait(MINUTE_S))
    futures = [fresh.submit(create, str(number)) for number in range(40)]
    release.set()
    await asyncio.gather(*map(asyncio.wrap_future, futures))
    fresh.close()
    assert len(counted) == commits
    assert len(await titles(store)) == 40


async def test_one_that_fails_takes_no_other_with_it(store: Store, one_batch: None, held: threading.Event) -> None:
    async def fail_after_writing(id: str) -> None:
        def write(connection: Connection) -> None:
            create(connection, "half-done")
            connection.execute(text("INSERT INTO messages (id) VALUES (:id)"), {"id": id})

        await store.write(write)

    good = [asyncio.create_task(store.write(create, title)) for title in ("before", "between")]
    bad = [asyncio.create_task(fail_after_writing("m")), asyncio.create_task(store.write(chats.get, "ada", "none"))]
    good.append(asyncio.create_task(store.write(create, "after")))
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(*good)
    with pytest.raises(IntegrityError):
        await bad[0]
    with pytest.raises(NotFound):
        await bad[1]
    assert await titles(store) == {"before", "between", "after"}


async def test_nothing_is_acknowledged_when_the_transaction_is_lost(
    store: Store, one_batch: None, held: threading.Event
) -> None:
    writes = [
        asyncio.create_task(store.write(create, "before")),
        asyncio.create_task(store.write(lambda connection: connection.exec_driver_sql("ROLLBACK"))),
    ]
    await asyncio.sleep(0)
    held.set()
    for write in writes:
        with pytest.raises(StoreError):
            await write
    assert await titles(store) == set()
    await store.write(create, "the writer goes on")
    assert await titles(store) == {"the writer goes on"}


async def test_nothing_is_acknowledged_before_it_is_committed(store: Store, engine: Engine) -> None:
    committing, release = threading.Event(), threading.Event()

    def hold_up(_: Connection) -> None:
        committing.set()
        release.wait(MINUTE_S)

    event.listen(engine, "commit", hold_up)
    write = asyncio.create_task(store.write(create, "waits"))
    assert await asyncio.to_thread(committing.wait, MINUTE_S)
    assert await titles(store) == set()
    assert not write.done()
    release.set()
    await write
    assert await titles(store) == {"waits"}


async def test_a_write_happens_even_when_its_caller_gives_up(store: Store, held: threading.Event) -> None:
    write = asyncio.create_task(store.write(create, "nobody waits"))
    await asyncio.sleep(0)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    held.set()
    await store.write(create, "the next")
    assert await titles(store) == {"nobody waits", "the next"}


async def test_closing_finishes_what_was_handed_over(address: str) -> None:
    store = Store.open(address)
    futures = [store._writer.submit(create, str(number)) for number in range(50)]
    store.close()
    store.close()
    assert all(future.done() for future in futures)
    for attempt in (store.write(create, "late"), store.read(chats.page, "ada")):
        with pytest.raises(StoreError, match="closed"):
            await attempt
    again = Store.open(address)
    assert len(await titles(again)) == 50
    again.close()
