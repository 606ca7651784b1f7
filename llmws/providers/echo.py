"""A model that needs no key, no network and no weights: it says what it was told.

Tests, benchmarks and a first look use it, so its behaviour can be scripted through ``Parameters.extra``: it paces
itself as models do and fails as they fail.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import cycle, islice
from typing import Any

from ..errors import ProviderError
from ..messages import StreamEvent, Usage
from .base import CompletionRequest, ModelInfo, error_event, invalid

MODEL = ModelInfo("echo", "Echo", context=1_000_000, vision=False, tools=True, reasoning=True)

_AMOUNTS = {"count": (int,), "fail_after": (int,), "delay_s": (int, float), "tokens_per_s": (int, float)}


@dataclass(frozen=True, slots=True)
class Script:
    """What ``Parameters.extra`` may say to `Echo`.

    Args:
        tokens: what to say, instead of the prompt.
        count: how many tokens to say, over and over, instead of each once.
        reasoning: what to think before.
        delay_s: seconds before each token.
        tokens_per_s: the same as a rate.
        fail_after: break off after so many tokens; 0 refuses before the first event.
        fail_code: with this code of a `ProviderError`.
        tool_calls: calls to make at the end: each with ``name`` and ``arguments``, which is JSON as text.
    """

    tokens: list[str] | None = None
    count: int | None = None
    reasoning: str = ""
    delay_s: float = 0.0
    tokens_per_s: float = 0.0
    fail_after: int | None = None
    fail_code: str = "provider_overloaded"
    tool_calls: tuple[Mapping[str, str], ...] = ()

    @classmethod
    def from_extra(cls, extra: Mapping[str, Any]) -> Script:
        """Read a script; what cannot be is a `ProviderError`."""
        known = [f.name for f in fields(cls)]
        for name, value in extra.items():
            if name not in known:
                raise invalid(f"Echo does not know the parameter {name!r}.", f"It knows {', '.join(known)}.")
            if name in _AMOUNTS and not (type(value) in _AMOUNTS[name] and value >= 0):
                raise invalid(f"Echo's parameter {name} is {value!r}.", "Make it a number from 0 on.")
            if name == "tokens" and not (isinstance(value, list) and all(isinstance(it, str) for it in value)):
                raise invalid(f"Echo's parameter tokens is {value!r}.", "Make it a list of texts.")
        return cls(**extra)

    @property
    def pause_s(self) -> float:
        return 1.0 / self.tokens_per_s if self.tokens_per_s else self.delay_s


class Echo:
    """The provider of the model ``echo``.

    Example:
        >>> from llmws.messages import Message, assemble
        >>> async def ask():
        ...     request = CompletionRequest("echo", (Message.user("Is there an echo?"),))
        ...     return assemble([event async for event in Echo().stream(request)])
        >>> asyncio.run(ask()).text
        'Is there an echo?'
    """

    def __init__(self, name: str = "Echo") -> None:
        self.name = name

    async def models(self) -> list[ModelInfo]:
        return [MODEL]

    async def aclose(self) -> None:
        """Nothing is held open."""

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        if request.model != "echo":
            raise ProviderError(
                f"Echo has no model {request.model!r}.", remedy="Its model is 'echo'.", code="provider_not_found"
            )
        script = Script.from_extra(request.parameters.extra)
        failure = ProviderError("Echo failed, as it was told to.", code=script.fail_code, retryable=True)
        if script.fail_after == 0:
            raise failure
        yield StreamEvent("start", model=request.model)

        spoken = {"reasoning": 0, "text": 0}
        full = False
        due = asyncio.get_running_loop().time()
        for event in _say(request, script):
            full = event.type == "text" and spoken["text"] == request.parameters.max_tokens
            if full or sum(spoken.values()) == script.fail_after:
                break
            due += script.pause_s
            # Also without a pause: a model that never waits would hold the event loop until it has done.
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            spoken[event.type] += 1
            yield event

        failed = sum(spoken.values()) == script.fail_after
        if not (full or failed):
            for index, call in enumerate(script.tool_calls):
                yield StreamEvent("tool_call", data={"index": index, "id": f"call_{index}", **call})
        yield StreamEvent("usage", usage=_usage(request, spoken))
        if failed:
            yield error_event(failure)
            yield StreamEvent("end", finish_reason="error")
        else:
            yield StreamEvent("end", finish_reason="length" if full else "tool_calls" if script.tool_calls else "stop")


def _say(request: CompletionRequest, script: Script) -> Iterator[StreamEvent]:
    for token in _tokens(script.reasoning):
        yield StreamEvent("reasoning", text=token)
    prompts = [message.text for message in request.messages if message.role == "user"]
    tokens = _tokens(prompts[-1] if prompts else "") if script.tokens is None else script.tokens
    for token in tokens if script.count is None else islice(cycle(tokens), script.count):
        yield StreamEvent("text", text=token)


def _usage(request: CompletionRequest, spoken: Mapping[str, int]) -> Usage:
    read = sum(len(_tokens(message.text)) for message in request.messages)
    return Usage(read, spoken["reasoning"] + spoken["text"], reasoning_tokens=spoken["reasoning"])


def _tokens(text: str) -> list[str]:
    """Echo's tokens: words with the space before them.

    Example:
        >>> _tokens("To be,  or")
        ['To', ' be,', '  or']
    """
    return re.findall(r"\s*\S+|\s+$", text)
