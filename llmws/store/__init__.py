"""What is remembered: chats, messages, generations, comparisons, usage, jobs and adapters, a module of functions each.

The functions take a `Connection` first and are run by `Store.read` and `Store.write`; rows come back as frozen
dataclasses. Every row has an owner, and a function that takes one finds nothing of another.
"""

from __future__ import annotations

from . import adapters, chats, comparisons, generations, jobs, messages, usage
from .ids import derive_id, new_id
from .store import Store, upgrade

__all__ = [
    "Store",
    "adapters",
    "chats",
    "comparisons",
    "derive_id",
    "generations",
    "jobs",
    "messages",
    "new_id",
    "upgrade",
    "usage",
]
