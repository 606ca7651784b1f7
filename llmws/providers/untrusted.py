"""Reads JSON of which nothing is sure: whatever is not of the expected kind counts as absent; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def dict_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def dicts_of(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def number_of(value: Mapping[str, Any], name: str) -> int:
    """A count: 0 where there is none.

    Example:
        >>> number_of({"tokens": 9}, "tokens"), number_of({"tokens": True}, "tokens"), number_of({}, "tokens")
        (9, 0, 0)
    """
    number = value.get(name)
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 0


def text_of(value: Mapping[str, Any], name: str) -> str:
    """A text: empty where there is none.

    Example:
        >>> text_of({"content": "Hi"}, "content"), text_of({"content": None}, "content")
        ('Hi', '')
    """
    text = value.get(name)
    return text if isinstance(text, str) else ""
