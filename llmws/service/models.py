"""The models that can be asked: those served here, the echo, those of the providers that people configured, and those
of the file that an administrator wrote (`settings.providers`).

A model's id is what a person types: `smollm2-135m`, `echo`, or ``<provider>/<model>``. A provider that is slow or dead
never delays the list, see `sources.py`.
"""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection

from ..addresses import AddressPolicy
from ..errors import Error, NotFound, ProviderError, SettingsError
from ..outbound import new_client
from ..providers import catalog, known_models
from ..providers.attempts import Attempts, Candidate, Cooldowns
from ..providers.base import Provider
from ..providers.echo import MODEL as ECHO
from ..providers.echo import Echo
from ..providers.key_ring import Key
from ..providers.prices import Price
from ..settings import Settings
from ..store import Store, grants, model_lists
from ..store import capabilities as kept_capabilities
from ..store import provider_keys as kept_keys
from ..store import providers as kept_providers
from ..store.model_lists import ModelList
from ..store.provider_keys import ProviderKey
from ..store.providers import Provider as Row
from .access import Reader
from .embedded import EmbeddedProvider
from .here import here
from .identity import Person
from .key_notes import KeyNotes
from .secrets import MasterKeys
from .sources import Setup, Source, setup_of

State = Literal["ready", "starting", "unavailable"]
# Whoever looks before a provider has ever listed its models waits a moment for it.
PATIENCE_S = 1.0
OURS = ("embedded", "echo")

T = TypeVar("T")


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
    """Whom to ask for a model: which provider (by its id), what that calls the model, and which wire it speaks.

    `vision` and `tools` are None where nobody knows.
    """

    provider_id: str
    provider: Provider
    model: str
    context: int | None
    wire: str = "echo"
    vision: bool | None = None
    tools: bool | None = None


class PriceList(Protocol):
    """What is asked of prices (`prices.Prices`)."""

    def find(self, model: str, provider_id: str | None = None) -> Price | None: ...

    def context(self, vendor: str, model: str) -> int | None: ...

    async def warm(self, vendors: Iterable[str]) -> None: ...


