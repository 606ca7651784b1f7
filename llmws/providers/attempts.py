"""A call that does not give up at once: another key, another try after a pause, another model.

`Attempts` is a provider like any other, put in front of those that can answer. It may try anew as long as a person has
seen nothing; after the first reasoning, text, tool call or citation an answer stands or falls by itself. Keys and
models come in as arguments; who paid for them, and where they are kept, is not known here.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any

from ..errors import Error, ProviderError
from ..messages import StreamEvent, Usage
from .base import CompletionRequest, Embedder, Embeddings, ModelInfo, Provider, error_event
from .key_ring import MOST_KNOWN, Key, KeyRing

VISIBLE = frozenset({"reasoning", "text", "tool_call", "citation"})
# What is wrong with the request is wrong with every model; and whom one vendor's filter stops, no other shall serve.
_FINAL = frozenset({"provider_invalid", "provider_content_filter"})
# What says something about a provider, and not about a key, an account or a request.
_ITS_OWN_FAULT = frozenset({"provider", "provider_network", "provider_overloaded", "provider_timeout"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may answer.

    Args:
        model_id: its id in the workspace, such as ``deepseek/deepseek-chat``.
        provider_id: the id of its provider there.
        name: what people call the provider.
        model: its id at the provider.
        open: gives the provider that asks with this key; it stays open, and whoever made it closes it.
        ring: the provider's keys; None where it needs none.
    """

    model_id: str
    provider_id: str
    name: str
    model: str
    open: Callable[[Key | None], Provider]
    ring: KeyRing | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a model is asked again.

    The pause before the n-th further try is drawn between 0 and ``first_pause_s * 2 ** n`` ("full jitter",
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), or is what the server demands and a
    little more. No pause is begun that would end later than `total_s` after the call began, nor one of more than
    `beside_others_s` while there is another model to ask.
    """

    tries: int = 3
    total_s: float = 60.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 20.0
    beside_others_s: float = 5.0

    def pause_s(self, tries: int, error: Error, chance: float) -> float:
        """How long to wait after so many `tries`, the last of which met `error`."""
        told = error.details.get("retry_after_s")
        if told is not None:
            return float(told) + chance * self.first_pause_s
        return chance * min(self.longest_pause_s, self.first_pause_s * 2 ** min(tries, 30))


@dataclass(slots=True)
class _Rest:
    in_a_row: int = 0
    until: float = 0.0


class Cooldowns:
    """Which models failed too often of late to be asked first; outlives the calls.

    After so many `failures` in a row a model rests. When its rest is over, one call tries it while the others go on
    without; what that call meets decides.

    Args:
        rest_s: how long the first rest is; each further one is twice as long, up to `longest_s`.
    """

    def __init__(
        self,
        failures: int = 3,
        rest_s: float = 15.0,
        longest_s: float = 300.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures = failures
        self._rest_s = rest_s
        self._longest_s = longest_s
        self._clock = clock
        self._rests: dict[str, _Rest] = {}

    def in_order(self, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
        """The `candidates`, those that rest last: one that may be broken is still better than no answer.

        Whether one rests is looked up when it is its turn.
        """
        resting = []
        for candidate in candidates:
            if len(candidates) > 1 and self._rests_now(candidate.model_id):
                resting.append(candidate)
            else:
                yield candidate
        yield from resting

    def failed(self, model_id: str) -> None:
        if len(self._rests) >= MOST_KNOWN:
            self._rests.pop(next(iter(self._rests)))
        rest = self._rests.setdefault(model_id, _Rest())
        rest.in_a_row += 1
        if (beyond := rest.in_a_row - self._failures) >= 0:
            rest.until = self._clock() + min(self._longest_s, self._rest_s * 2 ** min(beyond, 30))

    def worked(self, model_id: str) -> None:
        self._rests.pop(model_id, None)

    def _rests_now(self, model_id: str) -> bool:
        rest = self._rests.get(model_id)
        if rest is None or rest.in_a_row < self._failures:
            return False
        if self._clock() < rest.until:
            return True
        # This call is the one that tries; until it knows, the others see a rest.
        rest.until = self._clock() + self._rest_s
        return False


@dataclass(slots=True)
class _Attempt:
    """One try; whoever makes it says how it `failed`, or leaves that None."""

    candidate: Candidate
    key: Key | None
    provider: Provider
    failed: Error | None = None


@dataclass(slots=True)
class _Journey:
    """What a call met on its way, and what the tries of the model that is being asked have used."""

    met: list[tuple[Candidate, Error]] = field(default_factory=list)
    spent: Usage | None = None

    def counted(self, event: StreamEvent) -> StreamEvent:
        """A `usage` with what earlier tries used; any other event as it is."""
        if event.usage is None or self.spent is None:
            return event
        return replace(event, usage=_sum(self.spent, event.usage))

    def opened(self, asked: Candidate, who: Candidate, held: Sequence[StreamEvent]) -> Iterator[StreamEvent]:
        """The `held` begin of an answer, which says who gives it and why, where that is not who was `asked`."""
        for event in held:
            if event.type == "start" and who.model_id != asked.model_id:
                yield replace(event, data={**event.data, "answered_by": who.model_id})
                why = [error.message for candidate, error in self.met if candidate is asked]
                why = why[-1:] or [f"{asked.name} failed repeatedly and is left alone for a while."]
                text = " ".join((why[0], f"{who.model_id} answers instead of {asked.model_id}."))
                yield StreamEvent("warning", text=text, data={"code": "fallback", "answered_by": who.model_id})
            else:
                yield self.counted(event)

    def end(self) -> Error:
        """The last failure, with what was tried."""
        last = copy(self.met[-1][1])
        if len(self.met) > 1:
            runs = groupby(candidate.model_id for candidate, _ in self.met)
            last.message += f" Tried: {', '.join(f'{model} {_times(len(list(run)))}' for model, run in runs)}."
            tried = [{"model": each.model_id, "code": error.code, "message": error.message} for each, error in self.met]
            last.details = {**last.details, "tried": tried}
        return last


class Attempts:
    """The provider of a model with keys and fallbacks; see `Provider`.

    A failure that may pass is tried again with `patience`, one of a key with another key, and when neither helps the
    next candidate is asked. The `start` of an answer that another model than the first gives says so in
    ``answered_by``, and a `warning` of code ``fallback`` why.

    Args:
        candidates: who may answer, the one that was asked for first.
        cooldowns: shared by all calls; of its own unless given.
        sleep, chance, clock: asyncio's, a random number from 0 up to 1, and seconds, unless given.

    Example:
        >>> from llmws.messages import Message, assemble
        >>> from llmws.providers.echo import Echo
        >>> echo = Candidate("echo", "echo", "Echo", "echo", lambda key: Echo())
        >>> async def ask():
        ...     request = CompletionRequest("echo", (Message.user("Hi"),))
        ...     return assemble([event async for event in Attempts([echo]).stream(request)])
        >>> asyncio.run(ask()).text
        'Hi'
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        cooldowns: Cooldowns | None = None,
        patience: Patience | None = None,
        *,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = candidates[0].name
        self._candidates = tuple(candidates)
        self._cooldowns = cooldowns or Cooldowns()
        self._patience = patience or Patience()
        self._sleep = sleep
        self._chance = chance
        self._clock = clock

    async def aclose(self) -> None:
        """Nothing of its own is open."""

    async def models(self) -> list[ModelInfo]:
        """What the provider of the first candidate lists."""
        first = self._candidates[0]
        return await first.open(first.ring.take("") if first.ring else None).models()

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        journey = _Journey()
        async with aclosing(self._attempts(self._candidates, journey)) as attempts:
            async for attempt in attempts:
                spoke = False
                async with aclosing(self._answer(attempt, request, journey)) as answer:
                    async for event in answer:
                        spoke = True
                        yield event
                if spoke:
                    return
        error = journey.end()
        if journey.spent is None or not isinstance(error, ProviderError):
            raise error
        # It failed, and yet used something: that is to be settled.
        yield StreamEvent("start", model=request.model)
        yield StreamEvent("usage", usage=journey.spent)
        yield error_event(error)
        yield StreamEvent("end", finish_reason="error")

    async def embed(self, model: str, inputs: Sequence[str], dimensions: int | None = None) -> Embeddings:
        """Ask for vectors; never of another model than was asked for: its vectors would mean something else."""
        journey = _Journey()
        async with aclosing(self._attempts(self._candidates[:1], journey)) as attempts:
            async for attempt in attempts:
                if not isinstance(attempt.provider, Embedder):
                    raise ProviderError(
                        f"{self.name} makes no embeddings.", remedy="Choose another model.", code="provider_invalid"
                    )
                try:
                    made = await attempt.provider.embed(attempt.candidate.model, inputs, dimensions)
                except Error as error:
                    attempt.failed = error
                    continue
                self._worked(attempt)
                return made
        raise journey.end()

    async def _answer(
        self, attempt: _Attempt, request: CompletionRequest, journey: _Journey
    ) -> AsyncGenerator[StreamEvent, None]:
        """What is seen of an attempt: nothing, if it fails before there is something to see."""
        held: list[StreamEvent] | None = []
        spent: Usage | None = None
        async with aclosing(attempt.provider.stream(replace(request, model=attempt.candidate.model))) as events:
            try:
                async for event in events:
                    if event.type == "error":
                        attempt.failed = _raised(event)
                    if held is None:
                        yield journey.counted(event)
                        continue
                    spent = event.usage or spent
                    held.append(event)
                    if attempt.failed is not None:
                        break
                    if event.type in VISIBLE or event.type == "end":
                        self._worked(attempt)
                        for each in journey.opened(self._candidates[0], attempt.candidate, held):
                            yield each
                        held = None
            except Error as error:
                attempt.failed = error
                if held is None:
                    raise
        if held is None:
            if attempt.failed is not None:
                self._blame(attempt.candidate, attempt.key, attempt.failed)
            return
        attempt.failed = attempt.failed or ProviderError(f"{self.name} broke off its answer.", retryable=True)
        if spent is not None:
            journey.spent = spent if journey.spent is None else _sum(journey.spent, spent)

    async def _attempts(self, candidates: Sequence[Candidate], journey: _Journey) -> AsyncGenerator[_Attempt, None]:
        """Try after try, while the last one failed and another may help."""
        latest = self._clock() + self._patience.total_s
        others = len(candidates)
        for candidate in self._cooldowns.in_order(candidates):
            others -= 1
            journey.spent = None
            # Keys that this call takes no more, and those that it takes only after a pause.
            refused: set[str] = set()
            limited: set[str] = set()
            tries = 0
            while True:
                key: Key | None = None
                try:
                    if candidate.ring is not None:
                        key = candidate.ring.take(candidate.model, but=refused | limited)
                    attempt = _Attempt(candidate, key, candidate.open(key))
                except Error as error:
                    failed = error
                else:
                    yield attempt
                    if attempt.failed is None:
                        return
                    failed = attempt.failed
                journey.met.append((candidate, failed))
                if failed.code in _FINAL:
                    return
                if self._blame(candidate, key, failed) and key is not None and candidate.ring is not None:
                    (limited if failed.code == "provider_rate" else refused).add(key.id)
                    if candidate.ring.has_free(candidate.model, but=refused | limited):
                        continue
                limited.clear()
                tries += 1
                pause_s = self._patience.pause_s(tries, failed, self._chance())
                longest_s = self._patience.beside_others_s if others else self._patience.total_s
                if not getattr(failed, "retryable", False) or tries >= self._patience.tries or pause_s > longest_s:
                    break
                if self._clock() + pause_s > latest:
                    break
                await self._sleep(pause_s)

    def _worked(self, attempt: _Attempt) -> None:
        self._cooldowns.worked(attempt.candidate.model_id)
        if attempt.key is not None and attempt.candidate.ring is not None:
            attempt.candidate.ring.worked(attempt.key.id, attempt.candidate.model)

    def _blame(self, candidate: Candidate, key: Key | None, error: Error) -> bool:
        """Keep in mind what `error` says of the candidate or its key; whether another key may do better."""
        if error.code in _ITS_OWN_FAULT:
            self._cooldowns.failed(candidate.model_id)
        if candidate.ring is None or key is None or not isinstance(error, ProviderError):
            return False
        return candidate.ring.park(key.id, candidate.model, error) or error.code == "provider_auth"


def _raised(event: StreamEvent) -> ProviderError:
    """The error that an event tells."""
    data = event.data
    return ProviderError(
        event.text,
        remedy=str(data.get("remedy", "")),
        code=str(data.get("code", "provider")),
        retryable=bool(data.get("retryable", False)),
        details=data.get("details"),
    )


def _sum(one: Usage, other: Usage) -> Usage:
    tokens = {name: value + getattr(other, name) for name, value in asdict(one).items() if name.endswith("_tokens")}
    return Usage(**tokens, source="estimate" if "estimate" in (one.source, other.source) else "provider")


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
