"""What every wire is to the rest of the workspace: one method that streams, one that lists models, and on some of them
one that embeds.

It knows neither HTTP nor vendors. An answer that is not streamed is a fold over one that is:
``assemble([event async for event in provider.stream(request)])``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from ..errors import ProviderError
from ..messages import Message, Parameters, StreamEvent, Tool, Usage


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a model is asked. `model` is the id that the provider itself uses.

    Args:
        tools: the functions that it may call.
        tool_choice: ``"auto"``, ``"none"``, ``"required"``, or the name of the tool that it must call.
        schema: the JSON schema that the text of the answer follows.
        at_once: nobody reads the answer before its end, so that a wire may ask its server not to stream.

    Example:
        >>> CompletionRequest("echo", (Message.user("Hi"),)).messages[0].text
        'Hi'
    """

    model: str
    messages: tuple[Message, ...]
    parameters: Parameters = field(default_factory=Parameters)
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    schema: Mapping[str, Any] | None = None
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as its provider lists it; None where the provider does not say.

    `context` and `max_output` are in tokens; `base` is the id of the model that an adapter belongs to.
    """

    id: str
    name: str
    context: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    reasoning: bool | None = None
    base: str | None = None
    json_schema: bool | None = None
    embeddings: bool | None = None
    max_output: int | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector for each text that was asked for, in the same order, and what it cost in tokens."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage


class Provider(Protocol):
    """A model server that can be asked; `name` is what people call it.

    `stream` yields ``start … usage? error? end``. What goes wrong before the first event is raised as `ProviderError`;
    what goes wrong later is an `error` event and ``end`` with the finish reason ``error``. There is exactly one `end`,
    unless the stream was closed: `aclose` of the generator hangs up on the model server.
    """

    name: str

    def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]: ...

    async def models(self) -> list[ModelInfo]: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Embedder(Protocol):
    """A provider that also turns texts into vectors.

    `dimensions` is the length that the vectors shall have, where the model leaves the choice. Failures are raised as
    `ProviderError`.
    """

    async def embed(self, model: str, inputs: Sequence[str], dimensions: int | None = None) -> Embeddings: ...


def error_event(error: ProviderError) -> StreamEvent:
    """How `error` is told in mid-stream.

    Example:
        >>> error_event(ProviderError("It broke off.", remedy="Ask again.", retryable=True)).data
        {'code': 'provider', 'remedy': 'Ask again.', 'retryable': True}
    """
    data = {"code": error.code, "remedy": error.remedy, "retryable": error.retryable}
    if error.details:
        data["details"] = error.details
    return StreamEvent("error", text=error.message, data=data)


def invalid(message: str, remedy: str) -> ProviderError:
    """A request that no provider of this wire could answer."""
    return ProviderError(message, remedy=remedy, code="provider_invalid")


def unsendable(part_type: str) -> ProviderError:
    """A request with a part that the wire has no form for."""
    return invalid(
        f"A part of the type {part_type!r} cannot be sent to this provider.", "Send text, or images with an address."
    )


def dropped(parameter: str, why: str) -> StreamEvent:
    """The warning that a wish was not passed on.

    Example:
        >>> dropped("top_p", "this model does not take it").text
        'top_p was not passed on: this model does not take it.'
    """
    return StreamEvent(
        "warning", text=f"{parameter} was not passed on: {why}.", data={"code": "dropped", "parameter": parameter}
    )


def changed(parameter: str, how: str) -> StreamEvent:
    """The warning that a wish was passed on as another."""
    return StreamEvent("warning", text=f"{how}.", data={"code": "changed", "parameter": parameter})
