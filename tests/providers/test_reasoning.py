"""Where thinking ends and speaking begins, however it is cut."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmws.messages import StreamEvent, coalesce
from llmws.providers.reasoning import ReasoningSplitter


def split(deltas: Iterable[str], opens_in_reasoning: bool = False) -> list[tuple[str, str]]:
    splitter = ReasoningSplitter(opens_in_reasoning)
    events: list[StreamEvent] = []
    for delta in deltas:
        events += splitter.feed(delta)
    events += splitter.flush()
    assert all(event.text for event in events)
    return [(event.type, event.text) for event in coalesce(events)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hello", [("text", "Hello")]),
        ("", []),
        ("  Hello", [("text", "  Hello")]),
        ("<think>Hm.</think>Yes", [("reasoning", "Hm."), ("text", "Yes")]),
        ("\n<think>\nHm.\n</think>\n\nYes\n", [("reasoning", "Hm.\n"), ("text", "Yes\n")]),
        ("<think>\n\n</think>\n\nYes", [("text", "Yes")]),
        ("<think>a</think>\n<think>b</think>c", [("reasoning", "ab"), ("text", "c")]),
        ("<think>never closed", [("reasoning", "never closed")]),
        ("<think>1 < 2 </ 3 </thin", [("reasoning", "1 < 2 </ 3 </thin")]),
        ("<thinking>", [("text", "<thinking>")]),
        ("<thi", [("text", "<thi")]),
        ("The tag <think> opens, </think> closes", [("text", "The tag <think> opens, </think> closes")]),
        ("<think>a</think>b <think>c</think>", [("reasoning", "a"), ("text", "b <think>c</think>")]),
        ("no tag </think> here", [("text", "no tag </think> here")]),
    ],
)
def test_a_tag_counts_before_the_text(text: str, parts: list[tuple[str, str]]) -> None:
    assert split([text]) == parts
    assert split(text) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("\nHm.</think>Yes", [("reasoning", "Hm."), ("text", "Yes")]),
        ("<think>\nHm.</think>Yes", [("reasoning", "Hm."), ("text", "Yes")]),
        ("never closed", [("reasoning", "never closed")]),
        ("</think>Yes", [("text", "Yes")]),
    ],
)
def test_a_stream_may_begin_inside_the_reasoning(text: str, parts: list[tuple[str, str]]) -> None:
    assert split([text], opens_in_reasoning=True) == parts
    assert split(text, opens_in_reasoning=True) == parts


PIECES = st.sampled_from(["<think>", "</think>", "<th", "ink>", "</", "<", "think", " ", "\n", "a", "思", "👋"])


@given(st.lists(PIECES, max_size=12), st.booleans())
def test_the_split_does_not_matter(pieces: list[str], opens_in_reasoning: bool) -> None:
    whole = "".join(pieces)
    assert split(pieces, opens_in_reasoning) == split([whole], opens_in_reasoning) == split(whole, opens_in_reasoning)


def test_nothing_is_held_back_that_cannot_be_a_tag() -> None:
    splitter = ReasoningSplitter()
    assert [event.text for event in splitter.feed("<think>So a <")] == ["So a "]
    assert [event.text for event in splitter.feed(" b")] == ["< b"]
    assert list(splitter.feed("</th")) == []
    assert [event.text for event in splitter.feed("e")] == ["</the"]


@pytest.mark.parametrize(
    ("before", "released"),
    [("", []), ("\n", []), ("<thi", [("text", "<thi")]), ("<think>Hm</thi", [("reasoning", "</thi")])],
)
def test_once_the_server_tells_them_apart_a_tag_is_text(before: str, released: list[tuple[str, str]]) -> None:
    splitter = ReasoningSplitter()
    list(splitter.feed(before))
    assert [(event.type, event.text) for event in splitter.release()] == released
    later = [*splitter.feed(" <think>"), *splitter.release(), *splitter.feed("Yes"), *splitter.flush()]
    assert [(event.type, event.text) for event in coalesce(later)] == [("text", " <think>Yes")]
