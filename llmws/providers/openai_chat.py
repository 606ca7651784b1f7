"""The OpenAI chat completions wire, which most model servers speak, each a little differently.

What differs is data (`Quirks`, from a row of the catalogue), never a branch on a vendor's name. The request is made in
`openai_request`, the answer folded in `openai_answer`; `wire` moves the bytes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from ..messages import StreamEvent
from .base import CompletionRequest, Embeddings, ModelInfo
from .embeddings import embed
from .openai_answer import Answer
from .openai_models import models
from .openai_parameters import at_once
from .openai_quirks import Quirks, matches
from .openai_request import translate
from .second_chance import SecondChance
from .wire import Form, Server

__all__ = ["OpenAIChat", "Quirks"]


class OpenAIChat:
    """A model server that speaks OpenAI chat completions; see `Provider` and `Embedder`.

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
        body, warnings = translate(request, self._quirks)
        answer = Answer(
            request.model,
            self._server.failures,
            warnings,
            opens_in_reasoning=matches(request.model, self._quirks.opens_in_reasoning),
            keeps_details=self._quirks.replay_reasoning == "details",
        )
        mend = SecondChance(body, warnings).mend
        form: Form = "once" if at_once(request, self._quirks) else "events"
        async with aclosing(self._server.ask("/chat/completions", body, answer, form=form, mend=mend)) as events:
            async for event in events:
                yield event

    async def models(self) -> list[ModelInfo]:
        """What the server lists. Not every server has a list; then the error is ``provider_not_found``."""
        return await models(self._server)

    async def embed(self, model: str, inputs: Sequence[str], dimensions: int | None = None) -> Embeddings:
        return await embed(self._server, model, inputs, dimensions)
