"""What vendors demand of a JSON schema before they hold a model to it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_strict(schema: Any) -> bool:
    """Whether OpenAI takes `schema` as a strict one: every object closed, and every property required.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas

    Example:
        >>> is_strict({"type": "object", "properties": {"n": {"type": "integer"}}})
        False
    """
    if isinstance(schema, Mapping):
        if _is_object(schema):
            required, named = schema.get("required"), schema.get("properties", {})
            if schema.get("additionalProperties") is not False or set(required or ()) != set(named):
                return False
        return all(is_strict(value) for value in schema.values())
    return all(is_strict(item) for item in schema) if isinstance(schema, list | tuple) else True


def closed(schema: Any) -> Any:
    """`schema` with every object closed, as Anthropic demands.

    Example:
        >>> closed({"type": "object"})
        {'type': 'object', 'additionalProperties': False}
    """
    if isinstance(schema, Mapping):
        inner = {name: closed(value) for name, value in schema.items()}
        return inner | {"additionalProperties": False} if _is_object(schema) else inner
    return [closed(item) for item in schema] if isinstance(schema, list | tuple) else schema


def _is_object(schema: Mapping[str, Any]) -> bool:
    """Whether `schema` is that of an object, and not an object's properties, of which one may be called `type`."""
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)
