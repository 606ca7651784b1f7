"""The nouns of a conversation: `Message` with its `Part`s, `Tool`, `Usage` and `Timing`, `Parameters`, `StreamEvent`.

Messages are folded from events, and one vocabulary reaches from the provider to the pixel: a provider yields
`StreamEvent`s, the service sends the same dicts as server-sent events, the client decodes them to this class, and
store, client and page fold them with the same `assemble()`. The values are frozen, carry no ids and do no I/O; this
module imports nothing of ours.

A stream is ``start (reasoning | text | tool_call | citation | warning)* usage? error? end``: exactly one `end`, always
last. Positions in a stream (see `advance`) count code points of streamed text, so that a coalesced stretch of a
stored stream can be cut wherever a reader stopped.

What a provider must get back verbatim but nobody reads (the signature of a thought, encrypted reasoning) is a *mark*: a
delta of `reasoning` or `text` without text, whose data says it and, as ``wire``, who made it. It belongs to what was
said before it, is never joined with its neighbours, and stays a part of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

EventType = Literal["start", "reasoning", "text", "tool_call", "citation", "usage", "warning", "error", "end"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "cancelled", "interrupted", "error"]
Role = Literal["system", "user", "assistant", "tool"]

EVENT_TYPES: tuple[str, ...] = get_args(EventType)
_DELTAS = ("reasoning", "text")
# Where a cell ends with an answer that was just streamed above, its repr is not to say it all again.
_REPR_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model call, as the provider reported them or as we estimated them.

    `input_tokens` includes what was read from or written to a cache; `output_tokens` includes `reasoning_tokens`, and
    `cache_write_tokens` those that are kept for an hour, which cost more (`cache_write_1h_tokens`).
    `source` is ``"provider"`` or ``"estimate"``: an estimate is never shown as a fact.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    source: Literal["provider", "estimate"] = "provider"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, measured by the service: to the first visible token, spent reasoning, and in all."""

    first_token_s: float | None = None
    reasoning_s: float | None = None
    total_s: float | None = None


