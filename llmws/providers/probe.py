"""What a model can do, found out by asking it: a tool to call, a picture to see, a form to keep to, a riddle.

Lists of models tell this seldom and catalogues tell it late. Each question is small, costs at most `MOST_TOKENS`, and
goes through the caller's own `ask`, who meters it; what is found comes with what was seen, for a person to judge.
"""

from __future__ import annotations

import base64
import json
import random
import re
import struct
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ..errors import Error, ProviderError, from_dict
from ..messages import Message, Parameters, Part, Tool
from .base import CompletionRequest, Embeddings

# A model that thinks before it calls a tool needs some.
MOST_TOKENS = 512

Ask = Callable[[CompletionRequest], Awaitable[Message]]
Embed = Callable[[Sequence[str]], Awaitable[Embeddings]]

# What says nothing of the model: then there is nothing to find out now.
_PASSING = frozenset(f"provider_{word}" for word in ("auth", "balance", "rate", "overloaded", "network", "timeout"))

_COLOURS = {
    "red": (220, 20, 20),
    "green": (20, 160, 20),
    "blue": (20, 20, 220),
    "yellow": (250, 230, 20),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
_TOOL = Tool(
    "note_number",
    "Takes down a number.",
    {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
)
_FORM = {
    "type": "object",
    "properties": {"polite": {"type": "boolean"}, "words": {"type": "integer"}},
    "required": ["polite", "words"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out of one capability: `value` is None where nothing was, and `evidence` a short sentence."""

    name: Literal["embeddings", "tools", "vision", "json_schema", "reasoning"]
    value: bool | None
    evidence: str
    source: ClassVar[Literal["probe"]] = "probe"


async def probe(
    model: str, ask: Ask, embed: Embed | None = None, *, chance: Callable[[], float] = random.random
) -> AsyncGenerator[Verdict, None]:
    """Ask `model` (its provider's own id) and yield a verdict for each capability, one after the other.

    Args:
        ask: asks a model and gives the whole answer; a failure is its `error`, or is raised.
        embed: the same for vectors; None where the provider makes none.

    Raises:
        ProviderError: the model cannot be asked now, so that nothing more can be found out.
    """
    embeds = False
    if embed is not None:
        embeds = (verdict := await _embeddings(embed)).value is True
        yield verdict
    for question in (_tools(), _vision(chance), _json_schema(), _reasoning()):
        told = await _answer(ask, CompletionRequest(model, question.messages, question.parameters, **question.more))
        if isinstance(told, Message):
            yield Verdict(question.name, *question.judge(told))
            continue
        if told.code == "provider_not_found" and not embeds:
            raise told
        if _is_passing(told, question.words):
            raise told
        # A model of embeddings answers no question at all, whatever words refuse it.
        yield Verdict(question.name, False, _short(told.message))


@dataclass(frozen=True, slots=True)
class _Question:
    """Args:
    judge: what an answer shows.
    words: what a refusal speaks of that means this capability.
    """

    name: Literal["tools", "vision", "json_schema", "reasoning"]
    messages: tuple[Message, ...]
    judge: Callable[[Message], tuple[bool | None, str]]
    words: str
    parameters: Parameters = Parameters(max_tokens=MOST_TOKENS)
    more: Mapping[str, Any] = field(default_factory=dict)


def _tools() -> _Question:
    def judge(message: Message) -> tuple[bool | None, str]:
        calls = [part.data for part in message.parts if part.type == "tool_call"]
        if not calls:
            return _failed(message, "It answered in words and called nothing.")
        number = _json(str(calls[0].get("arguments", ""))).get("number")
        call = f"{calls[0].get('name')}({calls[0].get('arguments')})"
        if calls[0].get("name") == _TOOL.name and number == 7:
            return True, _short(f"It called {call}.")
        return False, _short(f"It called {call}, not {_TOOL.name} with 7.")

    question = Message.user(f"Call the tool {_TOOL.name} with the number 7.")
    more = {"tools": (_TOOL,), "tool_choice": _TOOL.name}
    return _Question("tools", (question,), judge, "tool|function", more=more)


def _vision(chance: Callable[[], float]) -> _Question:
    """Two colours, since one is guessed too easily by who sees nothing."""
    names = list(_COLOURS)
    left = names.pop(int(chance() * len(names)))
    right = names.pop(int(chance() * len(names)))

    def judge(message: Message) -> tuple[bool | None, str]:
        said = re.findall("|".join(_COLOURS), message.text.lower())
        if said == [left, right]:
            return True, f"It saw that a picture is {left} on the left and {right} on the right."
        text = f"Of a picture that is {left} and {right} it said “{_short(message.text, 60)}”."
        return _failed(message, text)

    picture = base64.b64encode(halves(_COLOURS[left], _COLOURS[right])).decode()
    question = (
        "The left and the right half of this picture have one colour each. Name the two, the left one first, and say"
        f" nothing else. The colours are among {', '.join(_COLOURS)}."
    )
    parts = (Part("image", data={"url": f"data:image/png;base64,{picture}"}), Part("text", question))
    return _Question("vision", (Message("user", parts),), judge, "image|vision|visual|multimodal|mmproj|content type")


def _json_schema() -> _Question:
    def judge(message: Message) -> tuple[bool | None, str]:
        told = _json(message.text)
        kept = told.keys() == {"polite", "words"} and isinstance(told["polite"], bool)
        if kept and isinstance(told["words"], int):
            return True, f"Its answer follows the schema: “{_short(message.text, 60)}”."
        return _failed(message, f"Its answer does not follow the schema: “{_short(message.text, 60)}”.")

    # Nothing in the question asks for JSON: who answers in it was held to it.
    return _Question(
        "json_schema", (Message.user("Say hello."),), judge, "schema|format|grammar", more={"schema": _FORM}
    )


def _reasoning() -> _Question:
    def judge(message: Message) -> tuple[bool | None, str]:
        if message.reasoning:
            return True, _short(f"It thought first: “{_short(message.reasoning, 60)}”.")
        if message.usage is not None and message.usage.reasoning_tokens:
            return True, f"It thought for {message.usage.reasoning_tokens} tokens, without showing them."
        return False, "It answered without thinking first."

    question = Message.user("A farmer has 17 sheep. All but 9 run away. How many are left? Answer with the number.")
    thinking = Parameters(max_tokens=MOST_TOKENS, reasoning_effort="low")
    return _Question("reasoning", (question,), judge, "reason|think|effort", thinking)


async def _embeddings(embed: Embed) -> Verdict:
    try:
        made = await embed(["hello"])
    except ProviderError as error:
        if _is_passing(error, "embed"):
            raise
        return Verdict("embeddings", False, _short(error.message))
    length = len(made.vectors[0]) if made.vectors else 0
    return Verdict("embeddings", length > 0, f"It made a vector of {length} numbers.")


async def _answer(ask: Ask, request: CompletionRequest) -> Message | ProviderError:
    """The answer, or how the provider refused it; what went wrong on our side (a limit, say) is raised."""
    try:
        message = await ask(request)
    except ProviderError as refusal:
        return refusal
    if message.error is None:
        return message
    told = from_dict(message.error, ProviderError.status)
    if not isinstance(told, ProviderError):
        raise told
    return told


def _is_passing(error: Error, words: str) -> bool:
    """Whether `error` says nothing of the model: llama.cpp refuses a picture with a 500, as others say that they are
    overloaded.
    """
    if error.code == "provider_overloaded":
        return not re.search(words, error.message.lower())
    return error.code in _PASSING


def _failed(message: Message, evidence: str) -> tuple[bool | None, str]:
    """The verdict of an answer that does not show what was hoped for."""
    if message.finish_reason == "length" and message.reasoning and not message.text:
        return None, f"It was still thinking after {MOST_TOKENS} tokens."
    return False, evidence


def _json(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _short(text: str, limit: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> bytes:
    """A PNG of 128 by 64 pixels, the left half of one colour and the right of another.

    See https://www.w3.org/TR/png-3/. Smaller ones are refused by some, and seen badly by others.

    Example:
        >>> len(halves((255, 0, 0), (0, 0, 255))) < 300
        True
    """
    row = b"\0" + bytes(left) * 64 + bytes(right) * 64
    header = struct.pack(">IIBBBBB", 128, 64, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(row * 64, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
