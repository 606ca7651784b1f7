"""When chats are erased for good."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmws.errors import NotFound
from llmws.service.erasing import DELETED_FOR_S, TEMPORARY_FOR_S, Erasing
from llmws.service.generations import Generations
from llmws.service.ledger import Ledger
from llmws.service.prices import Prices
from llmws.store import Store, chats, generations, new_id


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'llmws.db'}")
    yield store
    store.close()


def erasing_of(store: Store, *away: str) -> Erasing:
    return Erasing(store, Generations(store, Ledger(store, Prices(store))), lambda for_s: away)


async def test_a_month_and_a_day_are_waited_for(store: Store) -> None:
    erasing = erasing_of(store)
    now = time.time()
    deleted, temporary = [
        (await store.write(chats.create, "ada", new_id(), "echo", temporary=is_temporary)).id
        for is_temporary in (False, True)
    ]
    await erasing.delete("ada", deleted)

    await erasing.sweep(now + TEMPORARY_FOR_S - 60)
    assert (await store.read(chats.get, "ada", temporary)).temporary
    await erasing.sweep(now + TEMPORARY_FOR_S + 60)
    with pytest.raises(NotFound):
        await store.read(chats.get, "ada", temporary)

    await erasing.sweep(now + DELETED_FOR_S - 60)
    await store.write(chats.restore, "ada", deleted)
    await erasing.delete("ada", deleted)
    await erasing.sweep(now + DELETED_FOR_S + 60)
    with pytest.raises(NotFound):
        await store.write(chats.restore, "ada", deleted)


async def test_a_new_service_forgets_what_an_earlier_one_held_for_a_while(store: Store) -> None:
    before = await store.write(chats.create, "ada", new_id(), "echo", temporary=True)
    erasing = erasing_of(store)
    after = await store.write(chats.create, "ada", new_id(), "echo", temporary=True)
    await erasing.sweep(time.time())
    with pytest.raises(NotFound):
        await store.read(chats.get, "ada", before.id)
    assert (await store.read(chats.get, "ada", after.id)).id == after.id


async def test_who_leaves_leaves_nothing_temporary_behind(store: Store) -> None:
    temporary, kept, running, others = [
        await store.write(chats.create, owner, new_id(), "echo", temporary=is_temporary)
        for owner, is_temporary in (("ada", True), ("ada", False), ("ada", True), ("eve", True))
    ]
    await store.write(generations.begin, "ada", new_id(), model="echo", provider="echo", chat_id=running.id)
    await erasing_of(store).sweep_after()
    assert (await store.read(chats.get, "ada", temporary.id)).temporary
    await erasing_of(store, "ada").sweep_after()
    with pytest.raises(NotFound):
        await store.read(chats.get, "ada", temporary.id)
    for owner, chat in (("ada", kept), ("ada", running), ("eve", others)):
        assert await store.read(chats.get, owner, chat.id)
