"""Which models a page offers to be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..client.api import Api


async def askable(api: Api) -> list[dict[str, Any]]:
    """All that answer in words: one that is known to make vectors of texts answers nothing."""
    return [model for model in await api.models() if not model.get("embeddings")]
