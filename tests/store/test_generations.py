from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from llmws.errors import Conflict, NotFound
from llmws.messages import Message, StreamEvent, Timing, Usage, advance, assemble, coalesce, cut
from llmws.store import Store, chats, derive_id, generations, messages, new_id, tables, usage
from llmws.store.generations import Begun, Generation
from llmws.store.usage import UsageRow

ANSWER = [
    StreamEvent("start", model="echo"),
    StreamEvent("reasoning", text="Think"),
    StreamEvent("reasoning", text="ing."),
    StreamEvent("text", text="Hello, "),
    StreamEvent("text", text="world."),
]
END = StreamEvent("end", finish_reason="stop", timing=Timing(0.1, None, 0.5))


async def begin(store: Store, chat_id: str | None = None, key: str = "send-1", **more: Any) -> Begun:
    more = {"model": "echo", "provider": "echo", "message": Message.user("Hi"), **more}
    return await store.write(generations.begin, "ada", derive_id("ada", key), chat_id=chat_id, **more)


def used(id: str) -> UsageRow:
    return UsageRow("ada", "echo", "echo", "chat", "stop", generation_id=id, input_tokens=2, output_tokens=5)


async def rows(store: Store, table: Any) -> int:
    return await store.read(lambda connection: connection.scalar(select(func.count()).select_from(table)))


