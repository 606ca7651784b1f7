"""The OpenAI Responses wire: the one on which OpenAI's models show their reasoning, and take it back.

The request is made in `openai_responses_request`, the answer folded in `openai_responses_answer`; `wire` moves the
bytes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from ..messages import StreamEvent
from .base import CompletionRequest, Embeddings, ModelInfo
from .embeddings import embed
from .openai_models import models
from .openai_responses_answer import Answer
from .openai_responses_request import ResponsesQuirks, translate
from .second_chance import SecondChance
from .wire import Server

__all__ = ["OpenAIResponses", "ResponsesQuirks"]


class OpenAIResponses:
    """A model server that speaks OpenAI responses; see `Provider` and `Embedder`.

    Args:
        name, base_url, api_key: whom to ask, see `Server`; most addresses end in ``/v1``.
        options: more of `Server`: `client`, `idle_s`, `first_token_s`.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None = None,
        *,
        quirks: ResponsesQuirks | None = None,
        **options: Any,
    ) -> None:
        self.name = name
        self._server = Server(name, base_url, api_key, pasted=("/responses",), **options)
        self._quirks = quirks or ResponsesQuirks()

    async def aclose(self) -> None:
        await self._server.aclose()

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        body, warnings = translate(request, self._quirks)
        answer = Answer(request.model, self._server.failures, warnings, limit=body.get("max_output_tokens"))
        mend = SecondChance(body, warnings).mend
        async with aclosing(self._server.ask("/responses", body, answer, mend=mend)) as events:
            async for event in events:
                yield event

    async def models(self) -> list[ModelInfo]:
        """See `OpenAIChat.models`."""
        return await models(self._server)

    async def embed(self, model: str, inputs: Sequence[str], dimensions: int | None = None) -> Embeddings:
        return await embed(self._server, model, inputs, dimensions)
