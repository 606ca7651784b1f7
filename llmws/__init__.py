"""llmws: a notebook-centric workspace for large language models.

Importing it has no effects and loads values only. What talks to the service, and the pages, come through a lazy door at
first use: a kernel that only reads messages pays for neither.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import errors
from .errors import Error
from .messages import Message, Parameters, Part, StreamEvent, Timing, Usage, assemble

if TYPE_CHECKING:
    from .client import Chat, Client, Job, connect
    from .recipe import Recipe

__version__ = "0.1.0"

__all__ = [
    "Chat",
    "Client",
    "Error",
    "Job",
    "Message",
    "Parameters",
    "Part",
    "Recipe",
    "StreamEvent",
    "Timing",
    "Usage",
    "assemble",
    "connect",
    "errors",
]

_LAZY = {"Chat": "client", "Client": "client", "Job": "client", "connect": "client", "Recipe": "recipe"}


def __getattr__(name: str) -> Any:
    if name == "ui":
        return importlib.import_module(".ui", __name__)
    if name in _LAZY:
        value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "ui"})
