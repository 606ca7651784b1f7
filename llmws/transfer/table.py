"""Conversations as CSV, one row per message, for a spreadsheet or a DataFrame: all branches, with figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from .conversations import Conversation, Node

COLUMNS = (
    "chat_id",
    "chat",
    "folder",
    "tags",
    "message_id",
    "parent_id",
    "shown",
    "created_at",
    "role",
    "model",
    "text",
    "reasoning",
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "tokens_source",
    "first_token_s",
    "total_s",
    "tokens_per_s",
    "cost",
    "currency",
    "finish_reason",
    "error",
)
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
# A spreadsheet does not see them before what counts.
_SKIPPED = " \u00a0\u3000"
# Without it Excel takes UTF-8 for the encoding of the machine, and Chinese becomes rubbish; pandas skips it.
_BYTE_ORDER_MARK = "\ufeff"


def write(conversations: Iterable[Conversation]) -> Iterator[str]:
    """The file, conversation by conversation."""
    yield _BYTE_ORDER_MARK + _lines([COLUMNS])
    for conversation in conversations:
        shown = {node.id for node in conversation.path()}
        yield _lines(_row(conversation, node, node.id in shown) for node in conversation.nodes)


def safe(value: Any) -> Any:
    """`value`, so that no spreadsheet takes it for a formula: an apostrophe stands before what begins like one.

    See https://owasp.org/www-community/attacks/CSV_Injection. Numbers of our own are numbers.

    Example:
        >>> safe("=HYPERLINK(1)"), safe(-1.5)
        ("'=HYPERLINK(1)", -1.5)
    """
    if isinstance(value, str) and value.lstrip(_SKIPPED)[:1] in _FORMULA:
        return f"'{value}" if value else value
    return value


def _lines(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _row(conversation: Conversation, node: Node, shown: bool) -> list[Any]:
    message = node.message
    usage, timing = message.usage, message.timing
    told = {
        "chat_id": conversation.id,
        "chat": conversation.title,
        "folder": conversation.folder,
        "tags": ", ".join(conversation.tags),
        "message_id": node.id,
        "parent_id": node.parent_id,
        "shown": int(shown),
        "created_at": datetime.fromtimestamp(node.created_at, UTC).isoformat(timespec="milliseconds"),
        "role": message.role,
        "model": message.model,
        "text": message.text,
        "reasoning": message.reasoning,
        "tokens_per_s": round(message.tokens_per_s, 3) if message.tokens_per_s is not None else None,
        "cost": message.cost,
        "currency": message.currency,
        "finish_reason": message.finish_reason,
        "error": message.error.get("message") if message.error else None,
    }
    if usage is not None:
        told |= {name: getattr(usage, name) for name in COLUMNS if hasattr(usage, name)}
        told["tokens_source"] = usage.source
    if timing is not None:
        told |= {"first_token_s": timing.first_token_s, "total_s": timing.total_s}
    return [safe(told.get(name)) for name in COLUMNS]
