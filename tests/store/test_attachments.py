from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest

from llmws.errors import InvalidRequest, NotFound
from llmws.store import Store, attachments, chats, new_id
from llmws.store.attachments import UNUSED_S, Attachment

QUOTA = 100


async def add(store: Store, body: bytes = b"abc", owner: str = "ada", name: str = "a.txt", **more: Any) -> Attachment:
    digest = hashlib.sha256(body).hexdigest()
    told = {"width": None, "height": None, "created_at": time.time(), **more}
    new = Attachment(new_id(), owner, digest, name, "text/plain", len(body), **told)
    return await store.write(attachments.add, new, body, QUOTA)


async def test_the_same_file_is_kept_once_for_each_person(store: Store) -> None:
    first, again, renamed = await add(store), await add(store), await add(store, name="b.txt")
    other = await add(store, owner="eve")
    assert first.id == again.id
    assert len({first.id, renamed.id, other.id}) == 3
    assert (await store.read(attachments.whole, "ada", first.id))[1] == b"abc"
    for read in (attachments.get, attachments.whole):
        with pytest.raises(NotFound):
            await store.read(read, "eve", first.id)


async def test_nobody_keeps_more_than_their_share(store: Store) -> None:
    await add(store, b"x" * 60)
    await add(store, b"y" * 60, owner="eve")
    await add(store, b"x" * 60)
    with pytest.raises(InvalidRequest, match="MiB already") as refused:
        await add(store, b"z" * 60)
    assert refused.value.details == {"used": 60, "quota": QUOTA}


async def test_what_no_chat_uses_is_forgotten_after_a_day(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    old = time.time() - UNUSED_S - 60
    used, unused = [await add(store, name.encode(), name=name, created_at=old) for name in ("used", "unused")]
    await store.write(attachments.link, "ada", chat.id, [used.id, used.id])
    await store.write(attachments.link, "ada", chat.id, [used.id])
    fresh = await add(store)
    with pytest.raises(NotFound, match="no such attachment"):
        await store.read(attachments.get, "ada", unused.id)
    for kept in (used, fresh):
        assert await store.read(attachments.get, "ada", kept.id) == kept
    with pytest.raises(NotFound):
        await store.write(attachments.link, "eve", chat.id, [fresh.id])


async def test_what_is_wanted_anew_is_no_day_old(store: Store) -> None:
    aged = await add(store, created_at=time.time() - UNUSED_S + 60)
    await add(store)
    assert (await store.read(attachments.get, "ada", aged.id)).created_at > time.time() - 60


async def test_a_chat_takes_along_what_it_alone_used(store: Store) -> None:
    gone, stays = [await store.write(chats.create, "ada", new_id(), "echo") for _ in range(2)]
    own, shared = await add(store, b"own"), await add(store, b"shared")
    await store.write(attachments.link, "ada", gone.id, [own.id, shared.id])
    await store.write(attachments.link, "ada", stays.id, [shared.id])
    await store.write(attachments.erase_of_chats, [gone.id])
    with pytest.raises(NotFound):
        await store.read(attachments.get, "ada", own.id)
    assert await store.read(attachments.get, "ada", shared.id) == shared
