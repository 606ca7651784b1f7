"""Values as they come in: what a request says is checked here once, and is one of our nouns from there on."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from ..messages import Message, Parameters

# A misspelt field would be without effect, silently.
STRICT = ConfigDict(extra="forbid")


# Of what is nested. Deeper than anybody means, and far less than what ends a parser.
DEEPEST = 100


def storable(value: Any) -> Any:
    """Refuse what JSON can say and a database or another program cannot take."""
    if _is_deeper(value, DEEPEST):
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise ValueError("there is half a character in it (a lone surrogate)") from None
    except ValueError:
        raise ValueError("there is a number in it that is not finite") from None
    return value


def _is_deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most + 1):
        level = [
            below
            for one in level
            if isinstance(one, dict | list | tuple)
            for below in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(level)


def _parameters(value: Any) -> Any:
    names = [field.name for field in fields(Parameters)]
    if isinstance(value, dict) and (unknown := sorted(set(value) - set(names))):
        raise ValueError(f"there is no parameter {unknown[0]!r}; there are {', '.join(names)}")
    return storable(value)


Text = Annotated[str, BeforeValidator(storable)]
Name = Annotated[str, BeforeValidator(storable), Field(min_length=1, max_length=255)]
GivenMessage = Annotated[Message, BeforeValidator(storable)]
GivenParameters = Annotated[Parameters, BeforeValidator(_parameters)]
