"""The functions that models call in a chat: what of it is kept, and that every call has its result; pure.

They run in the person's own kernel, if the person lets them. The service takes the results, of just those calls that
the model made, and never more rounds of them than a person could mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, with_config

from ..errors import Conflict, InvalidRequest
from ..messages import Message, Part, StreamEvent, Tool
from .bodies import STRICT, Name, Text, storable

# Rounds of calls and results between two messages of a person.
MOST_ROUNDS = 25
# An answer that ends so has perhaps not said all of its last call, and waits for nothing.
_BROKEN = ("cancelled", "interrupted", "error", "length", "content_filter")
_NO_RESULT = "There is no result: the conversation went on without it."


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class GivenTool:
    """A function that the model may call; `parameters` is the JSON schema of its arguments."""

    # What all vendors take: https://platform.openai.com/docs/api-reference/chat/create#chat_create-tools
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: Text = ""
    parameters: Annotated[dict[str, Any], BeforeValidator(storable)] = Field(default_factory=dict)


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class GivenResult:
    """What came of a call: what the function returned, or why it did not; a person may have `denied` it."""

    id: Name
    text: Annotated[Text, Field(max_length=200_000)]
    error: bool = False
    denied: bool = False


GivenTools = Annotated[tuple[GivenTool, ...], Field(max_length=128)]
GivenResults = Annotated[tuple[GivenResult, ...], Field(max_length=128)]


def result_message(results: Iterable[GivenResult]) -> Message:
    """The message that tells a model what came of its calls.

    Example:
        >>> result_message([GivenResult(id="c1", text="3")]).parts[0].data
        {'id': 'c1'}
    """
    told = (Part.tool_result(one.id, one.text, error=one.error, denied=one.denied) for one in results)
    return Message("tool", tuple(told))


def check_results(path: Sequence[Message]) -> None:
    """That the last message tells of each call of the one before, once, and of nothing else.

    Raises:
        Conflict: the model did not make these calls, or the conversation has gone on.
        InvalidRequest: the model called functions too often in a row.
    """
    asked = {_id(part) for part in _calls(path[-2])} if len(path) > 1 and waits(path[-2]) else set()
    told = [_id(part) for part in path[-1].parts]
    if not asked or set(told) != asked or len(told) != len(asked):
        raise Conflict(
            "These are not the results of the calls that the conversation waits for.",
            remedy="Look at the conversation again: it may have gone on, or been answered in another tab.",
        )
    last = max((number for number, message in enumerate(path) if message.role == "user"), default=0)
    if sum(message.role == "tool" for message in path[last:]) > MOST_ROUNDS:
        raise InvalidRequest(
            f"The model called functions {MOST_ROUNDS} times in a row without an answer.",
            remedy="Say how it shall go on.",
            code="tool_loop",
        )


def waits(message: Message) -> bool:
    """Whether an answer waits for the results of its calls."""
    return message.role == "assistant" and message.finish_reason == "tool_calls" and any(_calls(message))


def settled(messages: Sequence[Message]) -> tuple[Message, ...]:
    """`messages` with a result for every call, as providers demand it: where a person went on, that there is none.

    Example:
        >>> call = Part("tool_call", data={"id": "c1", "name": "look", "arguments": "{}"})
        >>> [one.role for one in settled([Message("assistant", (call,)), Message.user("Never mind.")])]
        ['assistant', 'tool', 'user']
    """
    told: list[Message] = []
    open_calls: list[Part] = []
    for message in messages:
        if message.role == "tool":
            known = {_id(part): part for part in message.parts}
            parts = [known.get(_id(call)) or _without_result(call) for call in open_calls]
            message = replace(message, parts=tuple(parts))
        elif open_calls:
            told.append(Message("tool", tuple(map(_without_result, open_calls))))
        open_calls = []
        if message.role == "assistant":
            if message.finish_reason in _BROKEN:
                message = replace(message, parts=tuple(part for part in message.parts if part.type != "tool_call"))
            open_calls = _calls(message)
        if message.parts:
            told.append(message)
    if open_calls:
        told.append(Message("tool", tuple(map(_without_result, open_calls))))
    return tuple(told)


def offered(tools: Iterable[GivenTool], can: bool | None) -> tuple[tuple[Tool, ...], tuple[StreamEvent, ...]]:
    """The functions that a model is told of; where it is known to call none, the warning that says so."""
    given = tuple(Tool(tool.name, tool.description, tool.parameters) for tool in tools)
    if given and can is False:
        data = {"code": "dropped", "parameter": "tools"}
        text = "The functions were not passed on: this model does not call any."
        return (), (StreamEvent("warning", text=text, data=data),)
    return given, ()


def _calls(message: Message) -> list[Part]:
    return [part for part in message.parts if part.type == "tool_call"]


def _id(part: Part) -> str:
    # A file that was imported may say anything.
    return str(part.data.get("id", ""))


def _without_result(call: Part) -> Part:
    return Part.tool_result(_id(call), _NO_RESULT, error=True)
