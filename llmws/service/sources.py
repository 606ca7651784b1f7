"""A provider as it is now: who may use it, what opens it, the last good list of its models, and what is wrong with it.

The rows are the store's; a source lives from the provider's first row to its last and takes each change at once. It is
slow or dead by itself: it is asked in the background, each with its own limit of time, and what it listed last stays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from ..errors import Error, MasterKeyError, ProviderError
from ..providers import known_models
from ..providers.base import ModelInfo, Provider
from ..providers.key_ring import Key, KeyRing, OnParked
from ..store.capabilities import Capability
from ..store.grants import Grant
from ..store.model_lists import ModelList
from ..store.provider_keys import ProviderKey
from ..store.providers import Provider as Row
from . import capabilities
from .access import is_granted
from .capabilities import Known
from .identity import Person

LOG = logging.getLogger("llmws.service")

# A list is asked for anew when somebody looks and it is older; a provider has so long to answer.
FRESH_S, LIMIT_S = 60.0, 15.0
# With the provider's id in front, an id has room in a row of usage.
MOST_MODELS, LONGEST_ID = 2_000, 190

_FIELDS = {field.name for field in fields(ModelInfo)}


@dataclass(frozen=True, slots=True)
class Setup:
    """All that the store holds of one provider.

    Args:
        keys: those of its keys that can be used.
        key_rows: all of them.
        unreadable: why some cannot be used, where that is so.
    """

    row: Row
    keys: tuple[Key, ...] = ()
    key_rows: tuple[ProviderKey, ...] = ()
    unreadable: Error | None = None
    grants: tuple[Grant, ...] = ()
    model_grants: tuple[Grant, ...] = ()
    capabilities: tuple[Capability, ...] = ()


class Source:
    """One provider, see above.

    Args:
        connect: makes the provider that a row and a key (None where there is none) mean; raises a `ProviderError`
            where these are not enough.
        keep: keeps a list.
        on_parked: keeps that a key was refused.
        catalogue: says what is known of a vendor's model.

    Attributes:
        ring: its keys, of which each call takes one; None where it has none.
        listed: the last good list, of `listed_at`.
        problem: why there is no newer one.
    """

    def __init__(
        self,
        setup: Setup,
        connect: Callable[[Row, str | None], Provider],
        keep: Callable[[ModelList], Awaitable[None]],
        on_parked: OnParked,
        catalogue: Callable[[str, str], Mapping[str, Any]] = known_models.known,
    ) -> None:
        self.setup = setup
        self.ring: KeyRing | None = None
        self.listed: Sequence[ModelInfo] = ()
        self.listed_at: float | None = None
        self.problem: Error | None = None
        self._connect = connect
        self._models: Mapping[str, ModelInfo] | None = None
        self._found = _by_model(setup.capabilities)
        self._keep = keep
        self._on_parked = on_parked
        self._catalogue = catalogue
        self._opened: dict[str | None, Provider] = {}
        self._asked: float | None = None
        self._asking: asyncio.Task[None] | None = None
        self._take_keys()

    @property
    def id(self) -> str:
        return self.setup.row.id

    @property
    def name(self) -> str:
        return self.setup.row.name

    # Who may use it

    def is_open_to(self, person: Person) -> bool:
        """Whether `person` may use all that it offers."""
        row = self.setup.row
        return row.owner == "" or is_granted(person, row.owner, self.setup.grants)

    def is_seen_by(self, person: Person) -> bool:
        """Whether `person` may use anything of it."""
        return self.is_open_to(person) or is_granted(person, self.setup.row.owner, self.setup.model_grants)

    def offers(self, model: str, person: Person) -> bool:
        """Whether `person` may ask `model`, be it listed or not."""
        if not self.setup.row.enabled or not self.is_offered(model):
            return False
        if self.is_open_to(person):
            return True
        thing = f"{self.id}/{model}"
        return is_granted(
            person, self.setup.row.owner, (one for one in self.setup.model_grants if one.thing_id == thing)
        )

    def is_offered(self, model: str) -> bool:
        """Whether the provider's owner lets `model` be asked at all."""
        return is_among(model, self.setup.row.only)

    # What it lists

    @property
    def never_listed(self) -> bool:
        return self._asked is None and self.listed_at is None

    def remember(self, listed: ModelList) -> None:
        """Take the list that a service before this one kept."""
        known = ({name: value for name, value in one.items() if name in _FIELDS} for one in listed.models)
        self._take_list([ModelInfo(**one) for one in known], listed.listed_at)

    def refresh(self, *, now: bool = False) -> asyncio.Task[None] | None:
        """Ask for the list if it is old, or `now`; the task that does, if there is one."""
        is_old = self._asked is None or time.monotonic() - self._asked > FRESH_S
        if self._asking is None and (now or is_old):
            self._asking = asyncio.create_task(self._ask(), name=f"models of {self.id}")
        return self._asking

    async def list_now(self) -> None:
        """Ask for the list and wait; one that is asked for already may be of a moment ago, and does not count."""
        if self._asking is not None:
            await asyncio.wait({self._asking})
        if (asking := self.refresh(now=True)) is not None:
            await asyncio.wait({asking})

    @property
    def models(self) -> Mapping[str, ModelInfo]:
        """The listed models by their ids, with what is known of them."""
        if self._models is None:
            told = {info.id: capabilities.plain(self.known(info)) for info in self.listed}
            self._models = {info.id: replace(info, **told[info.id]) for info in self.listed}  # type: ignore[arg-type]
        return self._models

    def known(self, info: ModelInfo) -> list[Known]:
        """What is known of a listed model, with who says so."""
        kept = self._found.get(info.id, ())
        catalogue = self._catalogue(self.setup.row.vendor, info.id)
        return capabilities.merged(info, self.listed_at, kept, catalogue, known_models.checked_at())

    def offered_to(self, person: Person) -> list[ModelInfo]:
        """Those of `models` that `person` may ask."""
        return [info for info in self.models.values() if self.offers(info.id, person)]

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                listed = await self._list()
            self.problem, now = None, time.time()
            self._take_list(listed, now)
            await self._keep(ModelList(self.id, tuple(asdict(info) for info in self.listed), now))
        except TimeoutError:
            self.problem = _too_slow(self.name)
        except Error as problem:
            self.problem = problem
        except Exception as problem:
            LOG.exception("the models of %s could not be listed", self.name)
            self.problem = ProviderError(f"{self.name} could not list its models ({type(problem).__name__}).")
        finally:
            # Whoever was told to `forget` has perhaps begun anew already.
            if self._asking is asyncio.current_task():
                self._asked, self._asking = time.monotonic(), None

    def _take_list(self, listed: Sequence[ModelInfo], at: float) -> None:
        self.listed, self.listed_at, self._models = _usable(listed), at, None

    async def _list(self) -> Sequence[ModelInfo]:
        refused: set[str] = set()
        while True:
            key = self.ring.take("", but=refused) if self.ring is not None else None
            try:
                return await self.open(key).models()
            except ProviderError as problem:
                if key is None or self.ring is None or not self.ring.park(key.id, "", problem):
                    raise
                refused.add(key.id)
                if not self.ring.has_free("", but=refused):
                    raise

    # What opens it

    def update(self, setup: Setup) -> None:
        """Take a change; where it concerns how the provider is reached, the list is asked for anew."""
        before, self.setup, self._models = self.setup, setup, None
        self._found = _by_model(setup.capabilities)
        if _keys(setup) != _keys(before):
            self._take_keys()
        elif self.ring is not None:
            was_parked = {key.id for key in before.keys if key.parked_reason is not None}
            for key in setup.keys:
                if key.parked_reason is None and key.id in was_parked:
                    self.ring.unpark(key.id)
                    self._asked = None
        if _way(setup) != _way(before):
            self.forget()

    def forget(self) -> None:
        """Stop asking, and begin anew the next time; calls that are under way come to their end."""
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        self._asked, self.problem = None, None
        self._opened.clear()

    def open(self, key: Key | None) -> Provider:
        """The provider with `key`, of `ring`, or with none.

        Raises:
            ProviderError: it wants a key, or its vendor is not known any more.
            MasterKeyError: its keys cannot be read.
        """
        if key is None and self.setup.unreadable is not None:
            raise self.setup.unreadable
        value = key.value if key is not None else None
        if value not in self._opened:
            self._opened[value] = self._connect(self.setup.row, value)
        return self._opened[value]

    def used(self) -> dict[str, float]:
        """When which key was last taken, by its id, since the service began."""
        return self.ring.last_used_at if self.ring is not None else {}

    def _take_keys(self) -> None:
        keys = self.setup.keys
        used = self.used()
        self.ring = KeyRing(self.name, keys, self._on_parked) if keys else None
        if self.ring is not None:
            self.ring.last_used_at.update(used)


