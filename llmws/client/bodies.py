"""How a request is written and an answer read: a body without what was left open, an id as a step of a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ..errors import InvalidRequest
from ..messages import Message, Parameters, Tool

# The longest name there is; an HTTP library takes some thousand characters, and fails in a way of its own beyond.
_LONGEST_ID = 255


def said(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body without what was left open."""
    values = {name: value.to_dict() if isinstance(value, Parameters) else value for name, value in body.items()}
    return {name: value for name, value in values.items() if value is not None}


def segment(value: str) -> str:
    """An id as a step of a path; what a page says may be no id, and of any length.

    Example:
        >>> segment("a/b")
        'a%2Fb'
    """
    if len(value) > _LONGEST_ID:
        raise InvalidRequest(f"An id has at most {_LONGEST_ID} characters.")
    return quote(value, safe="")


def decoded(item: dict[str, Any]) -> dict[str, Any]:
    """What the service told, with its message as a `Message`."""
    return {**item, "message": Message.from_dict(item["message"])} if item.get("message") else item


def told_tools(tools: Sequence[Tool]) -> dict[str, Any]:
    """The part of a body that offers functions; nothing where there are none.

    Example:
        >>> told_tools([Tool("look", "Look around.")])
        {'tools': [{'name': 'look', 'description': 'Look around.', 'parameters': {}}]}
    """
    told = [{"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)} for tool in tools]
    return {"tools": told} if told else {}
