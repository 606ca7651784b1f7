"""A live probe of a model: what it can do is found out by asking it, and kept with the date and what was seen.

Each question goes through the metering path with the purpose ``probe``; whoever asks for the probe pays it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection

from ..errors import NotFound, ProviderError, from_dict
from ..messages import Message, StreamEvent, assemble
from ..providers.base import CompletionRequest, Embedder, Embeddings
from ..providers.probe import Verdict, probe
from ..store import capabilities as kept
from ..store.capabilities import Capability
from .access import Configurer
from .here import TheStore
from .identity import Person
from .ledger import Ledger, TheLedger
from .metering import Call, Origin, metered
from .models import Chosen, TheRegistry

PURPOSE = "probe"
LIMIT_S = 180.0

router = APIRouter(prefix="/api/models", tags=["providers"])


@router.post("/{id:path}/probe")
async def probe_model(
    id: str, person: Configurer, registry: TheRegistry, store: TheStore, ledger: TheLedger
) -> dict[str, Any]:
    """Find out what a model can do, by five small questions at most; where one fails, what was found before is kept."""
    source = registry.source(id.partition("/")[0])
    chosen = registry.choose(id, person, alone=True)
    if source is None:
        raise NotFound(f"{id} is of no provider.", remedy="What is served here is known already.")
    asking = _Asking(person, id, chosen, ledger)
    embed = asking.embed if isinstance(chosen.provider, Embedder) else None
    found: list[Capability] = []
    try:
        async with asyncio.timeout(LIMIT_S):
            async for verdict in probe(chosen.model, asking.ask, embed):
                if verdict.value is not None:
                    found.append(await store.write(_keep, source.id, chosen.model, verdict))
    except TimeoutError:
        raise ProviderError(
            f"{source.name} took too long.", remedy="Try again when it is less busy.", code="provider_timeout"
        ) from None
    finally:
        await registry.reload()
    return {"capabilities": [to_json(one) for one in found]}


def to_json(found: Capability) -> dict[str, Any]:
    names = ("name", "value", "source", "checked_at", "evidence")
    return {name: getattr(found, name) for name in names}


async def said(call: Call, ledger: Ledger) -> list[StreamEvent]:
    """All that a model says to `call`, once it has ended and is settled."""
    events: list[StreamEvent] = []
    await metered(call, ledger, events.append, ledger.record)
    return events


class _Asking:
    """Asks one model for one person."""

    def __init__(self, person: Person, id: str, chosen: Chosen, ledger: Ledger) -> None:
        self._person = person
        self._id = id
        self._chosen = chosen
        self._ledger = ledger

    async def ask(self, request: CompletionRequest) -> Message:
        return assemble(await said(self._call(request), self._ledger))

    async def embed(self, inputs: Sequence[str]) -> Embeddings:
        made: list[Embeddings] = []

        async def vectors() -> AsyncGenerator[StreamEvent, None]:
            assert isinstance(self._chosen.provider, Embedder)
            made.append(await self._chosen.provider.embed(self._chosen.model, inputs))
            yield StreamEvent("start", model=self._chosen.model)
            yield StreamEvent("usage", usage=made[0].usage)
            yield StreamEvent("end", finish_reason="stop")

        request = CompletionRequest(self._chosen.model, tuple(Message.user(text) for text in inputs))
        for event in await said(self._call(request, vectors), self._ledger):
            if event.type == "error":
                raise from_dict({**event.data, "message": event.text}, 502)
        return made[0]

    def _call(self, request: CompletionRequest, ask: Any = None) -> Call:
        chosen, origin = self._chosen, Origin(PURPOSE)
        return Call(self._person, self._id, chosen.provider_id, chosen.provider, request, origin, "configure", ask=ask)


def _keep(connection: Connection, provider_id: str, model: str, verdict: Verdict) -> Capability:
    assert verdict.value is not None
    return kept.put(connection, provider_id, model, verdict.name, verdict.value, verdict.source, verdict.evidence)
