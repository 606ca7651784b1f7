"""What the catalogue knows of models beside their vendor's list."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime

import pytest

from llmws.providers import catalog
from llmws.providers.base import ModelInfo
from llmws.providers.known_models import ROWS, checked_at, known
from llmws.providers.prices import Published


@pytest.mark.parametrize(
    ("vendor", "model", "said"),
    [
        ("openai", "gpt-4o-mini", {"vision": True, "tools": True, "reasoning": False, "json_schema": True}),
        ("openai", "gpt-5-chat-latest", {"reasoning": False, "vision": True}),
        ("openai-chat", "gpt-5-mini", {"reasoning": True}),
        ("openai", "gpt-4o-audio-preview", {}),
        ("anthropic", "claude-opus-4-5", {"vision": True, "tools": True, "reasoning": True}),
        ("anthropic", "claude-3-5-haiku-20241022", {"tools": True, "reasoning": False}),
        ("deepseek", "deepseek-reasoner", {"reasoning": True, "vision": False}),
        ("siliconflow", "Qwen/Qwen2.5-VL-72B-Instruct", {"vision": True}),
        ("siliconflow", "BAAI/bge-m3", {"embeddings": True, "tools": False}),
        ("gemini", "models/gemini-2.5-pro", {"vision": True}),
        ("compatible", "gpt-4o-mini", {}),
    ],
)
def test_a_model_is_known_by_its_vendor_and_its_name(vendor: str, model: str, said: dict[str, bool]) -> None:
    told = known(vendor, model)
    assert told == {} if not said else said.items() <= told.items()


def test_each_row_is_of_vendors_that_exist_and_names_its_source() -> None:
    told = tomllib.loads(ROWS.read_text("utf-8"))
    names = set(ModelInfo.__dataclass_fields__)
    for row in told["row"]:
        assert set(row["vendors"]) <= {"*", *catalog.load()}, row
        assert set(row) - {"vendors", "models", "source"} <= names, row
        assert row["source"]
    assert datetime.fromtimestamp(checked_at(), UTC).date() == told["checked"]


def test_how_much_a_model_reads_is_known_with_its_price() -> None:
    published = Published()
    assert published.context("anthropic", "claude-3-5-sonnet-20241022") == 200_000
    assert published.context("openai", "gpt-nonsense") is None
    assert published.context("compatible", "gpt-4o") is None
