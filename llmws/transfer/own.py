"""Our own format: JSON without loss, documented in docs/chats.md under "The JSON format".

A file holds any number of conversations, each with its whole tree; a message is one line, so that files compare well.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from .conversations import Conversation, Load, Node, attached

FORMAT, VERSION = "llmws.chats", 1


def write(conversations: Iterable[Conversation], load: Load) -> Iterator[str]:
    """The file, piece by piece; of each attachment a chat holds one copy."""
    head = {"format": FORMAT, "version": VERSION, "exported_at": time.time()}
    yield f"{_json(head)[:-1]},\n"
    yield '"chats": ['
    for index, conversation in enumerate(conversations):
        yield "\n" if index == 0 else ",\n"
        yield from _chat(conversation, load)
    yield "\n]}\n"


def _chat(conversation: Conversation, load: Load) -> Iterator[str]:
    yield f'{_json(_about(conversation))[:-1]},\n "messages": ['
    for index, node in enumerate(conversation.nodes):
        yield f"{',' if index else ''}\n  {_json(_node(node))}"
    yield '\n ],\n "attachments": {'
    # Gone are those that nobody has any more: the message says what they were called.
    named = dict.fromkeys(each for node in conversation.nodes for each in attached(node.message))
    first = True
    for each in named:
        if (attachment := load(each)) is not None:
            told = {
                "name": attachment.name,
                "media_type": attachment.media_type,
                "sha256": hashlib.sha256(attachment.data).hexdigest(),
                "data": base64.b64encode(attachment.data).decode(),
            }
            yield f"{'' if first else ','}\n  {_json(each)}: {_json(told)}"
            first = False
    yield "}}" if first else "\n }}"


def _about(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "title": conversation.title,
        "model": conversation.model,
        "system": conversation.system,
        "parameters": conversation.parameters.to_dict(),
        "folder": conversation.folder,
        "tags": list(conversation.tags),
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at,
        "head_id": conversation.head_id,
    }


def _node(node: Node) -> dict[str, Any]:
    about = {"id": node.id, "parent_id": node.parent_id, "created_at": node.created_at}
    return {**about, "message": node.message.to_dict()}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
