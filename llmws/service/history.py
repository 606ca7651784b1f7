"""What of a conversation a model is given: the system prompt and the turns, as far back as its context reaches.

An answer that was cut off and its continuation are two messages to a person and one to a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..messages import Message, Part, StreamEvent
from .metering import estimate_message, estimate_messages, estimate_tokens

# Few servers go on with an assistant's last message by themselves, and each wants it said in a way of its own; some
# refuse it. All understand this.
GO_ON = (
    "Continue exactly where your last message stopped, in its language and format."
    " Repeat nothing of it, and do not comment on this request."
)


def turns(system: str, path: Iterable[Message]) -> tuple[Message, ...]:
    """The conversation as a model may see it again: without answers that said nothing, continued ones in one piece."""
    said: list[Message] = []
    for message in path:
        if message.role != "assistant":
            said.append(message)
        elif says(message):
            if said and said[-1].role == "assistant":
                said[-1] = _joined(said[-1], message)
            else:
                said.append(replace(message, error=None))
    return (Message.system(system), *said) if system else tuple(said)


def going_on(messages: Sequence[Message], context: int | None) -> tuple[tuple[Message, ...], tuple[StreamEvent, ...]]:
    """The turns that ask a model to go on with the last one, an answer that was cut off.

    Of an answer that fills much of the context only the end is given, and a `warning` says so.

    Example:
        >>> long = Message("assistant", (Part("text", "word " * 400),))
        >>> asked, warnings = going_on([Message.user("Talk."), long], context=256)
        >>> [message.role for message in asked], len(asked[1].text), warnings[0].data["code"]
        (['user', 'assistant', 'user'], 256, 'answer_cut')
    """
    *before, answer = messages
    text = answer.text
    warnings: tuple[StreamEvent, ...] = ()
    room = None if context is None else context // 4
    if room is not None and (tokens := estimate_tokens(text)) > room:
        text = text[-max(1, len(text) * room // tokens) :]
        told = "The answer fills much of what the model reads at once, so it was given only the answer's end."
        warnings = (StreamEvent("warning", text=told, data={"code": "answer_cut", "context": context}),)
        answer = replace(answer, parts=(Part("text", text),))
    return (*before, answer, Message.user(GO_ON)), warnings


def fit(
    messages: Sequence[Message], context: int | None, max_tokens: int | None = None, keep: int = 1
) -> tuple[tuple[Message, ...], tuple[StreamEvent, ...]]:
    """Leave out the oldest turns until the rest fits `context` with room for an answer, and say so in a `warning`.

    The system prompt and the last `keep` messages always stay: if they alone are too long, the provider shall say so.

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
    while excess > 0 and len(kept) > keep:
        excess -= estimate_message(kept.pop(0))
        # A conversation begins with what a person said; some chat templates refuse any other.
        while len(kept) > keep and kept[0].role != "user":
            excess -= estimate_message(kept.pop(0))
    dropped = len(messages) - first - len(kept)
    if not dropped:
        return tuple(messages), ()
    text = f"The model reads {context:,} tokens at most, so the oldest {dropped} messages were left out."
    if dropped == 1:
        text = f"The model reads {context:,} tokens at most, so the oldest message was left out."
    warning = StreamEvent("warning", text=text, data={"code": "history_cut", "dropped": dropped, "context": context})
    return (*messages[:first], *kept), (warning,)


def says(message: Message) -> bool:
    """Whether an answer says anything to whoever reads on."""
    return any(part.type in ("text", "tool_call") and (part.text or part.data) for part in message.parts)


def _joined(answer: Message, continuation: Message) -> Message:
    """The two as one; what was thought before the second is left out, since providers check thoughts by their place."""
    *before, last = answer.parts
    more = [part for part in continuation.parts if part.type != "reasoning"]
    if more and last.type == more[0].type == "text" and last.data == more[0].data:
        more[0] = replace(last, text=last.text + more[0].text)
    else:
        before.append(last)
    return replace(answer, parts=(*before, *more), finish_reason=continuation.finish_reason)
