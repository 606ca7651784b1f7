"""What is remembered: chats, messages, generations, usage, jobs and adapters, one module of functions for each.

The functions take a `Connection` first and are run by `Store.read` and `Store.write`; rows come back as frozen
dataclasses. Every row has an owner, and a function that takes one finds nothing of another.
"""

from __future__ import annotations

from . import adapters, chats, generations, jobs, messages, usage
from .ids import derive_id, new_id
from .store import Store

__all__ = ["Store", "adapters", "chats", "derive_id", "generations", "jobs", "messages", "new_id", "usage"]