class Registry:
    """All models of all people, and how each is asked. A change of a provider is taken at once, see `reload`.

    Args:
        hub: whether several people use this service: then the addresses that they type lead to no private network,
            save where an administrator allows it.
        prices: say what models cost; without them all are unpriced.
        admit: raises why a model may not step in for another now; who is asked for is judged on the metering path.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        master_keys: MasterKeys,
        *,
        hub: bool = False,
        prices: PriceList | None = None,
        admit: Callable[[Person, str], None] = lambda person, model: None,
    ) -> None:
        self.embedded = EmbeddedProvider(settings) if settings.embedded else None
        self.vendors = catalog.load(settings.providers)
        self._filed = _configured(settings.providers, self.vendors)
        self._prices = prices
        self._admit = admit
        self._store, self._master_keys = store, master_keys
        self._echo = Echo()
        self._sources: dict[str, Source] = {}
        self._reloading = asyncio.Lock()
        self._cooldowns = Cooldowns()
        self._notes = KeyNotes(store, self.sources, self.reload)
        self._warming: asyncio.Task[None] | None = None
        typed, written = AddressPolicy(private_allowed=not hub, allowed=settings.provider_hosts), AddressPolicy()
        self._policies = {False: typed, True: written}
        self._clients = {False: new_client(typed), True: new_client(written)}

    @property
    def reserved(self) -> frozenset[str]:
        """The ids that no provider of a person's can have."""
        return frozenset({*OURS, *self._filed})

    async def start(self) -> None:
        if self.embedded is not None:
            await self.embedded.start()
        await self.reload()
        for listed in await self._store.read(model_lists.all_of_them):
            if (source := self._sources.get(listed.provider_id)) is not None:
                source.remember(listed)
        for name in self._filed:
            self._sources[name].refresh()
        self._notes.start()

    async def stop(self) -> None:
        await self._notes.stop()
        for source in self._sources.values():
            source.forget()
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))
        if self.embedded is not None:
            await self.embedded.aclose()

    async def reload(self) -> None:
        """Take what the store says of providers now; what is under way comes to its end."""
        async with self._reloading:
            setups = await self._store.read(self._setups)
            for gone in self._sources.keys() - setups.keys():
                self._sources.pop(gone).forget()
            for name, setup in setups.items():
                if name in self._sources:
                    self._sources[name].update(setup)
                else:
                    self._sources[name] = Source(setup, self.connect, self._keep, self._notes.park, self._catalogue)
        if self._prices is not None:
            self._warming = asyncio.create_task(self._prices.warm({self.vendor_of(name) for name in self._sources}))

    def price_of(self, model: str, provider_id: str) -> Price | None:
        """What a model of a provider costs; None where it is unpriced."""
        return self._prices.find(model, provider_id) if self._prices is not None else None

    def _catalogue(self, vendor: str, model: str) -> Mapping[str, bool | int]:
        context = self._prices.context(vendor, model) if self._prices is not None else None
        return known_models.known(vendor, model) | ({"context": context} if context else {})

    def vendor_of(self, provider_id: str) -> str:
        """Of which vendor a provider is; of what is none, the same."""
        source = self._sources.get(provider_id)
        return source.setup.row.vendor if source is not None else provider_id

    async def reloaded(self, id: str) -> Source:
        """The provider of this id, as the store says it is now."""
        await self.reload()
        return self._sources[id]

    def source(self, id: str) -> Source | None:
        """The provider of this id."""
        return self._sources.get(id)

    def sources(self, person: Person | None = None) -> Sequence[Source]:
        """The providers that `person` may use anything of, oldest first; everybody's without one."""
        return [source for source in self._sources.values() if person is None or source.is_seen_by(person)]

    def connect(self, row: Row, key: str | None) -> Provider:
        """The provider that a row and a key mean.

        Raises:
            ProviderError: they are not enough, or the vendor is not known any more.
        """
        vendor = self.vendors.get(row.vendor)
        if vendor is None:
            raise ProviderError(
                f"The vendor {row.vendor!r} of {row.name} is not known any more.",
                remedy="Put its row back into the file of LLMWS_PROVIDERS, or remove the provider.",
                code="provider_invalid",
            )
        client = self._clients[self._is_written(row.vendor, row.base_url)]
        return catalog.open_provider(replace(vendor, name=row.name), key, base_url=row.base_url, client=client)

    def addresses(self, vendor: str, base_url: str | None) -> AddressPolicy:
        """Where a provider of `vendor` may be, at `base_url` or else at the vendor's own."""
        return self._policies[self._is_written(vendor, base_url)]

    def _is_written(self, vendor: str, base_url: str | None) -> bool:
        # What an administrator wrote into the file may lead anywhere; what people type, and what comes along, may not.
        return base_url is None and vendor in self._filed

    async def list(self, person: Person) -> Sequence[Model]:
        """The models that `person` may ask."""
        seen = [source for source in self.sources(person) if source.setup.row.enabled]
        new = [source.never_listed for source in seen]
        tasks = [source.refresh() for source in seen]
        if first := {task for task, is_new in zip(tasks, new, strict=True) if task is not None and is_new}:
            await asyncio.wait(first, timeout=PATIENCE_S)
        found = [*self._served_here(person), *(model for source in seen for model in _models(source, person))]
        # In a thread: to look for the price of a model that nobody knows takes a millisecond, of thousands seconds.
        return await asyncio.to_thread(lambda: [self._priced(model) for model in found])

    def choose(self, id: str, person: Person, *, alone: bool = False) -> Chosen:
        """Whom to ask for `id`; what a known provider does not list is left for it to judge.

        Args:
            alone: no other model steps in.

        Raises:
            NotFound: no provider of theirs has a model of this id.
            ProviderError, MasterKeyError: its provider lacks something, a key say.
        """
        source, name = self._source_of(id)
        if source is not None and source.offers(name, person):
            others = () if alone else source.setup.row.fallbacks
            fallbacks = (self._candidate(other, person) for other in others if other != id)
            candidates = [_candidate(source, name), *(one for one in fallbacks if one is not None)]
            if source.ring is None and len(candidates) == 1:
                source.open(None)  # what it lacks is said before anything is begun
            info = source.models.get(name)
            vendor = self.vendors.get(source.setup.row.vendor)
            return Chosen(
                source.id,
                Attempts(candidates, self._cooldowns),
                name,
                info.context if info else None,
                vendor.wire if vendor is not None else "",
                info.vision if info else None,
                info.tools if info else None,
            )
        if id == ECHO.id:
            return Chosen("echo", self._echo, id, ECHO.context, vision=ECHO.vision, tools=ECHO.tools)
        if self.embedded is not None:
            for model, _, _ in self.embedded.states(person):
                if model.id == id:
                    name, context = self.embedded.name, model.context
                    return Chosen(name, self.embedded, id, context, "openai_chat", model.vision, model.tools)
        raise NotFound(f"There is no model {id!r}.", remedy="See client.models() for those there are.")

    def _source_of(self, id: str) -> tuple[Source | None, str]:
        """The provider in a model's id, and what that calls the model."""
        provider_id, _, name = id.partition("/")
        return (self._sources.get(provider_id) if name else None), name

    def _candidate(self, id: str, person: Person) -> Candidate | None:
        """A model that steps in for another, where `person` may ask it; whether a limit lets it, its turn decides."""
        source, name = self._source_of(id)
        if source is not None:
            if not source.offers(name, person):
                return None
            candidate = _candidate(source, name)
        else:
            try:
                chosen = self.choose(id, person)
            except NotFound:
                return None
            candidate = Candidate(
                id, chosen.provider_id, chosen.provider.name, chosen.model, lambda key: chosen.provider
            )

        def admitted(key: Key | None) -> Provider:
            self._admit(person, id)
            return candidate.open(key)

        return replace(candidate, open=admitted)

    def _served_here(self, person: Person) -> Iterator[Model]:
        now = time.time()
        if self.embedded is not None:
            for info, state, reason in self.embedded.states(person):
                yield Model(**asdict(info), provider=self.embedded.name, state=state, reason=reason, checked_at=now)
        yield Model(**asdict(ECHO), provider="echo", checked_at=now)

    def _priced(self, model: Model) -> Model:
        price = self.price_of(model.id, model.provider)
        if price is None:
            return model
        rates = price.rates
        return replace(model, input_price=float(rates.input), output_price=float(rates.output), currency=price.currency)

    def _setups(self, connection: Connection) -> dict[str, Setup]:
        """Every provider of the file and of the store, by its id."""
        keys = _by(kept_keys.all_of_them(connection), lambda key: key.provider_id)
        known = _by(kept_capabilities.all_of_them(connection), lambda one: one.provider_id)
        shared = _by(grants.all_of(connection, kept_providers.NOUN), lambda grant: grant.thing_id)
        singly = _by(
            grants.all_of(connection, kept_providers.MODEL_NOUN), lambda grant: grant.thing_id.partition("/")[0]
        )
        stored = {
            row.id: setup_of(
                row,
                keys[row.id],
                self._decrypt,
                grants=tuple(shared[row.id]),
                model_grants=tuple(singly[row.id]),
                capabilities=tuple(known[row.id]),
            )
            for row in kept_providers.all_of_them(connection)
        }
        # Of two of one id, what an administrator wrote rules; it gets nothing of the other's, keys least of all.
        filed = {row.id: Setup(row, capabilities=tuple(known[row.id])) for row in self._filed.values()}
        return filed | {name: setup for name, setup in stored.items() if name not in filed}

    def _decrypt(self, key: ProviderKey) -> str:
        return self._master_keys.decrypt(key.ciphertext, key.id)

    async def _keep(self, listed: ModelList) -> None:
        await self._store.write(_put, listed, self._filed)


