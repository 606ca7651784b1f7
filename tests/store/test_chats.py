from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmws.errors import InvalidRequest, NotFound
from llmws.messages import Message, Parameters
from llmws.store import Store, chats, derive_id, messages, new_id


async def test_a_chat_is_kept_as_it_was_made_and_changed(store: Store) -> None:
    parameters = Parameters(temperature=0.2, stop=("END",), extra={"top_k": 3})
    made = await store.write(chats.create, "ada", new_id(), "echo", "船と海", "Be brief.", parameters)
    changed = await store.write(
        chats.update, "ada", made.id, title="Ships", model="other", parameters=Parameters(seed=7)
    )
    found = await store.read(chats.get, "ada", made.id)
    assert (made.title, made.system, made.parameters, made.running) == ("船と海", "Be brief.", parameters, None)
    assert found == changed
    assert (found.title, found.model, found.system, found.parameters.seed) == ("Ships", "other", "Be brief.", 7)
    assert found.updated_at > found.created_at


async def test_a_repeated_request_finds_the_chat_it_made(store: Store) -> None:
    chat_id = derive_id("ada", "new-chat-1")
    made = await store.write(chats.create, "ada", chat_id, "echo", "First")
    again = await store.write(chats.create, "ada", chat_id, "echo", "First")
    assert made == again
    assert (await store.read(chats.page, "ada"))[0] == [made]


async def test_others_find_nothing(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo", "Secret")
    attempts = [(chats.get, {}), (chats.update, {"title": "x"}), (chats.delete, {}), (chats.restore, {})]
    for function, changes in attempts:
        with pytest.raises(NotFound):
            await store.write(function, "eve", chat.id, **changes)
    assert (await store.read(chats.page, "eve"))[0] == []
    assert await store.read(chats.get, "ada", chat.id) == chat


async def test_deleting_hides_a_chat_until_it_is_restored(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    await store.write(chats.delete, "ada", chat.id)
    assert (await store.read(chats.page, "ada"))[0] == []
    with pytest.raises(NotFound):
        await store.read(messages.page, "ada", chat.id)
    assert await store.write(chats.restore, "ada", chat.id) == chat
    assert (await store.read(chats.page, "ada"))[0] == [chat]


@pytest.mark.parametrize("step", [1.0, 0.0], ids=["clock moves", "all in the same instant"])
async def test_pages_stay_right_while_chats_come_and_move(
    store: Store, ticking: Callable[..., None], step: float
) -> None:
    ticking(chats, step=step)
    made = [(await store.write(chats.create, "ada", new_id(), "echo")).id for _ in range(25)]
    first, cursor = await store.read(chats.page, "ada", limit=10)
    ticking(chats, start=2_000.0)
    new = await store.write(chats.create, "ada", new_id(), "echo")
    await store.write(chats.update, "ada", first[0].id, title="moves to the top")
    second, cursor = await store.read(chats.page, "ada", limit=10, cursor=cursor)
    third, end = await store.read(chats.page, "ada", limit=10, cursor=cursor)
    seen = [chat.id for page in (first, second, third) for chat in page]
    assert sorted(seen) == sorted(made)
    assert new.id not in seen
    assert end is None
    if step:
        assert seen == made[::-1]


@pytest.mark.parametrize("cursor", ["x", "", "bm9uc2Vuc2U", "W10", "WyJhIiwgMV0"])
async def test_a_cursor_that_nobody_was_given_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        await store.read(chats.page, "ada", cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 100_000])
async def test_a_page_has_a_length(store: Store, limit: int) -> None:
    with pytest.raises(InvalidRequest, match="limit"):
        await store.read(chats.page, "ada", limit=limit)


@pytest.mark.parametrize(
    ("query", "found"),
    [("ärger", ["Ärger an Bord"]), ("BORD", ["Ärger an Bord"]), ("100%", ["100% sure"]), ("_", []), ("航", ["远航"])],
)
async def test_titles_are_searched_whatever_their_case(store: Store, query: str, found: list[str]) -> None:
    for title in ("Ärger an Bord", "100% sure", "100 men", "远航"):
        await store.write(chats.create, "ada", new_id(), "echo", title)
    assert [chat.title for chat in (await store.read(chats.page, "ada", query=query))[0]] == found


async def test_only_what_may_change_does(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    other = await store.write(chats.create, "ada", new_id(), "echo")
    elsewhere = await store.write(messages.append, "ada", new_id(), Message.user("Hello"), chat_id=other.id)
    forbidden: dict[str, Any] = {"owner": "eve"}
    with pytest.raises(TypeError, match="owner"):
        await store.write(chats.update, "ada", chat.id, **forbidden)
    with pytest.raises(NotFound, match="message"):
        await store.write(chats.update, "ada", chat.id, head_id=elsewhere.id)
