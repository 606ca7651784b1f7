"""The embedded model server as a provider like any other: it waits while that starts, and chooses the adapter."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from ..errors import Error, Unavailable
from ..messages import StreamEvent
from ..providers import catalog
from ..providers.base import CompletionRequest, ModelInfo, Provider
from ..serving.embedded import Embedded, Endpoint, find_embedded_model
from ..settings import Settings

State = Literal["ready", "starting", "unavailable"]
# What `serving` calls its states, in the words of a list of models. A sleeping server starts when it is asked.
_STATES: dict[str, State] = {"asleep": "ready", "starting": "starting", "ready": "ready", "failed": "unavailable"}


class EmbeddedProvider:
    """Serves the model that comes along; where that cannot be, it is listed with the reason."""

    name = "embedded"

    def __init__(self, settings: Settings) -> None:
        self.server: Embedded | None = None
        self._problem: Error | None = None
        self._opened: dict[str, Provider] = {}
        try:
            self.server = Embedded(find_embedded_model(settings))
        except Error as problem:
            self._problem = problem

    async def start(self) -> None:
        if self.server is not None:
            await self.server.start()

    async def aclose(self) -> None:
        if self.server is not None:
            await self.server.stop()
        for provider in self._opened.values():
            await provider.aclose()

    async def models(self) -> list[ModelInfo]:
        return [info for info, _, _ in self.states()]

    def states(self) -> list[tuple[ModelInfo, State, str]]:
        """The base model and its adapters, how it stands with each, and why."""
        server = self.server
        if server is None:
            return [(ModelInfo("smollm2-135m", "SmolLM2 135M Instruct"), "unavailable", str(self._problem))]
        told = []
        for model_id in server.models:
            tuned = model_id != server.model.id
            info = ModelInfo(
                model_id,
                model_id if tuned else server.model.name,
                context=server.context,
                vision=False,
                base=server.model.id if tuned else None,
            )
            state, reason = server.status(model_id)
            told.append((info, _STATES[state], reason))
        return told

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        if self.server is None:
            problem = self._problem or Unavailable("There is no embedded model.")
            raise Unavailable(problem.message, remedy=problem.remedy)
        async with self.server.call(request.model) as endpoint:
            extra = {**request.parameters.extra, **endpoint.extra}
            asked = replace(request, model=endpoint.model, parameters=replace(request.parameters, extra=extra))
            async with aclosing(self._open(endpoint).stream(asked)) as events:
                async for event in events:
                    yield event

    def _open(self, endpoint: Endpoint) -> Provider:
        """The wire to a server, which is another one after each restart."""
        if endpoint.base_url not in self._opened:
            vendor = catalog.load()["embedded"]
            self._opened[endpoint.base_url] = catalog.open_provider(
                vendor, endpoint.api_key, base_url=endpoint.base_url
            )
        return self._opened[endpoint.base_url]
