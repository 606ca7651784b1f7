"""The one path of every model call: its order of events, its figures, and that it is settled whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

import pytest

from llmws.errors import ProviderError
from llmws.messages import Message, StreamEvent, Usage, assemble
from llmws.providers.base import CompletionRequest, ModelInfo
from llmws.service import metering
from llmws.service.identity import Person
from llmws.service.metering import Call, Receipt, metered, usage_row

from .free_ledger import FreeLedger

ADA = Person("ada", frozenset({"chat"}))
TEXT = StreamEvent("text", text="four letters")
FULL = StreamEvent("error", text="Too many requests.", data={"code": "provider_rate"})
END = StreamEvent("end", finish_reason="stop")


@dataclass
class Scripted:
    """A provider that yields what it was given, and raises what is an exception."""

    script: Sequence[StreamEvent | BaseException] = ()
    name: str = "Scripted"
    closed: bool = False
    asked: list[CompletionRequest] = field(default_factory=list)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        self.asked.append(request)
        try:
            for step in self.script:
                if isinstance(step, BaseException):
                    raise step
                yield step
        finally:
            self.closed = True

    async def models(self) -> list[ModelInfo]:
        return []

    async def aclose(self) -> None: ...


async def run(*script: StreamEvent | BaseException, person: Person = ADA) -> tuple[list[StreamEvent], Receipt]:
    """What was published, and the one receipt."""
    provider = Scripted(script)
    published: list[StreamEvent] = []
    receipts: list[Receipt] = []

    async def settle(receipt: Receipt, tail: list[StreamEvent]) -> list[StreamEvent]:
        assert not any(event.type in ("usage", "error", "end") for event in published)
        receipts.append(receipt)
        return tail

    request = CompletionRequest("m", (Message.user("What is this?"),))
    await metered(Call(person, "local/m", "local", provider, request), FreeLedger(), published.append, settle)
    assert provider.closed or not provider.asked
    assert len(receipts) == 1
    return published, receipts[0]


async def test_usage_is_held_back_to_the_end_and_the_workspace_s_own_name_is_told() -> None:
    used = Usage(7, 3)
    events, receipt = await run(StreamEvent("start", model="m-2026"), StreamEvent("usage", usage=used), TEXT, END)
    assert [event.type for event in events] == ["start", "text", "usage", "end"]
    assert events[0].model == "local/m"
    assert receipt.usage == used
    assert receipt.bill.cost is None
    assert receipt.answered_by == "local/m"
    assert receipt.timing.first_token_s is not None
    assert receipt.timing.total_s is not None
    assert receipt.timing.first_token_s <= receipt.timing.total_s


async def test_who_stepped_in_is_known_to_the_receipt_and_on_the_row() -> None:
    _, receipt = await run(StreamEvent("start", data={"answered_by": "other/n"}), TEXT, FULL, END)
    row = usage_row(receipt)
    assert row is not None
    assert (row.model, row.answered_by, row.provider, row.error) == ("local/m", "other/n", "other", "provider_rate")


async def test_something_else_than_a_chat_takes_the_same_path() -> None:
    async def embed() -> AsyncGenerator[StreamEvent, None]:
        yield StreamEvent("usage", usage=Usage(9))
        yield StreamEvent("end", finish_reason="stop")

    ledger, provider = FreeLedger(), Scripted()
    call = Call(ADA, "local/m", "local", provider, CompletionRequest("m", (Message.user("Hi"),)), ask=embed)

    async def settle(receipt: Receipt, tail: list[StreamEvent]) -> list[StreamEvent]:
        return tail

    published: list[StreamEvent] = []
    await metered(call, ledger, published.append, settle)
    assert not provider.asked
    assert [receipt.usage for receipt in ledger.settled] == [Usage(9)]
    assert [event.type for event in published] == ["start", "usage", "end"]


async def test_without_the_provider_s_usage_there_is_an_estimate_marked_as_one() -> None:
    _, receipt = await run(TEXT, StreamEvent("reasoning", text="abcd" * 5), END)
    assert receipt.usage.source == "estimate"
    assert receipt.usage.output_tokens == 8
    assert receipt.usage.reasoning_tokens == 5
    assert receipt.usage.input_tokens > 0
    assert receipt.timing.reasoning_s is not None


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ([ProviderError("No.", code="provider_auth")], "provider_auth", ""),
        ([TEXT, ProviderError("No more.", retryable=True)], "provider", "four letters"),
        ([TEXT, ZeroDivisionError("oh")], "provider", "four letters"),
        ([TEXT], "provider", "four letters"),
        ([], "provider", ""),
        ([TEXT, FULL, ProviderError("x")], "provider_rate", "four letters"),
    ],
)
async def test_whatever_a_provider_does_the_stream_ends_as_it_should(
    script: list[StreamEvent | BaseException], code: str, said: str
) -> None:
    events, receipt = await run(*script)
    assert [event.type for event in events][-3:] == ["usage", "error", "end"]
    message = assemble(events)
    assert (message.text, message.finish_reason, receipt.finish_reason) == (said, "error", "error")
    assert message.error is not None
    assert message.error["code"] == code
    if not said:
        assert receipt.usage == Usage(source="estimate")


async def test_who_may_not_chat_is_refused_before_anything_is_sent() -> None:
    events, receipt = await run(TEXT, END, person=Person("eve"))
    assert [event.type for event in events] == ["start", "usage", "error", "end"]
    assert assemble(events).error is not None
    assert receipt.refused
    assert usage_row(receipt) is None


async def test_a_cancelled_call_is_settled_with_what_was_said() -> None:
    published: list[StreamEvent] = []
    receipts: list[Receipt] = []
    spoke = asyncio.Event()

    class Endless(Scripted):
        async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
            try:
                yield TEXT
                spoke.set()
                await asyncio.Event().wait()
            finally:
                self.closed = True

    async def settle(receipt: Receipt, tail: list[StreamEvent]) -> list[StreamEvent]:
        await asyncio.sleep(0)
        receipts.append(receipt)
        return tail

    provider = Endless()
    call = Call(ADA, "local/m", "local", provider, CompletionRequest("m", (Message.user("Hi"),)))
    task = asyncio.create_task(metered(call, FreeLedger(), published.append, settle, stopped=lambda: "interrupted"))
    await spoke.wait()
    task.cancel()
    await task
    assert provider.closed
    assert [receipt.finish_reason for receipt in receipts] == ["interrupted"]
    assert assemble(published).finish_reason == "interrupted"
    assert assemble(published).text == "four letters"


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "MAX_CHARACTERS", 20)
    events, receipt = await run(TEXT, TEXT, TEXT, END)
    assert assemble(events).text == "four letters" * 2
    assert receipt.finish_reason == "length"
    assert any(event.type == "warning" for event in events)


async def test_what_is_said_beside_the_text_counts_for_the_length_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "MAX_CHARACTERS", 20)
    for event in (
        StreamEvent("citation", data={"url": "https://example.com/page", "title": "t"}),
        StreamEvent("reasoning", data={"signature": "x" * 30}),
        StreamEvent("tool_call", data={"index": 0, "name": "n" * 30}),
    ):
        events, receipt = await run(event, event, event, END)
        assert receipt.finish_reason == "length"
        assert [each.type for each in events].count(event.type) == 1


@pytest.mark.parametrize("kind", ["input", "output", "reasoning", "cache_read", "cache_write", "cache_write_1h"])
async def test_a_count_that_cannot_be_is_not_believed(kind: str) -> None:
    told = Usage(**{f"{kind}_tokens": 10**30})
    _, receipt = await run(TEXT, StreamEvent("usage", usage=told), END)
    assert receipt.usage.source == "estimate"
    assert (await run(TEXT, StreamEvent("usage", usage=Usage()), END))[1].usage == receipt.usage
    assert receipt.usage.output_tokens == 3


async def test_half_characters_are_replaced() -> None:
    call = StreamEvent("tool_call", data={"index": 0, "arguments": "\udc00"})
    events, _ = await run(StreamEvent("text", text="a\ud83d"), StreamEvent("text", text="\ud83d\ude00"), call, END)
    assert assemble(events).text == "a\ufffd😀"
    assert events[3].data["arguments"] == "\ufffd"
