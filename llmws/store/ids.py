"""Identifiers: 32 hexadecimal characters, either random or derived from what a request called itself."""

from __future__ import annotations

import random
import uuid

# Of our own: whoever seeds the one that all share would make ids come again.
_RANDOM = random.Random()
_NAMESPACE = uuid.UUID("5d0a3c52-6f0e-4c0b-9a39-0a7c2f1f6f11")


def new_id() -> str:
    """A random id.

    It guards nothing, so it need not come from the kernel: asking that makes every request wait for the writer's turn.
    """
    return f"{_RANDOM.getrandbits(128):032x}"


def derive_id(owner: str, key: str) -> str:
    """The id that `owner`'s request named `key` always gets, so that repeating it finds what it made.

    Two owners never share one, whatever keys they choose.

    Example:
        >>> derive_id("ada", "send-1") == derive_id("ada", "send-1"), derive_id("ada", "1") == derive_id("eve", "1")
        (True, False)
    """
    return uuid.uuid5(_NAMESPACE, f"{len(owner)}:{owner}:{key}").hex
