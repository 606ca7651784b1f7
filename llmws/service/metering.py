"""The one path on which a model is called: authorised, reserved, sent, and settled whatever happened.

It turns what a provider yields into the stream that others may rely on: `start` first, then the answer as it comes, and
at the end usage, error and `end` together, once what the call used is kept. Who the provider is, and where things are
kept, is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from ..errors import Error, ProviderError
from ..messages import FinishReason, Message, StreamEvent, Timing, Usage
from ..providers.base import CompletionRequest, Provider
from . import access
from .identity import Person

LOG = logging.getLogger("llmws.service")

# An answer is kept in memory until it ends. This is some thousand pages; only a model gone wild writes more.
MAX_CHARACTERS = 4_000_000


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a call comes from, as its caller says: recorded with its usage, trusted for nothing."""

    purpose: str = "chat"
    notebook: str | None = None
    cell: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a model: for whom, of which model (as the workspace names it), and what is asked.

    `turn` is entered before the model is asked: a semaphore there makes calls wait for each other, which does not count
    as time that the model took.
    """

    person: Person
    model: str
    provider_id: str
    provider: Provider
    request: CompletionRequest
    origin: Origin = Origin()
    action: str = "chat"
    warnings: tuple[StreamEvent, ...] = ()
    turn: AbstractAsyncContextManager[Any] = nullcontext()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a call came to. `cost` is None where the model is unpriced, never 0."""

    call: Call
    usage: Usage
    timing: Timing
    finish_reason: FinishReason
    cost: float | None = None
    currency: str | None = None


Settle = Callable[[Receipt, list[StreamEvent]], Awaitable[list[StreamEvent]]]


async def metered(
    call: Call,
    publish: Callable[[StreamEvent], None],
    settle: Settle,
    stopped: Callable[[], FinishReason] = lambda: "cancelled",
) -> None:
    """Call a model and `publish` what it says; never raises for what a provider does.

    Args:
        settle: keeps the receipt, given also the stream's tail (usage, error, end), and returns the tail to publish.
        stopped: why this task was cancelled, if it was.
    """
    meter = _Meter(call)
    publish(StreamEvent("start", model=call.model))
    try:
        _reserve(call)
        for warning in call.warnings:
            publish(warning)
        async with call.turn:
            await meter.run(publish)
    except asyncio.CancelledError:
        meter.finish_reason = stopped()
    except Error as problem:
        meter.fail(problem)
    except Exception as problem:
        LOG.exception("provider %s failed in a way it should not", call.provider.name)
        meter.fail(ProviderError(f"The provider failed unexpectedly ({type(problem).__name__}).", remedy="Try again."))
    finally:
        receipt, tail = meter.receipt()
        for event in await settle(receipt, tail):
            publish(event)


def _reserve(call: Call) -> None:
    """Refuse what may not be; budgets and limits are checked, and held, here."""
    access.require(call.person, call.action)


class _Meter:
    """Measures one call while it runs."""

    def __init__(self, call: Call) -> None:
        self.finish_reason: FinishReason = "error"
        self._call = call
        self._begun = time.monotonic()
        self._first_token_s: float | None = None
        self._reasoning_since: float | None = None
        self._reasoning_s: float | None = None
        self._usage: Usage | None = None
        self._error: StreamEvent | None = None
        self._reached = False
        self._characters = 0
        self._spoken: dict[str, list[str]] = {"reasoning": [], "text": [], "tool_call": []}

    async def run(self, publish: Callable[[StreamEvent], None]) -> None:
        self._begun = time.monotonic()
        async with aclosing(self._call.provider.stream(self._call.request)) as events:
            async for event in events:
                self._reached = True
                match event.type:
                    case "start":
                        continue
                    case "usage":
                        self._usage = event.usage
                    case "error":
                        self._error = event
                    case "end":
                        self.finish_reason = event.finish_reason or "stop"
                        return
                    case _:
                        self._measure(event)
                        publish(_encodable(event))
                if self._characters > MAX_CHARACTERS:
                    text = f"The answer was cut off after {MAX_CHARACTERS:,} characters."
                    publish(StreamEvent("warning", text=text, data={"code": "answer_too_long"}))
                    self.finish_reason = "length"
                    return
        if self._error is None:
            self.fail(ProviderError("The provider broke off its answer.", remedy="Try again.", retryable=True))

    def fail(self, problem: Error) -> None:
        """The call ended with `problem`; an error that the provider told itself goes first."""
        self.finish_reason = "error"
        data = {"code": problem.code, "remedy": problem.remedy, "retryable": getattr(problem, "retryable", False)}
        if problem.details:
            data["details"] = problem.details
        self._error = self._error or StreamEvent("error", text=problem.message, data=data)

    def receipt(self) -> tuple[Receipt, list[StreamEvent]]:
        """What the call came to, and the end of its stream."""
        now = time.monotonic()
        self._reasoned_until(now)
        timing = Timing(self._first_token_s, self._reasoning_s, now - self._begun)
        receipt = Receipt(self._call, self._usage or self._estimate(), timing, self.finish_reason)
        tail = [StreamEvent("usage", usage=receipt.usage)]
        if self._error is not None:
            tail.append(self._error)
        end = StreamEvent("end", finish_reason=receipt.finish_reason, timing=timing, cost=None)
        return receipt, [*tail, end]

    def _measure(self, event: StreamEvent) -> None:
        now = time.monotonic()
        if event.type in self._spoken:
            if self._first_token_s is None:
                self._first_token_s = now - self._begun
            said = event.text or str(event.data.get("arguments", ""))
            self._spoken[event.type].append(said)
            self._characters += len(said)
        if event.type != "reasoning":
            self._reasoned_until(now)
        elif self._reasoning_since is None:
            self._reasoning_since = now

    def _reasoned_until(self, now: float) -> None:
        if self._reasoning_since is not None:
            self._reasoning_s = (self._reasoning_s or 0.0) + now - self._reasoning_since
            self._reasoning_since = None

    def _estimate(self) -> Usage:
        # A provider that was never reached has used nothing.
        if not self._reached:
            return Usage(source="estimate")
        tokens = {kind: estimate_tokens("".join(said)) for kind, said in self._spoken.items()}
        return Usage(
            input_tokens=sum(estimate_message(message) for message in self._call.request.messages),
            output_tokens=sum(tokens.values()),
            reasoning_tokens=tokens["reasoning"],
            source="estimate",
        )


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` is: a quarter of its ASCII characters, and one for each other.

    Tokenisers differ by a third either way (https://platform.openai.com/tokenizer); this errs on the high side.

    Example:
        >>> estimate_tokens("How are you?"), estimate_tokens("你好吗")
        (3, 3)
    """
    plain = len(text.encode("ascii", "ignore"))
    return -(-plain // 4) + len(text) - plain


def estimate_message(message: Message) -> int:
    """The same for a message, with what a chat template puts around it."""
    return 4 + sum(estimate_tokens(part.text) for part in message.parts if part.type != "reasoning")


def estimate_messages(messages: Iterable[Message]) -> int:
    return sum(estimate_message(message) for message in messages)


def _encodable(event: StreamEvent) -> StreamEvent:
    """The event, with what is half a character replaced: a model server may cut a surrogate pair in two."""
    data = {key: _whole(value) if isinstance(value, str) else value for key, value in event.data.items()}
    return replace(event, text=_whole(event.text), data=data)


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
