from __future__ import annotations

import pytest

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
