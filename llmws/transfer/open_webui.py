"""Open WebUI's export: a list of chats, each with the tree of its messages in ``chat.history``.

From its source (open-webui/open-webui: backend/open_webui/models/chats.py for the row around it, utils/middleware.py
for the `<details>` in a message and for `output`), and LibreChat's `__data__/openwebui-export.json`. What an older
version or a converter wrote has ``history`` at the top, or a list ``messages`` alone. Of a folder its export tells no
more than an id (open-webui/open-webui#25045): what was together stays so, under a name that says where it comes from.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..messages import Message, Part, Timing, Usage
from .conversations import Conversation, Node, Unreadable
from .reading import (
    LONGEST_TAG,
    address,
    count,
    items,
    line,
    mapping,
    moment,
    name,
    newest_leaf,
    parameters,
    plain,
    seconds,
    tags,
    text,
    tree,
)

_DETAILS = re.compile(r"<details\b([^>]*)>(.*?)</details>\s*", re.DOTALL)
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
_SUMMARY = re.compile(r"<summary>.*?</summary>\s*", re.DOTALL)
_MOST_CITATIONS = 50
_PICTURE = re.compile(r"data:image/[a-z+.-]{1,20};base64,")


def attachment(where: tuple[str, ...], beside: Mapping[str, Any], value: str) -> tuple[str, str, str] | None:
    """The id, name and base64 of a picture, where `value` is a data URL of one."""
    found = _PICTURE.match(value)
    if found is None or not where or where[-1] != "url":
        return None
    return hashlib.sha256(value.encode()).hexdigest(), name(beside.get("name")), value[found.end() :]


def is_one(record: Mapping[str, Any]) -> bool:
    """Whether Open WebUI wrote `record`."""
    chat = _chat(record)
    return isinstance(mapping(chat.get("history")).get("messages"), dict) or isinstance(chat.get("messages"), list)


def convert(record: Mapping[str, Any]) -> Conversation:
    """The conversation that `record` is; `Unreadable` where there is no message in it."""
    chat = _chat(record)
    began = moment(record.get("created_at"), moment(chat.get("timestamp"), 0.0))
    history = mapping(chat.get("history"))
    told = mapping(history.get("messages")) or _linear(items(chat.get("messages")))
    rows = {each: mapping(row) for each, row in told.items()}
    said = {each: message for each, row in rows.items() if (message := _message(row)) is not None}
    found = tree(
        Node(each, _above(each, rows, said), message, moment(rows[each].get("timestamp"), began))
        for each, message in said.items()
    )
    if not found:
        raise Unreadable("There is no message in it.")
    first_system = next((_said(row.get("content")) for row in rows.values() if row.get("role") == "system"), "")
    models = [name(model) for model in items(chat.get("models"))]
    model = next((model for model in models if model), None)
    model = model or next((node.message.model for node in reversed(found) if node.message.model), None)
    head = history.get("currentId")
    about = mapping(record.get("meta"))
    labels = [*items(about.get("tags")), *(mapping(tag).get("name") for tag in items(chat.get("tags")))]
    return Conversation(
        id=text(record.get("id")),
        title=line(record.get("title")) or line(chat.get("title")),
        model=model or "open-webui",
        nodes=found,
        head_id=head if any(node.id == head for node in found) else newest_leaf(found),
        system=_said(mapping(chat.get("params")).get("system")) or _said(chat.get("system")) or first_system,
        parameters=parameters(chat.get("params")),
        folder=_folder(record),
        tags=tags(labels),
        pinned=record.get("pinned") is True,
        archived=record.get("archived") is True,
        created_at=began or found[0].created_at,
        updated_at=moment(record.get("updated_at"), max(node.created_at for node in found)),
    )


def _chat(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return record["chat"] if isinstance(record.get("chat"), dict) else record


def _folder(record: Mapping[str, Any]) -> str:
    """
    >>> _folder({"folder": {"name": "Physics"}, "folder_id": "0d5a"}), _folder({"folder_id": "0d5a8f3e-…"})
    ('Physics', 'Open WebUI 0d5a8f3e')
    """
    told = record.get("folder")
    if named := line(told, LONGEST_TAG) or line(mapping(told).get("name"), LONGEST_TAG):
        return named
    known_as = line(record.get("folder_id"), 8)
    return f"Open WebUI {known_as}" if known_as else ""


def _above(id: str, rows: Mapping[str, Mapping[str, Any]], said: Mapping[str, Message]) -> str | None:
    """The nearest message above that is one of ours."""
    passed = {id}
    at = text(rows[id].get("parentId"))
    while at in rows and at not in said and at not in passed:
        passed.add(at)
        at = text(rows[at].get("parentId"))
    return at or None


def _linear(rows: list[Any]) -> dict[str, Any]:
    """Messages that are a list alone, as if they were a tree."""
    found: dict[str, Any] = {}
    before: str | None = None
    for index, row in enumerate(map(mapping, rows)):
        own = text(row.get("id")) or str(index)
        found[own] = {**row, "parentId": row.get("parentId", before)}
        before = own
    return found


def _message(row: Mapping[str, Any]) -> Message | None:
    role = row.get("role")
    if role == "user":
        return Message("user", (*_attached(row), Part("text", _said(row.get("content")))))
    if role != "assistant":
        return None
    parts, thought = _answer(row)
    parts = [*parts, *_attached(row), *_citations(row)]
    usage, timing = _figures(mapping(row.get("usage")) or mapping(row.get("info")))
    if thought is not None:
        timing = replace(timing or Timing(), reasoning_s=thought)
    failed = row.get("error")
    error = None
    if failed:
        what = mapping(failed).get("content") or failed
        error = {"message": line(what) or "The answer failed.", "code": "provider"}
    ended = "error" if error else "stop" if row.get("done", True) is not False else "interrupted"
    return Message(
        "assistant",
        tuple(parts),
        model=name(row.get("model")) or None,
        usage=usage,
        timing=timing,
        finish_reason=ended,  # type: ignore[arg-type]
        error=error,
    )


def _said(content: Any) -> str:
    if isinstance(content, list):  # as OpenAI's wire has it
        content = "\n\n".join(text(mapping(piece).get("text")) for piece in content)
    return text(content).replace("\0", "")


def _answer(row: Mapping[str, Any]) -> tuple[list[Part], float | None]:
    """What an answer says, and how long was thought: from `output` where that is kept, else from its text."""
    output = [mapping(item) for item in items(row.get("output"))]
    if any(item.get("type") == "message" for item in output):
        return _structured(output)
    parts: list[Part] = []
    thought: float | None = None
    at, said = 0, _said(row.get("content"))
    for found in _DETAILS.finditer(said):
        _add(parts, "text", said[at : found.start()])
        at = found.end()
        about = dict(_ATTRIBUTE.findall(found[1]))
        inside = _SUMMARY.sub("", found[2], count=1)
        if about.get("type") == "reasoning":
            quoted = plain(inside).strip().splitlines()
            _add(parts, "reasoning", "\n".join(re.sub(r"^> ?", "", each) for each in quoted))
            duration = about.get("duration", "")
            thought = (thought or 0.0) + float(duration) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", duration) else thought
        elif about.get("type") == "tool_calls":
            parts.append(Part("warning", f"A tool was called: {line(plain(about.get('name', ''))) or '?'}."))
        else:
            _add(parts, "text", found[0])
    _add(parts, "text", said[at:])
    return parts, thought


def _structured(output: list[Mapping[str, Any]]) -> tuple[list[Part], float | None]:
    parts: list[Part] = []
    thought: float | None = None
    for item in output:
        told = "\n\n".join(_said(mapping(piece).get("text")) for piece in items(item.get("content")))
        match item.get("type"):
            case "reasoning":
                told = told or "\n\n".join(_said(mapping(piece).get("text")) for piece in items(item.get("summary")))
                _add(parts, "reasoning", told)
                if (spent := seconds(item.get("duration"))) is not None:
                    thought = (thought or 0.0) + spent
            case "message":
                _add(parts, "text", told)
            case "function_call":
                parts.append(Part("warning", f"A tool was called: {name(item.get('name')) or '?'}."))
    return parts, thought


def _add(parts: list[Part], type: str, said: str) -> None:
    if said.strip():
        parts.append(Part(type, said))


def _attached(row: Mapping[str, Any]) -> Iterator[Part]:
    """What came with a message: a picture whose data URL was taken out, by its id; else the name alone, because the
    bytes lie in Open WebUI's own store.
    """
    for file in map(mapping, items(row.get("files"))[:100]):
        called = name(file.get("name")) or name(mapping(file.get("file")).get("filename"))
        kind, taken = line(file.get("type"), 20) or "file", text(file.get("url"))
        if kind == "image" and re.fullmatch(r"[0-9a-f]{64}", taken):
            yield Part("image", data={"attachment": taken, "name": called or "image"})
        else:
            yield Part("text", f"[{called or kind}]\n\n")


def _citations(row: Mapping[str, Any]) -> Iterator[Part]:
    found: dict[str, str] = {}
    for source in map(mapping, items(row.get("sources")) or items(row.get("citations"))):
        origin = mapping(source.get("source"))
        links = [origin.get("url"), *(mapping(each).get("source") for each in items(source.get("metadata")))]
        for where in filter(None, map(address, links)):
            found.setdefault(where, line(origin.get("name")) or where)
    for where, title in list(found.items())[:_MOST_CITATIONS]:
        yield Part("citation", data={"url": where, "title": title})


def _figures(told: Mapping[str, Any]) -> tuple[Usage | None, Timing | None]:
    """Tokens as OpenAI's wire names them or as Ollama's does, whose durations are nanoseconds."""
    read = count(told.get("prompt_tokens")) or count(told.get("prompt_eval_count")) or count(told.get("input_tokens"))
    said = count(told.get("completion_tokens")) or count(told.get("eval_count")) or count(told.get("output_tokens"))
    reasoning = count(mapping(told.get("completion_tokens_details")).get("reasoning_tokens"))
    usage = Usage(read, said, reasoning) if read or said else None
    total, loading, reading = (_spent(told.get(f"{each}_duration")) for each in ("total", "load", "prompt_eval"))
    return usage, Timing(first_token_s=loading + reading or None, total_s=total) if total else None


def _spent(nanoseconds: Any) -> float:
    is_time = isinstance(nanoseconds, int) and not isinstance(nanoseconds, bool) and 0 < nanoseconds < 10**16
    return nanoseconds / 1e9 if is_time else 0.0
