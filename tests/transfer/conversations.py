"""Conversations for the tests of formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llmws.messages import Message, Parameters, Part, Timing, Usage
from llmws.transfer import own
from llmws.transfer.conversations import Attachment, Conversation, Node

PICTURE = Attachment("pic1", "moon.png", "image/png", b"\x89PNG\r\n\x1a\nmoon")


def load(id: str) -> Attachment | None:
    return PICTURE if id == PICTURE.id else None


def nothing(id: str) -> None:
    return None


def answer(text: str, *parts: Part, **more: object) -> Message:
    about: dict[str, object] = {
        "model": "echo",
        "usage": Usage(input_tokens=3, output_tokens=5, reasoning_tokens=1),
        "timing": Timing(first_token_s=0.25, reasoning_s=1.5, total_s=1.25),
        "cost": 0.001,
        "currency": "USD",
        "finish_reason": "stop",
    }
    return Message("assistant", (*parts, Part("text", text)), **{**about, **more})  # type: ignore[arg-type]


def a_conversation(**more: object) -> Conversation:
    """Two branches: the first answer was asked for again, and the second of them is shown and goes on."""
    seen = Message("user", (Part("text", "Why?"), Part("image", data={"attachment": "pic1", "name": "moon.png"})))
    nodes = (
        Node("q1", None, seen, 100.0),
        Node("a1", "q1", answer("Because."), 101.0),
        Node("a2", "q1", answer("It **is**.", Part("reasoning", "Let me\nthink.")), 102.0),
        Node("q2", "a2", Message.user("And at dusk? 黄昏呢？"), 103.0),
        Node("a3", "q2", answer("Red.", finish_reason="length", cost=None, currency=None, model="smollm2"), 104.0),
    )
    about: dict[str, object] = {
        "id": "c1",
        "title": "Sky",
        "model": "echo",
        "nodes": nodes,
        "head_id": "a3",
        "system": "Be brief.",
        "parameters": Parameters(temperature=0.5, stop=("END",)),
        "folder": "Physics",
        "tags": ("sky", "天"),
        "pinned": True,
        "created_at": 100.0,
        "updated_at": 104.0,
    }
    return Conversation(**{**about, **more})  # type: ignore[arg-type]


def large_file(path: Path, chats: int = 2_500, begin: int = 0) -> Path:
    """A file of our own, of some 40 KB for each of its chats."""
    said = "Why is the sky blue? 天空为什么是蓝色的？ " * 800
    nodes = (*a_conversation().nodes, Node("long", "a3", Message.user(said), 200.0))

    def many() -> Iterator[Conversation]:
        for index in range(begin, begin + chats):
            yield a_conversation(id=str(index), title=f"Sky {index}", nodes=nodes, head_id="long")

    with path.open("w", encoding="utf-8") as file:
        file.writelines(own.write(many(), nothing))
    return path
