"""What whoever opens a link sees: a conversation to read, or that there is nothing. No script, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from ..messages import Message
from ..store.chats import Chat
from ..store.messages import ChatMessage
from ..transfer import web_page
from ..transfer.conversations import Conversation, Load, Node
from ..transfer.web_page import Language

_NOTHING: dict[Language, tuple[str, str]] = {
    "en": (
        "This link opens nothing",
        "It may have expired, or been revoked. Ask the person who sent it to you for another one.",
    ),
    "zh": ("此链接已失效", "它可能已过期或被撤销。请向发送者索取新的链接。"),
}
_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 20vh 1.5rem; max-width: 34rem; font: 16px/1.6 system-ui, sans-serif; }
h1 { margin: 0 0 .4rem; font-size: 1.4rem; line-height: 1.3; }
p { margin: 0; opacity: .75; }
"""


def conversation(
    chat: Chat, said: Iterable[tuple[ChatMessage, Message]], load: Load, language: Language
) -> Iterator[str]:
    """The page of what others see of a chat, piece by piece."""
    nodes: list[Node] = []
    for row, message in said:
        nodes.append(Node(row.id, nodes[-1].id if nodes else None, message, row.created_at))
    shown = Conversation(
        id=chat.id,
        title=chat.title,
        model=chat.model,
        nodes=tuple(nodes),
        head_id=nodes[-1].id if nodes else None,
        created_at=chat.created_at,
    )
    return web_page.write(shown, load, language)


def nothing(language: Language) -> str:
    """The page of every link that opens nothing, whatever the reason."""
    title, why = map(escape, _NOTHING[language])
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1><p>{why}</p></main></body></html>"
    )
