"""What is remembered, a module of functions for each noun: chats, messages, generations, comparisons, usage, jobs,
adapters, attachments, providers with their keys and lists.

The functions take a `Connection` first and are run by `Store.read` and `Store.write`; rows come back as frozen
dataclasses. Every row has an owner, and a function that takes one finds nothing of another.
"""

from __future__ import annotations

from . import (
    adapters,
    attachments,
    capabilities,
    chats,
    comparisons,
    generations,
    jobs,
    messages,
    model_lists,
    provider_keys,
    providers,
    search,
    usage,
)
from .ids import derive_id, new_id
from .store import Store, upgrade

__all__ = [
    "Store",
    "adapters",
    "attachments",
    "capabilities",
    "chats",
    "comparisons",
    "derive_id",
    "generations",
    "jobs",
    "messages",
    "model_lists",
    "new_id",
    "provider_keys",
    "providers",
    "search",
    "upgrade",
    "usage",
]
