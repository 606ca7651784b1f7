"""Servers that are broken, slow or hostile, on every wire: a named failure, an ended stream, and never the key."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from aiohttp import ClientRequest

from llmws.errors import ProviderError
from llmws.messages import Message, StreamEvent, assemble
from llmws.providers.base import Embedder, Provider

from .conftest import DONE, LIMIT_S, Upstream, ask, chunk, happened, line
from .recorded import ASKED, KEY, OPEN, provider_of

MEBIBYTE = 1 << 20
TEXT = "Hé, 世界 👋"
METADATA = "169.254.169.254"
RESPONSE = {"id": "resp_1", "object": "response", "model": "m"}
USAGE = {"input_tokens": 2, "output_tokens": 3}


# A short answer on each wire, in what can be told apart.
GOOD: dict[str, tuple[str, ...]] = {
    "openai_chat": (
        chunk({"role": "assistant", "content": TEXT[:4]}),
        chunk({"content": TEXT[4:]}),
        chunk({}, "stop"),
        DONE,
    ),
    "openai_responses": (
        happened("response.created", response={**RESPONSE, "status": "in_progress"}),
        happened("response.output_text.delta", output_index=0, delta=TEXT[:4]),
        happened("response.output_text.delta", output_index=0, delta=TEXT[4:]),
        happened("response.completed", response={**RESPONSE, "status": "completed", "usage": USAGE}),
    ),
    "anthropic_messages": (
        happened("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "usage": USAGE}),
        happened("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        happened("content_block_delta", index=0, delta={"type": "text_delta", "text": TEXT[:4]}),
        happened("content_block_delta", index=0, delta={"type": "text_delta", "text": TEXT[4:]}),
        happened("content_block_stop", index=0),
        happened("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 3}),
        happened("message_stop"),
    ),
    "ollama": (
        line({"content": TEXT[:4]}),
        line({"content": TEXT[4:]}),
        line(done=True, done_reason="stop", prompt_eval_count=2, eval_count=3),
    ),
}
# Up to and with the first that is text.
BEGUN = {"openai_chat": 1, "openai_responses": 2, "anthropic_messages": 3, "ollama": 1}
every_wire = pytest.mark.parametrize("wire", GOOD)


@dataclass(frozen=True)
class Outcome:
    """What came of a question: events that end well or with an error, or an error alone."""

    message: Message | None
    error: dict[str, Any] | None

    @property
    def text(self) -> str:
        return self.message.text if self.message else ""

    @property
    def code(self) -> str | None:
        return self.error["code"] if self.error else None


async def outcome(provider: Provider) -> Outcome:
    """Ask, and check what holds whatever the server does."""
    events: list[StreamEvent] = []
    raised: ProviderError | None = None
    try:
        async with asyncio.timeout(LIMIT_S):
            async for event in provider.stream(ask()):
                events.append(event)
    except ProviderError as error:
        raised = error
    if raised is not None:
        assert events == [], "a failure in mid-stream is an event"
        assert KEY not in json.dumps(raised.to_dict())
        assert raised.message.endswith(".")
        assert raised.remedy
        return Outcome(None, {"retryable": raised.retryable, **raised.to_dict()})
    kinds = [event.type for event in events]
    assert kinds.count("start") == kinds.count("end") == 1
    assert (kinds[0], kinds[-1]) == ("start", "end")
    assert KEY not in json.dumps([event.to_dict() for event in events])
    message = assemble(events)
    assert (message.error is not None) == (message.finish_reason == "error")
    return Outcome(message, dict(message.error) if message.error else None)


@pytest.fixture
async def open_at(upstream: Upstream) -> AsyncIterator[Callable[..., Provider]]:
    """Opens providers of the scripted server, which gives Ollama's side questions no answer."""
    opened: list[Provider] = []
    for path in ("/api/show", "/api/ps"):
        upstream.answers_at(path, {"error": "not here"}, status=404)

    def open_at(wire: str, url: str | None = None, **options: Any) -> Provider:
        opened.append(OPEN[wire](url or upstream.url, **options))
        return opened[-1]

    yield open_at
    for provider in opened:
        await provider.aclose()


Open = Callable[..., Provider]


# Cut


class Cut(httpx.AsyncByteStream):
    """A body that ends, or breaks off."""

    def __init__(self, data: bytes, breaks: bool) -> None:
        self._data, self._breaks = data, breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data
        if self._breaks:
            raise httpx.ReadError("the peer closed the connection")


