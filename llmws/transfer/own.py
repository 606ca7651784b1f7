"""Our own format: JSON without loss, documented in docs/chats.md under "The JSON format".

A file holds any number of conversations, each with its whole tree; a message is one line, so that files compare well.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..messages import Message, Parameters, Part
from .conversations import Conversation, Load, Node, Unreadable
from .reading import LONGEST_TAG, items, line, mapping, moment, name, newest_leaf, tags, text, tree

FORMAT, VERSION = "llmws.chats", 1
_MESSAGE, _PARAMETERS = TypeAdapter(Message), TypeAdapter(Parameters)


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
    yield f'{_json(about(conversation))[:-1]},\n "messages": ['
    for index, node in enumerate(conversation.nodes):
        yield f"{',' if index else ''}\n  {_json(_node(node))}"
    yield '\n ],\n "attachments": {'
    # Gone are those that nobody has any more: the message says what they were called.
    named = dict.fromkeys(each for node in conversation.nodes for each in node.message.attachments)
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


def about(conversation: Conversation) -> dict[str, Any]:
    """What is told of a conversation besides its messages."""
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


def attachment(where: tuple[str, ...], beside: Mapping[str, Any], value: str) -> tuple[str, str, str] | None:
    """The id, name and base64 of an attachment, where `value` is its data."""
    if len(where) != 3 or where[0] != "attachments" or where[2] != "data":
        return None
    return where[1], name(beside.get("name")), value


def is_one(record: Mapping[str, Any]) -> bool:
    """Whether `record` is a chat of our own format."""
    return isinstance(record.get("messages"), list) and "head_id" in record


def convert(record: Mapping[str, Any]) -> Conversation:
    """The conversation that `record` is, as it was written.

    Raises:
        Unreadable: a message is none; the place is told.
    """
    nodes = []
    for index, row in enumerate(map(mapping, record["messages"]), 1):
        try:
            message = _MESSAGE.validate_python(row.get("message"))
        except ValidationError as problem:
            first = problem.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            raise Unreadable(f"Its message {index} cannot be read: {where}: {first['msg']}.") from None
        message = _ended(replace(message, parts=tuple(_called(_harmless(part)) for part in message.parts)))
        parent = row.get("parent_id")
        at = moment(row.get("created_at"), 0.0)
        nodes.append(Node(text(row.get("id")) or str(index), parent if isinstance(parent, str) else None, message, at))
    # An answer that was still being written has said nothing that is kept here.
    found = tree(node for node in nodes if node.message.parts or node.message.finish_reason or node.message.error)
    head = record.get("head_id")
    above = {node.id: node.parent_id for node in nodes}
    while isinstance(head, str) and head in above and not any(node.id == head for node in found):
        head = above.pop(head)
    return Conversation(
        id=text(record.get("id")),
        title=line(record.get("title")),
        model=name(record.get("model")) or "unknown",
        nodes=found,
        head_id=head if any(node.id == head for node in found) else newest_leaf(found),
        system=text(record.get("system")).replace("\0", ""),
        parameters=_parameters(record.get("parameters")),
        folder=line(record.get("folder"), LONGEST_TAG),
        tags=tags(items(record.get("tags"))),
        pinned=record.get("pinned") is True,
        archived=record.get("archived") is True,
        created_at=moment(record.get("created_at"), 0.0),
        updated_at=moment(record.get("updated_at"), 0.0),
    )


def _ended(message: Message) -> Message:
    """An answer that nobody will go on writing, also where a file does not say how it ended."""
    if message.role != "assistant" or message.finish_reason or not (message.parts or message.error):
        return message
    return replace(message, finish_reason="error" if message.error else "stop")


def _harmless(part: Part) -> Part:
    """A part that points nowhere: whoever shows a picture from elsewhere tells a stranger that it is looked at."""
    if part.type not in ("image", "file") or not (url := part.data.get("url")):
        return part
    if isinstance(url, str) and url.startswith("data:"):
        return part
    return replace(part, data={name: value for name, value in part.data.items() if name != "url"})


def _called(part: Part) -> Part:
    """A call or its result with texts where every vendor wants texts: arguments may stand in a file as an object."""
    if part.type not in ("tool_call", "tool_result"):
        return part
    told = {name: part.data[name] for name in ("id", "name", "arguments") if name in part.data}
    texts = {name: value if isinstance(value, str) else _json(value) for name, value in told.items()}
    return replace(part, data={**part.data, **texts})


def _parameters(value: Any) -> Parameters:
    known = {each.name for each in fields(Parameters)}
    try:
        return _PARAMETERS.validate_python({key: each for key, each in mapping(value).items() if key in known})
    except ValidationError:
        return Parameters()
