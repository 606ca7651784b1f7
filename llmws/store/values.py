"""What a column can hold, made the same in every database before anything reaches it.

PostgreSQL refuses NUL in a text where SQLite keeps it; neither driver can send half a character (a lone surrogate);
SQLite makes NULL of a number that is none, which PostgreSQL keeps and JSON cannot say. All of this comes from outside:
from a model, a trainer, a browser. Failing over it would lose an answer for one odd character, so what cannot be held
becomes U+FFFD or null, in questions as in what is kept. JSON holds any text, since it is written in ASCII.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, event


def dumps(value: Any) -> str:
    """`value` as JSON, with null for numbers that are not finite.

    Example:
        >>> dumps({"loss": float("nan"), "text": "half \\ud83d"})
        '{"loss": null, "text": "half \\\\ud83d"}'
    """
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def whole(text: str) -> str:
    r"""`text` with what is half a character replaced by U+FFFD: where a program cut a surrogate pair in two.

    Example:
        >>> whole("half \ud83d") == "half \ufffd"
        True
    """
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def settle(engine: Engine) -> None:
    """Make the values of every statement of `engine` such as any database can hold."""

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def prepare(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> tuple[str, Any]:
        return statement, [_row(row) for row in parameters] if many else _row(parameters)


def _row(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _storable(value) for name, value in values.items()}
    return tuple(_storable(value) for value in values)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return whole(value).replace("\0", "\ufffd")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
