"""What all formats have in common: a conversation with all its branches, apart from whose it is and where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..messages import Message, Parameters, Part

# What a message may have attached, in bytes.
LARGEST_ATTACHMENT = 8 << 20


class Unreadable(Exception):
    """A file, or a conversation in one, that cannot be read; says why, in a sentence."""


@dataclass(frozen=True, slots=True)
class Node:
    """A message where it stands. `parent_id` is None at the beginning of the conversation."""

    id: str
    parent_id: str | None
    message: Message
    created_at: float


@dataclass(frozen=True, slots=True)
class Attachment:
    """An image or a file that a part of a message names by ``data["attachment"]``."""

    id: str
    name: str
    media_type: str
    data: bytes


# How a writer gets the bytes of an attachment, one at a time; None where they are gone.
Load = Callable[[str], Attachment | None]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as a tree. `nodes` stand parents first, siblings by age; `head_id` ends the branch that is shown.

    Example:
        >>> first = Node("1", None, Message.user("Why?"), 0.0)
        >>> other = Node("2", None, Message.user("How?"), 1.0)
        >>> [node.id for node in Conversation("a", "Sky", "echo", (first, other), "2").path()]
        ['2']
    """

    id: str
    title: str
    model: str
    nodes: tuple[Node, ...] = ()
    head_id: str | None = None
    system: str = ""
    parameters: Parameters = field(default_factory=Parameters)
    folder: str = ""
    tags: tuple[str, ...] = ()
    pinned: bool = False
    archived: bool = False
    created_at: float = 0.0
    updated_at: float = 0.0

    def path(self) -> list[Node]:
        """The branch that is shown, from its first message to the head."""
        by_id: Mapping[str, Node] = {node.id: node for node in self.nodes}
        found: list[Node] = []
        at = self.head_id
        while at is not None:
            found.append(by_id[at])
            at = by_id[at].parent_id
        return found[::-1]

    def others(self) -> int:
        """How many messages stand on branches that are not shown."""
        return len(self.nodes) - len(self.path())


def parents_first(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """`nodes` in an order in which none stands before its parent, siblings by age; those without a way up are left out.

    Example:
        >>> said = Message.user("Why?")
        >>> [node.id for node in parents_first([Node("b", "a", said, 0.0), Node("a", None, said, 1.0)])]
        ['a', 'b']
    """
    below: dict[str | None, list[Node]] = {}
    for node in sorted(nodes, key=lambda node: node.created_at):
        below.setdefault(node.parent_id, []).append(node)
    found: list[Node] = []
    waiting = below.get(None, [])[::-1]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += below.get(node.id, [])[::-1]
    return tuple(found)


def joined(message: Message) -> Iterator[Part]:
    """What `message` says, with what only a provider reads left out and its pieces of text and thought put together.

    Example:
        >>> [part.text for part in joined(Message("assistant", (Part("text", "Hel"), Part("text", "lo"))))]
        ['Hello']
    """
    open_part: Part | None = None
    for part in message.parts:
        if part.type in ("text", "reasoning"):
            if not part.text:
                continue
            if open_part is not None and open_part.type == part.type:
                open_part = Part(part.type, open_part.text + part.text)
                continue
            if open_part is not None:
                yield open_part
            open_part = Part(part.type, part.text)
            continue
        if open_part is not None:
            yield open_part
            open_part = None
        yield part
    if open_part is not None:
        yield open_part
