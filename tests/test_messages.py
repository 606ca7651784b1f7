"""Streams fold into messages, are numbered, cut, coalesced and replayed without a loss."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmws.messages import (
    Message,
    Parameters,
    Part,
    StreamEvent,
    Timing,
    Usage,
    advance,
    assemble,
    coalesce,
    cut,
    replay,
)

DELTAS = st.builds(StreamEvent, st.sampled_from(["text", "reasoning"]), text=st.text(min_size=1, max_size=8))
MARKS = st.builds(
    StreamEvent, st.sampled_from(["text", "reasoning"]), data=st.sampled_from([{"signature": "s"}, {"redacted": "r"}])
)
WARNINGS = st.builds(StreamEvent, st.just("warning"), text=st.text(min_size=1, max_size=8))


@st.composite
def streams(draw: st.DrawFn) -> list[StreamEvent]:
    middle = draw(st.lists(DELTAS | MARKS | WARNINGS, max_size=20))
    usage = draw(st.none() | st.builds(Usage, st.integers(0, 99), st.integers(0, 99)))
    timing = Timing(0.1, None, draw(st.floats(0.2, 9.0)))
    told = [StreamEvent("usage", usage=usage)] if usage else []
    end = StreamEvent("end", finish_reason="stop", timing=timing, cost=0.5, currency="CNY")
    return [StreamEvent("start", model="m"), *middle, *told, end]


@given(streams())
def test_replaying_a_message_folds_back_into_it_with_the_positions_of_the_live_stream(live: list[StreamEvent]) -> None:
    message = assemble(live)
    assert assemble(replay(message)) == message
    assert [number for number, _ in cut(replay(message), 0)][-1] == [number for number, _ in cut(live, 0)][-1]


@given(streams(), st.data())
def test_a_reader_who_stopped_anywhere_misses_nothing(live: list[StreamEvent], data: st.DataObject) -> None:
    numbered = list(cut(live, 0))
    stop = data.draw(st.integers(0, len(numbered)))
    seen = [event for _, event in numbered[:stop]]
    position = numbered[stop - 1][0] if stop else 0
    stored = coalesce(live)
    rest = [event for _, event in cut(stored, position)]
    assert assemble(seen + rest) == assemble(live)


@given(st.lists(DELTAS | MARKS | WARNINGS, max_size=20))
def test_coalescing_keeps_order_and_positions(events: list[StreamEvent]) -> None:
    joined = coalesce(events)
    assert assemble(joined) == assemble(events)
    assert sum(advance(0, event) for event in joined) == sum(advance(0, event) for event in events)
    assert all(a.type != b.type or "warning" in a.type or a.data or b.data for a, b in itertools.pairwise(joined))


def test_a_mark_counts_one_and_stays_apart_also_from_its_twin() -> None:
    mark = StreamEvent("reasoning", data={"signature": "s", "wire": "anthropic_messages"})
    live = [StreamEvent("reasoning", text="Hm"), mark, mark, StreamEvent("reasoning", text="So")]
    assert [number for number, _ in cut(live, 0)] == [2, 3, 4, 6]
    assert coalesce(live) == live
    assert [part.data for part in assemble(live).parts] == [{}, mark.data, mark.data, {}]
    assert [number for number, _ in cut(replay(assemble(live)), 0)] == [1, 3, 4, 5, 7]


@given(streams())
def test_events_and_messages_survive_json(live: list[StreamEvent]) -> None:
    wire = json.loads(json.dumps([event.to_dict() for event in live]))
    assert [StreamEvent.from_dict(value) for value in wire] == live
    message = assemble(live)
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == message


def test_a_tool_call_is_folded_from_its_pieces() -> None:
    message = assemble(
        [
            StreamEvent("tool_call", data={"index": 0, "id": "c1", "name": "add", "arguments": '{"a":'}),
            StreamEvent("tool_call", data={"index": 0, "arguments": " 1}"}),
            StreamEvent("tool_call", data={"index": 1, "id": "c2", "name": "sub", "arguments": "{}"}),
        ]
    )
    assert [part.data["name"] for part in message.parts] == ["add", "sub"]
    assert json.loads(message.parts[0].data["arguments"]) == {"a": 1}


def test_an_open_stream_gives_what_was_said_so_far() -> None:
    message = assemble(
        [StreamEvent("start", model="m"), StreamEvent("reasoning", text="hm"), StreamEvent("text", text="A")]
    )
    assert (message.text, message.reasoning, message.finish_reason) == ("A", "hm", None)


def test_an_error_says_code_and_remedy() -> None:
    failed = StreamEvent("error", text="It broke.", data={"code": "provider_network", "remedy": "Try again."})
    message = assemble([StreamEvent("start"), failed, StreamEvent("end", finish_reason="error")])
    assert message.error == {"message": "It broke.", "code": "provider_network", "remedy": "Try again."}
    assert assemble(replay(message)) == message


def test_tokens_per_second_leaves_out_the_wait_for_the_first() -> None:
    message = Message("assistant", (Part("text", "x"),), usage=Usage(1, 11), timing=Timing(1.0, None, 2.0))
    assert message.tokens_per_s == pytest.approx(10.0)
    assert Message("assistant").tokens_per_s is None


def test_keys_of_a_newer_version_are_ignored_and_unknown_events_refused() -> None:
    assert StreamEvent.from_dict({"type": "text", "text": "a", "newer": 1}) == StreamEvent("text", text="a")
    with pytest.raises(ValueError, match="surprise"):
        StreamEvent.from_dict({"type": "surprise"})


def test_a_parameter_without_effect_is_refused() -> None:
    assert Parameters.from_dict({"stop": ["x"], "temperature": 0.0}).to_dict() == {"stop": ["x"], "temperature": 0.0}
    with pytest.raises(ValueError, match="temprature"):
        Parameters.from_dict({"temprature": 0.1})
