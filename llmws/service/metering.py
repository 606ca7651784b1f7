"""The one path on which a model is called: authorised, reserved, sent, and settled whatever happened.

It turns what a provider yields into the stream that others may rely on: `start` first, then the answer as it comes, and
at the end usage, error and `end` together, once what the call used is kept. What a call costs, and whether it may be,
is the ledger's to say; who the provider is, and where things are kept, is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

from ..errors import Error, ProviderError
from ..messages import FinishReason, Message, Part, StreamEvent, Timing, Usage
from ..providers.base import CompletionRequest, Provider
from ..store.usage import UsageRow
from ..store.values import whole
from . import access
from .allowances import NOTHING, Allowance, Demand
from .identity import Person

LOG = logging.getLogger("llmws.service")

# An answer is kept in memory until it ends. This is some thousand pages; only a model gone wild writes more.
MAX_CHARACTERS = 4_000_000
# No call takes so many: who reports more counts wrongly, or would empty a budget of everybody's.
MAX_TOKENS = 100_000_000


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
    as time that the model took. `ask` asks for something else than an answer to `request`, which is then only what the
    call is estimated by (its messages are the input, `max_tokens` the output: 0 for embeddings).
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
    ask: Callable[[], AsyncGenerator[StreamEvent, None]] | None = None

    def stream(self) -> AsyncGenerator[StreamEvent, None]:
        return self.provider.stream(self.request) if self.ask is None else self.ask()


@dataclass(frozen=True, slots=True)
class Bill:
    """What a call costs: None where the model is unpriced, never 0. `price` is what was applied, in a line."""

    cost: Decimal | None = None
    currency: str | None = None
    price: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a call came to.

    Args:
        answered_by: the model that answered, by its id in the workspace: another than was asked where one stepped in.
        refused: it was not sent, because it may not be, or was stopped before its turn; it used nothing.
        error: the code of what went wrong.
        at: when it ended, as epoch seconds.
    """

    call: Call
    usage: Usage
    timing: Timing
    finish_reason: FinishReason
    answered_by: str
    bill: Bill = Bill()
    refused: bool = False
    error: str | None = None
    at: float = 0.0


@dataclass(eq=False, slots=True)
class Hold:
    """What is held back for a call that runs.

    Args:
        tokens, cost: how much it may use, as far as a limit asks for it; the cost is in `currency`.
        taken: what each of the limits that bind it holds for it.
        warnings: for whom the call is made.
    """

    call: Call
    tokens: Demand = NOTHING
    cost: Demand = NOTHING
    currency: str = ""
    taken: tuple[tuple[Allowance, int | Decimal], ...] = ()
    warnings: tuple[StreamEvent, ...] = ()


class Book(Protocol):
    """What the path asks of the ledger (`ledger.Ledger`)."""

    async def reserve(self, call: Call) -> Hold:
        """Hold back what the call may come to, or raise the `Error` that says why it may not be."""

    def bill(self, answered_by: str, usage: Usage, at: float) -> Bill:
        """What `usage` costs of the model that answered."""

    def settle(self, hold: Hold, receipt: Receipt) -> None:
        """Give back what was held, and count what was used instead; called once for each hold, whatever happened."""


Settle = Callable[[Receipt, list[StreamEvent]], Awaitable[list[StreamEvent]]]


