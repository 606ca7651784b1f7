"""The wires against a real server that speaks several of them: llama.cpp's own, with the embedded model's weights."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from llmws.errors import ProviderError
from llmws.messages import Message, Parameters, Part, StreamEvent, assemble
from llmws.providers.anthropic_messages import AnthropicMessages
from llmws.providers.base import CompletionRequest, Provider
from llmws.providers.openai_chat import OpenAIChat
from llmws.providers.openai_responses import OpenAIResponses
from llmws.serving.child import Child, ServerConfig
from llmws.serving.embedded import find_embedded_model
from llmws.settings import Settings

MODEL = "smollm2-135m"
LIMIT_S = 60.0
WIRES: dict[str, Callable[..., Provider]] = {
    "openai_chat": OpenAIChat,
    "openai_responses": OpenAIResponses,
    "anthropic_messages": AnthropicMessages,
}


@pytest.fixture
async def child() -> AsyncIterator[Child]:
    child = await Child.start(ServerConfig(str(find_embedded_model(Settings()).path), MODEL, context=512))
    yield child
    await child.stop()


def ask(*messages: Message, **parameters: Any) -> CompletionRequest:
    limited = Parameters(**{"max_tokens": 12, "temperature": 0.0, **parameters})
    return CompletionRequest(MODEL, messages or (Message.user("Name a colour."),), limited)


async def read(provider: Provider, request: CompletionRequest) -> list[StreamEvent]:
    async with asyncio.timeout(LIMIT_S):
        return [event async for event in provider.stream(request)]


CALLED = Message(
    "assistant",
    (
        Part("text", "Let me see."),
        Part("tool_call", data={"id": "call_1", "name": "look", "arguments": '{"at": "sky"}'}),
    ),
)
TURNS = (
    Message.system("Be brief."),
    Message.user("What colour is the sky?"),
    CALLED,
    Message("tool", (Part("tool_result", "Blue.", {"id": "call_1"}),)),
    Message("assistant", (Part("reasoning", "Blue, then."), Part("text", "The sky is blue."))),
    Message("user", (Part("text", "And"), Part("text", " the grass?"))),
)


async def test_every_wire_of_a_real_server_is_spoken(child: Child) -> None:
    """One test, since the server takes a second to start."""
    for wire, of in WIRES.items():
        provider = of("llama.cpp", f"{child.url}/v1", child.config.api_key)
        try:
            await converse(provider)
            await be_refused(provider, of("llama.cpp", f"{child.url}/v1", "sk-not-the-key"))
        except BaseException as problem:
            problem.add_note(wire)
            raise
        finally:
            await provider.aclose()


async def converse(provider: Provider) -> None:
    assert MODEL in [info.id for info in await provider.models()]

    events = await read(provider, ask())
    message = assemble(events)
    assert [event.type for event in events if event.type not in ("text", "usage")] == ["start", "end"]
    assert sum(event.type == "text" for event in events) > 3
    assert message.text
    assert message.finish_reason == "length"
    assert message.usage is not None
    assert message.usage.output_tokens == 12
    assert message.usage.input_tokens > 10

    message = assemble(await read(provider, ask(*TURNS)))
    assert message.text
    assert message.error is None
    message = assemble(await read(provider, ask(Message.user("Say yes."), max_tokens=400, stop=("e",))))
    assert message.error is None

    async with asyncio.timeout(LIMIT_S), aclosing(provider.stream(ask(max_tokens=400))) as stream:
        async for event in stream:
            if event.type == "text":
                break
    assert assemble(await read(provider, ask())).text  # nobody is in the way


async def be_refused(provider: Provider, stranger: Provider) -> None:
    with pytest.raises(ProviderError) as caught:
        await read(provider, ask(Message.user("word " * 3000)))
    assert caught.value.code == "provider_context_length"

    image = Part("image", data={"url": "data:image/png;base64,AA=="})
    with pytest.raises(ProviderError) as caught:
        await read(provider, ask(Message("user", (Part("text", "What is this?"), image))))
    assert caught.value.code == "provider_invalid"
    assert not caught.value.retryable

    with pytest.raises(ProviderError) as caught:
        await read(stranger, ask())
    await stranger.aclose()
    assert caught.value.code == "provider_auth"
    assert "sk-not-the-key" not in json.dumps(caught.value.to_dict())


# The embedded model's own server does not embed.
EMBEDDING_SERVER = """
import os, sys, xllamacpp

wanted = xllamacpp.CommonParams()
wanted.model.path, wanted.model_alias, wanted.hostnames, wanted.port = sys.argv[1], {"m"}, ["127.0.0.1"], 0
wanted.embedding, wanted.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
wanted.n_ctx, wanted.n_parallel, wanted.ui, wanted.verbosity = 512, 1, False, 0
wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(wanted)
os.write(2, b"at " + server.listening_address.encode() + b"\\n")
sys.stdin.read()
os._exit(0)
"""


async def test_texts_are_embedded_by_a_real_server() -> None:
    path = str(find_embedded_model(Settings()).path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", EMBEDDING_SERVER, path), stdin=PIPE, stderr=PIPE
    )
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(LIMIT_S):
            while not (said := await process.stderr.readline()).startswith(b"at "):
                assert said, "the server ended"
        provider = OpenAIChat("llama.cpp", f"{said[3:].decode().strip()}/v1")
        made = await provider.embed("m", ["a cat", "a kitten", "the stock exchange"])
        await provider.aclose()
    finally:
        process.stdin.close()
        await process.wait()
    assert {len(vector) for vector in made.vectors} == {576}
    assert made.usage.input_tokens > 6
    cat, kitten, exchange = made.vectors
    assert sum(map(float.__mul__, cat, kitten)) > sum(map(float.__mul__, cat, exchange))
