"""Whether a provider can be reached, in a plain verdict: what is wrong, and what helps.

Its list of models is asked for with each key. Where a key opens it, one of its models is asked for a word besides: only
so does an account without balance, or a key that may list and not ask, show. That call is metered as any other.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from fastapi import APIRouter
from pydantic import with_config

from ..errors import Conflict, Error, NotFound, ProviderError, from_dict
from ..http import HTTPError, failure
from ..messages import Message, Parameters
from ..providers.base import CompletionRequest, ModelInfo, Provider
from ..providers.catalog import Vendor
from ..providers.key_ring import Key
from ..store import provider_keys as kept_keys
from ..store import providers as kept
from ..store.providers import Provider as Row
from .access import Configurer
from .bodies import STRICT, Name
from .here import TheStore
from .identity import Person
from .ledger import Ledger, TheLedger
from .metering import Call, Origin
from .models import Registry, TheRegistry
from .probes import PURPOSE, said
from .provider_access import AskedProvider, manages
from .provider_keys import checked
from .providers import NewProvider, checked_address, said_of, vendor_of
from .sources import is_among

LIST_S, ANSWER_S = 15.0, 30.0
# Whoever names no model has one asked that answers chats, as far as its name tells.
_NO_CHAT = re.compile(
    "embed|whisper|tts|dall-e|image|moderation|rerank|audio|realtime|transcribe|bge-|video|davinci|babbage|ocr|speech"
)

# What the HTTP library met, and what a provider said, in the words of a verdict.
_NETWORK = {"name": "name_not_found", "address": "bad_address", "forbidden": "address_not_allowed", "silent": "timeout"}
_SAID = {
    "provider_auth": "wrong_key",
    "provider_balance": "no_balance",
    "provider_rate": "rate_limited",
    "provider_timeout": "timeout",
    "provider_overloaded": "overloaded",
    "provider": "not_a_model_server",
}

router = APIRouter(prefix="/api/providers", tags=["providers"])


@with_config(STRICT)
@dataclass(frozen=True)
class Trial(NewProvider):
    """A provider that is to be tried and not kept; `model` is the one to ask, by its provider's name for it."""

    model: Name | None = None


@with_config(STRICT)
@dataclass(frozen=True)
class Again:
    """What to ask of a provider that is kept."""

    model: Name | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a test ended. `code` is ``ok``, or a word for what is wrong."""

    ok: bool
    code: str
    message: str
    remedy: str = ""
    latency_s: float | None = None
    model_count: int | None = None
    checked_at: float = field(default_factory=time.time)


@router.post("/test")
async def try_out(trial: Trial, person: Configurer, registry: TheRegistry, ledger: TheLedger) -> dict[str, Any]:
    """Whether a provider would answer; of it nothing is kept, of the call that it costs the usage."""
    vendor = vendor_of(trial.vendor, registry)
    address = checked_address(trial.base_url, vendor, registry)
    key = checked(trial.key) if trial.key is not None else None
    now, counted_as = time.time(), _id_of(trial, vendor, person, registry)
    row = Row(counted_as, "", person.name, trial.name or vendor.name, vendor.id, address, (), (), True, now, now)
    testing = _Test(person, ledger, row, partial(is_among, only=trial.only), vendor.needs_key)
    verdict, _ = await testing.of(lambda: registry.connect(row, key), trial.model, keyed=key is not None)
    return {**asdict(verdict), "warnings": said_of(key, address, vendor, registry)}


@router.post("/{id}/test")
async def try_again(
    found: AskedProvider, registry: TheRegistry, store: TheStore, ledger: TheLedger, asked: Again | None = None
) -> dict[str, Any]:
    """Whether a provider answers, with each of its keys; one that it accepts again is no longer parked.

    Who does not own it may have asked what they may ask anyway.
    """
    source, person = found
    row, model = found.row, asked.model if asked is not None else None
    offers = source.is_offered if row.owner == person.name else partial(source.offers, person=person)
    if model is not None and row.owner != person.name and not offers(model):
        raise NotFound(f"There is no model {f'{row.id}/{model}'!r}.", remedy="See client.models() for those there are.")
    vendor = registry.vendors.get(row.vendor)
    testing = _Test(person, ledger, row, offers, vendor is not None and vendor.needs_key)
    verdicts: list[tuple[Key | None, Verdict]] = []
    for key in source.setup.keys or (None,):
        verdict, problem = await testing.of(partial(source.open, key), model, keyed=key is not None)
        verdicts.append((key, verdict))
        if key is not None and verdict.ok and key.parked_reason is not None:
            await store.write(kept_keys.update, row.id, key.id, parked_until=None, parked_reason=None)
        elif key is not None and source.ring is not None and isinstance(problem, ProviderError):
            source.ring.park(key.id, model or "", problem)
    await registry.reload()
    source.refresh(now=True)
    key, verdict = next((each for each in verdicts if not each[1].ok), verdicts[0])
    if not verdict.ok and key is not None and len(verdicts) > 1 and manages(person, row):
        labels = {one.id: one.label for one in source.setup.key_rows}
        verdict = replace(verdict, message=f"With the key “{labels.get(key.id)}”: {verdict.message}")
    return asdict(verdict)


def _id_of(trial: Trial, vendor: Vendor, person: Person, registry: Registry) -> str:
    """Under which id the call is counted: never another's, whose budget and figures a strange server could spoil."""
    others = {source.id for source in registry.sources() if source.setup.row.owner != person.name} | registry.reserved
    if trial.id in others:
        raise Conflict(f"There already is a provider {trial.id!r}.", remedy="Choose another id.")
    return trial.id or kept.free_id(vendor.id, others)