def is_among(model: str, only: Sequence[str]) -> bool:
    """Whether `model` fits one of the patterns; of no pattern all do.

    Example:
        >>> is_among("gpt-4o", ["gpt-*"]), is_among("o3", ["gpt-*"]), is_among("o3", [])
        (True, False, True)
    """
    return not only or any(fnmatchcase(model, pattern) for pattern in only)


def setup_of(row: Row, key_rows: Iterable[ProviderKey], decrypt: Callable[[ProviderKey], str], **more: Any) -> Setup:
    """The setup of `row` with those of its keys that can be read."""
    rows, readable, unreadable = tuple(key_rows), [], None
    for key in rows:
        try:
            readable.append(Key(key.id, decrypt(key), key.weight, key.parked_until, key.parked_reason))
        except MasterKeyError as problem:
            unreadable = problem
    return Setup(row, tuple(readable), rows, unreadable, **more)


def _keys(setup: Setup) -> object:
    """What a ring is made of."""
    return setup.row.name, [(key.id, key.value, key.weight) for key in setup.keys]


def _way(setup: Setup) -> object:
    """All that decides how the provider is reached."""
    row = setup.row
    return row.vendor, row.base_url, row.name, [key.value for key in setup.keys], setup.unreadable is None


def _by_model(found: Iterable[Capability]) -> Mapping[str, Sequence[Capability]]:
    by_model: dict[str, list[Capability]] = {}
    for one in found:
        by_model.setdefault(one.model, []).append(one)
    return by_model


def _usable(listed: Sequence[ModelInfo]) -> list[ModelInfo]:
    """The models that can be typed, shown and kept, each once: a server may list anything, and as much as it likes."""
    found: dict[str, ModelInfo] = {}
    for info in listed[:MOST_MODELS]:
        if info.id.isprintable() and 0 < len(info.id) <= LONGEST_ID:
            name = info.name if info.name.isprintable() and len(info.name) <= LONGEST_ID else info.id
            base = info.base if info.base is not None and info.base.isprintable() else None
            found.setdefault(info.id, replace(info, name=name, base=base))
    return list(found.values())


def _too_slow(name: str) -> ProviderError:
    return ProviderError(
        f"{name} did not list its models within {LIMIT_S:.0f} s.",
        remedy="Check that it runs, or try again later.",
        code="provider_timeout",
        retryable=True,
    )
