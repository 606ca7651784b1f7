"""Requests on the Anthropic messages wire, as a server reads them. Pure; answers are told by `anthropic_answer`.

See https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ...errors import InvalidRequest
from ...messages import Message, Parameters, Part, Tool
from ...providers.base import CompletionRequest
from ..metering import estimate_messages, estimate_tokens
from .anthropic_answer import Answer
from .bodies import Name, Positive, read, refuse
from .thoughts import unwrap
from .wire import Asked, Effort, effort, rest

WIRE = "anthropic_messages"
# What only Anthropic's own models understand, and servers that copy them.
_OWN = frozenset({"container", "context_management", "mcp_servers", "service_tier", "speed"})
# A budget of thought, as the effort that other wires know.
_EFFORTS: tuple[tuple[int, Effort], ...] = ((4_096, "low"), (16_384, "medium"))
_SEE = "See the messages API of Anthropic."


class Body(Struct):
    """What is asked; a field that is not here goes to the model server as it is."""

    model: Name
    messages: Annotated[list[dict[str, Any]], Meta(min_length=1)]
    max_tokens: Positive | None = None
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None


def ask(told: dict[str, Any], request_id: str, now: int) -> Asked:
    """What the body `told` asks for.

    Raises:
        InvalidRequest: it cannot be; the message says which field, and why.
    """
    body = read(told, Body)
    if body.max_tokens is None:
        raise refuse("max_tokens", "`max_tokens` is missing.", _SEE)
    own, extra = rest(told, Body, _OWN)
    if body.top_k is not None:
        own["top_k"] = body.top_k
    names = ("system", "tools", "tool_choice", "thinking", "output_config")
    exact = {name: told[name] for name in names if told.get(name) is not None}
    return Asked(body.model, _request(body, extra), bool(body.stream), partial(Answer, request_id), own, exact)


def count(told: dict[str, Any]) -> int:
    """About how many tokens the body `told` is, tools included."""
    body = read(told, Body)
    request = _request(body, {})
    tools = sum(estimate_tokens(msgspec.json.encode(tool).decode()) for tool in body.tools or ())
    return estimate_messages(request.messages) + tools


def _request(body: Body, extra: dict[str, Any]) -> CompletionRequest:
    messages = [Message.system(_system(body.system))] if body.system else []
    messages += [message for index, said in enumerate(body.messages) for message in _messages(index, said)]
    parameters = Parameters(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_tokens,
        stop=tuple(body.stop_sequences or ()),
        reasoning_effort=_effort(body),
        extra=extra,
    )
    return CompletionRequest(
        body.model,
        tuple(messages),
        parameters,
        tools=tuple(_tool(index, tool) for index, tool in enumerate(body.tools or ())),
        tool_choice=_choice(body.tool_choice),
        schema=_schema(body.output_config),
    )


def _effort(body: Body) -> Effort | None:
    wanted = (body.output_config or {}).get("effort")
    if wanted is not None and not isinstance(wanted, str):
        raise refuse("output_config.effort", "`output_config.effort` is no text.")
    match body.thinking:
        case None:
            return effort("output_config.effort", wanted)
        case {"type": "disabled"}:
            return "none"
        case {"type": "adaptive"}:
            return effort("output_config.effort", wanted) or "high"
        case {"type": "enabled", "budget_tokens": int(budget)}:
            return next((told for most, told in _EFFORTS if budget <= most), "high")
    raise refuse("thinking", "`thinking` is neither adaptive, disabled, nor enabled with its budget_tokens.", _SEE)


def _schema(config: dict[str, Any] | None) -> dict[str, Any] | None:
    match (config or {}).get("format"):
        case None:
            return None
        case {"type": "json_schema", "schema": dict(schema)}:
            return schema
    raise refuse("output_config.format", "`output_config.format` is no json_schema.", _SEE)


def _tool(index: int, tool: dict[str, Any]) -> Tool:
    match tool:
        case {"type": str(kind)} if kind != "custom":
            raise refuse(f"tools[{index}]", f"The tool {kind!r} would run at Anthropic, which this gateway cannot do.")
        case {"name": str(name), "input_schema": dict(schema)} if name:
            return Tool(name, str(tool.get("description") or ""), schema)
    raise refuse(f"tools[{index}]", f"Tool {index} lacks its name or input_schema.", _SEE)


def _choice(choice: dict[str, Any] | None) -> str | None:
    match choice:
        case None:
            return None
        case {"type": "auto" | "none" as kind}:
            return str(kind)
        case {"type": "any"}:
            return "required"
        case {"type": "tool", "name": str(name)}:
            return name
    raise refuse("tool_choice", "`tool_choice` is none of auto, any, tool and none.", _SEE)


def _system(told: str | list[dict[str, Any]]) -> str:
    if isinstance(told, str):
        return told
    if not all(isinstance(block.get("text"), str) for block in told):
        raise refuse("system", "`system` is neither text nor blocks of text.", _SEE)
    return "\n\n".join(block["text"] for block in told)


def _messages(index: int, told: Mapping[str, Any]) -> Iterator[Message]:
    """A turn as ours: the results of tools are messages of their own, before what else the user says."""
    role, content = told.get("role"), told.get("content")
    if role not in ("user", "assistant", "system"):
        raise _invalid(index, f"its role is {role!r}")
    if isinstance(content, str):
        yield Message(role, (Part("text", content),))
        return
    if not isinstance(content, list):
        raise _invalid(index, "its content is neither text nor a list of blocks")
    parts = [_part(index, block) for block in content]
    if results := tuple(part for part in parts if part.type == "tool_result"):
        yield Message("tool", results)
    if rest := tuple(part for part in parts if part.type != "tool_result"):
        yield Message(role, rest)


def _part(index: int, block: Any) -> Part:
    """A block as ours, with how far the prompt is to be cached, which a server of this wire is to hear."""
    part = _block(index, block)
    cached = block.get("cache_control")
    return replace(part, data={**part.data, "cache_control": cached}) if isinstance(cached, dict) else part


def _block(index: int, block: Any) -> Part:
    match block:
        case {"type": "text", "text": str(text)}:
            return Part("text", text)
        case {"type": "image", "source": dict(source)}:
            return Part("image", data={"url": _address(index, source)})
        case {"type": "tool_use", "id": str(id), "name": str(name), "input": arguments}:
            given = msgspec.json.encode(arguments).decode()
            return Part("tool_call", data={"id": id, "name": name, "arguments": given})
        case {"type": "tool_result", "tool_use_id": str(id)}:
            failed = {"is_error": True} if block.get("is_error") else {}
            return Part("tool_result", _result(index, block.get("content")), {"id": id, **failed})
        case {"type": "thinking", "thinking": str(text)}:
            signature = block.get("signature")
            return Part("reasoning", text, _mark(signature if isinstance(signature, str) else "", "signature"))
        case {"type": "redacted_thinking", "data": str(data)}:
            return Part("reasoning", data=_mark(data, "redacted"))
    kind = block.get("type") if isinstance(block, dict) else block
    raise _invalid(index, f"a block of it, {kind!r}, is none that this gateway knows")


def _mark(told: str, name: str) -> dict[str, Any]:
    if (wrapped := unwrap(told)) is not None:
        return wrapped
    return {name: told, "wire": WIRE} if told else {}


def _address(index: int, source: Mapping[str, Any]) -> str:
    match source:
        case {"type": "base64", "media_type": str(kind), "data": str(data)}:
            return f"data:{kind};base64,{data}"
        case {"type": "url", "url": str(url)}:
            return url
    raise _invalid(index, "the source of an image in it is neither base64 nor an address")


def _result(index: int, content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(isinstance(it, dict) and isinstance(it.get("text"), str) for it in content):
        return "\n".join(block["text"] for block in content)
    raise _invalid(index, "a tool's result in it is not text")


def _invalid(index: int, what: str) -> InvalidRequest:
    return refuse(f"messages[{index}]", f"Message {index} cannot be read: {what}.", _SEE)