def _put(connection: Connection, listed: ModelList, filed: Mapping[str, Row]) -> None:
    # Where the provider has gone meanwhile, its list must not wait for the next of its name.
    if listed.provider_id not in filed:
        try:
            kept_providers.anybodys(connection, listed.provider_id)
        except NotFound:
            return
    model_lists.put(connection, listed)


def _candidate(source: Source, name: str) -> Candidate:
    return Candidate(f"{source.id}/{name}", source.id, source.name, name, source.open, source.ring)


def _models(source: Source, person: Person) -> Iterator[Model]:
    state: State = "unavailable" if source.problem is not None else "ready"
    reason = str(source.problem) if source.problem is not None else ""
    for info in source.offered_to(person):
        known = {**asdict(info), "id": f"{source.id}/{info.id}"}
        yield Model(**known, provider=source.id, checked_at=source.listed_at, state=state, reason=reason)


def _by(rows: Iterable[T], of: Callable[[T], str]) -> defaultdict[str, list[T]]:
    grouped = defaultdict(list)
    for row in rows:
        grouped[of(row)].append(row)
    return grouped


def _configured(file: Path | None, vendors: Mapping[str, catalog.Vendor]) -> dict[str, Row]:
    """The providers that the settings' file names, everybody's; the catalogue alone opens nobody."""
    if file is None:
        return {}
    named = [vendors[name] for name in tomllib.loads(file.read_text("utf-8"))]
    for vendor in named:
        if not vendor.base_url:
            raise SettingsError(f"{file}, [{vendor.id}]: base_url is missing.", remedy="Add it.")
    written = file.stat().st_mtime
    return {
        vendor.id: Row(
            id=vendor.id,
            creation_id="",
            owner="",
            name=vendor.name,
            vendor=vendor.id,
            base_url=None,
            only=(),
            fallbacks=(),
            enabled=True,
            created_at=written,
            updated_at=written,
        )
        for vendor in named
    }


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

    def context(self, id: str) -> int | None:
        """How many tokens a model reads; None where nobody told, or it cannot be asked."""
        try:
            return self.choose(id).context
        except Error:
            return None


TheRegistry = Annotated[Registry, here("models")]


async def _mine(request: Request, registry: TheRegistry) -> Models:
    return Models(registry, request.state.person)


TheModels = Annotated[Models, Depends(_mine)]
router = APIRouter(tags=["models"])


@router.get("/api/models")
async def list_models(person: Reader, models: TheModels) -> dict[str, Any]:
    """The models that can be asked, with what is known of them."""
    return {"items": [asdict(model) for model in await models.list()]}
