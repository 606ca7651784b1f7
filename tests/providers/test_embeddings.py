"""Texts become vectors, on every wire that has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llmws.errors import ProviderError
from llmws.messages import Usage
from llmws.providers.base import Embedder, Embeddings
from llmws.providers.embeddings import vectors_of
from llmws.providers.openai_chat import OpenAIChat

from .conftest import Upstream

KEY = "sk-a-real-secret"
ROWS = [{"index": 1, "embedding": [0, 1.5]}, {"index": 0, "embedding": [0.25, -1]}]
TOLD = {"object": "list", "data": ROWS, "model": "m", "usage": {"prompt_tokens": 5, "total_tokens": 5}}


@pytest.fixture
async def provider(upstream: Upstream) -> Any:
    provider = OpenAIChat("Vendor", upstream.url, KEY)
    yield provider
    await provider.aclose()


async def test_each_text_gets_its_vector(provider: OpenAIChat, upstream: Upstream) -> None:
    assert isinstance(provider, Embedder)
    upstream.answers(json.dumps(TOLD))
    made = await provider.embed("m", ["one", "two"], dimensions=2)
    assert made == Embeddings(((0.25, -1.0), (0.0, 1.5)), Usage(5))
    received = upstream.received[-1]
    assert (received.method, received.path) == ("POST", "/v1/embeddings")
    assert received.body == {"model": "m", "input": ["one", "two"], "encoding_format": "float", "dimensions": 2}
    assert received.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["data"].pop(),
        lambda told: told["data"][0].update(embedding=[1]),
        lambda told: told["data"][0].update(embedding="AAAA"),
        lambda told: told["data"][0].update(embedding=[1, "2"]),
        lambda told: told.pop("data"),
    ],
)
async def test_what_are_no_vectors_is_not_taken_for_some(
    provider: OpenAIChat, upstream: Upstream, change: Callable[[dict[str, Any]], Any]
) -> None:
    told = json.loads(json.dumps(TOLD))
    change(told)
    upstream.answers(json.dumps(told))
    with pytest.raises(ProviderError) as caught:
        await provider.embed("m", ["one", "two"])
    assert caught.value.code == "provider"


async def test_a_refusal_is_named(provider: OpenAIChat, upstream: Upstream) -> None:
    upstream.answers('{"error": {"message": "This model does not support embeddings"}}', status=400)
    with pytest.raises(ProviderError, match="does not support embeddings") as caught:
        await provider.embed("m", ["one"])
    assert caught.value.code == "provider_invalid"


@pytest.mark.parametrize(
    ("told", "count", "vectors"),
    [
        ([], 0, ()),
        ([[1, 2], [3, 4.5]], 2, ((1.0, 2.0), (3.0, 4.5))),
        ([[1, 2], [3]], 2, None),
        ([[], []], 2, None),
        ([[1, True]], 1, None),
        ([[1, float("nan")]], 1, None),
        ([[1]], 2, None),
        ({"0": [1]}, 1, None),
        (None, 0, None),
    ],
)
def test_vectors_have_one_length(told: Any, count: int, vectors: Any) -> None:
    assert vectors_of(told, count) == vectors
