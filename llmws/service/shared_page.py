"""What whoever opens a link sees: a conversation to read, or that there is nothing. HTML without any script. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..messages import Message

_WORDS = {
    "en": {
        "chat": "Chat",
        "user": "Question",
        "nothing": "This link opens nothing",
        "why": "It may have expired, or been revoked. Ask the person who sent it to you for another one.",
    },
    "zh": {
        "chat": "对话",
        "user": "提问",
        "nothing": "此链接已失效",
        "why": "它可能已过期或被撤销。请向发送给你的人索取新的链接。",
    },
}
_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 46rem; font: 16px/1.65 system-ui, sans-serif; }
h1 { font-size: 1.4rem; line-height: 1.3; }
h2 { margin: 2rem 0 .3rem; font-size: .8rem; font-weight: 600; opacity: .65; }
p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
"""


def conversation(title: str, model: str, said: Sequence[Message], language: str) -> str:
    """The page of a conversation."""
    words = _WORDS[language]
    blocks = [
        f"<h2>{escape(words['user'] if message.role == 'user' else message.model or model)}</h2>"
        f"<p>{escape(message.text)}</p>"
        for message in said
        if message.text
    ]
    return _page(title or words["chat"], "".join(blocks), language)


def nothing(language: str) -> str:
    """The page for every link that opens nothing, whatever the reason."""
    words = _WORDS[language]
    return _page(words["nothing"], f"<p>{escape(words['why'])}</p>", language)


def _page(title: str, body: str, language: str) -> str:
    told = escape(title)
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{told}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>{_STYLE}</style></head><body><main><h1>{told}</h1>{body}</main></body></html>"
    )
