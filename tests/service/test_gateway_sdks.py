"""The clients that people have, unmodified, against the gateway: OpenAI's, Anthropic's and LangChain's."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from llmws.settings import Settings

from .harness import Running, running_service, wait_for
from .model_server import ModelServer, model_server
from .test_gateway import used
from .test_hub_identity import CHAT, Hub, serving, user

SAID: Any = [{"role": "user", "content": "Hello there"}]
CALLS = {"reasoning": "Hm.", "tool_calls": [{"name": "look", "arguments": '{"far": true}'}]}
LOOK = {"type": "object", "properties": {"far": {"type": "boolean"}}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def local(tmp_path: Path) -> Iterator[ModelServer]:
    with model_server(tmp_path / "providers.toml") as server:
        yield server


@pytest.fixture
def service(settings: Settings, tmp_path: Path, local: ModelServer) -> Iterator[Running]:
    with running_service(replace(settings, providers=tmp_path / "providers.toml")) as running:
        yield running


def openai_of(service: Running, **more: Any) -> openai.OpenAI:
    options = {"api_key": service.instance.token, "max_retries": 0, **more}
    return openai.OpenAI(base_url=f"{service.instance.url}/v1", **options)


def anthropic_of(service: Running, **more: Any) -> anthropic.Anthropic:
    options = {"api_key": service.instance.token, "max_retries": 0, **more}
    return anthropic.Anthropic(base_url=service.instance.url, **options)


# OpenAI


def test_openai_chats(service: Running) -> None:
    tools: Any = [{"type": "function", "function": {"name": "look", "parameters": LOOK}}]
    asked: Any = {"model": "echo", "messages": SAID, "tools": tools, "extra_body": CALLS}
    whole = openai_of(service).chat.completions.create(**asked)
    with openai_of(service).chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion()
    for told in (whole, streamed):
        [choice] = told.choices
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Hello there")
        [call] = choice.message.tool_calls
        assert (call.id, call.function.name, json.loads(call.function.arguments)) == ("call_0", "look", {"far": True})
        assert choice.message.reasoning_content == "Hm."
        assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (2, 3)
        assert told.usage.completion_tokens_details.reasoning_tokens == 1


def test_openai_responds(service: Running) -> None:
    asked: Any = {"model": "echo", "input": SAID, "extra_body": {"tool_calls": CALLS["tool_calls"]}}
    whole = openai_of(service).responses.create(**asked)
    with openai_of(service).responses.stream(**asked) as stream:
        numbers = [event.sequence_number for event in stream]
        streamed = stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    for told in (whole, streamed):
        assert (told.status, told.output_text, told.usage.output_tokens) == ("completed", "Hello there", 2)
        assert [item.type for item in told.output] == ["message", "function_call"]
        assert json.loads(told.output[1].arguments) == {"far": True}


def test_openai_goes_on_after_a_tool(service: Running) -> None:
    first = openai_of(service).responses.create(
        model="echo", input="Look", extra_body={"tool_calls": CALLS["tool_calls"]}
    )
    result = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "a cat"}
    items: Any = [{"role": "user", "content": "Look"}, *first.output, result, {"role": "user", "content": "So?"}]
    assert openai_of(service).responses.create(model="echo", input=items).output_text == "So?"


def test_openai_shows_images(service: Running, local: ModelServer) -> None:
    content: Any = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    local.say("A dot.")
    local.finish()
    told = openai_of(service).chat.completions.create(model="local/m", messages=[{"role": "user", "content": content}])
    assert told.choices[0].message.content == "A dot."
    assert local.asked[-1]["messages"][0]["content"][1] == {"type": "image_url", "image_url": {"url": PIXEL}}


def test_openai_embeds(service: Running, local: ModelServer) -> None:
    client = openai_of(service)
    packed = client.embeddings.create(model="local/m", input=["one", "two"])
    plain = client.embeddings.create(model="local/m", input=["one", "two"], encoding_format="float")
    assert [row.embedding for row in packed.data] == [row.embedding for row in plain.data] == local.vectors(2)
    assert packed.usage.prompt_tokens == 2
    assert [(row.purpose, row.input_tokens, row.outcome) for row in used(service)] == [("gateway", 2, "stop")] * 2


def test_openai_lists_models(service: Running) -> None:
    assert {"echo", "local/m"} <= {model.id for model in openai_of(service).models.list()}
    assert openai_of(service).models.retrieve("local/m").owned_by == "local"
    with pytest.raises(openai.NotFoundError):
        openai_of(service).models.retrieve("local/nothing")


def test_openai_knows_our_errors(service: Running, local: ModelServer) -> None:
    client = openai_of(service)
    with pytest.raises(openai.NotFoundError, match="no model 'nobody'"):
        client.chat.completions.create(model="nobody", messages=SAID)
    with pytest.raises(openai.AuthenticationError):
        openai_of(service, api_key="wrong").models.list()
    with pytest.raises(openai.BadRequestError, match="`n` can only be 1") as refused:
        client.chat.completions.create(model="echo", messages=SAID, n=2)
    assert refused.value.param == "n"
    with pytest.raises(openai.BadRequestError, match="whole conversation"):
        client.responses.create(model="echo", input="Hi", previous_response_id="resp_1")
    with pytest.raises(openai.APIError, match="as it was told"):
        list(client.chat.completions.create(model="echo", messages=SAID, stream=True, extra_body={"fail_after": 1}))
    local.refusal = (429, {"error": {"message": "slow down"}})
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="local/m", messages=SAID)


def test_who_reached_a_limit_is_told_when_to_come_again(service: Running) -> None:
    limit = {"kind": "everyone", "model": "echo", "unit": "requests", "period": "minute", "hard": 1}
    service.post("/api/limits", limit)
    openai_of(service).chat.completions.create(model="echo", messages=SAID)
    with pytest.raises(openai.RateLimitError, match="requests") as refused:
        openai_of(service).chat.completions.create(model="echo", messages=SAID)
    assert 0 < int(refused.value.response.headers["retry-after"]) <= 61
    with pytest.raises(anthropic.RateLimitError) as limited:
        anthropic_of(service).messages.create(model="echo", max_tokens=9, messages=SAID)
    assert limited.value.body["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize("wire", ["chat", "responses", "messages"])
def test_who_hangs_up_has_ended_the_call_at_the_model_server(service: Running, local: ModelServer, wire: str) -> None:
    local.say("Once")
    opened: Any
    if wire == "chat":
        opened = openai_of(service).chat.completions.create(model="local/m", messages=SAID, stream=True)
    elif wire == "responses":
        opened = openai_of(service).responses.create(model="local/m", input="Hello", stream=True)
    else:
        opened = anthropic_of(service).messages.create(model="local/m", max_tokens=9, messages=SAID, stream=True)
    with opened as stream:
        next(iter(stream))

    def hung_up() -> bool:
        local.say("a time")
        return local.hung_up.is_set()

    wait_for(hung_up, "the model server to be hung up on")
    wait_for(lambda: used(service), "the usage to be kept")
    assert [row.outcome for row in used(service)] == ["cancelled"]


# Anthropic


def test_anthropic_chats(service: Running) -> None:
    tools: Any = [{"name": "look", "input_schema": LOOK}]
    asked: Any = {"model": "echo", "max_tokens": 99, "messages": SAID, "tools": tools, "extra_body": CALLS}
    whole = anthropic_of(service).messages.create(**asked)
    with anthropic_of(service).messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for told in (whole, streamed):
        thought, text, call = told.content
        assert (thought.thinking, text.text, call.name, call.input) == ("Hm.", "Hello there", "look", {"far": True})
        assert (told.stop_reason, told.usage.input_tokens, told.usage.output_tokens) == ("tool_use", 2, 3)


def test_anthropic_shows_images_and_goes_on_after_a_tool(service: Running, local: ModelServer) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}
    messages: Any = [
        {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "See"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "look", "input": {"far": True}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "a cat"}]},
    ]
    local.say("A cat.")
    local.finish()
    told = anthropic_of(service).messages.create(model="local/m", max_tokens=9, system="Be brief.", messages=messages)
    assert told.content[0].text == "A cat."
    system, seen, called, result = local.asked[-1]["messages"]
    assert (system["role"], system["content"]) == ("system", "Be brief.")
    assert seen["content"][0] == {"type": "image_url", "image_url": {"url": PIXEL}}
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {"far": True}
    assert result == {"role": "tool", "tool_call_id": "1", "content": "a cat"}


def test_anthropic_lists_models_and_counts(service: Running) -> None:
    assert {"echo", "local/m"} <= {model.id for model in anthropic_of(service).models.list()}
    assert anthropic_of(service).models.retrieve("echo").display_name == "Echo"
    counted = anthropic_of(service).messages.count_tokens(model="echo", messages=SAID)
    assert counted.input_tokens > 0


def test_anthropic_knows_our_errors(service: Running) -> None:
    client = anthropic_of(service)
    with pytest.raises(anthropic.NotFoundError, match="not_found_error"):
        client.messages.create(model="nobody", max_tokens=9, messages=SAID)
    with pytest.raises(anthropic.AuthenticationError, match="authentication_error"):
        anthropic_of(service, api_key="wrong").models.list()
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(model="echo", max_tokens=-1, messages=SAID)
    failing: Any = {"model": "echo", "max_tokens": 9, "messages": SAID, "extra_body": {"fail_after": 1}}
    with pytest.raises(anthropic.APIStatusError, match="as it was told"), client.messages.stream(**failing) as stream:
        stream.get_final_message()


# LangChain


def test_langchain_chats_streams_and_calls_tools(service: Running) -> None:
    @tool
    def look(far: bool) -> str:
        """Look around."""
        return "a cat"

    model = ChatOpenAI(model="echo", base_url=f"{service.instance.url}/v1", api_key=service.instance.token)
    assert model.invoke("Hello there").content == "Hello there"
    assert "".join(chunk.content for chunk in model.stream("Hello there")) == "Hello there"
    calling = ChatOpenAI(
        model="echo",
        base_url=f"{service.instance.url}/v1",
        api_key=service.instance.token,
        extra_body={"tool_calls": CALLS["tool_calls"]},
    ).bind_tools([look])
    [call] = calling.invoke("Look").tool_calls
    assert (call["name"], call["args"]) == ("look", {"far": True})


def test_langchain_embeds(service: Running, local: ModelServer) -> None:
    embeddings = OpenAIEmbeddings(
        model="local/m",
        base_url=f"{service.instance.url}/v1",
        api_key=service.instance.token,
        check_embedding_ctx_length=False,
    )
    assert embeddings.embed_documents(["one", "two"]) == local.vectors(2)


# On a hub


def test_a_hub_s_token_is_the_key(settings: Settings) -> None:
    with (
        serving(Hub({"b": user("bob", CHAT), "n": user("nina")})) as hub,
        running_service(replace(settings, idle_exit_s=0.0), hub.service) as service,
    ):
        assert openai_of(service, api_key="b").chat.completions.create(model="echo", messages=SAID).choices
        assert anthropic_of(service, api_key="b").messages.create(model="echo", max_tokens=9, messages=SAID).content
        with pytest.raises(openai.PermissionDeniedError):
            openai_of(service, api_key="n").chat.completions.create(model="echo", messages=SAID)
        with pytest.raises(openai.AuthenticationError):
            openai_of(service, api_key="x").models.list()


def test_packed_vectors_are_little_endian_floats(service: Running, local: ModelServer) -> None:
    body = {"model": "local/m", "input": "one", "encoding_format": "base64"}
    told = service.post("/v1/embeddings", body)
    assert base64.b64decode(told["data"][0]["embedding"]) == b"\x00\x00\x00\x00\x00\x00\x80?"