@pytest.mark.parametrize("breaks", [False, True])
@every_wire
async def test_a_stream_may_be_cut_after_each_byte(wire: str, breaks: bool) -> None:
    data = raw(wire)
    length = 0

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != ASKED[wire]:
            return httpx.Response(404, json={"error": "not found"})
        return httpx.Response(200, stream=Cut(data[:length], breaks))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        provider = OPEN[wire]("http://127.0.0.1/v1", client=client)
        said = []
        for length in range(len(data)):
            told = await outcome(provider)
            assert TEXT.startswith(told.text)
            assert told.error or told.text == TEXT, f"taken for whole after {length} bytes"
            said.append(told.text)
    assert said == sorted(said, key=len)
    assert {"", TEXT[:4], TEXT} <= set(said)


def raw(wire: str) -> bytes:
    """The good answer with its characters unescaped, so that the cut falls inside them, too."""
    text = "".join(GOOD[wire])
    for character in set(TEXT) - set(map(chr, range(128))):
        text = text.replace(json.dumps(character)[1:-1], character)
    return text.encode()


# Slow


async def drip(gates: Iterable[asyncio.Event]) -> None:
    for gate in gates:
        await asyncio.sleep(0.02)
        gate.set()


@pytest.mark.parametrize("begun", [False, True])
@every_wire
async def test_who_drips_a_byte_now_and_then_is_given_up(
    open_at: Open, upstream: Upstream, wire: str, begun: bool
) -> None:
    """Never silent, and never done: it is the time for all of it that ends this."""
    gates = [asyncio.Event() for _ in range(2_000)]
    said = GOOD[wire][: BEGUN[wire]] if begun else ()
    upstream.answers(*said, *(part for gate in gates for part in (gate, b" ")))
    dripping = asyncio.create_task(drip(gates))
    limits = {"first_token_s": 5.0, "total_s": 0.5} if begun else {"first_token_s": 0.5, "total_s": 5.0}
    told = await outcome(open_at(wire, idle_s=5.0, **limits))
    dripping.cancel()
    assert told.code == "provider_timeout"
    assert told.text == (TEXT[:4] if begun else "")
    assert ("come to an end" if begun else "begun to answer") in told.error["message"]  # type: ignore[index]


@every_wire
async def test_who_falls_silent_is_given_up(open_at: Open, upstream: Upstream, wire: str) -> None:
    upstream.answers(*GOOD[wire][: BEGUN[wire]], then="hold")
    told = await outcome(open_at(wire, idle_s=2.0))
    assert (told.code, told.text) == ("provider_timeout", TEXT[:4])


@every_wire
async def test_who_drips_the_words_of_a_refusal_is_given_up(open_at: Open, upstream: Upstream, wire: str) -> None:
    gates = [asyncio.Event() for _ in range(2_000)]
    upstream.answers(*(part for gate in gates for part in (gate, b" ")), status=400)
    dripping = asyncio.create_task(drip(gates))
    told = await outcome(open_at(wire, idle_s=5.0, first_token_s=0.5))
    dripping.cancel()
    assert told.code == "provider_timeout"


# Elsewhere


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@every_wire
async def test_nobody_is_sent_to_a_metadata_address(open_at: Open, upstream: Upstream, wire: str, status: int) -> None:
    upstream.answers(status=status, headers={"Location": f"http://{METADATA}/latest/meta-data/?key={KEY}"})
    provider = open_at(wire)
    told = await outcome(provider)
    assert told.code == "provider_invalid"
    assert METADATA not in json.dumps(told.error)
    questions = [provider.models()]
    if isinstance(provider, Embedder):
        questions.append(provider.embed("m", ["one"]))  # type: ignore[arg-type]
    for question in questions:
        with pytest.raises(ProviderError) as caught:
            await question
        assert caught.value.code == "provider_invalid"


