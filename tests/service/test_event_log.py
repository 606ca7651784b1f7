"""The log of a running stream: whoever reads it, whenever and however it is compacted meanwhile, reads the same."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from llmws.messages import StreamEvent, advance, coalesce
from llmws.service.event_log import EventLog, Numbered

END = StreamEvent("end", finish_reason="stop")
deltas = st.builds(StreamEvent, st.sampled_from(["text", "reasoning"]), text=st.text(min_size=1, max_size=5))
others = st.builds(StreamEvent, st.sampled_from(["warning", "citation"]), text=st.just("w"))
events = st.lists(st.one_of(deltas, deltas, others, st.none()), max_size=40)


@given(events, st.data())
def test_every_position_reads_the_rest_whatever_was_compacted(
    steps: list[StreamEvent | None], data: st.DataObject
) -> None:
    log, whole = EventLog(), [StreamEvent("start")]
    log.append(whole[0])
    for step in steps:
        if step is None:
            log.compact()
        else:
            log.append(step)
            whole.append(step)
    position = 0
    for event in whole:
        position = advance(position, event)
    assert log.position == position
    after = data.draw(st.integers(0, position))
    read = log.after(after)
    assert coalesce(event for _, event in log.after(0)) == coalesce(whole)
    assert "".join(event.text for _, event in read if event.type in ("text", "reasoning")) == tail(whole, after)
    assert read[-1][0] == position if read else after == position
    assert all(number > after for number, _ in read)


def tail(whole: list[StreamEvent], after: int) -> str:
    """What is said past a position, letter by letter."""
    letters, position = [], 0
    for event in whole:
        for letter in event.text if event.type in ("text", "reasoning") else " ":
            position += 1
            if position > after and event.type in ("text", "reasoning"):
                letters.append(letter)
    return "".join(letters)


async def collect(log: EventLog, position: int) -> list[Numbered]:
    return [numbered async for batch in log.follow(position, silence_s=30) for numbered in batch]


async def test_readers_of_every_pace_read_the_same() -> None:
    log = EventLog()
    log.append(StreamEvent("start"))
    readers = [asyncio.create_task(collect(log, position)) for position in (0, 0, 1, 4)]
    for n in range(20):
        log.append(StreamEvent("text", text=f"{n} "))
        if n % 7 == 0:
            log.compact()
        if n % 3 == 0:
            await asyncio.sleep(0)
    log.append(END)
    first, *others = [coalesce(event for _, event in await reader) for reader in readers]
    said = "".join(f"{n} " for n in range(20))
    assert [event.type for event in first] == ["start", "text", "end"]
    assert first[1].text == said
    assert others[0] == first
    assert [event.text for event in others[1]] == [said, ""]
    assert [event.text for event in others[2]] == [said[3:], ""]


async def test_nobody_leaves_without_the_end() -> None:
    log = EventLog()
    log.append(StreamEvent("start"))
    early = asyncio.create_task(collect(log, 99))
    await asyncio.sleep(0)
    log.append(END)
    assert [number for number, _ in await early] == [2]
    assert [number for number, _ in await collect(log, 99)] == [2]
    assert [number for number, _ in await collect(log, 2)] == [2]


async def test_silence_is_told() -> None:
    log = EventLog()
    batches = log.follow(0, silence_s=0.01)
    assert await anext(batches) == []
    log.append(END)
    assert await anext(batches) == [(1, END)]
    await batches.aclose()
