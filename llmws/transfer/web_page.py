"""A conversation as one static web page: our look, light and dark, without a script, and nothing fetched from abroad.

What people and models wrote is untrusted. Markdown is rendered without HTML of its own and then sanitised (nh3), all
else is escaped, and the page forbids itself whatever it does not need. Remote images become links: to load one tells a
stranger that the page is read. Who serves the page to others (a shared link) sends `POLICY` as its
Content-Security-Policy.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from html import escape
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ..messages import Message, Part
from .conversations import Conversation, Load, Node, joined
from .markdown import arguments
from .rendering import render

Language = Literal["en", "zh"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
# Pictures that no browser takes for anything else; SVG is a document, with links and more.
_PICTURES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})


def write(conversation: Conversation, load: Load, language: Language = "en") -> Iterator[str]:
    """The page, message by message; attached images are part of it.

    Args:
        load: gives the bytes of what is attached.
        language: of the few words that are ours.
    """
    words = _WORDS[language]
    title = escape(" ".join(conversation.title.split()) or words["chat"])
    yield (
        f'<!doctype html>\n<html lang="{"zh-CN" if language == "zh" else "en"}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n'
        f"<title>{title}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n"
    )
    about = " · ".join([escape(conversation.model), _moment(conversation.created_at)])
    yield f'<header>\n<h1>{title}</h1>\n<p class="quiet">{about}</p>\n</header>\n'
    if conversation.system:
        yield _folded(words["system"], f'<div class="plain">{escape(conversation.system)}</div>')
    for node in conversation.path():
        yield _article(node, load, words)
    if others := conversation.others():
        yield f'<p class="quiet end">{escape(words["others"].format(others))}</p>\n'
    yield "</main>\n</body>\n</html>\n"


def _article(node: Node, load: Load, words: dict[str, str]) -> str:
    message = node.message
    said = "\n".join(_part(part, message, load, words) for part in joined(message))
    if message.error:
        said += f'\n<p class="bad">{escape(words["failed"])} {escape(str(message.error.get("message", "")))}</p>'
    elif told := words.get(message.finish_reason or ""):
        said += f'\n<p class="quiet">{escape(told)}</p>'
    figures = _figures(message, words)
    foot = f'\n<footer class="quiet">{figures}</footer>' if figures else ""
    name = escape(words.get(message.role, message.role))
    return f'<article class="{escape(message.role)}" aria-label="{name}">\n{said}{foot}\n</article>\n'


def _part(part: Part, message: Message, load: Load, words: dict[str, str]) -> str:
    match part.type:
        case "text" if message.role == "user":
            return f'<div class="plain">{escape(part.text)}</div>'
        case "text":
            return f'<div class="markdown">{render(part.text)}</div>'
        case "reasoning":
            spent = message.timing.reasoning_s if message.timing is not None else None
            summary = words["thought"] if spent is None else words["thought for"].format(f"{spent:.1f}")
            return _folded(summary, f'<div class="markdown">{render(part.text)}</div>')
        case "tool_call":
            called = words["called"].format(part.data.get("name") or "?")
            return _folded(called, f"<pre>{escape(arguments(part))}</pre>")
        case "tool_result":
            return _folded(words["tool"], f"<pre>{escape(part.text)}</pre>")
        case "image" | "file":
            return _attached(part, load, words)
        case "citation":
            return _citation(part)
        case "warning":
            return f'<p class="quiet">{escape(part.text)}</p>'
    return ""


def _attached(part: Part, load: Load, words: dict[str, str]) -> str:
    name = escape(str(part.data.get("name") or words[part.type]))
    found = load(part.attachment) if part.type == "image" and part.attachment else None
    if found is not None and found.media_type in _PICTURES:
        data = base64.b64encode(found.data).decode()
        return f'<img src="data:{found.media_type};base64,{data}" alt="{name}">'
    if part.type == "file" and part.text:
        return _folded(str(part.data.get("name") or words["file"]), f"<pre>{escape(part.text)}</pre>")
    return f'<p class="quiet">{escape(words["attached"])} {name}</p>'


def _citation(part: Part) -> str:
    address = str(part.data.get("url", ""))
    title = escape(str(part.data.get("title") or address))
    try:
        known = urlsplit(address).scheme in ("http", "https")
    except ValueError:
        known = False
    if not known:
        return f'<p class="quiet">{title}</p>'
    return f'<p class="quiet"><a href="{escape(address)}" rel="noopener noreferrer nofollow">{title}</a></p>'


def _folded(summary: str, inside: str) -> str:
    return f"<details>\n<summary>{escape(summary)}</summary>\n{inside}\n</details>\n"


def _figures(message: Message, words: dict[str, str]) -> str:
    """The quiet line under an answer."""
    if message.role != "assistant":
        return ""
    told = [message.model] if message.model else []
    if message.usage is not None:
        about = "~" if message.usage.source == "estimate" else ""
        told.append(words["tokens"].format(f"{about}{message.usage.output_tokens:,}"))
    if message.timing is not None and message.timing.first_token_s is not None:
        told.append(words["first"].format(f"{message.timing.first_token_s:.2f}"))
    if (speed := message.tokens_per_s) is not None:
        told.append(words["speed"].format(f"{speed:.0f}"))
    if message.usage is not None:
        priced = message.cost is not None
        told.append(f"{message.cost:.6g} {message.currency or ''}".strip() if priced else words["unpriced"])
    return " · ".join(escape(each) for each in told)


def _moment(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return f'<time datetime="{at.isoformat(timespec="seconds")}">{at.strftime("%Y-%m-%d %H:%M UTC")}</time>'


@cache
def _style() -> str:
    return (Path(__file__).parent / "web_page.css").read_text(encoding="utf-8")


_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "assistant": "Answer",
        "attached": "Attached:",
        "called": "Called {}",
        "cancelled": "Cancelled before its end.",
        "chat": "Chat",
        "content_filter": "Cut off by the provider's filter.",
        "failed": "Failed:",
        "file": "file",
        "first": "first token {} s",
        "image": "image",
        "interrupted": "Interrupted before its end.",
        "length": "Cut off: it reached its limit of tokens.",
        "others": "Messages of other branches are not shown: {}.",
        "speed": "{} tokens/s",
        "system": "System prompt",
        "thought": "Thought",
        "thought for": "Thought for {} s",
        "tokens": "{} tokens",
        "tool": "What the tool answered",
        "unpriced": "unpriced",
        "user": "Question",
    },
    "zh": {
        "assistant": "回答",
        "attached": "附件：",
        "called": "调用了 {}",
        "cancelled": "已停止，未完成。",
        "chat": "对话",
        "content_filter": "已被服务商的内容过滤截断。",
        "failed": "失败：",
        "file": "文件",
        "first": "首个 token {} 秒",
        "image": "图片",
        "interrupted": "已中断，未完成。",
        "length": "已截断：达到 token 上限。",
        "others": "未显示其他分支的消息：{} 条。",
        "speed": "{} token/秒",
        "system": "系统提示词",
        "thought": "思考",
        "thought for": "思考了 {} 秒",
        "tokens": "{} token",
        "tool": "工具的返回",
        "unpriced": "未定价",
        "user": "提问",
    },
}
