"""The list of models as OpenAI has it (``GET /models``), and whoever speaks one of its wires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import ModelInfo
from .untrusted import dict_of, dicts_of, number_of, text_of
from .wire import Server


async def models(server: Server) -> list[ModelInfo]:
    """What the server lists. Not every server has a list; then the error is ``provider_not_found``."""
    listed = await server.call("GET", "/models")
    if isinstance(listed, dict):
        listed = listed.get("data", listed.get("models"))
    if not isinstance(listed, list):
        raise server.failures.unreadable()
    return [_model(row) for row in dicts_of(listed) if text_of(row, "id")]


def _model(row: Mapping[str, Any]) -> ModelInfo:
    """A row of ``GET /models``; the names are vLLM's, OpenRouter's, LM Studio's, Groq's, llama.cpp's, Moonshot's and
    Mistral's.
    """
    meta, about = dict_of(row.get("meta")), dict_of(row.get("architecture"))
    sizes = [row.get(name) for name in ("max_model_len", "context_length", "max_context_length", "context_window")]
    sizes += [meta.get("n_ctx"), meta.get("n_ctx_train")]
    can, top = dict_of(row.get("capabilities")), dict_of(row.get("top_provider"))
    takes, knows = about.get("input_modalities"), row.get("supported_parameters")
    names = [name for name in (row.get("name"), row.get("display_name"), row["id"]) if isinstance(name, str) and name]
    return ModelInfo(
        row["id"],
        names[0],
        context=next((size for size in sizes if isinstance(size, int) and size > 0), None),
        vision="image" in takes if isinstance(takes, list) else _said(row.get("supports_image_in"), can.get("vision")),
        tools="tools" in knows if isinstance(knows, list) else _said(can.get("function_calling")),
        reasoning="reasoning" in knows if isinstance(knows, list) else _said(row.get("supports_reasoning")),
        json_schema="structured_outputs" in knows if isinstance(knows, list) else None,
        max_output=number_of(top, "max_completion_tokens") or number_of(row, "max_completion_tokens") or None,
        base=row["parent"] if isinstance(row.get("parent"), str) else None,
    )


def _said(*answers: Any) -> bool | None:
    """The first that is a yes or a no."""
    return next((answer for answer in answers if isinstance(answer, bool)), None)
