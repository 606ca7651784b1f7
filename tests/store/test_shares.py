"""What is shared, on each database: who finds it, what a link finds, and who may use an assistant."""

from __future__ import annotations

import time

import pytest

from llmws.errors import Conflict, NotFound
from llmws.messages import Message, Parameters
from llmws.store import Store, assistants, chats, grants, links, messages, new_id, shares

NOBODY: frozenset[str] = frozenset()
LAB = frozenset({"lab", "choir"})


@pytest.fixture
async def chat(store: Store) -> str:
    """A conversation of Ada's with two messages."""
    made = await store.write(chats.create, "ada", new_id(), "echo", "船")
    for text in ("Hello", "Ahoy"):
        await store.write(messages.append, "ada", new_id(), Message.user(text), chat_id=made.id)
    return made.id


async def test_it_is_found_by_whom_it_was_given_to(store: Store, chat: str) -> None:
    other = await store.write(chats.create, "ada", new_id(), "echo", "kept to herself")
    await store.write(grants.add, shares.NOUN, chat, "person", "bob")
    # A grant of something else that has the same id is none of this.
    await store.write(grants.add, assistants.NOUN, other.id, "person", "bob")
    found, _ = await store.read(shares.page, "bob", NOBODY)
    assert [(one.id, one.owner, one.title) for one in found] == [(chat, "ada", "船")]
    assert (await store.read(shares.page, "eve", LAB))[0] == []
    await store.write(grants.add, shares.NOUN, chat, "group", "lab")
    assert (await store.read(shares.page, "eve", LAB))[0] == found
    # Who is called like the group is not in it, and the owner is shared nothing of their own.
    assert (await store.read(shares.page, "lab", NOBODY))[0] == []
    assert (await store.read(shares.page, "ada", LAB))[0] == []
    said, older = await store.read(shares.said, "bob", NOBODY, chat, 1)
    assert [row.message.text for row in said] == ["Ahoy"]
    assert older is not None
    await store.write(shares.leave, "bob", NOBODY, chat)
    with pytest.raises(NotFound):
        await store.read(shares.said, "bob", NOBODY, chat)


async def test_pages_of_what_is_shared(store: Store) -> None:
    for number in range(5):
        made = await store.write(chats.create, "ada", new_id(), "echo", str(number))
        await store.write(grants.add, shares.NOUN, made.id, "person", "bob")
    first, cursor = await store.read(shares.page, "bob", NOBODY, 3)
    rest, end = await store.read(shares.page, "bob", NOBODY, 3, cursor)
    assert [one.title for one in first + rest] == ["4", "3", "2", "1", "0"]
    assert end is None


async def test_a_copy_is_one_s_own(store: Store, chat: str) -> None:
    await store.write(grants.add, shares.NOUN, chat, "person", "bob")
    shared, rows = await store.read(shares.whole, "bob", NOBODY, chat)
    said = [row.message for row in rows]
    copies = [await store.write(shares.keep, "bob", "c" * 32, shared, said, 0) for _ in range(2)]
    assert copies[0].head_id == copies[1].head_id
    kept = await store.read(messages.path, "bob", "c" * 32)
    assert [row.message.text for row in kept] == ["Hello", "Ahoy"]
    assert {row.id for row in kept}.isdisjoint({row.id for row in rows})


async def test_a_link_shows_up_to_where_it_was_made(store: Store, chat: str) -> None:
    link = await store.write(links.create, "ada", chat, new_id(), "h" * 64, None)
    await store.write(messages.append, "ada", new_id(), Message.user("Later"), chat_id=chat)
    assert await store.read(links.opened, "h" * 64) == link
    shown = await store.read(messages.path, "ada", chat, link.head_id)
    assert [row.message.text for row in shown] == ["Hello", "Ahoy"]
    await store.write(links.revoke, "ada", chat, link.id)
    with pytest.raises(NotFound):
        await store.read(links.opened, "h" * 64)
    assert await store.write(links.restore, "ada", chat, link.id) == link
    empty = await store.write(chats.create, "ada", new_id(), "echo")
    with pytest.raises(Conflict):
        await store.write(links.create, "ada", empty.id, new_id(), "i" * 64, None)
    with pytest.raises(NotFound):
        await store.write(links.create, "bob", chat, new_id(), "i" * 64, None)


async def test_an_assistant_is_kept_and_used_by_whom_it_was_given_to(store: Store) -> None:
    parameters = Parameters(temperature=0.2, stop=("END",))
    made = await store.write(
        assistants.create, "ada", new_id(), name="船长", model="echo", system="Be brief.", parameters=parameters
    )
    assert await store.read(assistants.get, "ada", made.id) == made
    changed = await store.write(assistants.change, "ada", made.id, parameters=Parameters(seed=1), name="Captain")
    assert (changed.name, changed.parameters, changed.system) == ("Captain", Parameters(seed=1), "Be brief.")
    with pytest.raises(NotFound):
        await store.read(assistants.usable, "bob", LAB, made.id)
    await store.write(grants.add, assistants.NOUN, made.id, "group", "lab")
    assert await store.read(assistants.usable, "bob", LAB, made.id) == changed
    assert await store.read(assistants.all_for, "bob", LAB) == [changed]
    for function, more in ((assistants.change, {"name": "x"}), (assistants.delete, {}), (assistants.restore, {})):
        with pytest.raises(NotFound):
            await store.write(function, "bob", made.id, **more)
    await store.write(assistants.delete, "ada", made.id)
    assert await store.read(assistants.all_for, "bob", LAB) == []
    await store.write(assistants.restore, "ada", made.id)
    assert await store.read(assistants.all_for, "ada", NOBODY) == [changed]


async def test_what_is_erased_leaves_no_grants_and_links(store: Store, chat: str) -> None:
    made = await store.write(assistants.create, "ada", new_id(), name="Poet", model="echo")
    await store.write(links.create, "ada", chat, new_id(), "h" * 64, None)
    for noun, thing in ((shares.NOUN, chat), (assistants.NOUN, made.id)):
        await store.write(grants.add, noun, thing, "person", "bob")
    await store.write(assistants.delete, "ada", made.id)
    await store.write(assistants.erase_deleted, 1.0)
    assert (await store.write(assistants.restore, "ada", made.id)).id == made.id
    await store.write(assistants.delete, "ada", made.id)
    await store.write(assistants.erase_deleted, time.time() + 1)
    await store.write(chats.erase, [chat])
    for noun in (shares.NOUN, assistants.NOUN):
        assert await store.read(grants.all_of, noun) == []
    with pytest.raises(NotFound):
        await store.write(assistants.restore, "ada", made.id)
    with pytest.raises(NotFound):
        await store.read(links.opened, "h" * 64)
