"""A conversation as Markdown, for reading and for other editors: the branch that is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from ..messages import Message, Part
from .conversations import Conversation, joined


def write(conversation: Conversation) -> Iterator[str]:
    """The text, message by message; attachments are named, not contained."""
    began = datetime.fromtimestamp(conversation.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    blocks = [f"# {' '.join(conversation.title.split()) or 'Chat'}", f"{conversation.model}, {began}"]
    if conversation.system:
        blocks += ["## System", conversation.system]
    yield "\n\n".join(blocks) + "\n"
    for node in conversation.path():
        yield "\n" + "\n\n".join([f"## {speaker(node.message)}", *_said(node.message)]) + "\n"
    if others := conversation.others():
        yield f"\n*Not shown: {others} message{'' if others == 1 else 's'} of other branches.*\n"


def speaker(message: Message) -> str:
    return f"{message.role.capitalize()} ({message.model})" if message.model else message.role.capitalize()


def ending(message: Message) -> str:
    """What to say of an answer that did not end well; else nothing."""
    if message.error:
        return f"Failed: {message.error.get('message', '')}"
    return {
        "cancelled": "Cancelled before its end.",
        "interrupted": "Interrupted before its end.",
        "length": "Cut off: it reached its limit of tokens.",
        "content_filter": "Cut off by the provider's filter.",
    }.get(message.finish_reason or "", "")


def arguments(part: Part) -> str:
    """The arguments of a tool call, as legible as they can be."""
    told = part.data.get("arguments", "")
    try:
        return json.dumps(json.loads(told) if isinstance(told, str) else told, ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return str(told)


def fenced(text: str, language: str = "") -> str:
    """`text` as a code block that it cannot break out of.

    Example:
        >>> fenced("a ``` b").splitlines()[0]
        '````'
    """
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _said(message: Message) -> list[str]:
    said = [_block(part) for part in joined(message)]
    if told := ending(message):
        said.append(f"*{told}*")
    return said


def _block(part: Part) -> str:
    match part.type:
        case "text":
            return part.text
        case "reasoning":
            return "\n".join(f"> {line}".rstrip() for line in part.text.splitlines())
        case "tool_call":
            return f"*Called {part.data.get('name', 'a tool')}:*\n\n{fenced(arguments(part), 'json')}"
        case "tool_result":
            return f"*Answered:*\n\n{fenced(part.text)}"
        case "image" | "file":
            return f"*Attached: {part.data.get('name') or part.type}*"
        case "citation":
            return f"*Source: {part.data.get('title') or ''} <{part.data.get('url', '')}>*"
        case "warning":
            return f"*{part.text}*"
    return ""