async def test_an_answer_from_its_beginning_to_its_end(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    begun = await begin(store, chat.id)
    generation_id = begun.generation.id
    assert begun.created
    assert begun.message is not None
    assert (begun.message.message.text, begun.answer.message.text) == ("Hi", "")
    assert (begun.answer.parent_id, begun.answer.generation_id) == (begun.message.id, generation_id)
    assert (await store.read(chats.get, "ada", chat.id)).running == generation_id

    await store.write(generations.append_segments, generation_id, generations.segments(ANSWER[:4]))
    await store.write(generations.append_segments, generation_id, generations.segments(ANSWER[4:], after=17))
    assert await store.read(generations.events, "ada", generation_id) == coalesce(ANSWER)

    message = assemble([*ANSWER, END])
    ended = await store.write(generations.finish, generation_id, message, used(generation_id))
    assert (ended.state, ended.finish_reason) == ("ended", "stop")
    assert ended == await store.read(generations.get, "ada", generation_id)
    assert await store.read(generations.events, "ada", generation_id) == [*coalesce(ANSWER), END]
    assert [row.message for row in await store.read(messages.path, "ada", chat.id)] == [Message.user("Hi"), message]
    assert (await store.read(usage.page, "ada"))[0][0].generation_id == generation_id
    assert (await store.read(chats.get, "ada", chat.id)).running is None
    assert await rows(store, tables.segments) == 0


async def test_a_repeated_request_finds_the_answer_it_began(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    once = await begin(store, chat.id)
    again = await begin(store, chat.id)
    assert (once.created, again.created) == (True, False)
    assert (again.generation, again.message, again.answer) == (once.generation, once.message, once.answer)
    assert await rows(store, tables.messages) == 2
    with pytest.raises(Conflict, match="Idempotency-Key"):
        await begin(store, None)


async def test_a_chat_answers_one_thing_at_a_time(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    first = await begin(store, chat.id, "send-1")
    with pytest.raises(Conflict, match="still answering") as refused:
        await begin(store, chat.id, "send-2")
    assert refused.value.details == {"generation_id": first.generation.id}
    await store.write(generations.finish, first.generation.id, assemble([*ANSWER, END]))
    second = await begin(store, chat.id, "send-2")
    assert second.message is not None
    assert second.message.parent_id == first.answer.id


async def test_answers_outside_a_chat_do_not_wait_for_each_other(store: Store) -> None:
    begun = [await begin(store, None, f"key-{number}", message=None, purpose="compare") for number in range(3)]
    assert [one.message for one in begun] == [None] * 3
    assert [one.answer.chat_id for one in begun] == [None] * 3
    await store.write(generations.finish, begun[0].generation.id, assemble([*ANSWER, END]))
    found = await store.read(messages.get, "ada", begun[0].answer.id)
    assert found.message.text == "Hello, world."


async def test_others_find_nothing(store: Store) -> None:
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    generation_id = (await begin(store, chat.id)).generation.id
    for attempt in (
        store.read(generations.get, "eve", generation_id),
        store.read(generations.events, "eve", generation_id),
        store.write(generations.begin, "eve", new_id(), model="echo", provider="echo", chat_id=chat.id),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_a_stream_is_kept_without_gaps_and_not_past_its_end(store: Store) -> None:
    generation_id = (await begin(store)).generation.id
    await store.write(generations.append_segments, generation_id, generations.segments(ANSWER[:1]))
    for after in (0, 5):
        with pytest.raises(Conflict, match="continues at 2"):
            await store.write(generations.append_segments, generation_id, generations.segments(ANSWER[1:], after=after))
    await store.write(generations.append_segments, generation_id, generations.segments(ANSWER[1:], after=1))
    await store.write(generations.finish, generation_id, assemble([*ANSWER, END]), used(generation_id))
    with pytest.raises(Conflict, match="ended"):
        await store.write(generations.append_segments, generation_id, generations.segments(ANSWER[:1], after=23))
    with pytest.raises(Conflict, match="already ended"):
        await store.write(generations.finish, generation_id, assemble([*ANSWER, END]), used(generation_id))
    assert await rows(store, tables.usage) == 1


async def test_finishing_is_all_or_nothing(store: Store) -> None:
    first, second = [(await begin(store, None, key)).generation.id for key in ("one", "two")]
    row = used(first)
    await store.write(generations.finish, first, assemble([*ANSWER, END]), row)
    await store.write(generations.append_segments, second, generations.segments(ANSWER))
    with pytest.raises(IntegrityError):
        await store.write(generations.finish, second, assemble([*ANSWER, END]), row)
    assert (await store.read(generations.get, "ada", second)).state == "running"
    assert await store.read(generations.events, "ada", second) == coalesce(ANSWER)


async def test_what_a_crash_left_is_closed_with_what_was_said(store: Store) -> None:
    def settle(generation: Generation, before: Sequence[Message], message: Message) -> UsageRow:
        heard.append([one.text for one in before])
        return UsageRow(
            generation.owner, generation.provider, generation.model, generation.purpose, "interrupted",
            generation_id=generation.id, output_tokens=len(message.text), source="estimate",
        )  # fmt: skip

    heard: list[list[str]] = []
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    said = (await begin(store, chat.id, "said")).generation
    silent = (await begin(store, None, "silent")).generation
    over = (await begin(store, None, "over")).generation
    await store.write(generations.append_segments, said.id, generations.segments(ANSWER))
    await store.write(generations.finish, over.id, assemble([*ANSWER, END]))

    assert await store.write(generations.interrupt_running, settle) == 2
    assert await store.write(generations.interrupt_running, settle) == 0
    broken_off = StreamEvent("end", finish_reason="interrupted")
    assert await store.read(generations.events, "ada", said.id) == [*coalesce(ANSWER), broken_off]
    assert await store.read(generations.events, "ada", silent.id) == [ANSWER[0], broken_off]
    assert (await store.read(generations.get, "ada", over.id)).finish_reason == "stop"
    assert (await store.read(chats.get, "ada", chat.id)).running is None
    spent = {row.generation_id: row.output_tokens for row in (await store.read(usage.page, "ada"))[0]}
    assert spent == {said.id: 13, silent.id: 0}
    assert sorted(heard) == [[], ["Hi"]]
    assert (await begin(store, chat.id, "next")).created


EVENTS = st.one_of(
    st.builds(StreamEvent, st.sampled_from(["text", "reasoning"]), text=st.text(max_size=6)),
    st.builds(StreamEvent, st.just("citation"), data=st.just({"url": "https://example.org"})),
    st.builds(StreamEvent, st.just("warning"), text=st.just("slow")),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(EVENTS, max_size=12), cuts=st.lists(st.integers(0, 13), max_size=4), usage_told=st.booleans())
def test_an_interrupted_stream_folds_to_what_was_seen_live(
    tmp_path_factory: pytest.TempPathFactory, said: list[StreamEvent], cuts: list[int], usage_told: bool
) -> None:
    """Whatever was said and wherever it was flushed: same message, and readers resume at the same positions."""
    live = [StreamEvent("start", model="echo"), *said]
    if usage_told:
        live.append(StreamEvent("usage", usage=Usage(1, 2)))
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('fold') / 'llmws.db'}")
    write = store._writer.submit
    try:
        generation_id = new_id()
        write(generations.begin, "ada", generation_id, model="echo", provider="echo").result()
        position, bounds = 0, sorted({0, len(live), *(min(bound, len(live)) for bound in cuts)})
        for first, last in pairwise(bounds):
            write(generations.append_segments, generation_id, generations.segments(live[first:last], position)).result()
            for event in live[first:last]:
                position = advance(position, event)
        write(generations.interrupt_running).result()
        replayed = write(generations.events, "ada", generation_id).result()
    finally:
        store.close()
    whole = [event for event in live if event.text or event.type not in ("text", "reasoning")]
    whole.append(StreamEvent("end", finish_reason="interrupted"))
    assert assemble(replayed) == assemble(whole)
    for after in range(position + 1):
        assert list(cut(replayed, after)) == list(cut(coalesce(whole), after))


async def test_ending_needs_a_reason(store: Store) -> None:
    generation_id = (await begin(store)).generation.id
    with pytest.raises(ValueError, match="not ended"):
        await store.write(generations.finish, generation_id, assemble(ANSWER))
    assert (await store.read(generations.get, "ada", generation_id)).state == "running"
