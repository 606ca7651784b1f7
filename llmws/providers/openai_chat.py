"""The OpenAI chat completions wire, which most model servers speak, each a little differently.

What differs is data (`Quirks`, from a row of the catalogue), never a branch on a vendor's name. The request is made in
`openai_request`, the answer folded in `openai_answer`; `wire` moves the bytes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from fnmatch import fnmatch
from typing import Any

from ..messages import StreamEvent
from .base import CompletionRequest, ModelInfo
from .openai_answer import Answer
from .openai_request import Quirks, request_body, unheard
from .wire import Server

__all__ = ["OpenAIChat", "Quirks"]


class OpenAIChat:
    """A model server that speaks OpenAI chat completions; see `Provider`.

    Args:
        name, base_url, api_key: of the server, see `Server`; most addresses end in ``/v1``.
        options: more of `Server`: `client`, `idle_s`, `first_token_s`.
    """

    def __init__(
        self, name: str, base_url: str, api_key: str | None = None, *, quirks: Quirks | None = None, **options: Any
    ) -> None:
        self.name = name
        self._server = Server(name, base_url, api_key, pasted=("/chat/completions",), **options)
        self._quirks = quirks or Quirks()

    async def aclose(self) -> None:
        await self._server.aclose()

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        body = request_body(request, self._quirks)
        answer = Answer(
            request.model,
            self._server.failures,
            opens_in_reasoning=any(fnmatch(request.model.lower(), it) for it in self._quirks.opens_in_reasoning),
            warnings=tuple(unheard(request, self._quirks)),
        )
        async with aclosing(self._server.ask("/chat/completions", body, answer)) as events:
            async for event in events:
                yield event

    async def models(self) -> list[ModelInfo]:
        """What the server lists. Not every server has a list; then the error is ``provider_not_found``."""
        listed = await self._server.call("GET", "/models")
        if isinstance(listed, dict):
            listed = listed.get("data", listed.get("models"))
        if not isinstance(listed, list):
            raise self._server.failures.unreadable()
        return [_model(row) for row in listed if isinstance(row, dict) and isinstance(row.get("id"), str)]


def _model(row: Mapping[str, Any]) -> ModelInfo:
    """A row of ``GET /models``; the names are vLLM's, OpenRouter's, LM Studio's, Groq's and llama.cpp's."""
    meta = row["meta"] if isinstance(row.get("meta"), dict) else {}
    about = row["architecture"] if isinstance(row.get("architecture"), dict) else {}
    sizes = [row.get(name) for name in ("max_model_len", "context_length", "max_context_length", "context_window")]
    sizes += [meta.get("n_ctx"), meta.get("n_ctx_train")]
    takes, knows = about.get("input_modalities"), row.get("supported_parameters")
    names = [name for name in (row.get("name"), row.get("display_name"), row["id"]) if isinstance(name, str) and name]
    return ModelInfo(
        row["id"],
        names[0],
        context=next((size for size in sizes if isinstance(size, int) and size > 0), None),
        vision="image" in takes if isinstance(takes, list) else None,
        tools="tools" in knows if isinstance(knows, list) else None,
        reasoning="reasoning" in knows if isinstance(knows, list) else None,
        base=row["parent"] if isinstance(row.get("parent"), str) else None,
    )
