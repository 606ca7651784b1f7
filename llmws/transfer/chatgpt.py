"""ChatGPT's export: `conversations.json`, a list of conversations that are each a `mapping` of nodes.

OpenAI documents none of it. The shape was taken from what others read and test with: LibreChat's importer and its
`__data__/chatgpt-*.json` (danny-avila/LibreChat, api/server/utils/import), Open WebUI's `convertOpenAIMessages`
(open-webui/open-webui, src/lib/utils), and the descriptions in mitkury/chatgpt-export-parser. What a node may be:

    message null, role system, `is_visually_hidden_from_conversation`, contexts    nothing a person saw: left out
    text, multimodal_text                                                          text, pictures and files by name
    thoughts, then reasoning_recap with `finished_duration_sec`                    reasoning and how long it took
    code to a tool (`recipient`), execution_output of it                           code blocks
    tether_quote, content_references, citations                                    citations

A turn of the assistant is a chain of such nodes; it becomes one message, as long as the chain does not branch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..messages import FinishReason, Message, Part, Timing
from .conversations import Conversation, Node, Unreadable
from .markdown import fenced
from .reading import address, items, line, mapping, moment, name, newest_leaf, seconds, text, tree

_HIDDEN = frozenset({"user_editable_context", "model_editable_context", "app_pairing_content"})
# What a tool showed to the model, and to nobody else.
_NOISE = frozenset({"tether_browsing_display", "tether_browsing_code", "computer_output", "system_error"})
# References to sources, in characters of the private use area, and in brackets before that.
_REFERENCE = re.compile("\ue200.*?\ue201|【[^【】\n]{1,80}?†[^【】\n]{0,200}?】", re.DOTALL)
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_MOST_CITATIONS = 50
_FINISHED: dict[str, FinishReason] = {
    "stop": "stop",
    "max_tokens": "length",
    "interrupted": "cancelled",
    "finished_partial_completion": "length",
    "in_progress": "interrupted",
}


def is_one(record: Mapping[str, Any]) -> bool:
    """Whether ChatGPT wrote `record`."""
    return isinstance(record.get("mapping"), dict)


def convert(record: Mapping[str, Any]) -> Conversation:
    """The conversation that `record` is; `Unreadable` where nothing in it can be shown."""
    began = moment(record.get("create_time"), 0.0)
    nodes = mapping(record["mapping"])
    turns = _Turns(nodes, began).read()
    found = tree(turns.nodes)
    if not found:
        raise Unreadable("There is no message in it.")
    head = turns.shown(text(record.get("current_node")))
    default = name(record.get("default_model_slug"))
    model = default or next((node.message.model for node in reversed(found) if node.message.model), None)
    return Conversation(
        id=text(record.get("conversation_id")) or text(record.get("id")),
        title=line(record.get("title")),
        model=model or "chatgpt",
        nodes=found,
        head_id=head if any(node.id == head for node in found) else newest_leaf(found),
        archived=record.get("is_archived") is True,
        pinned=record.get("is_starred") is True,
        created_at=began or found[0].created_at,
        updated_at=moment(record.get("update_time"), max(node.created_at for node in found)),
    )


class _Turns:
    """Goes down the tree of `mapping` and puts the nodes of an answer together.

    Args:
        began: the time of nodes that tell none.
    """

    def __init__(self, mapping: Mapping[str, Any], began: float) -> None:
        self.nodes: list[Node] = []
        self._mapping = mapping
        self._began = began
        self._children: dict[str, list[str]] = {}
        # In which message of ours a node ended up: its own, that of its answer, or what stands above.
        self._stands: dict[str, str | None] = {}

    def read(self) -> _Turns:
        roots = []
        for each, node in self._mapping.items():
            parent = mapping(node).get("parent")
            if isinstance(parent, str) and parent in self._mapping:
                self._children.setdefault(parent, []).append(each)
            else:
                roots.append(each)
        for parent, below in self._children.items():
            # As they are listed, which is by age; those that the list does not know come last.
            listed = filter(lambda child: isinstance(child, str), items(mapping(self._mapping[parent]).get("children")))
            order = {child: index for index, child in enumerate(listed)}
            below.sort(key=lambda child, order=order: order.get(child, len(order)))  # type: ignore[misc]
        waiting: list[tuple[str, str | None, float]] = [(root, None, self._began) for root in reversed(roots)]
        while waiting:
            waiting += reversed(list(self._step(*waiting.pop())))
        return self

    def shown(self, id: str) -> str | None:
        """The message of ours that the node `id` is part of."""
        return self._stands.get(id)

    def _step(self, id: str, above: str | None, time: float) -> Iterator[tuple[str, str | None, float]]:
        """Take a node, with the rest of the answer that it begins; yields what is below."""
        chain = [id]
        message = self._visible(id)
        role = _role(message)
        time = moment(message.get("create_time"), time) if message else time
        if role == "assistant":
            # An answer goes on for as long as one thing alone follows, and that is the assistant's, too.
            while len(below := self._children.get(chain[-1], [])) == 1:
                following = self._visible(below[0])
                if following and _role(following) != "assistant":
                    break
                chain.append(below[0])
        said = [found for each in chain if (found := self._visible(each))]
        ours = _message(role, said) if said else None
        stands = id if ours is not None else above
        if ours is not None:
            self.nodes.append(Node(id, above, ours, time))
        self._stands |= dict.fromkeys(chain, stands)
        for child in self._children.get(chain[-1], []):
            yield child, stands, time

    def _visible(self, id: str) -> Mapping[str, Any]:
        """The message of a node; empty where it has none that a person saw."""
        message = mapping(mapping(self._mapping[id]).get("message"))
        content, about = mapping(message.get("content")), mapping(message.get("metadata"))
        hidden = about.get("is_visually_hidden_from_conversation") is True
        if hidden or _role(message) == "system" or content.get("content_type") in _HIDDEN:
            return {}
        return message


def _role(message: Mapping[str, Any]) -> str:
    role = mapping(message.get("author")).get("role")
    # What a tool said is part of the answer.
    return "assistant" if role == "tool" else text(role)


def _message(role: str, said: list[Mapping[str, Any]]) -> Message | None:
    parts: list[Part] = []
    for each in said:
        parts += _parts(each)
    if not parts or role not in ("user", "assistant"):
        return None
    if role == "user":
        return Message("user", tuple(parts))
    about = [mapping(each.get("metadata")) for each in said]
    models = [name(each.get("model_slug")) for each in about]
    spent = [seconds(each.get("finished_duration_sec")) for each in about]
    thought = sum(each for each in spent if each) or None
    return Message(
        "assistant",
        tuple(parts),
        model=next((model for model in reversed(models) if model), None),
        timing=Timing(reasoning_s=thought) if thought else None,
        finish_reason=_finish_reason(said[-1]),
    )


def _finish_reason(message: Mapping[str, Any]) -> FinishReason:
    ended = mapping(mapping(message.get("metadata")).get("finish_details")).get("type")
    status = message.get("status")
    return _FINISHED.get(text(ended)) or _FINISHED.get(text(status)) or "stop"


def _parts(message: Mapping[str, Any]) -> Iterator[Part]:
    content, about = mapping(message.get("content")), mapping(message.get("metadata"))
    kind = text(content.get("content_type"))
    if kind in ("thoughts", "reasoning_recap"):
        yield from _thoughts(content)
        return
    if kind == "code":
        if told := _code(content, text(message.get("recipient"))):
            yield Part("text", f"{told}\n\n")
        return
    if kind == "execution_output":
        if told := text(content.get("text")).strip():
            yield Part("text", f"{fenced(told)}\n\n")
        return
    if kind in _NOISE:
        return
    if kind == "tether_quote":
        yield from _citations([content])
        return
    is_tool = mapping(message.get("author")).get("role") == "tool"
    if is_tool and kind == "text":
        return
    attached = {text(each.get("id")): name(each.get("name")) for each in map(mapping, items(about.get("attachments")))}
    said = []
    for piece in items(content.get("parts")):
        if (pointer := _picture(piece)) is not None:
            yield Part(
                "image", data={"attachment": pointer, "name": attached.pop(pointer, "") or _prompt(piece) or "image"}
            )
        else:
            said.append(_piece(piece))
    told = "\n\n".join(filter(None, said)) or text(content.get("text"))
    named = [f"[{called or 'file'}]" for called in attached.values()]
    told = "\n\n".join(filter(None, [*named, _without_references(told, about)])).replace("\0", "")
    if told.strip():
        yield Part("text", told)
    references = [mapping(each) for each in items(about.get("content_references"))]
    cited = [mapping(mapping(each).get("metadata")) for each in items(about.get("citations"))]
    yield from _citations([*cited, *(mapping(source) for each in references for source in items(each.get("items")))])


def _thoughts(content: Mapping[str, Any]) -> Iterator[Part]:
    for thought in map(mapping, items(content.get("thoughts"))):
        summary, told = text(thought.get("summary")).strip(), text(thought.get("content")).strip()
        if whole := "\n\n".join(filter(None, [f"**{summary}**" if summary else "", told])):
            yield Part("reasoning", f"{whole}\n\n")


def _code(content: Mapping[str, Any], recipient: str) -> str:
    """What the assistant had a tool do, where a person gets to see it."""
    code, language = text(content.get("text")).strip(), text(content.get("language"))
    if not code or recipient in ("browser", "web", "web.run", "bio", "file_search", "myfiles_browser"):
        return ""
    if recipient.startswith("canmore"):
        # A document beside the conversation: what it says is worth more than how it was put there.
        try:
            written = mapping(json.loads(code))
        except (ValueError, RecursionError):
            written = {}
        if document := text(written.get("content")):
            title = line(written.get("name"))
            kind = text(written.get("type"))
            shown = fenced(document, kind.removeprefix("code/")) if kind.startswith("code") else document
            return f"**{title}**\n\n{shown}" if title else shown
    language = language if re.fullmatch(r"[\w+#-]{1,20}", language) and language != "unknown" else ""
    return fenced(code, language or ("python" if recipient == "python" else ""))


def _picture(piece: Any) -> str | None:
    """The id of the picture that a piece of a message is; None where it is none."""
    told = mapping(piece)
    if told.get("content_type") != "image_asset_pointer":
        return None
    return text(told.get("asset_pointer")).rpartition("//")[2][:100]


def _prompt(piece: Any) -> str:
    """What a picture was made from."""
    return line(mapping(mapping(mapping(piece).get("metadata")).get("dalle")).get("prompt"), 200)


def _piece(piece: Any) -> str:
    """A piece of a message of several kinds, as far as it is text; beside a sound or a film stands what was said."""
    if isinstance(piece, str):
        return piece
    told = mapping(piece)
    return "" if text(told.get("content_type")).endswith("asset_pointer") else text(told.get("text"))


def _without_references(told: str, about: Mapping[str, Any]) -> str:
    for reference in map(mapping, items(about.get("content_references"))[:1000]):
        if (matched := text(reference.get("matched_text"))).strip():
            told = told.replace(matched, text(reference.get("alt")))
    return _PRIVATE.sub("", _REFERENCE.sub("", told))


def _citations(sources: list[Mapping[str, Any]]) -> Iterator[Part]:
    found = {where: line(source.get("title")) for source in sources if (where := address(source.get("url")))}
    for where, title in list(found.items())[:_MOST_CITATIONS]:
        yield Part("citation", data={"url": where, "title": title or where})