class _Test:
    """Tries one provider for one person.

    Args:
        offers: whether one of its models may be asked.
        asks: whether a model is asked for a word where none is named.
    """

    def __init__(self, person: Person, ledger: Ledger, row: Row, offers: Callable[[str], bool], asks: bool) -> None:
        self._person = person
        self._ledger = ledger
        self._row = row
        self._offers = offers
        self._asks = asks

    async def of(self, open: Callable[[], Provider], model: str | None, *, keyed: bool) -> tuple[Verdict, Error | None]:
        """The verdict on a provider, and on `model` where one is named; with what went wrong.

        Args:
            keyed: whether it is opened with a key.
        """
        began = time.monotonic()
        listed: list[ModelInfo] | None = None
        try:
            provider = open()
            async with asyncio.timeout(LIST_S):
                listed = await provider.models()
        except TimeoutError:
            return _failed(_silent(self._row.name)), None
        except Error as problem:
            # Not every server has a list; whoever names a model wants to know of that.
            if model is None or problem.code not in ("provider_not_found", "provider"):
                return _failed(problem, keyed=keyed), problem
        latency_s, count = time.monotonic() - began, len(listed) if listed is not None else None
        met = await self._ask(provider, wanted) if (wanted := model or self._some(listed or ())) is not None else None
        # Of a model that nobody named it says nothing about the provider that the model is not for this.
        if met is not None and (model is not None or met.code in ("provider_auth", "provider_balance")):
            verdict = _failed(met, keyed=keyed, named=model is not None)
            return replace(verdict, latency_s=latency_s, model_count=count), met
        return Verdict(True, "ok", _good(self._row.name, count), "", latency_s, count), None

    def _some(self, listed: Sequence[ModelInfo]) -> str | None:
        if not self._asks:
            return None
        offered = (info.id for info in listed if not info.embeddings and self._offers(info.id))
        return next((one for one in offered if _NO_CHAT.search(one.lower()) is None), None)

    async def _ask(self, provider: Provider, model: str) -> Error | None:
        """Ask `model` for a word; what went wrong, if anything did."""
        request = CompletionRequest(model, (Message.user("Say yes."),), Parameters(max_tokens=16))
        call = Call(
            self._person, f"{self._row.id}/{model}", self._row.id, provider, request, Origin(PURPOSE), "configure"
        )
        async with asyncio.timeout(ANSWER_S) as limit:
            events = await said(call, self._ledger)
        if limit.expired():
            return _silent(provider.name)
        error = next((event for event in events if event.type == "error"), None)
        return from_dict({**error.data, "message": error.text}, 502) if error is not None else None


def _good(name: str, count: int | None) -> str:
    if count is None:
        return f"{name} answers. It has no list of models."
    return f"{name} answers, and lists {count} model{'' if count == 1 else 's'}."


def _failed(problem: Error, *, keyed: bool = True, named: bool = False) -> Verdict:
    """What `problem` means for whoever set the provider up."""
    code, cause = _SAID.get(problem.code, problem.code), problem.__cause__
    if isinstance(cause, HTTPError):
        kind = failure(cause)
        code = _NETWORK.get(kind, kind)
    elif problem.code == "provider_not_found":
        code = "no_such_model" if named else "not_a_model_server"
    elif problem.code == "provider_auth" and not keyed:
        code = "no_key"
    return Verdict(False, code, problem.message, problem.remedy)


def _silent(name: str) -> ProviderError:
    return ProviderError(
        f"{name} has not answered in time.", remedy="Check its address, or try again later.", code="provider_timeout"
    )
