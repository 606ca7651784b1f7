"""Whole conversations read from the store."""

from __future__ import annotations

import pytest

from llmws.errors import NotFound
from llmws.messages import Message
from llmws.store import Store, chats, messages, transfers


async def test_a_tree_has_all_branches_and_only_its_owner_reads_it(store: Store) -> None:
    await store.write(chats.create, "ada", "c", "echo")
    await store.write(messages.append, "ada", "m1", Message.user("Why?"), chat_id="c")
    await store.write(messages.append, "ada", "m2", Message.user("And?"), chat_id="c")
    await store.write(chats.update, "ada", "c", head_id="m1")
    await store.write(messages.append, "ada", "m3", Message.user("But?"), chat_id="c")
    chat, rows = await store.read(transfers.tree, "ada", "c")
    assert chat.head_id == "m3"
    assert [(row.id, row.parent_id) for row in rows] == [("m1", None), ("m2", "m1"), ("m3", "m1")]
    with pytest.raises(NotFound):
        await store.read(transfers.tree, "eve", "c")


async def test_ids_are_of_those_that_are_there(store: Store) -> None:
    for each, owner in (("1", "ada"), ("2", "eve"), ("3", "ada"), ("4", "ada")):
        await store.write(chats.create, owner, each, "echo")
    await store.write(chats.delete, "ada", "3")
    assert await store.read(transfers.ids, "ada") == ["1", "4"]
