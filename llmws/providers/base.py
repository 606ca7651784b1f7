"""What every wire is to the rest of the workspace: one method that streams, one that lists models.

It knows neither HTTP nor vendors. An answer that is not streamed is a fold over one that is:
``assemble([event async for event in provider.stream(request)])``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import ProviderError
from ..messages import Message, Parameters, StreamEvent


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a model is asked. `model` is the id that the provider itself uses.

    Example:
        >>> CompletionRequest("echo", (Message.user("Hi"),)).messages[0].text
        'Hi'
    """

    model: str
    messages: tuple[Message, ...]
    parameters: Parameters = field(default_factory=Parameters)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as its provider lists it; None where the provider does not say.

    `context` is in tokens; `base` is the id of the model that an adapter belongs to.
    """

    id: str
    name: str
    context: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    reasoning: bool | None = None
    base: str | None = None


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