async def metered(
    call: Call,
    ledger: Book,
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
    hold: Hold | None = None
    publish(StreamEvent("start", model=call.model))
    try:
        access.require(call.person, call.action)
        async with call.turn:
            hold = await ledger.reserve(call)
            for warning in (*call.warnings, *hold.warnings):
                publish(warning)
            await meter.run(publish)
    except asyncio.CancelledError:
        meter.finish_reason = stopped()
    except Error as problem:
        meter.fail(problem)
    except Exception as problem:
        LOG.exception("provider %s failed in a way it should not", call.provider.name)
        meter.fail(ProviderError(f"The provider failed unexpectedly ({type(problem).__name__}).", remedy="Try again."))
    finally:
        receipt = meter.receipt(ledger, refused=hold is None)
        if hold is not None:
            # Before it is kept: the next call is to find it counted, and what was spent is, kept or not.
            ledger.settle(hold, receipt)
        for event in await settle(receipt, meter.tail(receipt)):
            publish(event)


def usage_row(receipt: Receipt, generation_id: str | None = None) -> UsageRow | None:
    """What a call used, as it is kept; None where it was refused before it was sent."""
    if receipt.refused:
        return None
    call, bill, usage = receipt.call, receipt.bill, receipt.usage
    stepped_in, _, _ = receipt.answered_by.partition("/")
    return UsageRow(
        call.person.name,
        # Whose bill it is on.
        provider=call.provider_id if receipt.answered_by == call.model else stepped_in,
        model=call.model,
        purpose=call.origin.purpose,
        outcome=receipt.finish_reason,
        generation_id=generation_id,
        first_token_s=receipt.timing.first_token_s,
        total_s=receipt.timing.total_s,
        cost=bill.cost,
        currency=bill.currency,
        price=bill.price,
        notebook=call.origin.notebook,
        cell=call.origin.cell,
        groups=tuple(sorted(call.person.groups)),
        answered_by=receipt.answered_by,
        error=receipt.error,
        created_at=receipt.at,
        # Not `asdict`, which costs more than all the rest: this is done once for each call.
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        source=usage.source,
    )


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
        self._answered_by = call.model
        self._reached = False
        self._characters = 0
        self._spoken: dict[str, list[str]] = {"reasoning": [], "text": [], "tool_call": []}

    async def run(self, publish: Callable[[StreamEvent], None]) -> None:
        self._begun = time.monotonic()
        async with aclosing(self._call.stream()) as events:
            async for event in events:
                self._reached = True
                match event.type:
                    case "start":
                        self._answered_by = str(event.data.get("answered_by") or self._call.model)
                        continue
                    case "usage":
                        self._usage = event.usage if _is_likely(event.usage) else None
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

    def receipt(self, ledger: Book, *, refused: bool) -> Receipt:
        """What the call came to."""
        now, at = time.monotonic(), time.time()
        self._reasoned_until(now)
        timing = Timing(self._first_token_s, self._reasoning_s, now - self._begun)
        usage = self._usage or self._estimate()
        bill = Bill() if refused else ledger.bill(self._answered_by, usage, at)
        code = str(self._error.data.get("code", ""))[:64] if self._error is not None else None
        return Receipt(
            self._call, usage, timing, self.finish_reason, self._answered_by, bill, refused, code or None, at
        )

    def tail(self, receipt: Receipt) -> list[StreamEvent]:
        """The end of the stream."""
        tail = [StreamEvent("usage", usage=receipt.usage)]
        if self._error is not None:
            tail.append(self._error)
        cost = None if receipt.bill.cost is None else float(receipt.bill.cost)
        end = StreamEvent("end", finish_reason=receipt.finish_reason, timing=receipt.timing)
        return [*tail, replace(end, cost=cost, currency=receipt.bill.currency)]

    def _measure(self, event: StreamEvent) -> None:
        now = time.monotonic()
        if event.type in self._spoken:
            if self._first_token_s is None:
                self._first_token_s = now - self._begun
            self._spoken[event.type].append(event.text or str(event.data.get("arguments", "")))
        self._characters += len(event.text) + sum(len(str(value)) for value in event.data.values())
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
    said = sum(estimate_tokens(part.text) for part in message.parts if part.type != "reasoning")
    return 4 + said + sum(_estimate_picture(part) for part in message.parts if part.type == "image")


def _estimate_picture(part: Part) -> int:
    """As Anthropic counts, who scales down what is larger: https://platform.claude.com/docs/en/build-with-claude/vision"""
    # What a request or a file says of a picture may be anything; less than nothing would make room in a limit.
    width, height = (one if isinstance(one, int) and one > 0 else 0 for one in map(part.data.get, ("width", "height")))
    return min(width * height // 750, 1600)


def estimate_messages(messages: Iterable[Message]) -> int:
    return sum(estimate_message(message) for message in messages)


def _is_likely(usage: Usage | None) -> bool:
    """Whether a call can have used this: something, and no more than a database can add up."""
    if usage is None or not usage.input_tokens + usage.output_tokens:
        return False
    read = max(usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens)
    return max(read, usage.output_tokens, usage.reasoning_tokens) <= MAX_TOKENS


def _encodable(event: StreamEvent) -> StreamEvent:
    """The event, with what is half a character replaced: a model server may cut a surrogate pair in two."""
    if event.text.isascii() and not event.data:
        return event
    data = {key: whole(value) if isinstance(value, str) else value for key, value in event.data.items()}
    return replace(event, text=whole(event.text), data=data)
