from __future__ import annotations

import pytest
from sqlalchemy import Connection, text

from llmws.errors import InvalidRequest, NotFound
from llmws.messages import Message, Part, Usage
from llmws.store import Store, chats, messages, new_id


async def say(store: Store, chat_id: str, *texts: str) -> list[str]:
    said = [await store.write(messages.append, "ada", new_id(), Message.user(text), chat_id=chat_id) for text in texts]
    return [message.id for message in said]


async def test_a_long_chat_is_read_back_page_by_page_from_its_end(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    ids = await say(store, chat.id, *(f"message {number}" for number in range(12)))
    last, cursor = await store.read(messages.page, "ada", chat.id, limit=5)
    await say(store, chat.id, "one that comes meanwhile")
    middle, cursor = await store.read(messages.page, "ada", chat.id, limit=5, cursor=cursor)
    first, end = await store.read(messages.page, "ada", chat.id, limit=5, cursor=cursor)
    assert [message.id for message in [*first, *middle, *last]] == ids
    assert (len(first), end) == (2, None)
    assert [message.id for message in await store.read(messages.path, "ada", chat.id)][:12] == ids


async def test_a_message_keeps_all_that_it_says(store: Store) -> None:
    spoken = Message(
        "assistant",
        (Part("reasoning", "hm", {"signature": "abc"}), Part("text", 'a\0b 船 \ud83d"\n')),
        model="echo",
        usage=Usage(3, 4, source="estimate"),
        finish_reason="length",
        error={"message": "broke off", "code": "provider_network"},
    )
    kept = await store.write(messages.append, "ada", new_id(), spoken)
    assert (await store.read(messages.get, "ada", kept.id)).message == spoken


async def test_going_back_begins_a_branch(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    first, _second = await say(store, chat.id, "first", "second")
    await store.write(chats.update, "ada", chat.id, head_id=first)
    (other,) = await say(store, chat.id, "another second")
    assert [message.id for message in await store.read(messages.path, "ada", chat.id)] == [first, other]


async def test_a_message_goes_below_any_other_of_its_chat_and_knows_who_stands_beside_it(store: Store) -> None:
    chat, other = [await store.write(chats.create, "ada", new_id(), "echo") for _ in range(2)]
    first, second = await say(store, chat.id, "first", "second")
    await say(store, other.id, "a root elsewhere")

    async def below(parent_id: str | None) -> str:
        message = Message.user("instead")
        return (await store.write(messages.append, "ada", new_id(), message, chat_id=chat.id, parent_id=parent_id)).id

    beside_second, beside_first = await below(first), await below(None)
    assert (await store.read(chats.get, "ada", chat.id)).head_id == beside_first
    assert await store.read(messages.siblings, chat.id, [None, first, second]) == {
        None: [first, beside_first],
        first: [second, beside_second],
    }
    assert [row.id for row in await store.read(messages.path, "ada", chat.id, second)] == [first, second]


async def test_a_branch_is_found_again_where_it_went_last(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    first, second, third = await say(store, chat.id, "first", "second", "third")
    await store.write(chats.go_to, "ada", chat.id, second)
    (other_third,) = await say(store, chat.id, "another third")
    await store.write(chats.go_to, "ada", chat.id, first)
    (other_second,) = await say(store, chat.id, "another second")
    for start, leaf in [(first, other_second), (second, other_third), (third, third)]:
        assert await store.read(messages.newest_leaf, chat.id, start) == leaf


async def test_to_look_at_another_branch_is_no_change(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    first, _ = await say(store, chat.id, "first", "second")
    before = await store.read(chats.get, "ada", chat.id)
    assert (await store.write(chats.go_to, "ada", chat.id, first)).updated_at == before.updated_at
    with pytest.raises(NotFound):
        await store.write(chats.go_to, "ada", chat.id, new_id())


async def test_a_large_tree_is_asked_through_its_indexes(store: Store) -> None:
    """2,000 messages, of which each has a sibling: to find those of a page reads no more than the page."""
    if store._database.writing.dialect.name != "sqlite":
        return
    asked = [
        "SELECT id FROM messages WHERE chat_id = 'c' AND (parent_id IN ('a', 'b') OR parent_id IS NULL)",
        "SELECT 1 FROM messages WHERE parent_id = 'a' AND chat_id = 'c'",
    ]

    def plans(connection: Connection) -> list[str]:
        return [row[-1] for one in asked for row in connection.execute(text(f"EXPLAIN QUERY PLAN {one}"))]

    assert not [plan for plan in await store.read(plans) if "SCAN" in plan]


async def test_a_repeated_request_says_nothing_twice(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    message_id = new_id()
    once = await store.write(messages.append, "ada", message_id, Message.user("Hello"), chat_id=chat.id)
    await say(store, chat.id, "and more")
    assert await store.write(messages.append, "ada", message_id, Message.user("Hello"), chat_id=chat.id) == once
    assert len(await store.read(messages.path, "ada", chat.id)) == 2


async def test_others_find_nothing(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    (message,) = await say(store, chat.id, "secret")
    for attempt in (
        store.read(messages.get, "eve", message),
        store.read(messages.path, "eve", chat.id),
        store.read(messages.page, "eve", chat.id),
        store.write(messages.append, "eve", new_id(), Message.user("x"), chat_id=chat.id),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_a_cursor_of_another_chat_leads_nowhere(store: Store) -> None:
    chat, other = [await store.write(chats.create, "ada", new_id(), "echo") for _ in range(2)]
    (elsewhere,) = await say(store, other.id, "elsewhere")
    with pytest.raises(InvalidRequest, match="cursor"):
        await store.read(messages.page, "ada", chat.id, cursor=elsewhere)
