"""What of a conversation a model is given: the system prompt and the turns, as far back as its context reaches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..messages import Message, StreamEvent
from .metering import estimate_message, estimate_messages


def turns(system: str, path: Iterable[Message]) -> tuple[Message, ...]:
    """The conversation as a model may see it again: without answers that said nothing."""
    said = [replace(message, error=None) for message in path if message.role != "assistant" or _says(message)]
    return (Message.system(system), *said) if system else tuple(said)


def fit(
    messages: Sequence[Message], context: int | None, max_tokens: int | None = None
) -> tuple[tuple[Message, ...], tuple[StreamEvent, ...]]:
    """Leave out the oldest turns until the rest fits `context` with room for an answer, and say so in a `warning`.

    The system prompt and the last message always stay: if they alone are too long, the provider shall say so.

    Example:
        >>> long = [Message.user("word " * 400), Message.user("And now?")]
        >>> kept, warnings = fit(long, context=256)
        >>> kept[0].text, warnings[0].data["dropped"]
        ('And now?', 1)
    """
    if context is None:
        return tuple(messages), ()
    # Estimates are rough and templates take tokens, too: a fifth is kept free.
    room = (context - min(max_tokens or context // 4, context // 2)) * 4 // 5
    first = next((n for n, message in enumerate(messages) if message.role != "system"), len(messages))
    kept = list(messages[first:])
    excess = estimate_messages(messages) - room
    while excess > 0 and len(kept) > 1:
        excess -= estimate_message(kept.pop(0))
        # A conversation begins with what a person said; some chat templates refuse any other.
        while len(kept) > 1 and kept[0].role != "user":
            excess -= estimate_message(kept.pop(0))
    dropped = len(messages) - first - len(kept)
    if not dropped:
        return tuple(messages), ()
    text = f"The model reads {context:,} tokens at most, so the oldest {dropped} messages were left out."
    if dropped == 1:
        text = f"The model reads {context:,} tokens at most, so the oldest message was left out."
    warning = StreamEvent("warning", text=text, data={"code": "history_cut", "dropped": dropped, "context": context})
    return (*messages[:first], *kept), (warning,)


def _says(message: Message) -> bool:
    return any(part.type in ("text", "tool_call") and (part.text or part.data) for part in message.parts)
