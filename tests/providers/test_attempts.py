"""A call that does not give up at once, and never says anything twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmws.addresses import AddressPolicy
from llmws.errors import Error, ProviderError, Unavailable
from llmws.messages import StreamEvent, Usage, assemble
from llmws.outbound import new_client
from llmws.providers.attempts import VISIBLE, Attempts, Candidate, Cooldowns, Patience
from llmws.providers.base import CompletionRequest, Embeddings, ModelInfo, error_event
from llmws.providers.key_ring import Key, KeyRing
from llmws.providers.openai_chat import OpenAIChat

from .conftest import DONE, LIMIT_S, Upstream, ask, chunk

RATE = ProviderError("Slow down.", code="provider_rate", retryable=True, details={"status": 429})
BUSY = ProviderError("Overloaded.", code="provider_overloaded", retryable=True)
GONE = ProviderError("Nothing listens.", code="provider_network", retryable=True)
AUTH = ProviderError("Wrong key.", code="provider_auth", details={"status": 401})
PAID = ProviderError("No balance.", code="provider_balance", details={"status": 402})
WRONG = ProviderError("No such parameter.", code="provider_invalid")
ALL = [RATE, BUSY, GONE, AUTH, PAID, WRONG]

# What a provider does when it is asked: an error is raised; in a list it is told in the stream.
Act = Error | list[StreamEvent | ProviderError] | str


def later(error: ProviderError, retry_after_s: float) -> ProviderError:
    details = {**error.details, "retry_after_s": retry_after_s}
    return ProviderError(error.message, code=error.code, retryable=error.retryable, details=details)


class Scripted:
    """Does what its script says, one act a call; the last act stays. A text is an answer."""

    def __init__(self, *acts: Act) -> None:
        self.name = "Scripted"
        self.acts = list(acts)
        self.asked: list[tuple[str | None, str]] = []
        self.open = 0
        self._key: Key | None = None

    def with_key(self, key: Key | None) -> Scripted:
        self._key = key
        return self

    async def models(self) -> list[ModelInfo]:
        return [ModelInfo("m", "M")]

    async def aclose(self) -> None:
        """Nothing is held open."""

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        self.asked.append((self._key.id if self._key else None, request.model))
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        if isinstance(act, Error):
            raise act
        self.open += 1
        try:
            yield StreamEvent("start", model=request.model)
            for each in [StreamEvent("text", text=act)] if isinstance(act, str) else act:
                if isinstance(each, ProviderError):
                    yield error_event(each)
                    yield StreamEvent("end", finish_reason="error")
                    return
                yield each
            yield StreamEvent("end", finish_reason="stop")
        finally:
            self.open -= 1


class Time:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.pauses.append(seconds)
        self.now += seconds


def candidate(id: str, provider: Scripted, *keys: str, time: Time | None = None) -> Candidate:
    ring = KeyRing(id, [Key(key, f"sk-{key}") for key in keys], clock=time or Time(), chance=lambda: 0.0)
    return Candidate(f"{id}/m", id, id.title(), f"{id}-m", provider.with_key, ring if keys else None)


def attempts(*candidates: Candidate, time: Time | None = None, chance: float = 0.5, **options: Any) -> Attempts:
    time = time or Time()
    patience = options.pop("patience", Patience())
    return Attempts(
        candidates, options.pop("cooldowns", None), patience, sleep=time.sleep, chance=lambda: chance, clock=time
    )


async def read(provider: Attempts, request: CompletionRequest | None = None) -> list[StreamEvent]:
    async with asyncio.timeout(LIMIT_S):
        return [event async for event in provider.stream(request or ask())]


# Again


async def test_an_answer_goes_through_as_it_is() -> None:
    events = await read(attempts(candidate("a", Scripted("Yes"))))
    assert events == [
        StreamEvent("start", model="a-m"),
        StreamEvent("text", text="Yes"),
        StreamEvent("end", finish_reason="stop"),
    ]


@pytest.mark.parametrize("error", [RATE, BUSY, GONE])
async def test_what_may_pass_is_tried_again_after_a_pause(error: ProviderError) -> None:
    time = Time()
    provider = Scripted(error, [error], "Yes")
    assert assemble(await read(attempts(candidate("a", provider), time=time, chance=1.0))).text == "Yes"
    assert time.pauses == [1.0, 2.0], "twice as long each time"


async def test_the_pause_is_drawn_by_chance() -> None:
    time = Time()
    await read(attempts(candidate("a", Scripted(BUSY, BUSY, "Yes")), time=time, chance=0.1))
    assert time.pauses == pytest.approx([0.1, 0.2])


async def test_the_server_says_how_long_the_pause_is() -> None:
    time = Time()
    await read(attempts(candidate("a", Scripted(later(RATE, 7.0), "Yes")), time=time))
    assert time.pauses == [pytest.approx(7.0, abs=0.5)]
    assert time.pauses[0] >= 7.0


async def test_it_gives_up_in_the_end_and_tells_what_was_tried() -> None:
    time = Time()
    provider = Scripted(BUSY)
    with pytest.raises(ProviderError) as caught:
        await read(attempts(candidate("a", provider), time=time))
    assert len(provider.asked) == 3
    assert caught.value.message == "Overloaded. Tried: a/m 3 times."
    assert [each["code"] for each in caught.value.details["tried"]] == ["provider_overloaded"] * 3
    assert BUSY.message == "Overloaded.", "an error that others may raise again stays as it is"


async def test_it_does_not_wait_longer_than_a_person_would() -> None:
    provider = Scripted(later(RATE, 61.0))
    with pytest.raises(ProviderError) as caught:
        await read(attempts(candidate("a", provider)))
    assert len(provider.asked) == 1
    assert caught.value.details["retry_after_s"] == 61.0
    assert "tried" not in caught.value.details


@pytest.mark.parametrize("error", [AUTH, PAID, WRONG])
async def test_what_no_waiting_helps_is_not_tried_again(error: ProviderError) -> None:
    provider = Scripted(error)
    with pytest.raises(ProviderError) as caught:
        await read(attempts(candidate("a", provider)))
    assert (len(provider.asked), caught.value.message) == (1, error.message)


@pytest.mark.parametrize("kind", sorted(VISIBLE))
async def test_nothing_is_tried_again_once_something_was_seen(kind: Any) -> None:
    provider, other = Scripted([StreamEvent(kind, text="x"), BUSY], "Yes"), Scripted("Other")
    events = await read(attempts(candidate("a", provider), candidate("b", other)))
    assert [event.type for event in events] == ["start", kind, "error", "end"]
    assert (len(provider.asked), other.asked) == (1, [])


async def test_an_answer_without_a_word_is_one() -> None:
    provider = Scripted([StreamEvent("warning", text="Hm."), StreamEvent("usage", usage=Usage(1, 0))])
    assert [event.type for event in await read(attempts(candidate("a", provider)))] == [
        "start",
        "warning",
        "usage",
        "end",
    ]
    assert len(provider.asked) == 1


async def test_what_failed_tries_used_is_counted() -> None:
    usage = StreamEvent("usage", usage=Usage(10, 1))
    answer = [StreamEvent("text", text="Yes"), StreamEvent("usage", usage=Usage(10, 5))]
    provider = Scripted([usage, BUSY], [usage, BUSY], answer)
    assert assemble(await read(attempts(candidate("a", provider)))).usage == Usage(30, 7)


async def test_what_was_used_in_vain_is_counted_too() -> None:
    events = await read(attempts(candidate("a", Scripted([StreamEvent("usage", usage=Usage(10, 1)), BUSY]))))
    assert [event.type for event in events] == ["start", "usage", "error", "end"]
    assert events[1].usage == Usage(30, 3)
    assert "3 times" in events[2].text


async def test_cancelling_during_a_pause_stops_at_once() -> None:
    provider, pausing = Scripted(later(RATE, 50.0)), asyncio.Event()

    async def sleep(seconds: float) -> None:
        pausing.set()
        await asyncio.sleep(seconds)

    task = asyncio.create_task(read(Attempts([candidate("a", provider)], sleep=sleep)))
    async with asyncio.timeout(LIMIT_S):
        await pausing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(provider.asked) == 1


async def test_closing_the_stream_closes_the_provider_s() -> None:
    provider = Scripted("Yes")
    async with aclosing(attempts(candidate("a", provider)).stream(ask())) as stream:
        async for event in stream:
            if event.type == "text":
                assert provider.open == 1
                break
    assert provider.open == 0


# Keys


@pytest.mark.parametrize("error", [AUTH, PAID, RATE, later(RATE, 3_000.0)])
async def test_another_key_is_tried_without_a_pause(error: ProviderError) -> None:
    time = Time()
    provider = Scripted(error, "Yes")
    provider_attempts = attempts(candidate("a", provider, "k1", "k2", "k3"), time=time)
    assert assemble(await read(provider_attempts)).text == "Yes"
    assert (provider.asked, time.pauses) == ([("k1", "a-m"), ("k2", "a-m")], [])


async def test_keys_that_may_be_asked_again_at_once_are_not_asked_for_ever() -> None:
    provider = Scripted(later(RATE, 0.0))
    with pytest.raises(ProviderError):
        await read(attempts(candidate("a", provider, "k1", "k2")))
    assert [key for key, _ in provider.asked] == ["k1", "k2"] * 3


async def test_a_forbidden_key_is_not_tried_twice_in_a_call() -> None:
    forbidden = ProviderError("Not this model.", code="provider_auth", details={"status": 403})
    provider = Scripted(forbidden)
    with pytest.raises(ProviderError, match="Not this model"):
        await read(attempts(candidate("a", provider, "k1", "k2")))
    assert [key for key, _ in provider.asked] == ["k1", "k2"]


async def test_the_next_call_begins_with_a_key_that_works() -> None:
    provider = Scripted(AUTH, "Yes")
    once = candidate("a", provider, "k1", "k2")
    for _ in range(2):
        await read(attempts(once))
    assert [key for key, _ in provider.asked] == ["k1", "k2", "k2"]


async def test_a_sole_key_is_waited_for() -> None:
    time = Time()
    provider = Scripted(later(RATE, 2.0), "Yes")
    assert assemble(await read(attempts(candidate("a", provider, "k1", time=time), time=time))).text == "Yes"
    assert [key for key, _ in provider.asked] == ["k1", "k1"]


async def test_when_every_key_is_refused_the_vendor_is_not_asked_again() -> None:
    provider = Scripted(AUTH)
    once = candidate("a", provider, "k1")
    for message in ("Wrong key", "has refused every key"):
        with pytest.raises(ProviderError, match=message) as caught:
            await read(attempts(once))
        assert caught.value.code == "provider_auth"
    assert len(provider.asked) == 1


async def test_a_key_that_is_limited_in_mid_stream_rests_too() -> None:
    provider = Scripted([StreamEvent("text", text="x"), later(RATE, 60.0)], "Yes")
    once = candidate("a", provider, "k1", "k2")
    await read(attempts(once))
    await read(attempts(once))
    assert [key for key, _ in provider.asked] == ["k1", "k2"]


# Other models


@pytest.mark.parametrize("error", [RATE, BUSY, GONE, AUTH, PAID, Unavailable("Starting.")])
async def test_another_model_answers_and_it_is_told(error: Error) -> None:
    provider, other = Scripted(error), Scripted("Yes")
    events = await read(attempts(candidate("a", provider), candidate("b", other)))
    assert events[0] == StreamEvent("start", model="b-m", data={"answered_by": "b/m"})
    assert events[1].type == "warning"
    assert events[1].data == {"code": "fallback", "answered_by": "b/m"}
    assert events[1].text == f"{error.message} b/m answers instead of a/m."
    assert assemble(events).text == "Yes"
    assert other.asked == [(None, "b-m")]


@pytest.mark.parametrize("code", ["provider_invalid", "provider_content_filter"])
async def test_what_is_wrong_with_the_request_is_no_reason_to_ask_another(code: str) -> None:
    other = Scripted("Yes")
    with pytest.raises(ProviderError):
        await read(attempts(candidate("a", Scripted(ProviderError("No.", code=code))), candidate("b", other)))
    assert other.asked == []


async def test_another_model_is_asked_rather_than_waited_long_for_the_first() -> None:
    time = Time()
    first, other = Scripted(later(RATE, 30.0)), Scripted("Yes")
    await read(attempts(candidate("a", first), candidate("b", other), time=time))
    assert (len(first.asked), time.pauses) == (1, [])


async def test_when_nobody_can_the_last_failure_is_told_with_all_that_was_tried() -> None:
    with pytest.raises(ProviderError) as caught:
        await read(attempts(candidate("a", Scripted(BUSY)), candidate("b", Scripted(PAID))))
    assert caught.value.message == "No balance. Tried: a/m 3 times, b/m once."
    assert caught.value.code == "provider_balance"
    assert [each["model"] for each in caught.value.details["tried"]] == ["a/m", "a/m", "a/m", "b/m"]


async def test_what_the_first_used_in_vain_is_not_put_on_the_bill_of_the_second() -> None:
    first = Scripted([StreamEvent("usage", usage=Usage(10, 0)), PAID])
    second = Scripted([StreamEvent("text", text="Yes"), StreamEvent("usage", usage=Usage(1, 1))])
    assert assemble(await read(attempts(candidate("a", first), candidate("b", second)))).usage == Usage(1, 1)


async def test_who_fails_too_often_rests_and_is_tried_by_one_call_afterwards() -> None:
    time = Time()
    cooldowns = Cooldowns(3, rest_s=15.0, clock=time)
    first, other = Scripted(GONE), Scripted("Yes")

    async def call() -> list[StreamEvent]:
        pair = candidate("a", first), candidate("b", other)
        return await read(attempts(*pair, time=time, cooldowns=cooldowns, patience=Patience(tries=1)))

    for _ in range(5):
        events = await call()
    assert len(first.asked) == 3
    assert "A failed repeatedly and is left alone for a while. b/m answers" in events[1].text

    time.now += 15
    await call()
    await call()
    assert len(first.asked) == 4, "one tried it, and it rests again"
    time.now += 15
    await call()
    assert len(first.asked) == 4, "twice as long"

    time.now += 15
    first.acts = ["Here again"]
    assert assemble(await call()).text == "Here again"
    assert assemble(await call()).text == "Here again"


async def test_while_one_call_tries_whether_it_is_back_others_do_without() -> None:
    time = Time()
    cooldowns = Cooldowns(1, rest_s=15.0, clock=time)
    pair = [candidate("a", Scripted("Yes")), candidate("b", Scripted("Yes"))]
    cooldowns.failed("a/m")
    time.now += 15
    assert [each.model_id for each in cooldowns.in_order(pair)] == ["a/m", "b/m"]
    assert [each.model_id for each in cooldowns.in_order(pair)] == ["b/m", "a/m"]


async def test_who_rests_is_asked_when_there_is_nobody_else() -> None:
    cooldowns = Cooldowns(1)
    cooldowns.failed("a/m")
    first = Scripted("Yes")
    assert assemble(await read(attempts(candidate("a", first), cooldowns=cooldowns))).text == "Yes"
    cooldowns.failed("a/m")
    events = await read(attempts(candidate("a", first), candidate("b", Scripted(PAID)), cooldowns=cooldowns))
    assert assemble(events).text == "Yes"
    assert "answered_by" not in events[0].data


@pytest.mark.parametrize("error", [AUTH, PAID, WRONG, RATE])
async def test_what_is_no_fault_of_a_provider_gives_it_no_rest(error: ProviderError) -> None:
    cooldowns = Cooldowns(1)
    first, other = Scripted(error, "Yes"), Scripted("Other")
    for _ in range(2):
        pair = candidate("a", first), candidate("b", other)
        with suppress(ProviderError):
            await read(attempts(*pair, cooldowns=cooldowns, patience=Patience(tries=1)))
    assert len(first.asked) == 2


# Embeddings


class Embedding(Scripted):
    async def embed(self, model: str, inputs: Sequence[str], dimensions: int | None = None) -> Embeddings:
        self.asked.append((self._key.id if self._key else None, model))
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        if isinstance(act, Error):
            raise act
        return Embeddings(((1.0,),) * len(inputs), Usage(1, 0))


async def test_vectors_are_asked_for_again_but_of_no_other_model() -> None:
    provider, other = Embedding(AUTH, BUSY, "ok"), Embedding("ok")
    pair = attempts(candidate("a", provider, "k1", "k2"), candidate("b", other))
    assert (await pair.embed("x", ["one", "two"])).vectors == ((1.0,), (1.0,))
    assert provider.asked == [("k1", "a-m"), ("k2", "a-m"), ("k2", "a-m")]
    provider.acts = [BUSY]
    with pytest.raises(ProviderError):
        await pair.embed("x", ["one"])
    assert other.asked == []


async def test_who_makes_no_vectors_says_so() -> None:
    with pytest.raises(ProviderError, match="makes no embeddings"):
        await attempts(candidate("a", Scripted("Yes"))).embed("x", ["one"])


async def test_models_are_listed_with_a_key() -> None:
    provider = Scripted("Yes")
    assert await attempts(candidate("a", provider, "k1")).models() == [ModelInfo("m", "M")]
    assert provider._key == Key("k1", "sk-k1")


# Whatever happens

PIECES = st.sampled_from([StreamEvent(kind, text="x") for kind in ("warning", "text", "reasoning", "tool_call")])
ERRORS = st.sampled_from(ALL) | st.builds(later, st.sampled_from([RATE, BUSY]), st.floats(0, 100))
ACTS = ERRORS | st.text(min_size=1, max_size=3) | st.lists(PIECES | ERRORS, max_size=4)
SCRIPTS = st.lists(st.lists(ACTS, min_size=1, max_size=5), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@given(SCRIPTS, st.integers(0, 3), st.floats(0, 1, exclude_max=True))
def test_whatever_providers_do_a_call_is_bounded_and_says_nothing_twice(
    scripts: list[list[Act]], keys: int, chance: float
) -> None:
    time = Time()
    providers = [Scripted(*script) for script in scripts]
    names = [f"k{number}" for number in range(keys)]
    every = [candidate(f"c{at}", provider, *names, time=time) for at, provider in enumerate(providers)]
    patience = Patience(tries=3, total_s=60.0)
    events: list[StreamEvent] = []
    with suppress(ProviderError):
        events = asyncio.run(read(attempts(*every, time=time, chance=chance, patience=patience)))
    kinds = [event.type for event in events]
    assert kinds.count("start") == kinds.count("end") == (1 if kinds else 0)
    assert kinds[:1] + kinds[-1:] in ([], ["start", "end"])
    assert kinds.count("error") <= 1
    assert sum(time.pauses) <= patience.total_s
    assert all(len(provider.asked) <= patience.tries * max(keys, 1) + keys for provider in providers)
    assert all(provider.open == 0 for provider in providers)
    spoke = [at for at, provider in enumerate(providers) if provider.asked]
    if any(kind in VISIBLE for kind in kinds):
        assert events[0].data.get("answered_by", "c0/m") == f"c{spoke[-1]}/m", "who was asked last answered"


# Over a real connection


async def test_a_429_with_a_time_then_an_answer(upstream: Upstream) -> None:
    time = Time()

    async def sleep(seconds: float) -> None:
        await time.sleep(seconds)
        upstream.answers(chunk({"content": "Yes"}), chunk({}, "stop"), DONE)

    upstream.answers('{"error": {"message": "Rate limit"}}', status=429, headers={"Retry-After": "2"})
    provider = OpenAIChat("Vendor", upstream.url, "sk-1")
    once = Attempts([Candidate("v/m", "v", "Vendor", "m", lambda key: provider)], sleep=sleep, clock=time)
    assert assemble(await read(once)).text == "Yes"
    assert time.pauses[0] >= 2.0
    await provider.aclose()


async def test_a_key_is_refused_another_is_taken_and_a_provider_that_is_down_is_replaced(upstream: Upstream) -> None:
    answer = [chunk({"content": "Yes"}), chunk({}, "stop"), DONE]
    async with new_client(AddressPolicy()) as client:

        def opened(key: Key | None) -> OpenAIChat:
            if key is not None and key.id == "old":
                upstream.answers('{"error": {"message": "Incorrect API key"}}', status=401)
            else:
                upstream.answers(*answer)
            return OpenAIChat("Vendor", upstream.url, key.value if key else None, client=client)

        ring = KeyRing("Vendor", [Key("old", "sk-old"), Key("new", "sk-new")], chance=lambda: 0.0)
        keyed = Candidate("v/m", "v", "Vendor", "m", opened, ring)
        assert assemble(await read(Attempts([keyed]))).text == "Yes"
        assert [each.headers["authorization"] for each in upstream.received] == ["Bearer sk-old", "Bearer sk-new"]

        gone = OpenAIChat("Gone", "http://127.0.0.1:9/v1", client=client)
        down = Candidate("g/m", "g", "Gone", "m", lambda key: gone)
        events = await read(Attempts([down, keyed], patience=Patience(first_pause_s=0.0)))
        assert events[0].data["answered_by"] == "v/m"
        assert events[1].text.startswith("Nothing listens at http://127.0.0.1:9/v1. v/m answers instead of g/m")
        assert assemble(events).text == "Yes"
