"""A stage for each wire: it plays what a test asks for, as a model server of that wire would."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from llmws.providers.anthropic_messages import AnthropicMessages, AnthropicQuirks
from llmws.providers.anthropic_request import Dialect
from llmws.providers.base import CompletionRequest, Provider
from llmws.providers.echo import Echo
from llmws.providers.ollama import Ollama
from llmws.providers.openai_chat import OpenAIChat, Quirks
from llmws.providers.openai_responses import OpenAIResponses

from .conftest import DONE, Upstream, ask, chunk, happened, line

KEY = "sk-a-real-secret"


@dataclass(frozen=True)
class Performance:
    """What the model shall do.

    Args:
        fail_after: say so many tokens and fail; 0 fails before the first.
        complain: answer HTTP 200 with an error for a body.
        noise: send keep-alives, and events that nobody knows, between all others.
    """

    tokens: tuple[str, ...] = ("To", " be", ", 或 not")
    reasoning: str = ""
    call: tuple[str, str] | None = None
    fail_after: int | None = None
    endless: bool = False
    complain: bool = False
    noise: bool = False

    @property
    def said(self) -> tuple[str, ...]:
        return self.tokens[: self.fail_after]


class EchoStage:
    """Echo is told by its parameters what to do."""

    provider: Provider = Echo()

    def play(self, performance: Performance) -> CompletionRequest:
        extra: dict[str, Any] = {"tokens": list(performance.tokens), "reasoning": performance.reasoning}
        if performance.fail_after is not None:
            extra["fail_after"] = performance.fail_after
        if performance.call is not None:
            name, arguments = performance.call
            extra["tool_calls"] = ({"name": name, "arguments": arguments},)
        if performance.endless:
            extra |= {"count": 10**9, "delay_s": 0.001}
        return ask("one two", model="echo", extra=extra)


class ServerStage:
    """A scripted server plays; a wire says how.

    Attributes:
        provider: asks the server.
        refusal: what the server says when it is overloaded.
        noise: what it may send at any time and means nothing, first what comes while one waits.
        counts_failures: it tells what an answer used that failed.
    """

    provider: Provider
    refusal: Any
    noise: tuple[str, ...]
    counts_failures: ClassVar = True

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream

    def play(self, performance: Performance) -> CompletionRequest:
        if performance.fail_after == 0 or performance.complain:
            self.upstream.answers(json.dumps(self.refusal), status=200 if performance.complain else 503)
            return ask()
        parts = self.parts(performance)
        if performance.noise:
            parts = [self.noise[0], *(it for part in parts for it in (part, *self.noise))]
        self.upstream.answers(*parts, then="hold" if performance.endless else "end")
        return ask()

    def parts(self, performance: Performance) -> list[str]:
        """What the server writes."""
        raise NotImplementedError

    def images(self, body: Any) -> list[str]:
        """The images that a body asks of, each as it is written there."""
        raise NotImplementedError

    def given_back(self, body: Any) -> Any:
        """What was reasoned, as a body gives it back; `thought` says what that must be."""
        raise NotImplementedError

    def thought(self, reasoning: str) -> Any:
        return reasoning


class OpenAIChatStage(ServerStage):
    """OpenAI chat completions, of a vendor that wants its reasoning back."""

    refusal: ClassVar = {"error": {"message": "Engine overloaded"}}
    noise = (": keep-alive\n\n", "\n\n", 'event: ping\ndata: {"type": "ping"}\n\n')

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self.provider = OpenAIChat("Vendor", upstream.url, KEY, quirks=Quirks(replay_reasoning="tool_calls"))

    def parts(self, performance: Performance) -> list[str]:
        parts = [chunk({"role": "assistant", "content": ""})]
        parts += [chunk({"reasoning_content": performance.reasoning})] if performance.reasoning else []
        parts += [chunk({"content": token}) for token in performance.said]
        usage = chunk(None, usage={"prompt_tokens": 2, "completion_tokens": 3})
        if performance.fail_after is not None:
            return [*parts, usage, f"data: {json.dumps(self.refusal)}\n\n"]
        if performance.endless:
            return parts
        if performance.call is not None:
            name, arguments = performance.call
            call = {"index": 0, "id": "call_1", "type": "function"}
            parts.append(chunk({"tool_calls": [{**call, "function": {"name": name, "arguments": arguments[:3]}}]}))
            parts.append(chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[3:]}}]}))
        return [*parts, chunk({}, "tool_calls" if performance.call else "stop"), usage, DONE]

    def images(self, body: Any) -> list[str]:
        parts = body["messages"][0]["content"]
        return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]

    def given_back(self, body: Any) -> Any:
        return body["messages"][1]["reasoning_content"]


class OpenAIResponsesStage(ServerStage):
    """OpenAI responses."""

    refusal: ClassVar = {"error": {"message": "Engine overloaded"}}
    noise = (": keep-alive\n\n", happened("keepalive"), happened("response.tomorrow.delta", delta="?"))

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self.provider = OpenAIResponses("Vendor", upstream.url, KEY)

    def parts(self, performance: Performance) -> list[str]:
        response: dict[str, Any] = {"id": "resp_1", "object": "response", "model": "m"}
        parts = [happened("response.created", response={**response, "status": "in_progress"})]
        response |= {"usage": {"input_tokens": 2, "output_tokens": 3}}
        if performance.reasoning:
            item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
            parts.append(happened("response.reasoning_summary_text.delta", output_index=0, delta=performance.reasoning))
            parts.append(happened("response.output_item.done", output_index=0, item=item))
        parts += [happened("response.output_text.delta", output_index=1, delta=token) for token in performance.said]
        if performance.fail_after is not None:
            error = {"code": "server_error", "message": "Engine overloaded"}
            return [*parts, happened("response.failed", response={**response, "status": "failed", "error": error})]
        if performance.endless:
            return parts
        if performance.call is not None:
            name, arguments = performance.call
            item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name, "arguments": ""}
            parts.append(happened("response.output_item.added", output_index=2, item=item))
            parts += [
                happened("response.function_call_arguments.delta", output_index=2, delta=delta)
                for delta in (arguments[:3], arguments[3:])
            ]
        return [*parts, happened("response.completed", response={**response, "status": "completed"})]

    def images(self, body: Any) -> list[str]:
        return [part["image_url"] for part in body["input"][0]["content"] if part["type"] == "input_image"]

    def given_back(self, body: Any) -> Any:
        return [item["encrypted_content"] for item in body["input"] if item.get("type") == "reasoning"]

    def thought(self, reasoning: str) -> Any:
        return ["gAAAA"]


class AnthropicMessagesStage(ServerStage):
    """Anthropic messages."""

    refusal: ClassVar = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    noise = (happened("ping"), ": keep-alive\n\n", happened("message_tomorrow", what="?"))

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        quirks = AnthropicQuirks((Dialect(thinking="adaptive"),))
        self.provider = AnthropicMessages("Vendor", upstream.url, KEY, quirks=quirks)

    def parts(self, performance: Performance) -> list[str]:
        usage = {"input_tokens": 2, "output_tokens": 1}
        parts = [happened("message_start", message={"id": "msg_1", "model": "m", "content": [], "usage": usage})]
        if performance.reasoning:
            deltas = [{"type": "thinking_delta", "thinking": performance.reasoning}]
            deltas += [{"type": "signature_delta", "signature": "sig"}]
            parts += self._block(0, {"type": "thinking", "thinking": "", "signature": ""}, deltas)
        said = [{"type": "text_delta", "text": token} for token in performance.said]
        parts += self._block(1, {"type": "text", "text": ""}, said)[: -1 if performance.endless else None]
        counted = {"usage": {"output_tokens": 3}}
        if performance.fail_after is not None:
            return [*parts, happened("message_delta", delta={}, **counted), happened("error", **self.refusal_data())]
        if performance.endless:
            return parts
        if performance.call is not None:
            name, arguments = performance.call
            pieces = [{"type": "input_json_delta", "partial_json": it} for it in ("", arguments[:3], arguments[3:])]
            parts += self._block(2, {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}, pieces)
        reason = "tool_use" if performance.call else "end_turn"
        return [*parts, happened("message_delta", delta={"stop_reason": reason}, **counted), happened("message_stop")]

    def refusal_data(self) -> dict[str, Any]:
        return {name: value for name, value in self.refusal.items() if name != "type"}

    def images(self, body: Any) -> list[str]:
        sources = [part["source"] for part in body["messages"][0]["content"] if part["type"] == "image"]
        return [f"data:{source['media_type']};{source['type']},{source['data']}" for source in sources]

    def given_back(self, body: Any) -> Any:
        return body["messages"][1]["content"][0]

    def thought(self, reasoning: str) -> Any:
        return {"type": "thinking", "thinking": reasoning, "signature": "sig"}

    @staticmethod
    def _block(index: int, start: dict[str, Any], deltas: Sequence[dict[str, Any]]) -> list[str]:
        return [
            happened("content_block_start", index=index, content_block=start),
            *(happened("content_block_delta", index=index, delta=delta) for delta in deltas),
            happened("content_block_stop", index=index),
        ]


class OllamaStage(ServerStage):
    """Ollama's own wire."""

    refusal: ClassVar = {"error": "server busy, please try again"}
    noise = ("\n", '{"status": "pulling"}\n')
    counts_failures = False  # only its last line counts

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        upstream.answers_at("/api/show", {"capabilities": ["completion", "thinking", "tools", "vision"]})
        upstream.answers_at("/api/ps", {"models": []})
        self.provider = Ollama("Vendor", upstream.url, KEY)

    def parts(self, performance: Performance) -> list[str]:
        parts = [line({"content": "", "thinking": performance.reasoning})] if performance.reasoning else []
        parts += [line({"content": token}) for token in performance.said]
        if performance.fail_after is not None:
            return [*parts, json.dumps(self.refusal) + "\n"]
        if performance.endless:
            return parts
        if performance.call is not None:
            name, arguments = performance.call
            function = {"name": name, "arguments": json.loads(arguments)}
            parts.append(line({"content": "", "tool_calls": [{"function": function}]}))
        return [*parts, line(done=True, done_reason="stop", prompt_eval_count=2, eval_count=3)]

    def images(self, body: Any) -> list[str]:
        return [f"data:image/png;base64,{data}" for data in body["messages"][0]["images"]]

    def given_back(self, body: Any) -> Any:
        return body["messages"][1]["thinking"]


Stage = EchoStage | ServerStage

SERVERS: dict[str, Callable[[Upstream], ServerStage]] = {
    "openai_chat": OpenAIChatStage,
    "openai_responses": OpenAIResponsesStage,
    "anthropic_messages": AnthropicMessagesStage,
    "ollama": OllamaStage,
}
STAGES: dict[str, Callable[[Upstream], Stage]] = {"echo": lambda _: EchoStage(), **SERVERS}
