"""The embedded model server as a provider like any other: it waits while that starts, and chooses the adapter.

What was fine-tuned is served with it: adapters in the same process, whole models in one of their own that sleeps while
nobody asks it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from ..errors import Error, Unavailable
from ..messages import StreamEvent
from ..providers import catalog
from ..providers.base import CompletionRequest, ModelInfo, Provider
from ..serving.embedded import Embedded, EmbeddedModel, Endpoint, find_embedded_model
from ..settings import Settings
from ..store.adapters import Adapter
from ..store.grants import Grant
from .access import is_granted
from .identity import Person

State = Literal["ready", "starting", "unavailable"]
# What `serving` calls its states, in the words of a list of models. A sleeping server starts when it is asked.
_STATES: dict[str, State] = {"asleep": "ready", "starting": "starting", "ready": "ready", "failed": "unavailable"}
# A whole model that nobody asked for so long gives its memory back.
_ASLEEP_AFTER_S = 300.0


class Stand(NamedTuple):
    """How it stands with a model, and why."""

    model: ModelInfo
    state: State
    reason: str


@dataclass(slots=True)
class _Wire:
    """What asks one process of a server. After a restart there is another, and this one goes with its last call."""

    address: tuple[str, str] = field(repr=False)
    provider: Provider
    calls: int = 0

    async def aclose_unused(self) -> None:
        if not self.calls:
            await self.provider.aclose()


class EmbeddedProvider:
    """Serves the model that comes along; where that cannot be, it is listed with the reason."""

    name = "embedded"

    def __init__(self, settings: Settings) -> None:
        self.server: Embedded | None = None
        self.problem: Error | None = None
        self._wires: dict[Embedded, _Wire] = {}
        self._tuned: dict[str, Adapter] = {}
        self._grants: Sequence[Grant] = ()
        self._whole: dict[str, Embedded] = {}
        try:
            self.server = Embedded(find_embedded_model(settings))
        except Error as problem:
            self.problem = problem

    async def start(self) -> None:
        if self.server is not None:
            await self.server.start()

    async def aclose(self) -> None:
        for server in (self.server, *self._whole.values()):
            if server is not None:
                await server.stop()
        for wire in self._wires.values():
            await wire.provider.aclose()

    async def serve(self, tuned: Sequence[Adapter]) -> None:
        """Serve these beside the base model, and no others; returns once they can be asked.

        Raises:
            SettingsError: one is missing or does not fit the base; those that were served stay.
        """
        served = {one.id: one for one in tuned}
        if self.server is not None:
            mine = [one for one in tuned if one.base == self.server.model.id]
            await self.server.set_adapters({one.id: Path(one.path) for one in mine if one.kind == "adapter"})
            whole = {one.id: one for one in mine if one.kind == "model"}
            for gone in self._whole.keys() - whole.keys():
                await (server := self._whole.pop(gone)).stop()
                if wire := self._wires.pop(server, None):
                    await wire.aclose_unused()
            for new in whole.keys() - self._whole.keys():
                model = EmbeddedModel(new, new, Path(whole[new].path))
                self._whole[new] = Embedded(model, asleep_after_s=_ASLEEP_AFTER_S)
                await self._whole[new].start()
        self._tuned = served

    def grant(self, grants: Sequence[Grant]) -> None:
        """Let those use what was tuned, and no others than them and its owners."""
        self._grants = grants

    async def models(self) -> list[ModelInfo]:
        return [info for info, _, _ in self.states()]

    def states(self, person: Person | None = None) -> list[Stand]:
        """The base model and what was tuned of it, as far as `person` may use that, and how it stands with each."""
        mine = [one for one in self._tuned.values() if person is None or self._is_granted(person, one)]
        if self.server is None:
            base = Stand(ModelInfo("smollm2-135m", "SmolLM2 135M Instruct"), "unavailable", str(self.problem))
        else:
            base = self._state(self.server.model.id, self.server.model.name)
        return [base, *(self._state(one.id, one.id, one.base) for one in mine)]

    def _state(self, model_id: str, name: str, base: str | None = None) -> Stand:
        server = self._server_of(model_id)
        if server is None:
            reason = f"Its base {base} is not served here."
            return Stand(ModelInfo(model_id, name, vision=False, base=base), "unavailable", reason)
        state, reason = server.status(model_id)
        info = ModelInfo(model_id, name, context=server.context, vision=False, base=base)
        return Stand(info, _STATES[state], reason)

    def _is_granted(self, person: Person, tuned: Adapter) -> bool:
        return is_granted(person, tuned.owner, (grant for grant in self._grants if grant.thing_id == tuned.id))

    def _server_of(self, model_id: str) -> Embedded | None:
        if model_id in self._whole:
            return self._whole[model_id]
        return self.server if self.server is not None and model_id in self.server.models else None

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        server = self._server_of(request.model)
        if server is None:
            problem = self.problem or Unavailable(f"The model {request.model} is not served here.")
            raise Unavailable(problem.message, remedy=problem.remedy)
        async with server.call(request.model) as endpoint:
            extra = {**request.parameters.extra, **endpoint.extra}
            asked = replace(request, model=endpoint.model, parameters=replace(request.parameters, extra=extra))
            wire, before = self._wire(server, endpoint)
            wire.calls += 1
            try:
                if before is not wire:
                    await before.aclose_unused()
                async with aclosing(wire.provider.stream(asked)) as events:
                    async for event in events:
                        yield event
            finally:
                wire.calls -= 1
                if self._wires.get(server) is not wire:
                    await wire.aclose_unused()

    def _wire(self, server: Embedded, endpoint: Endpoint) -> tuple[_Wire, _Wire]:
        """The wire to a server as it runs now, and the one before: a restart gives it another address and key."""
        address = endpoint.base_url, endpoint.api_key
        known = self._wires.get(server)
        if known is None or known.address != address:
            vendor = catalog.load()["embedded"]
            provider = catalog.open_provider(vendor, endpoint.api_key, base_url=endpoint.base_url)
            self._wires[server] = _Wire(address, provider)
        return self._wires[server], known or self._wires[server]
