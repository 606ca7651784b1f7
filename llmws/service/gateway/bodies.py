"""What a program sent, as values that can be relied on: JSON of the right shape, or a sentence that says what is wrong.

msgspec reads and checks in a tenth of the time that the service's other routes need, and refuses what JSON can say and
we cannot keep: half a character, a number that is not finite.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from ...errors import InvalidRequest
from ..bodies import storable

__all__ = ["Name", "Positive", "decode", "described", "read", "refuse"]

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Positive = Annotated[int, Meta(ge=1, le=2**53)]

T = TypeVar("T", bound=msgspec.Struct)
_WHERE = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<where>.*)`)?", re.DOTALL)
# Nested deeper than any message or schema; where it is allowed to go deeper, something else runs out of stack later.
_DEEPEST = 100


def decode(body: bytes) -> dict[str, Any]:
    """The JSON object of a request's body.

    Example:
        >>> decode(b'{"model": "echo"}')
        {'model': 'echo'}
        >>> decode(b'{"model": "\\\\ud800"}')
        Traceback (most recent call last):
        llmws.errors.InvalidRequest: The body cannot be read: there is half a character in it (a lone surrogate).
    """
    try:
        told = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        raise refuse("body", f"The body cannot be read: {_unreadable(body)}.") from None
    if not isinstance(told, dict):
        raise refuse("body", "The body is not a JSON object.")
    if body.count(b"{") + body.count(b"[") > _DEEPEST and _depth(told) > _DEEPEST:
        raise refuse("body", f"The body is nested deeper than {_DEEPEST} levels.")
    return told


def read(told: dict[str, Any], form: type[T]) -> T:
    """`told` as a `form`; what has no field there is left out.

    Example:
        >>> class Asked(msgspec.Struct):
        ...     model: str
        >>> read({"model": 7}, Asked)
        Traceback (most recent call last):
        llmws.errors.InvalidRequest: The request is not valid: `model`: expected `str`, got `int`.
    """
    try:
        return msgspec.convert(told, form)
    except msgspec.ValidationError as problem:
        found = _WHERE.fullmatch(str(problem))
        assert found is not None
        where, what = (found["where"] or "").removeprefix("."), found["what"]
        subject = f"`{where}`: " if where else ""
        raise refuse(where, f"The request is not valid: {subject}{what[:1].lower()}{what[1:]}.") from None


def described(form: type[msgspec.Struct]) -> dict[str, Any]:
    """A `form` as the body of a request, for OpenAPI; FastAPI cannot know what it does not read."""
    [schema], parts = msgspec.json.schema_components([form], ref_template="{name}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inlined(schema, parts)}}}}


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, parts) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(parts[schema["$ref"]], parts)
    return {name: _inlined(value, parts) for name, value in schema.items()}


def refuse(param: str, message: str, remedy: str = "") -> InvalidRequest:
    """The error for a request whose field `param` cannot be."""
    return InvalidRequest(message, remedy=remedy, details={"param": param} if param else None)


def _unreadable(body: bytes) -> str:
    """Why, in words; the standard library's reader says more, and takes what is no JSON but looks like it."""
    try:
        storable(json.loads(body))
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except RecursionError:
        return f"it is nested deeper than {_DEEPEST} levels"
    except json.JSONDecodeError as problem:
        return f"it is not JSON ({problem.msg} at character {problem.pos})" if body else "it is empty"
    except ValueError as problem:
        return str(problem)
    return "it is not JSON"


def _depth(value: Any) -> int:
    """How deep `value` is nested, without recursion."""
    level, depth = [value], 0
    while level:
        depth += 1
        level = [
            item
            for above in level
            if isinstance(above, dict | list)
            for item in (above.values() if isinstance(above, dict) else above)
        ]
    return depth
