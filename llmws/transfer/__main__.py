"""``python -m llmws.transfer FILE``: read a file and tell what is in it, a line of JSON for each thing.

The heavy and the dangerous part of an import happens here: in a process of its own, of low priority and with little
memory, that opens nothing but the file. Lines, in this order, and a conversation's together:

    {"read": n}                            n more bytes of the file were read
    {"attachment": id, "name": …, "data": …}   what the next conversation has attached, in base64
    {"chat": {…}, "kind": …, "place": n}   a conversation begins
    {"node": {…}}                          a message of it, parents first
    {"whole": n}                           that was all of it
    {"refused": "…", "title": "…", "place": n}
    {"broken": "…"}                        what follows in the file cannot be read
    {"end": true}                          always last, unless the process is ended
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import chatgpt, open_webui, own, records
from .conversations import LARGEST_ATTACHMENT, Conversation, Node, Unreadable
from .reading import line

# Address space, of which much is never used: what Python, the parser and a conversation take, several times over.
MEMORY = 1 << 30
LONGEST_MESSAGE = 4 << 20
MOST_MESSAGES = 20_000
_LONGEST_DATA = LARGEST_ATTACHMENT * 4 // 3 + 4
_TOLD_EVERY = 1 << 20
_KINDS = (("llmws", own), ("chatgpt", chatgpt), ("open_webui", open_webui))


def main(path: str) -> None:
    os.nice(10)
    # Where there is no such limit (macOS), there is none.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    # Nothing is written but to the one who listens, and no trace of somebody's conversations left behind.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        for told in tell(Path(path), _write):
            _write(told)
            if "node" not in told:
                sys.stdout.buffer.flush()
    except BrokenPipeError:  # the service has ended, and will begin anew
        os._exit(1)


def _write(told: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(told, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


def tell(path: Path, attach: Callable[[dict[str, Any]], None] = lambda told: None) -> Iterator[dict[str, Any]]:
    """What is in the file, line by line, but for attachments: those go to `attach` at once, and are never held."""
    reading, assets = _Progress(), records.Assets()

    def spill(where: tuple[str, ...], beside: Mapping[str, Any], text: str) -> str:
        found = own.attachment(where, beside, text) or open_webui.attachment(where, beside, text)
        if found is None:
            return text
        known_as, name, data = found
        if len(data) <= _LONGEST_DATA:
            attach({"attachment": known_as, "name": name, "data": data})
        return known_as

    try:
        for record in records.read(path, reading.add, spill, assets):
            yield from reading.told()
            yield from _conversation(record, assets, attach)
        yield from reading.told()
    except Unreadable as problem:
        yield {"broken": str(problem)}
    except MemoryError:
        yield {"broken": "A conversation in it needs more memory than an import may take."}
    yield {"end": True}


class _Progress:
    def __init__(self) -> None:
        self._read = 0

    def add(self, count: int) -> None:
        self._read += count

    def told(self) -> Iterator[dict[str, Any]]:
        if self._read >= _TOLD_EVERY:
            yield {"read": self._read}
            self._read = 0


def _conversation(
    record: records.Record, assets: records.Assets, attach: Callable[[dict[str, Any]], None]
) -> Iterator[dict[str, Any]]:
    if record.value is None:
        yield {"refused": record.reason, "title": "", "place": record.place}
        return
    kind, title = "", line(record.value.get("title"), 200)
    try:
        kind, conversation = _read(record.value)
        _check(conversation)
    except Unreadable as problem:
        yield {"refused": str(problem), "title": title, "place": record.place}
        return
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as problem:
        # A shape that nobody has seen yet: it takes one conversation, not the rest of the file.
        reason = f"It has a shape that is not known here ({type(problem).__name__})."
        yield {"refused": reason, "title": title, "place": record.place}
        return
    parts = [part for node in conversation.nodes for part in node.message.parts if part.type == "image"]
    for asset, name in {part.attachment: part.data.get("name") for part in parts if part.attachment}.items():
        if kind == "chatgpt" and (data := assets.read(asset)) is not None:
            attach({"attachment": asset, "name": name, "data": base64.b64encode(data).decode()})
    yield {"chat": _about(conversation, kind), "kind": kind, "place": record.place}
    for node in conversation.nodes:
        yield {
            "node": {
                "id": node.id,
                "parent_id": node.parent_id,
                "created_at": node.created_at,
                "message": node.message.to_dict(),
            }
        }
    yield {"whole": len(conversation.nodes)}


def _read(record: Mapping[str, Any]) -> tuple[str, Conversation]:
    for kind, module in _KINDS:
        if module.is_one(record):
            return kind, module.convert(record)
    raise Unreadable("It is no conversation of llmws, ChatGPT or Open WebUI.")


def _check(conversation: Conversation) -> None:
    """That no line becomes longer than whoever listens takes."""
    most = f"{LONGEST_MESSAGE >> 20} million characters"
    if len(conversation.nodes) > MOST_MESSAGES:
        raise Unreadable(f"It has more than {MOST_MESSAGES:,} messages.")
    if len(str(own.about(conversation))) > LONGEST_MESSAGE:
        raise Unreadable(f"Its system prompt or parameters are longer than {most}.")
    if any(_length(node) > LONGEST_MESSAGE for node in conversation.nodes):
        raise Unreadable(f"A message in it is longer than {most}.")


def _length(node: Node) -> int:
    """About how many characters are told of a message."""
    message = node.message
    said = sum(len(part.text) + len(str(part.data)) for part in message.parts)
    return said + len(str((node.id, node.parent_id, message.model, message.currency, message.error)))


def _about(conversation: Conversation, kind: str) -> dict[str, Any]:
    """What is told of a conversation; its `key` stays the same however much it grows."""
    key = conversation.id
    if not key:
        first = conversation.nodes[0].message.to_dict() if conversation.nodes else {}
        told = json.dumps([conversation.title, conversation.created_at, first], sort_keys=True)
        key = hashlib.sha256(told.encode()).hexdigest()
    return {"key": f"{kind}:{key}", **own.about(conversation)}


if __name__ == "__main__":
    main(sys.argv[1])
