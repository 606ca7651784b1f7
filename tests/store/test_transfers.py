"""Whole conversations read from the store, and put in: once, however often they come, and by whoever brings them."""

from __future__ import annotations

from typing import Any

import pytest

from llmws.errors import NotFound
from llmws.messages import Message
from llmws.store import Store, chats, messages, search, transfers
from llmws.store.transfers import Brought, Told


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


def told(*nodes: tuple[str, str | None, str]) -> list[Told]:
    return [Told(name, parent, Message.user(text), 1e9 + at) for at, (name, parent, text) in enumerate(nodes)]


def brought(*nodes: tuple[str, str | None, str], head: str | None = None, **more: Any) -> Brought:
    about = {"key": "k", "id": "", "title": "Sky", "model": "gpt-9", "created_at": 1e9, "updated_at": 1.1e9}
    return Brought(nodes=told(*nodes), head_id=head or (nodes[-1][0] if nodes else None), **{**about, **more})


FIRST = (("a", None, "Why?"), ("b", "a", "Because."), ("c", "a", "Because."), ("d", "b", "And?"))


async def texts(store: Store, chat_id: str) -> list[tuple[str, str | None]]:
    """What was said, each with what was said before it."""
    _, rows = await store.read(transfers.tree, "ada", chat_id)
    said = {row.id: row.message.text for row in rows}
    return [(row.message.text, said.get(row.parent_id or "")) for row in rows]


async def test_what_is_put_in_twice_is_there_once(store: Store) -> None:
    first = await store.write(transfers.put, "ada", brought(*FIRST))
    assert (first.state, first.added) == ("imported", 4)
    again = await store.write(transfers.put, "ada", brought(*FIRST))
    assert (again.state, again.chat_id, again.added) == ("present", first.chat_id, 0)
    assert await texts(store, first.chat_id) == [
        *(("Why?", None), ("Because.", "Why?"), ("Because.", "Why?"), ("And?", "Because."))
    ]
    chat = await store.read(chats.get, "ada", first.chat_id)
    assert (chat.title, chat.model, chat.created_at, chat.updated_at) == ("Sky", "gpt-9", 1e9, 1.1e9)
    assert [row.message.text for row in await store.read(messages.path, "ada", chat.id)] == ["Why?", "Because.", "And?"]
    other = await store.write(transfers.put, "eve", brought(*FIRST))
    assert other.state == "imported"
    assert other.chat_id != first.chat_id


async def test_what_is_put_in_is_found_and_stands_where_it_stood(store: Store) -> None:
    where: dict[str, Any] = {"folder": "Colours", "tags": ("air", "blue"), "pinned": True, "archived": True}
    put = await store.write(transfers.put, "ada", brought(*FIRST, **where))
    await store.write(transfers.put, "ada", brought(*FIRST, ("e", "d", "然后呢"), **where))
    chat = await store.read(chats.get, "ada", put.chat_id)
    assert {name: getattr(chat, name) for name in where} == where
    for query in ("sky", "because", "然后"):
        assert [hit.chat.id for hit in (await store.read(search.find, "ada", query))[0]] == [chat.id], query


async def test_what_has_grown_gets_what_is_new(store: Store) -> None:
    put = await store.write(transfers.put, "ada", brought(*FIRST))
    grown = brought(*FIRST, ("e", "d", "Then?"), ("f", "a", "Or not."), head="e", updated_at=1.2e9)
    again = await store.write(transfers.put, "ada", grown)
    assert (again.state, again.chat_id, again.added) == ("updated", put.chat_id, 2)
    chat = await store.read(chats.get, "ada", put.chat_id)
    assert chat.updated_at == 1.2e9
    assert (await store.read(messages.get, "ada", chat.head_id)).message.text == "Then?"
    # What was said here since stays, and stays shown.
    here = await store.write(messages.append, "ada", "h", Message.user("Here."), chat_id=chat.id)
    once_more = await store.write(transfers.put, "ada", brought(*FIRST, ("g", "d", "Else?"), head="g"))
    assert once_more.added == 1
    assert (await store.read(chats.get, "ada", chat.id)).head_id == here.id


async def test_an_edited_message_is_another_branch(store: Store) -> None:
    put = await store.write(transfers.put, "ada", brought(("a", None, "Why?"), ("b", "a", "Because.")))
    edited = await store.write(transfers.put, "ada", brought(("a", None, "How?"), ("b", "a", "Because.")))
    assert (edited.chat_id, edited.added) == (put.chat_id, 2)
    assert sorted(await texts(store, put.chat_id), key=str) == [
        *(("Because.", "How?"), ("Because.", "Why?"), ("How?", None), ("Why?", None))
    ]


async def test_what_comes_back_to_where_it_was_made_is_no_copy(store: Store) -> None:
    await store.write(chats.create, "ada", "c", "echo")
    await store.write(messages.append, "ada", "m1", Message.user("Why?"), chat_id="c")
    back = brought(("a", None, "Why?"), id="c", key="llmws:c")
    assert (await store.write(transfers.put, "ada", back)).state == "present"
    assert (await store.write(transfers.put, "eve", back)).chat_id != "c"
    await store.write(chats.delete, "ada", "c")
    restored = await store.write(transfers.put, "ada", back)
    assert (restored.state, restored.chat_id, restored.added, restored.restored) == ("updated", "c", 0, True)
    assert (await store.read(chats.get, "ada", "c")).deleted_at is None


async def test_a_temporary_chat_that_comes_back_is_kept(store: Store) -> None:
    await store.write(chats.create, "ada", "c", "echo", temporary=True)
    await store.write(messages.append, "ada", "m1", Message.user("Why?"), chat_id="c")
    put = await store.write(transfers.put, "ada", brought(("a", None, "Why?"), id="c", key="llmws:c"))
    assert (put.state, put.added) == ("imported", 1)
    assert not (await store.read(chats.get, "ada", put.chat_id)).temporary


async def test_a_chat_is_put_in_whole_or_not_at_all(store: Store) -> None:
    # Its last message names a parent that is nowhere.
    with pytest.raises(KeyError):
        await store.write(transfers.put, "ada", brought(*FIRST, ("x", "nowhere", "Lost.")))
    assert await store.read(transfers.ids, "ada") == []
    assert (await store.write(transfers.put, "ada", brought())).state == "imported"
