"""What a model thought, on its way through wires that are not its own. Pure.

A provider may want its model's reasoning back verbatim, with a mark that nobody else can read (see `messages`). A
program that speaks another wire gets the mark wrapped into the field that its own wire has for such a thing, and gives
it back without looking.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from ...messages import Part

_WRAPPED = "llmws."


def wrap(mark: Mapping[str, Any]) -> str:
    """A mark of another wire as an opaque text; that of a thought without any is empty.

    Example:
        >>> unwrap(wrap({"signature": "EqQB", "wire": "anthropic_messages"}))
        {'signature': 'EqQB', 'wire': 'anthropic_messages'}
    """
    return _WRAPPED + base64.urlsafe_b64encode(msgspec.json.encode(mark)).decode() if mark else ""


def unwrap(text: str) -> dict[str, Any] | None:
    """The mark in `text`; None where it is no wrapped one."""
    if not text.startswith(_WRAPPED):
        return None
    try:
        mark = msgspec.json.decode(base64.urlsafe_b64decode(text.removeprefix(_WRAPPED)))
    except (ValueError, RecursionError):
        return {}
    return mark if isinstance(mark, dict) else {}


def joined(parts: Iterable[Part]) -> Iterator[Part]:
    """`parts`, each thought in one with the mark that belongs to it.

    Example:
        >>> parts = [Part("reasoning", "Hm."), Part("reasoning", data={"signature": "EqQB"}), Part("text", "Yes.")]
        >>> [(part.text, dict(part.data)) for part in joined(parts)]
        [('Hm.', {'signature': 'EqQB'}), ('Yes.', {})]
    """
    thought: Part | None = None
    for part in parts:
        if part.type == "reasoning":
            thought = Part("reasoning", (thought.text if thought else "") + part.text, part.data)
            if not part.data:
                continue
            part, thought = thought, None
        if thought is not None:
            yield thought
            thought = None
        yield part
    if thought is not None:
        yield thought
