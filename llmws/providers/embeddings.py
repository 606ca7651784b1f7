"""Embeddings as OpenAI has them (``POST /embeddings``), and most who speak either of its wires."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..messages import Usage
from .base import Embeddings
from .untrusted import dict_of, dicts_of, number_of
from .wire import Server

# A batch of long texts on a busy server.
LIMIT_S = 120.0


async def embed(server: Server, model: str, inputs: Sequence[str], dimensions: int | None = None) -> Embeddings:
    """See `Embedder`."""
    body: dict[str, Any] = {"model": model, "input": list(inputs), "encoding_format": "float"}
    if dimensions is not None:
        body["dimensions"] = dimensions
    told = dict_of(await server.call("POST", "/embeddings", body, model=model, limit_s=LIMIT_S))
    rows = sorted(dicts_of(told.get("data")), key=lambda row: number_of(row, "index"))
    vectors = vectors_of([row.get("embedding") for row in rows], len(inputs))
    if vectors is None:
        raise server.failures.unreadable()
    return Embeddings(vectors, Usage(number_of(dict_of(told.get("usage")), "prompt_tokens")))


def vectors_of(told: Any, count: int) -> tuple[tuple[float, ...], ...] | None:
    """`count` vectors of one length; None where that is not what was `told`.

    Example:
        >>> vectors_of([[1, 0.5], [0, 1]], 2)
        ((1.0, 0.5), (0.0, 1.0))
    """
    if not isinstance(told, list) or len(told) != count:
        return None
    vectors = tuple(_vector(row) for row in told)
    lengths = {len(vector) for vector in vectors}
    return vectors if len(lengths) <= 1 and 0 not in lengths else None


def _vector(row: Any) -> tuple[float, ...]:
    """Empty where `row` is no list of numbers."""
    numbers = row if isinstance(row, list) else []
    fits = all(isinstance(it, int | float) and not isinstance(it, bool) and math.isfinite(it) for it in numbers)
    return tuple(map(float, numbers)) if fits else ()
