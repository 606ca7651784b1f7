"""The models that can be asked: those served here, the echo, and those of the providers in `settings.providers`.

A model's id is what a person types: `smollm2-135m`, `echo`, or ``<provider>/<model>``. A provider that is slow or dead
never delays the list: it is asked in the background, and what it listed last stays.
"""

from __future__ import annotations

import asyncio
import logging
import time
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request

from ..errors import Error, NotFound, ProviderError, SettingsError
from ..providers import catalog
from ..providers.base import ModelInfo, Provider
from ..providers.echo import Echo
from ..settings import Settings
from .access import Reader
from .embedded import EmbeddedProvider
from .here import here
from .identity import Person

LOG = logging.getLogger("llmws.service")

State = Literal["ready", "starting", "unavailable"]
# A list is asked for anew when somebody looks and it is older; whoever looks first waits a moment for it.
FRESH_S, PATIENCE_S, LIMIT_S = 60.0, 1.0, 15.0


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the workspace lists it. Prices are None where they are unknown: unpriced, not free."""

    id: str
    provider: str
    name: str
    context: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    reasoning: bool | None = None
    input_price: float | None = None
    output_price: float | None = None
    currency: str | None = None
    checked_at: float | None = None
    state: State = "ready"
    reason: str = ""
    base: str | None = None
    json_schema: bool | None = None
    embeddings: bool | None = None
    max_output: int | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whom to ask for a model: which provider (by its id), and what that calls the model."""

    provider_id: str
    provider: Provider
    model: str
    context: int | None


class Source:
    """One provider's models: the last good list, when that was, and why there is no newer one."""

    def __init__(self, id: str, provider: Provider, prefix: str) -> None:
        self.id = id
        self.provider = provider
        self.prefix = prefix
        self.listed: Sequence[ModelInfo] = ()
        self.checked_at: float | None = None
        self.problem = ""
        self._asked: float | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def never_asked(self) -> bool:
        return self._asked is None

    def refresh(self) -> asyncio.Task[None] | None:
        """Ask for the list if it is old; the task that does, if there is one."""
        if self._asking is None and (self._asked is None or time.monotonic() - self._asked > FRESH_S):
            self._asking = asyncio.create_task(self._ask())
        return self._asking

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        await self.provider.aclose()

    def models(self) -> list[Model]:
        state: State = "unavailable" if self.problem else "ready"
        return [
            Model(
                **{**asdict(info), "id": self.prefix + info.id},
                provider=self.id,
                checked_at=self.checked_at,
                state=state,
                reason=self.problem,
            )
            for info in self.listed
        ]

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                self.listed = await self.provider.models()
            self.checked_at, self.problem = time.time(), ""
        except TimeoutError:
            self.problem = f"{self.provider.name} did not list its models within {LIMIT_S:.0f} s."
        except Error as problem:
            self.problem = str(problem)
        except Exception as problem:
            LOG.exception("the models of %s could not be listed", self.provider.name)
            self.problem = f"{self.provider.name} could not list its models ({type(problem).__name__})."
        finally:
            self._asked = time.monotonic()
            self._asking = None


class Registry:
    """All models. Sources do not change while the service runs, until keys can be posted."""

    def __init__(self, settings: Settings) -> None:
        self.embedded = EmbeddedProvider(settings) if settings.embedded else None
        self._sources = [Source("echo", Echo(), "")]
        self._refused: dict[str, Error] = {}
        for vendor in _configured(settings.providers):
            try:
                self._sources.append(Source(vendor.id, catalog.open_provider(vendor), f"{vendor.id}/"))
            except ProviderError as problem:
                LOG.warning("the provider %s is left out: %s", vendor.id, problem)
                self._refused[vendor.id] = problem

    async def start(self) -> None:
        if self.embedded is not None:
            await self.embedded.start()
        asking = [source.refresh() for source in self._sources]
        # The echo is here; whoever comes first shall find it.
        if asking[0] is not None:
            await asking[0]

    async def stop(self) -> None:
        await asyncio.gather(*(source.close() for source in self._sources))
        if self.embedded is not None:
            await self.embedded.aclose()

    async def list(self, person: Person) -> Sequence[Model]:
        """The models that `person` may ask."""
        tasks = [(source, source.refresh()) for source in self._sources]
        if first := {task for source, task in tasks if task is not None and source.never_asked}:
            await asyncio.wait(first, timeout=PATIENCE_S)
        embedded = (
            [
                Model(**asdict(info), provider=self.embedded.name, state=state, reason=reason, checked_at=time.time())
                for info, state, reason in self.embedded.states(person)
            ]
            if self.embedded is not None
            else []
        )
        return embedded + [model for source in self._sources for model in source.models()]

    def choose(self, id: str, person: Person) -> Chosen:
        """Whom to ask for `id`; what a known provider does not list is left for it to judge.

        Raises:
            NotFound: no provider has a model of this id.
            ProviderError: its provider lacks something, a key say.
        """
        if self.embedded is not None:
            for model, _, _ in self.embedded.states(person):
                if model.id == id:
                    return Chosen(self.embedded.name, self.embedded, id, model.context)
        for source in self._sources:
            name = id.removeprefix(source.prefix)
            info = next((info for info in source.listed if info.id == name), None)
            if info is not None and id.startswith(source.prefix):
                return Chosen(source.id, source.provider, name, info.context)
            if source.prefix and name and name != id:
                return Chosen(source.id, source.provider, name, None)
        if (problem := self._refused.get(id.partition("/")[0])) is not None:
            raise problem
        raise NotFound(f"There is no model {id!r}.", remedy="See client.models() for those there are.")


def _configured(file: Path | None) -> list[catalog.Vendor]:
    """The vendors that the settings' file names; the catalogue alone opens nobody."""
    if file is None:
        return []
    vendors = catalog.load(file)
    named = [vendors[name] for name in tomllib.loads(file.read_text("utf-8"))]
    for vendor in named:
        if not vendor.base_url:
            raise SettingsError(f"{file}, [{vendor.id}]: base_url is missing.", remedy="Add it.")
    return named


@dataclass(frozen=True, slots=True)
class Models:
    """The registry as one person sees it: tuned models are their owner's, and theirs with whom they are shared."""

    registry: Registry
    person: Person

    @property
    def embedded(self) -> EmbeddedProvider | None:
        return self.registry.embedded

    async def list(self) -> Sequence[Model]:
        return await self.registry.list(self.person)

    def choose(self, id: str) -> Chosen:
        """Whom to ask for `id`, see `Registry.choose`."""
        return self.registry.choose(id, self.person)


async def _mine(request: Request, registry: Annotated[Registry, here("models")]) -> Models:
    return Models(registry, request.state.person)


TheModels = Annotated[Models, Depends(_mine)]
router = APIRouter(tags=["models"])


@router.get("/api/models")
async def list_models(person: Reader, models: TheModels) -> dict[str, Any]:
    """The models that can be asked, with what is known of them."""
    return {"items": [asdict(model) for model in await models.list()]}
