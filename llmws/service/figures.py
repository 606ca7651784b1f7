"""What a conversation came to, and how full its model's context is: read from a few rows, however long it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection

from ..messages import Message
from ..store import messages as kept
from ..store import usage as kept_usage
from ..store.chats import Chat
from ..store.usage import Sums
from . import history
from .metering import estimate_message, estimate_messages, estimate_tokens

# Among the last messages there is one whose provider told how much it read; only of imported chats there is none.
_LAST = 6


@dataclass(frozen=True, slots=True)
class Filling:
    """How much of a context a conversation takes, as a provider told of its last answer, or as an estimate.

    Args:
        dropped: how many of its oldest messages that answer's model was not given, for want of room.
    """

    used: int
    source: Literal["provider", "estimate"]
    dropped: int = 0

    def to_json(self, limit: int | None) -> dict[str, Any]:
        return {"used": self.used, "limit": limit, "source": self.source, "dropped": self.dropped}


def totals(connection: Connection, chat_id: str) -> dict[str, Any]:
    """What all answers of a chat used, on every branch, with its title: each currency on its own."""
    return totals_to_json(kept_usage.of_chat(connection, chat_id))


def totals_to_json(by_currency: Mapping[str, Sums]) -> dict[str, Any]:
    every = Sums()
    for sums in by_currency.values():
        every.add(sums)
    costs = [{"currency": name, "cost": float(sums.cost)} for name, sums in sorted(by_currency.items()) if name]
    return {
        "input_tokens": every.input_tokens,
        "output_tokens": every.output_tokens,
        "costs": costs,
        "unpriced": every.unpriced_calls,
        "estimated": every.estimated_calls,
    }


def filling(connection: Connection, chat: Chat) -> Filling:
    """How full the context is with the branch that is shown."""
    rows, older = kept.page(connection, chat.owner, chat.id, _LAST) if chat.head_id else ([], None)
    told = _told(row.message for row in rows)
    if told is not None or older is None:
        return told or _estimated(chat, (row.message for row in rows))
    return _estimated(chat, (row.message for row in kept.path(connection, chat.owner, chat.id)))


def _told(messages: Iterable[Message]) -> Filling | None:
    since = 0
    for message in reversed(list(messages)):
        usage = message.usage
        if message.role == "assistant" and usage is not None and usage.input_tokens and history.says(message):
            # What was thought is not read again.
            used = usage.input_tokens + usage.output_tokens - usage.reasoning_tokens + since
            return Filling(used, "estimate" if since else usage.source, _dropped(message))
        since += estimate_message(message) if message.role != "assistant" or history.says(message) else 0
    return None


def _estimated(chat: Chat, messages: Iterable[Message]) -> Filling:
    return Filling(estimate_tokens(chat.system) + estimate_messages(history.turns("", messages)), "estimate")


def _dropped(answer: Message) -> int:
    cuts = (part.data for part in answer.parts if part.type == "warning" and part.data.get("code") == "history_cut")
    # A file that was imported may say anything.
    return sum(dropped for cut in cuts if isinstance(dropped := cut.get("dropped"), int))
