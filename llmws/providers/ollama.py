"""Ollama's own wire: unlike its OpenAI-compatible one, it says what each model can do and takes a length of context.

The request is made in `ollama_request`, the answer folded in `ollama_answer`; `wire` moves the bytes.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any

from ..errors import ProviderError
from ..messages import StreamEvent, Usage
from .base import CompletionRequest, Embeddings, ModelInfo
from .embeddings import LIMIT_S, vectors_of
from .ollama_answer import Answer
from .ollama_context import window
from .ollama_models import About, about_of, info_of, listed, loaded_window
from .ollama_request import asks_for_window, translate
from .untrusted import dict_of, number_of
from .wire import Server

# What a model can do changes only when another is pulled under its name.
FRESH_S = 300.0
ABOUT_S = 10.0
ABOUT_AT_ONCE = 8


class Ollama:
    """A server that speaks Ollama's own wire; see `Provider` and `Embedder`.

    Args:
        name, base_url, api_key: whom to ask, see `Server`; the address is without ``/api``, and only ollama.com wants
            a key.
        options: more of `Server`: `client`, `idle_s`, `first_token_s`.
    """

    def __init__(self, name: str, base_url: str, api_key: str | None = None, **options: Any) -> None:
        self.name = name
        self._server = Server(
            name,
            base_url,
            api_key,
            pasted=("/chat", "/api", "/v1"),
            address_form="it is like http://localhost:11434",
            **options,
        )
        self._known: dict[str, tuple[float, About]] = {}

    async def aclose(self) -> None:
        await self._server.aclose()

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        about = await self._about(request.model)
        size = None
        if not (about.elsewhere or asks_for_window(request.parameters)):
            size = window(request, about, await self._loaded(request.model))
        body, warnings = translate(request, about, size)
        reasons = request.schema is not None and request.parameters.reasoning_effort not in (None, "none")
        answer = Answer(request.model, self._server.failures, warnings, reasons=reasons)
        async with aclosing(self._server.ask("/api/chat", body, answer, form="lines")) as events:
            async for event in events:
                yield event

    async def models(self) -> list[ModelInfo]:
        """What the server has, each with what it can do; who cannot be asked in time is listed without."""
        rows = listed(await self._server.call("GET", "/api/tags"))
        if rows is None:
            raise self._server.failures.unreadable()
        for name, about in rows.items():
            if about is not None:
                self._known[name] = (time.monotonic(), about)
        gate = asyncio.Semaphore(ABOUT_AT_ONCE)

        async def ask(name: str) -> None:
            async with gate:
                with suppress(ProviderError):
                    await self._about(name)

        with suppress(TimeoutError):
            async with asyncio.timeout(ABOUT_S), asyncio.TaskGroup() as group:
                for name in rows:
                    group.create_task(ask(name))
        return [info_of(name, self._known[name][1] if name in self._known else About()) for name in rows]

    async def embed(self, model: str, inputs: Sequence[str], dimensions: int | None = None) -> Embeddings:
        # Ollama would cut what is too long without a word.
        body: dict[str, Any] = {"model": model, "input": list(inputs), "truncate": False}
        if dimensions is not None:
            body["dimensions"] = dimensions
        told = dict_of(await self._server.call("POST", "/api/embed", body, model=model, limit_s=LIMIT_S))
        vectors = vectors_of(told.get("embeddings"), len(inputs))
        if vectors is None:
            raise self._server.failures.unreadable()
        return Embeddings(vectors, Usage(number_of(told, "prompt_eval_count")))

    async def _about(self, model: str) -> About:
        """What the server says of `model`, asked for anew when it is old; nothing where it does not say.

        Raises:
            ProviderError: it cannot be reached, which would take the request itself as long again to find out.
        """
        asked, about = self._known.get(model, (-math.inf, About()))
        if time.monotonic() - asked < FRESH_S:
            return about
        try:
            shown = await self._server.call("POST", "/api/show", {"model": model}, model=model, limit_s=ABOUT_S)
        except ProviderError as error:
            if error.code == "provider_network":
                raise
            return about
        about = about_of(shown)
        self._known[model] = (time.monotonic(), about)
        return about

    async def _loaded(self, model: str) -> int:
        try:
            return loaded_window(await self._server.call("GET", "/api/ps", limit_s=ABOUT_S), model)
        except ProviderError:
            return 0