@pytest.mark.parametrize("host", [METADATA, "[fe80::1]", "[fd00:ec2::254]", "0xA9FEA9FE"])
@every_wire
async def test_a_metadata_address_is_no_provider(open_at: Open, wire: str, host: str) -> None:
    told = await outcome(open_at(wire, f"http://{host}/v1"))
    assert told.error
    assert not told.error["retryable"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://127.0.0.1/", "//127.0.0.1", "javascript:alert(1)"])
@every_wire
def test_what_is_no_address_is_refused_at_once(wire: str, url: str) -> None:
    with pytest.raises(ProviderError) as caught:
        OPEN[wire](url)
    assert caught.value.code == "provider_invalid"
    assert KEY not in json.dumps(caught.value.to_dict())


# Bytes


@every_wire
async def test_bytes_that_are_no_text_are_replaced(open_at: Open, upstream: Upstream, wire: str) -> None:
    upstream.answers(raw(wire).replace("世".encode(), b"\xff\xfe\x80"))
    told = await outcome(open_at(wire))
    assert told.error is None
    assert told.text.startswith("Hé, \ufffd")
    assert told.text.endswith("界 👋")


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("body", [bytes(range(256)) * 8, b"\xff\xfe" * 500, b"\x00" * 4_000, b"{" * 100_000])
@every_wire
async def test_bytes_that_say_nothing_are_a_failure(
    open_at: Open, upstream: Upstream, wire: str, body: bytes, status: int
) -> None:
    upstream.answers(body, status=status)
    provider = open_at(wire)
    told = await outcome(provider)
    assert told.error
    assert len(json.dumps(told.error)) < 4_000
    with pytest.raises(ProviderError):
        await provider.models()


@every_wire
async def test_who_never_ends_an_event_takes_no_more_time_for_each_line(wire: str) -> None:
    """A hundred thousand lines, each alone: looked through again with each of them, they would take hours."""
    pieces = [b"data: x\n"] * 100_000
    with contextlib.suppress(ProviderError):
        async for _ in provider_of(wire, pieces).stream(ask()):
            continue


@pytest.mark.parametrize("begun", [False, True])
@every_wire
async def test_a_line_of_ten_megabytes_is_not_read(open_at: Open, upstream: Upstream, wire: str, begun: bool) -> None:
    said = GOOD[wire][: BEGUN[wire]] if begun else ()
    flood = [b'data: {"x": "', *([b"x" * MEBIBYTE] * 10), b'"}\n\n']
    upstream.answers(*said, *flood, *GOOD[wire])
    told = await outcome(open_at(wire))
    assert told.code == "provider"
    assert "more than can be read" in told.error["message"]  # type: ignore[index]
    assert told.text == (TEXT[:4] if begun else "")


@every_wire
async def test_a_refusal_of_ten_megabytes_is_not_repeated(open_at: Open, upstream: Upstream, wire: str) -> None:
    upstream.answers(*([f"{KEY} " * 50_000] * 10), status=400)
    told = await outcome(open_at(wire))
    assert told.code == "provider_invalid"
    assert len(json.dumps(told.error)) < 2_000


# Compressed, though nobody asked for it


@every_wire
async def test_an_answer_that_was_compressed_all_the_same_is_read(open_at: Open, upstream: Upstream, wire: str) -> None:
    body = gzip.compress("".join(GOOD[wire]).encode())
    upstream.answers(*(body[at : at + 7] for at in range(0, len(body), 7)), headers={"Content-Encoding": "gzip"})
    told = await outcome(open_at(wire))
    assert (told.error, told.text) == (None, TEXT)
    assert upstream.received[-1].headers["accept-encoding"] == "identity"


@every_wire
async def test_only_what_can_be_unpacked_is_asked_for(
    open_at: Open, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, wire: str
) -> None:
    """Whatever else the HTTP library below could read, where somebody installed more."""
    monkeypatch.setitem(ClientRequest.DEFAULT_HEADERS, "Accept-Encoding", "gzip, deflate, br, zstd")
    with contextlib.suppress(ProviderError):
        await open_at(wire).models()
    assert {received.headers["accept-encoding"] for received in upstream.received} == {"gzip, deflate"}


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x-secret", "gzip, br", "gzip"])
@pytest.mark.parametrize("status", [200, 400])
@every_wire
async def test_what_cannot_be_unpacked_is_a_failure(
    open_at: Open, upstream: Upstream, wire: str, encoding: str, status: int
) -> None:
    """Also the last, which is no gzip."""
    upstream.answers(b"\x1b\x00\xf8" * 100, status=status, headers={"Content-Encoding": encoding})
    provider = open_at(wire)
    assert (await outcome(provider)).error
    with pytest.raises(ProviderError):
        await provider.models()


def bomb(mebibytes: int) -> bytes:
    """So much blank space in a thousandth of the bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(b" " * MEBIBYTE) for _ in range(mebibytes)), packer.flush()])


async def most_memory(question: Awaitable[Any]) -> int:
    """The most that was held while `question` was answered, in bytes."""
    tracemalloc.start()
    try:
        await question
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("status", "encoding"), [(200, "gzip"), (400, "gzip"), (200, "gzip, gzip")])
@every_wire
async def test_a_bomb_does_not_go_off(open_at: Open, upstream: Upstream, wire: str, status: int, encoding: str) -> None:
    packed = bomb(128) if encoding == "gzip" else gzip.compress(bomb(256))
    upstream.answers(packed, status=status, headers={"Content-Encoding": encoding})
    provider = open_at(wire)

    async def ask_in_vain() -> None:
        assert (await outcome(provider)).error

    assert await most_memory(ask_in_vain()) < 50 * MEBIBYTE


async def test_a_bomb_in_place_of_a_list_does_not_go_off(
    open_at: Open, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmws.providers.wire.CALL_LIMIT", MEBIBYTE)
    upstream.answers(bomb(128), headers={"Content-Encoding": "gzip"})
    provider = open_at("openai_chat")

    async def list_in_vain() -> None:
        with pytest.raises(ProviderError):
            await provider.models()

    assert await most_memory(list_in_vain()) < 50 * MEBIBYTE