@dataclass(frozen=True, slots=True)
class Parameters:
    """How a model shall answer; None leaves a choice to the model. `extra` goes to the provider as it is."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    reasoning_effort: Literal["none", "low", "medium", "high"] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return _compact(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Parameters:
        """Decode what `to_dict` wrote; an unknown name is a ValueError, since it would be silently without effect."""
        unknown = set(value) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown parameters: {', '.join(sorted(unknown))}")
        return cls(**{**value, "stop": tuple(value.get("stop", ()))})


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call; `parameters` is the JSON schema of its arguments, always an object's.

    Example:
        >>> Tool("look", "Look around.", {"type": "object", "properties": {"far": {"type": "boolean"}}}).name
        'look'
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a message: what was said, thought, called or cited.

    `type` is ``text``, ``reasoning``, ``tool_call``, ``tool_result``, ``citation``, ``image``, ``file`` or
    ``warning``; `data` holds what is not text: of a tool call ``id``, ``name`` and ``arguments``, of a tool's result
    what `tool_result` says, of reasoning its ``signature``, ``redacted`` or ``encrypted`` form with the ``wire`` that
    made it (see the module), of an image its ``url``, or as of a file the id of the ``attachment`` that it is, of a
    citation ``url`` and ``title``; of any part that was asked on Anthropic's wire its ``cache_control``, which no other
    wire has a word for.
    """

    type: str
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def attachment(self) -> str | None:
        """The id of the attachment that an image or a file is.

        Example:
            >>> Part("image", data={"attachment": "1"}).attachment, Part("image", data={"url": "data:,"}).attachment
            ('1', None)
        """
        named = self.data.get("attachment") if self.type in ("image", "file") else None
        # A request or a file may say anything.
        return named if named and isinstance(named, str) else None

    @classmethod
    def tool_result(cls, id: str, text: str, *, error: bool = False, denied: bool = False) -> Part:
        """What came of the call `id`, as text, or why nothing did; a call that a person denied is an error, too.

        Example:
            >>> Part.tool_result("c1", "Not allowed.", denied=True).data
            {'id': 'c1', 'is_error': True, 'denied': True}
        """
        said = {"is_error": error or denied, "denied": denied}
        return cls("tool_result", text, {"id": id, **{name: True for name, is_so in said.items() if is_so}})

    def to_dict(self) -> dict[str, Any]:
        return _compact(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Part:
        return cls(type=value["type"], text=value.get("text", ""), data=dict(value.get("data", {})))


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One thing that happened in an answer.

    Args:
        type: one of `EVENT_TYPES`.
        text: the delta of `reasoning` and `text`; the sentence of `warning` and `error`.
        model: who answers (`start`).
        data: what else the event says: of `start` ``request_id`` and ``served_model``; of `tool_call` ``index``,
            ``id``, ``name`` and a delta of ``arguments``; of `citation` ``url`` and ``title``; of `error` ``code``,
            ``remedy`` and ``retryable``.
        usage: of `usage`.
        finish_reason, timing, cost, currency: of `end`; `cost` is None where the model is unpriced.

    Example:
        >>> StreamEvent("text", text="Hello").to_dict()
        {'type': 'text', 'text': 'Hello'}
        >>> StreamEvent.from_dict({"type": "text", "text": "Hello"}).text
        'Hello'
    """

    type: EventType
    text: str = ""
    model: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    timing: Timing | None = None
    cost: float | None = None
    currency: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON-ready data, without what it does not say."""
        return _compact(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> StreamEvent:
        """Decode what `to_dict` wrote; keys of a newer version are ignored."""
        if value.get("type") not in EVENT_TYPES:
            raise ValueError(f"not a stream event: {value.get('type')!r}")
        known = {f.name: value[f.name] for f in fields(cls) if f.name in value}
        if known.get("usage") is not None:
            known["usage"] = _build(Usage, known["usage"])
        if known.get("timing") is not None:
            known["timing"] = _build(Timing, known["timing"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Message:
    """A turn of a conversation; an assistant's also says how it came about.

    Example:
        >>> message = assemble([StreamEvent("start", model="echo"), StreamEvent("text", text="Hi"),
        ...                     StreamEvent("end", finish_reason="stop")])
        >>> message.text, message.model, message.finish_reason
        ('Hi', 'echo', 'stop')
    """

    role: Role
    parts: tuple[Part, ...] = ()
    model: str | None = None
    usage: Usage | None = None
    timing: Timing | None = None
    cost: float | None = None
    currency: str | None = None
    finish_reason: FinishReason | None = None
    error: Mapping[str, Any] | None = None

    @classmethod
    def user(cls, text: str) -> Message:
        return cls("user", (Part("text", text),))

    @classmethod
    def system(cls, text: str) -> Message:
        return cls("system", (Part("text", text),))

    @property
    def text(self) -> str:
        """What was said, without reasoning."""
        return "".join(part.text for part in self.parts if part.type == "text")

    @property
    def reasoning(self) -> str:
        """What was thought, as far as the provider showed it."""
        return "".join(part.text for part in self.parts if part.type == "reasoning")

    @property
    def attachments(self) -> tuple[str, ...]:
        """The ids of what is attached, each once."""
        return tuple(dict.fromkeys(part.attachment for part in self.parts if part.attachment))

    @property
    def tokens_per_s(self) -> float | None:
        """Output tokens per second after the first one; None where that was not measured."""
        if self.usage is None or self.timing is None:
            return None
        if self.timing.total_s is None or self.timing.first_token_s is None or self.usage.output_tokens < 2:
            return None
        seconds = self.timing.total_s - self.timing.first_token_s
        return (self.usage.output_tokens - 1) / seconds if seconds > 0 else None

    def to_dict(self) -> dict[str, Any]:
        return _compact(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Message:
        """Decode what `to_dict` wrote; keys of a newer version are ignored."""
        known = {f.name: value[f.name] for f in fields(cls) if f.name in value}
        known["parts"] = tuple(Part.from_dict(part) for part in value.get("parts", ()))
        if known.get("usage") is not None:
            known["usage"] = _build(Usage, known["usage"])
        if known.get("timing") is not None:
            known["timing"] = _build(Timing, known["timing"])
        return cls(**known)

    def __repr__(self) -> str:
        figures = [self.model or "", self.finish_reason or ""]
        if self.usage is not None:
            figures.append(f"{self.usage.input_tokens}+{self.usage.output_tokens} tokens")
        quiet = ", ".join(figure for figure in figures if figure)
        text = self.text if len(self.text) <= _REPR_WIDTH else f"{self.text[: _REPR_WIDTH - 1]}…"
        return f"Message({self.role}: {text!r}{', ' + quiet if quiet else ''})"


def advance(position: int, event: StreamEvent) -> int:
    """The position after `event`: the number of code points streamed so far, where any other event counts one.

    This is the sequence number of an event on the wire (``id:`` of a server-sent event). Because it counts text and
    not deltas, `cut` can resume a coalesced stream anywhere. A mark counts one, like any event without text.
    """
    return position + (len(event.text) if event.type in _DELTAS and (event.text or not event.data) else 1)


def cut(events: Iterable[StreamEvent], after: int) -> Iterable[tuple[int, StreamEvent]]:
    """Number `events` and yield those past position `after`, cutting the text that straddles it.

    Example:
        >>> stream = [StreamEvent("start"), StreamEvent("text", text="Hello")]
        >>> [(number, event.text) for number, event in cut(stream, after=3)]
        [(6, 'llo')]
    """
    position = 0
    for event in events:
        before, position = position, advance(position, event)
        if position <= after:
            continue
        if event.type in _DELTAS and before < after:
            event = replace(event, text=event.text[after - before :])
        yield position, event


def coalesce(events: Iterable[StreamEvent]) -> list[StreamEvent]:
    """Join neighbouring deltas of the same kind; positions stay as they were.

    Example:
        >>> len(coalesce([StreamEvent("text", text="a"), StreamEvent("text", text="b")]))
        1
    """
    joined: list[StreamEvent] = []
    texts: list[str] = []
    for event in events:
        if joined and _joins(joined[-1], event):
            texts.append(event.text)
            continue
        if joined and texts:
            joined[-1] = replace(joined[-1], text=joined[-1].text + "".join(texts))
        texts = []
        joined.append(event)
    if joined and texts:
        joined[-1] = replace(joined[-1], text=joined[-1].text + "".join(texts))
    return joined


def assemble(events: Iterable[StreamEvent]) -> Message:
    """Fold a stream, whole or still open, into the assistant's `Message`.

    An open stream gives what was said so far, without a `finish_reason`.
    """
    parts: list[Part] = []
    calls: dict[Any, int] = {}
    about: dict[str, Any] = {}
    for event in coalesce(events):
        match event.type:
            case "start":
                about["model"] = event.model
            case "text" | "reasoning" if parts and _joins(parts[-1], event):
                # What stood between, the rest of a call, belongs to an earlier part.
                parts[-1] = replace(parts[-1], text=parts[-1].text + event.text)
            case "text" | "reasoning" | "citation" | "warning":
                parts.append(Part(event.type, event.text, event.data))
            case "tool_call":
                _fold_tool_call(parts, calls, event)
            case "usage":
                about["usage"] = event.usage
            case "error":
                about["error"] = {"message": event.text, **event.data}
            case "end":
                about["finish_reason"] = event.finish_reason
                about["timing"] = event.timing
                about["cost"], about["currency"] = event.cost, event.currency
    return Message("assistant", tuple(parts), **about)


def replay(message: Message) -> list[StreamEvent]:
    """The stream that `assemble` folds back into this assistant's `message`, with the positions of the live one.

    Tool calls come whole, so their inner positions are not kept.
    """
    events = [StreamEvent("start", model=message.model)]
    events += [StreamEvent(part.type, text=part.text, data=part.data) for part in message.parts]  # type: ignore[arg-type]
    if message.usage is not None:
        events.append(StreamEvent("usage", usage=message.usage))
    if message.error is not None:
        rest = {key: value for key, value in message.error.items() if key != "message"}
        events.append(StreamEvent("error", text=message.error.get("message", ""), data=rest))
    if message.finish_reason is not None:
        end = StreamEvent("end", finish_reason=message.finish_reason, timing=message.timing)
        events.append(replace(end, cost=message.cost, currency=message.currency))
    return events


def _is_mark(event: StreamEvent | Part) -> bool:
    return event.type in _DELTAS and not event.text and bool(event.data)


def _joins(before: StreamEvent | Part, event: StreamEvent) -> bool:
    if event.type not in _DELTAS or before.type != event.type or before.data != event.data:
        return False
    return not (_is_mark(before) or _is_mark(event))


def _fold_tool_call(parts: list[Part], calls: dict[Any, int], event: StreamEvent) -> None:
    key = event.data.get("index", event.data.get("id"))
    if key not in calls:
        calls[key] = len(parts)
        parts.append(Part("tool_call", data=dict(event.data)))
        return
    known = dict(parts[calls[key]].data)
    known["arguments"] = known.get("arguments", "") + event.data.get("arguments", "")
    for name in ("id", "name"):
        known[name] = known.get(name) or event.data.get(name)
    parts[calls[key]] = Part("tool_call", data=known)


def _compact(value: Any) -> Any:
    """A dataclass as a dict without empty fields, all the way down."""
    if isinstance(value, tuple | list):
        return [_compact(item) for item in value]
    if not hasattr(value, "__dataclass_fields__"):
        return value
    named = {f.name: _compact(getattr(value, f.name)) for f in fields(value)}
    return {name: item for name, item in named.items() if item is not None and item != "" and item != {} and item != []}


def _build(cls: Any, value: Mapping[str, Any]) -> Any:
    return cls(**{f.name: value[f.name] for f in fields(cls) if f.name in value})
