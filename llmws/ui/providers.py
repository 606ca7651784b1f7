"""The page of providers: accounts at model vendors with their keys and models, limits, and what was used.

The service owns all of it; a browser keeps what is typed. A key passes through here once, from a message of the browser
to a request to the service: it is put into no trait, kept by nothing and told to nobody.
"""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from typing import Any

from ..client import Client
from ..errors import Error, InvalidRequest, NotFound, ServiceError
from .deferred import Deferred
from .page import STATIC, Page, intent
from .talks import Talks

_PULSE_LIMIT_S = 5.0
# Spans of usage, in days; the month is the calendar's.
_SPANS = {"day": 1, "week": 7, "quarter": 90}
# What a person may change of an account, of a key and of a limit; the service checks the values.
_ACCOUNT = frozenset({"name", "base_url", "only", "fallbacks", "enabled"})
_KEY = frozenset({"label", "weight", "parked"})
_BOUNDS = frozenset({"soft", "hard", "forbid_unpriced"})
_GROUPINGS = ("model", "provider", "purpose", "person", "group", "day")


class Providers(Page):
    """The page of providers: add one, test it, see its models and prices, set limits, see what was used.

    Args:
        client: whom to ask; by default ``llmws.connect()``.
        provider: the id of a provider to open with; by default all of them.
        language, theme: see `Page`.

    Example:
        >>> page = ui.Providers()
        >>> [provider["id"] for provider in page.providers] == list(client.providers.list().id)
        True
    """

    _esm = STATIC / "providers.js"
    _css = STATIC / "providers.css"

    def __init__(self, client: Client | None = None, *, provider: str | None = None, **traits: Any) -> None:
        super().__init__(client, **traits)
        self._api = self.client.api
        self._actions: frozenset[str] = frozenset()
        self._deferred = Deferred(self.spawn)
        self._talks = Talks(self)
        self.provider_id = provider

    @property
    def providers(self) -> list[dict[str, Any]]:
        """The providers that the page lists, each as the service tells it."""
        return self.client.loop.run(self._api.providers())

    # What a browser asks for

    @intent
    async def start(self, view: str, *, provider: str | None = None) -> dict[str, Any]:
        """All that a fresh tab needs; `provider` is what it showed before it was reloaded."""
        me = await self._api.me()
        self._actions = frozenset(me["actions"])
        vendors = self._api.vendors() if self._may("configure") else _nothing()
        now, offered = await asyncio.gather(self._now(), vendors)
        shown = await self._shown_if_there(self.provider_id or provider)
        return {"me": me, "vendors": offered, **now, "shown": shown}

    @intent
    async def pulse(self, view: str) -> dict[str, Any]:
        """Whether the service is there, and how the providers and limits stand."""
        try:
            async with asyncio.timeout(_PULSE_LIMIT_S):
                return await self._now()
        except TimeoutError:
            raise ServiceError("The service does not answer.", remedy="See `llmws status`.") from None

    @intent
    async def show(self, view: str, *, id: str | None) -> dict[str, Any]:
        """A provider with its models and with whom it is shared; None: the list of providers."""
        # Before it is read: of two that are shown at once the last counts, whichever comes first.
        self.provider_id = id
        return {"shown": await self._shown(id) if id is not None else None}

    @intent
    async def test(
        self, view: str, *, vendor: str, base_url: str | None = None, secret: str | None = None
    ) -> dict[str, Any]:
        """Try an account that is not kept."""
        return await self._api.test_new_provider(vendor, base_url=base_url, secret=secret)

    @intent
    async def add(
        self,
        view: str,
        *,
        vendor: str,
        key: str,
        name: str | None = None,
        base_url: str | None = None,
        secret: str | None = None,
        anyway: bool = False,
    ) -> dict[str, Any]:
        """Keep an account that passes its test, or `anyway`. A repeated `key` is the same one; `secret` opens it."""
        verdict = None
        if not anyway:
            verdict = await self._api.test_new_provider(vendor, base_url=base_url, secret=secret)
            if not verdict["ok"]:
                return {"verdict": verdict, "shown": None}
        made = await self._api.create_provider(vendor, name=name, base_url=base_url, secret=secret, key=key)
        provider = await self._synced(made)
        self._tell(view, provider)
        self.provider_id = provider["id"]
        shown = await self._shown(provider["id"])
        return {"verdict": verdict, "shown": shown, "warnings": made.get("warnings", [])}

    @intent
    async def change(self, view: str, *, id: str, changes: dict[str, Any]) -> dict[str, Any]:
        return self._tell(view, await self._api.update_provider(id, **_only(changes, _ACCOUNT)))

    @intent
    async def offer(self, view: str, *, id: str, only: list[str]) -> dict[str, Any]:
        """Offer those of its models that fit one of these patterns; an empty list offers all."""
        provider = self._tell(view, await self._api.update_provider(id, only=only))
        return {"provider": provider, "models": await self._api.provider_models(id)}

    @intent
    async def remove(self, view: str, *, id: str) -> None:
        """Delete a provider, unless `keep` comes in time: a key that is gone cannot be brought back."""
        self._deferred.begin(id, lambda: self._api.delete_provider(id))
        if self.provider_id == id:
            self.provider_id = None
        self.tell("removed", view, id=id)

    @intent
    async def keep(self, view: str, *, id: str) -> dict[str, Any]:
        """Take back `remove`."""
        if not self._deferred.cancel(id):
            raise NotFound("It was deleted already.", remedy="Add it again.")
        return self._tell(view, await self._api.provider(id))

    @intent
    async def retest(self, view: str, *, id: str) -> dict[str, Any]:
        """Try an account that is kept."""
        verdict = await self._api.test_provider(id)
        return {"verdict": verdict, "provider": self._tell(view, await self._api.provider(id))}

    @intent
    async def sync(self, view: str, *, id: str) -> dict[str, Any]:
        """Ask the provider which models it has."""
        provider = self._tell(view, await self._api.sync_provider(id))
        return {"provider": provider, "models": await self._api.provider_models(id)}

    @intent
    async def probe(self, view: str, *, id: str, model: str) -> dict[str, Any]:
        """Find out by asking what a model can do; it costs a few tokens."""
        await self._api.probe_model(model)
        return {"models": await self._api.provider_models(id)}

    @intent
    async def talk(self, view: str, *, model: str) -> dict[str, Any]:
        """A chat page with this model, as a widget that the browser can show in place of the provider."""
        return {"widget": self._talks.widget(model)}

    @intent
    async def add_key(self, view: str, *, id: str, secret: str, label: str | None = None) -> dict[str, Any]:
        made = await self._api.add_provider_key(id, secret, label=label)
        provider = self._tell(view, await self._api.provider(id))
        return {"provider": provider, "warnings": made.get("warnings", [])}

    @intent
    async def change_key(self, view: str, *, id: str, key: str, changes: dict[str, Any]) -> dict[str, Any]:
        await self._api.update_provider_key(id, key, **_only(changes, _KEY))
        return self._tell(view, await self._api.provider(id))

    @intent
    async def remove_key(self, view: str, *, id: str, key: str) -> dict[str, Any]:
        """Delete a key, unless `keep_key` comes in time."""
        self._deferred.begin(key, lambda: self._api.delete_provider_key(id, key))
        return self._tell(view, await self._api.provider(id))

    @intent
    async def keep_key(self, view: str, *, id: str, key: str) -> dict[str, Any]:
        """Take back `remove_key`."""
        if not self._deferred.cancel(key):
            raise NotFound("The key was deleted already.", remedy="Add it again.")
        return self._tell(view, await self._api.provider(id))

    @intent
    async def share(self, view: str, *, id: str, kind: str, grantee: str) -> dict[str, Any]:
        await self._api.add_grant("providers", id, kind, grantee)
        return self._tell(view, await self._api.provider(id))

    @intent
    async def unshare(self, view: str, *, id: str, kind: str, grantee: str) -> dict[str, Any]:
        await self._api.remove_grant("providers", id, kind, grantee)
        return self._tell(view, await self._api.provider(id))

    @intent
    async def used(self, view: str, *, by: str, span: str, everyone: bool = False) -> dict[str, Any]:
        """What was used within a span that ends today, summed by `by` and by day."""
        if by not in _GROUPINGS:
            raise InvalidRequest(f"Usage is not summed by {by!r}.", remedy=f"Choose {', '.join(_GROUPINGS)}.")
        today = datetime.now().date()
        first = _first_day(span, today)
        since = datetime(first.year, first.month, first.day).timestamp()
        rows, days = await asyncio.gather(
            self._api.usage(by=by, since=since, everyone=everyone),
            self._api.usage(by="day", since=since, everyone=everyone),
        )
        return {"rows": rows, "days": days, "first": first.isoformat(), "last": today.isoformat()}

    @intent
    async def set_limit(self, view: str, *, limit: dict[str, Any], id: str | None = None) -> dict[str, Any]:
        """Make a limit, or change the one that `id` names."""
        if id is None:
            await self._api.create_limit(**limit)
        else:
            await self._api.update_limit(id, **_only(limit, _BOUNDS))
        return self._tell_limits(view, await self._api.limits())

    @intent
    async def drop_limit(self, view: str, *, id: str) -> dict[str, Any]:
        await self._api.delete_limit(id)
        return self._tell_limits(view, await self._api.limits())

    @intent
    async def rates(self, view: str) -> dict[str, Any]:
        """The exchange rates, newest first."""
        return {"rates": await self._api.exchange_rates()}

    @intent
    async def set_rate(self, view: str, *, rate: int | float, valid_from: str) -> dict[str, Any]:
        """Say what a dollar is in yuan from a day on."""
        await self._api.set_exchange_rate("USD", "CNY", rate, valid_from)
        return {"rates": await self._api.exchange_rates()}

    @intent
    async def set_price(self, view: str, *, id: str, model: str, price: dict[str, Any] | None) -> dict[str, Any]:
        """Say what a model costs, whatever the catalogues say; None takes that back."""
        if price is None:
            await self._api.delete_price(model)
        else:
            await self._api.set_price(model, **price)
        return {"models": await self._api.provider_models(id)}

    # What they have in common

    def _may(self, action: str) -> bool:
        return action in self._actions

    async def _now(self) -> dict[str, Any]:
        providers = self._api.providers(everyone=self._may("administer")) if self._may("configure") else _nothing()
        today = datetime.now().date()
        begin = datetime(today.year, today.month, 1).timestamp()
        spent = self._api.usage(by="provider", since=begin)
        listed, spend, limits = await asyncio.gather(providers, spent, self._api.limits())
        shown = [self._without_doomed(provider) for provider in listed if provider["id"] not in self._deferred]
        return {"providers": shown, "spend": spend, "limits": limits}

    async def _synced(self, provider: dict[str, Any]) -> dict[str, Any]:
        """With its models where it lists them; what is wrong stands in its `problem`."""
        try:
            return await self._api.sync_provider(provider["id"])
        except Error:
            return await self._api.provider(provider["id"])

    async def _shown_if_there(self, id: str | None) -> dict[str, Any] | None:
        if id is None or not self._may("configure"):
            return None
        try:
            return await self._shown(id)
        except (NotFound, InvalidRequest):
            # Another may have been shown meanwhile.
            if self.provider_id == id:
                self.provider_id = None
            return None

    async def _shown(self, id: str) -> dict[str, Any]:
        if id in self._deferred:
            raise NotFound("There is no such provider.", remedy="It was deleted.")
        provider, models = await asyncio.gather(self._api.provider(id), self._api.provider_models(id))
        return {"provider": self._without_doomed(provider), "models": models}

    def _without_doomed(self, provider: dict[str, Any]) -> dict[str, Any]:
        keys = [key for key in provider.get("keys") or () if key["id"] not in self._deferred]
        return {**provider, "keys": keys}

    def _tell(self, view: str, provider: dict[str, Any]) -> dict[str, Any]:
        told = self._without_doomed(provider)
        self.tell("provider", view, provider=told)
        return told

    def _tell_limits(self, view: str, limits: list[dict[str, Any]]) -> dict[str, Any]:
        self.tell("limits", view, limits=limits)
        return {"limits": limits}


async def _nothing() -> list[dict[str, Any]]:
    return []


def _only(changes: dict[str, Any], allowed: frozenset[str]) -> dict[str, Any]:
    if unknown := changes.keys() - allowed:
        raise InvalidRequest(f"{', '.join(sorted(unknown))} cannot be changed.")
    return changes


def _first_day(span: str, today: date) -> date:
    """The first day of a span that ends today; the service counts days in the time zone that it shares with kernels.

    Example:
        >>> _first_day("week", date(2026, 3, 2)), _first_day("month", date(2026, 3, 2))
        (datetime.date(2026, 2, 24), datetime.date(2026, 3, 1))
    """
    if span == "month":
        return today.replace(day=1)
    if span not in _SPANS:
        raise InvalidRequest(f"There is no span {span!r}.", remedy=f"Choose month, {', '.join(_SPANS)}.")
    return today - timedelta(days=_SPANS[span] - 1)
