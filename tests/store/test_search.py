"""Full-text search, on both databases: what is found, in which order, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, delete, text

from llmws.errors import InvalidRequest
from llmws.messages import Message, Part
from llmws.store import Store, chats, derive_id, generations, messages, new_id, search, search_index, tables
from llmws.store.migrations import r0015_library


async def say(store: Store, owner: str, said: str | Message, title: str = "", **chat: Any) -> str:
    """A new chat in which `said` was said; its id."""
    made = await store.write(chats.create, owner, new_id(), "echo", title, **chat)
    message = Message.user(said) if isinstance(said, str) else said
    await store.write(messages.append, owner, new_id(), message, chat_id=made.id)
    return made.id


async def found(store: Store, owner: str, query: str, **among: Any) -> list[str]:
    """The ids of the chats that are found, over all pages."""
    ids: list[str] = []
    cursor = None
    while True:
        hits, cursor = await store.read(search.find, owner, query, 2, cursor, **among)
        ids += [hit.chat.id for hit in hits]
        if cursor is None:
            return ids


async def test_titles_and_what_was_said_are_found(store: Store) -> None:
    chat = await say(store, "ada", "Why is the sea blue?\n我们坐船去中国的南方看海", "Ärger an Bord")
    other = await say(store, "ada", "another 南国 matter", "100% sure")
    for query in ("blue", "SEA blu", "arger", "坐船", "海", "中国的南方", "南方 sea"):
        assert await found(store, "ada", query) == [chat], query
    for query in ("sky", "blue bord", "南中", "", "_", "*", "§"):
        assert await found(store, "ada", query) == [], query
    assert await found(store, "ada", "南") == [other, chat]
    assert await found(store, "ada", "100%") == [other]


async def test_what_was_thought_is_not_found_and_names_of_files_are(store: Store) -> None:
    parts = (Part("reasoning", "secretly"), Part("text", "openly"), Part("text", "twice"))
    answer = await say(store, "ada", Message("assistant", parts))
    file = Part("file", "inside", {"attachment": "1", "name": "tide-tables.csv", "media_type": "text/csv"})
    asked = await say(store, "ada", Message("user", (file, Part("text", "openly"))))
    await say(store, "ada", Message("tool", (Part("tool_result", "openly", {"id": "1"}),)))
    assert await found(store, "ada", "openly") == [asked, answer]
    assert await found(store, "ada", "secretly") == await found(store, "ada", "inside") == []
    assert await found(store, "ada", "tide csv") == [asked]


async def test_of_a_text_without_end_the_beginning_is_found(store: Store) -> None:
    rows = "\n".join(f"{number:064x}" for number in range(20_000))
    chat = await say(store, "ada", f"first\n{rows}\nlast")
    assert await found(store, "ada", "first") == await found(store, "ada", f"{9_999:064x}") == [chat]
    assert await found(store, "ada", "last") == []


async def test_others_find_nothing_of_it(store: Store) -> None:
    mine = await say(store, "ada", "the whale sings", "Whales")
    hers = await say(store, "eve", "the whale sings", "Whales")
    assert await found(store, "ada", "whale") == [mine]
    assert await found(store, "eve", "whale") == [hers]
    assert await found(store, "mallory", "whale") == []
    # Not even by the word that says whose an entry is.
    assert await found(store, "mallory", search_index._of_owner("ada")) == []


async def test_a_hit_names_the_newest_message_that_shows_it(store: Store) -> None:
    chat_id = await say(store, "ada", "a whale", "Songs of the  whale")
    await store.write(
        messages.append, "ada", "b" * 32, Message.user("🙂 another\nwhale, " + "x " * 200), chat_id=chat_id
    )
    await store.write(messages.append, "ada", new_id(), Message.user("no more"), chat_id=chat_id)
    (hit,), _ = await store.read(search.find, "ada", "whale")
    match = hit.match
    assert match.message_id == "b" * 32
    assert match.text.startswith("🙂 another whale, x x")
    assert [match.text[a:b] for a, b in match.ranges] == ["whale"]
    assert [hit.chat.title[a:b] for a, b in match.title_ranges] == ["whale"]
    (titled,), _ = await store.read(search.find, "ada", "songs")
    assert (titled.match.message_id, titled.match.text, titled.match.ranges) == (None, "", ())


async def test_a_message_that_holds_the_words_together_is_shown_before_a_newer_one(store: Store) -> None:
    chat_id = await say(store, "ada", "中国人来了")
    await store.write(messages.append, "ada", new_id(), Message.user("中国的外国人"), chat_id=chat_id)
    (hit,), _ = await store.read(search.find, "ada", "中国人")
    assert hit.match.text == "中国人来了"


async def test_chats_that_are_called_so_come_first_over_all_pages(store: Store, ticking: Callable[..., None]) -> None:
    ticking(chats)
    titled = [await say(store, "ada", "nothing", "Whale") for _ in range(3)]
    said = [await say(store, "ada", "a whale", "Nothing") for _ in range(3)]
    await store.write(chats.update, "ada", said[0], pinned=True)
    assert await found(store, "ada", "whale") == [*titled[::-1], said[0], said[2], said[1]]
    with pytest.raises(InvalidRequest, match="cursor"):
        await store.read(search.find, "ada", "whale", cursor="bm9uc2Vuc2U")


async def test_a_search_can_be_among_some(store: Store) -> None:
    plain, foldered, tagged, archived = [await say(store, "ada", "a whale") for _ in range(4)]
    await store.write(chats.update, "ada", foldered, folder="Sea")
    await store.write(chats.update, "ada", tagged, tags=["song"])
    await store.write(chats.update, "ada", archived, archived=True)
    deleted = await say(store, "ada", "a whale")
    await store.write(chats.delete, "ada", deleted)
    await say(store, "ada", "a whale", "Whale", temporary=True)
    assert set(await found(store, "ada", "whale")) == {plain, foldered, tagged, archived}
    assert await found(store, "ada", "whale", folder="Sea") == [foldered]
    assert await found(store, "ada", "whale", tag="song") == [tagged]
    assert await found(store, "ada", "whale", archived=True) == [archived]
    assert set(await found(store, "ada", "whale", archived=False)) == {plain, foldered, tagged}
    await store.write(chats.restore, "ada", deleted)
    assert deleted in await found(store, "ada", "whale")


async def test_a_new_title_replaces_the_old_and_an_answer_is_found_when_it_has_ended(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo", "Before")
    await store.write(chats.update, "ada", chat.id, title="After")
    assert await found(store, "ada", "before") == []
    assert await found(store, "ada", "after") == [chat.id]
    begun = await store.write(
        generations.begin, "ada", new_id(), model="echo", provider="echo", chat_id=chat.id, message=Message.user("Ask")
    )
    for word in ("first", "second"):
        said = Message("assistant", (Part("text", word),), finish_reason="stop")
        if word == "first":
            await store.write(generations.finish, begun.generation.id, said)
        else:
            await store.write(messages.set_body, begun.answer.id, said)
    assert await found(store, "ada", "first") == []
    assert await found(store, "ada", "second") == [chat.id]


async def test_many_messages_that_come_at_once_are_found(store: Store) -> None:
    chat_id = await say(store, "ada", "one")
    await store.write(messages.append_all, "ada", chat_id, [Message.user("two"), Message.user("three")])
    for word in ("one", "two", "three"):
        assert await found(store, "ada", word) == [chat_id]


async def test_a_failed_write_leaves_no_words(store: Store) -> None:
    """The index is written in the transaction of what it speaks of."""
    chat = await store.write(chats.create, "ada", new_id(), "echo")

    def fail(connection: Connection) -> None:
        messages.append(connection, "ada", new_id(), Message.user("unsaid"), chat_id=chat.id)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await store.write(fail)
    assert await found(store, "ada", "unsaid") == []
    await store.write(messages.append, "ada", new_id(), Message.user("said"), chat_id=chat.id)
    assert await found(store, "ada", "said") == [chat.id]


async def test_older_chats_are_taken_in(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The migration's own way to the index finds the same as writing message by message."""
    monkeypatch.setattr(r0015_library, "_ROWS", 2)
    ids = [await say(store, "ada", f"question {number} 南方", f"Title {number}") for number in range(5)]
    for number in range(4):
        await store.write(
            messages.append, "ada", derive_id("ada", str(number)), Message.user(f"more {number}"), chat_id=ids[0]
        )
    empty = Message("assistant", model="echo")
    await store.write(messages.append, "ada", new_id(), empty, chat_id=ids[0])

    def index(connection: Connection) -> list[tuple[int, str]]:
        return [tuple(row) for row in connection.execute(text("SELECT rowid, words FROM search_index ORDER BY rowid"))]

    def places(connection: Connection) -> set[tuple[int, str]]:
        return {tuple(row) for row in connection.execute(tables.search_entries.select())}

    def again(connection: Connection) -> None:
        connection.execute(delete(search_index.index))
        connection.execute(delete(tables.search_entries))
        r0015_library._fill(connection)

    before = await store.read(index), await store.read(places)
    await store.write(again)
    assert (await store.read(index), await store.read(places)) == before
    assert await found(store, "ada", "more 3") == [ids[0]]
