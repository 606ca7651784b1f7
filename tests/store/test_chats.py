from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from llmws.errors import Conflict, InvalidRequest, NotFound
from llmws.messages import Message, Parameters, Part, StreamEvent
from llmws.store import Store, chats, derive_id, generations, messages, new_id, search, search_index, tables
from llmws.store.chats import Heading
from llmws.store.usage import UsageRow


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


def cursor_of(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        *("x", "", "bm9uc2Vuc2U", "W10", "WyJhIiwgMV0"),
        cursor_of(f'[true, {"1" * 400}, "x"]'),
        cursor_of("[" * 100_000),
    ],
)
async def test_a_cursor_that_nobody_was_given_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        await store.read(chats.page, "ada", cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 100_000])
async def test_a_page_has_a_length(store: Store, limit: int) -> None:
    with pytest.raises(InvalidRequest, match="limit"):
        await store.read(chats.page, "ada", limit=limit)


async def test_a_chat_is_put_in_order_without_becoming_today_s(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo", "Moons")
    placed: dict[str, Any] = {"folder": "Sky", "tags": ["b", "a", "b"], "pinned": True, "archived": True}
    changed = await store.write(chats.update, "ada", chat.id, **placed)
    assert (changed.folder, changed.tags, changed.pinned, changed.archived) == ("Sky", ("a", "b"), True, True)
    assert changed.updated_at == chat.updated_at
    back: dict[str, Any] = {"folder": "", "tags": [], "pinned": False, "archived": False}
    assert await store.write(chats.update, "ada", chat.id, **back) == chat


async def test_lists_are_of_a_folder_a_tag_or_the_archive(store: Store, ticking: Callable[..., None]) -> None:
    ticking(chats)
    names = ("plain", "pinned", "foldered", "foldered and pinned", "tagged", "archived", "deleted")
    made = {name: (await store.write(chats.create, "ada", new_id(), "echo", name)).id for name in names}
    await store.write(chats.create, "ada", new_id(), "echo", "temporary", temporary=True)
    for name in ("pinned", "foldered and pinned"):
        await store.write(chats.update, "ada", made[name], pinned=True)
    for name in ("foldered", "foldered and pinned", "deleted"):
        await store.write(chats.update, "ada", made[name], folder="Sky")
    for name in ("tagged", "foldered", "archived"):
        await store.write(chats.update, "ada", made[name], tags=["star", name])
    await store.write(chats.update, "ada", made["archived"], archived=True)
    await store.write(chats.delete, "ada", made["deleted"])

    async def listed(**among: Any) -> list[str]:
        return [chat.title for chat in (await store.read(chats.page, "ada", **among))[0]]

    assert await listed() == ["foldered and pinned", "pinned", "tagged", "foldered", "plain"]
    assert await listed(folder="") == ["foldered and pinned", "pinned", "tagged", "plain"]
    assert await listed(folder="Sky") == ["foldered and pinned", "foldered"]
    assert await listed(tag="star") == ["tagged", "foldered"]
    assert await listed(archived=True) == ["archived"]
    assert await listed(archived=None, tag="star") == ["archived", "tagged", "foldered"]
    assert await store.read(chats.folders, "ada") == [Heading("Sky", 2)]
    assert await store.read(chats.tags, "ada") == [Heading("foldered", 1), Heading("star", 2), Heading("tagged", 1)]


async def test_pinned_chats_come_first_over_all_pages(store: Store, ticking: Callable[..., None]) -> None:
    ticking(chats)
    made = [(await store.write(chats.create, "ada", new_id(), "echo")).id for _ in range(7)]
    for number in (0, 3, 5):
        await store.write(chats.update, "ada", made[number], pinned=True)
    seen, cursor = [], None
    while True:
        page, cursor = await store.read(chats.page, "ada", 2, cursor)
        seen += [chat.id for chat in page]
        if cursor is None:
            break
    assert seen == [made[number] for number in (5, 3, 0, 6, 4, 2, 1)]


async def test_a_folder_is_renamed_with_all_that_is_in_it(store: Store) -> None:
    here, archived, deleted = [(await store.write(chats.create, "ada", new_id(), "echo")).id for _ in range(3)]
    for one in (here, archived, deleted):
        await store.write(chats.update, "ada", one, folder="Sky")
    hers = await store.write(chats.create, "eve", new_id(), "echo")
    await store.write(chats.update, "eve", hers.id, folder="Sky")
    await store.write(chats.update, "ada", archived, archived=True)
    await store.write(chats.delete, "ada", deleted)
    assert await store.write(chats.rename_folder, "ada", "Sky", "Sea") == 3
    assert (await store.write(chats.restore, "ada", deleted)).folder == "Sea"
    assert (await store.read(chats.get, "eve", hers.id)).folder == "Sky"
    assert await store.write(chats.rename_folder, "ada", "Sea", "") == 3
    assert await store.read(chats.folders, "ada") == []
    # What is in no folder is no folder.
    assert await store.write(chats.rename_folder, "ada", "", "Everything") == 0


async def test_erasing_leaves_nothing_but_what_it_cost(store: Store) -> None:
    ids = [(await store.write(chats.create, "ada", new_id(), "echo", "Whale songs")).id for _ in range(2)]
    for one in ids:
        await store.write(chats.update, "ada", one, tags=["sea"])
        said = Message.user("unheard whale")
        begun = await store.write(
            generations.begin, "ada", new_id(), model="echo", provider="echo", chat_id=one, message=said
        )
        stretch = generations.segments([StreamEvent("text", text="whale answer")])
        await store.write(generations.append_segments, begun.generation.id, stretch)
        answer = Message("assistant", (Part("text", "whale answer"),), finish_reason="stop")
        used = UsageRow("ada", provider="echo", model="echo", purpose="chat", outcome="stop")
        await store.write(generations.finish, begun.generation.id, answer, used)

    def rows(connection: Connection) -> dict[str, int]:
        told = [*tables.metadata.sorted_tables, search_index.index]
        return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in told}

    before = await store.read(rows)
    await store.write(chats.erase, [ids[0]])
    kept = {"usage": 2, "usage_hours": before["usage_hours"]}
    assert await store.read(rows) == {name: kept.get(name, count // 2) for name, count in before.items()}
    assert [hit.chat.id for hit in (await store.read(search.find, "ada", "whale"))[0]] == [ids[1]]
    with pytest.raises(NotFound):
        await store.write(chats.restore, "ada", ids[0])


async def test_what_is_due_for_erasing_is_what_is_old_and_silent(store: Store, ticking: Callable[..., None]) -> None:
    ticking(chats, start=0.0, step=0.0)
    old, kept, answering = [
        (await store.write(chats.create, "ada", new_id(), "echo", temporary=temporary)).id
        for temporary in (True, False, True)
    ]
    deleted = (await store.write(chats.create, "ada", new_id(), "echo")).id
    await store.write(chats.delete, "ada", deleted)
    await store.write(generations.begin, "ada", new_id(), model="echo", provider="echo", chat_id=answering)
    ticking(chats, start=100.0, step=0.0)
    await store.write(chats.update, "ada", kept, title="later")
    assert await store.read(chats.outdated, 0.0, 0.0) == []
    assert set(await store.read(chats.outdated, 50.0, 0.0)) == {deleted}
    assert set(await store.read(chats.outdated, 50.0, 50.0)) == {deleted, old}
    with pytest.raises(Conflict, match="still answering"):
        await store.write(chats.erase_temporary, "ada", answering)


async def test_only_what_may_change_does(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    other = await store.write(chats.create, "ada", new_id(), "echo")
    elsewhere = await store.write(messages.append, "ada", new_id(), Message.user("Hello"), chat_id=other.id)
    forbidden: dict[str, Any] = {"owner": "eve"}
    with pytest.raises(TypeError, match="owner"):
        await store.write(chats.update, "ada", chat.id, **forbidden)
    with pytest.raises(NotFound, match="message"):
        await store.write(chats.update, "ada", chat.id, head_id=elsewhere.id)
