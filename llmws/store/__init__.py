"""What is remembered: a module of functions for each noun, imported by its name (`from ..store import chats as kept`).

The functions take a `Connection` first and are run by `Store.read` and `Store.write`; rows come back as frozen
dataclasses. Every row has an owner, and a function that takes one finds nothing of another.
"""

from __future__ import annotations

from .ids import derive_id, new_id
from .store import Store, upgrade

__all__ = ["Store", "derive_id", "new_id", "upgrade"]
