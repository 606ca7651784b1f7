"""What a wire is to the gateway: it reads a request into our nouns, and tells an answer in its own words. Pure.

A wire is a module with a function that makes an `Asked` of a body, and a class that is its `Answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import msgspec

from ...messages import Message, StreamEvent
from ...providers.base import CompletionRequest
from .bodies import refuse

Effort = Literal["none", "low", "medium", "high"]
# Who uses an application is nobody's business but ours.
_PRIVATE = frozenset({"user", "metadata", "safety_identifier", "store"})
# All that the wires have words for, as the four that we have.
_EFFORTS: dict[str, Effort] = {
    "none": "none",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


class Answer(Protocol):
    """One answer on a wire, told as it comes or as a whole.

    Attributes:
        silence: what is sent where nothing was said for a while.
    """

    silence: bytes

    def frames(self, event: StreamEvent) -> Iterator[bytes]:
        """The server-sent events that tell `event`, an `error` and the `end` too; none where the wire has no word."""

    def whole(self, message: Message) -> Any:
        """The answer that was not streamed, as JSON-ready data."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a program asked for.

    Args:
        model: as the workspace names it.
        request: of that model, in words that every wire has.
        stream: the answer is wanted as it comes.
        answer: how to tell it, once it is known which model answers.
        own: what means something on this wire alone: a model server of another is not to hear it.
        exact: what `request` says as well, as this wire said it: for a model server of the same wire.
    """

    model: str
    request: CompletionRequest
    stream: bool
    answer: Callable[[str], Answer]
    own: Mapping[str, Any] = field(default_factory=dict)
    exact: Mapping[str, Any] = field(default_factory=dict)

    def request_to(self, model: str, *, same_wire: bool) -> CompletionRequest:
        """The request to a model server, which calls the model `model`."""
        parameters = self.request.parameters
        if same_wire and (self.own or self.exact):
            parameters = replace(parameters, extra={**self.own, **self.exact, **parameters.extra})
        return replace(self.request, model=model, parameters=parameters, at_once=not self.stream)


def rest(
    told: Mapping[str, Any], form: type[msgspec.Struct], own: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `form` has no field for: that of the wire's `own`, and that of nobody we know, meant for a model server."""
    unread = {
        name: value
        for name, value in told.items()
        if name not in form.__struct_fields__ and name not in _PRIVATE and value is not None
    }
    return (
        {name: value for name, value in unread.items() if name in own},
        {name: value for name, value in unread.items() if name not in own},
    )


def effort(param: str, told: str | None) -> Effort | None:
    """How much to think, in our words."""
    if told is None or told in _EFFORTS:
        return None if told is None else _EFFORTS[told]
    raise refuse(param, f"`{param}` is {told!r}, which is none of {', '.join(_EFFORTS)}.")
