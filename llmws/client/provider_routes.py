"""The part of `Api` that speaks of providers, their keys and models, and of what is used, paid and limited."""

from __future__ import annotations

from typing import Any

from .bodies import said, segment
from .requests import Requests


class ProviderRoutes:
    """Routes as methods, one each, see `Api`. A `secret` is a provider's key: it is sent, and never comes back."""

    # Providers

    async def vendors(self: Requests) -> list[dict[str, Any]]:
        """GET /api/vendors: the rows of the catalogue, which a new provider is made from."""
        return list((await self._request("GET", "/api/vendors"))["items"])

    async def providers(self: Requests, everyone: bool = False) -> list[dict[str, Any]]:
        """GET /api/providers: those that one may use; `everyone`'s for administrators."""
        params = {"everyone": "true" if everyone else None}
        return list((await self._request("GET", "/api/providers", params=params))["items"])

    async def create_provider(
        self: Requests,
        vendor: str,
        name: str | None = None,
        base_url: str | None = None,
        secret: str | None = None,
        key: str | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """POST /api/providers; `more` is `id`, `only`, `fallbacks`."""
        body = said({"vendor": vendor, "name": name, "base_url": base_url, "key": secret, **more})
        return dict(await self._request("POST", "/api/providers", json=body, key=key))

    async def provider(self: Requests, id: str) -> dict[str, Any]:
        """GET /api/providers/{id}."""
        return dict(await self._request("GET", f"/api/providers/{segment(id)}"))

    async def update_provider(self: Requests, id: str, **changes: Any) -> dict[str, Any]:
        """PATCH /api/providers/{id}: `name`, `base_url` (empty: the vendor's), `only`, `fallbacks`, `enabled`."""
        return dict(await self._request("PATCH", f"/api/providers/{segment(id)}", json=changes))

    async def delete_provider(self: Requests, id: str) -> None:
        """DELETE /api/providers/{id}, with its keys: for good."""
        await self._request("DELETE", f"/api/providers/{segment(id)}")

    async def test_new_provider(
        self: Requests, vendor: str, base_url: str | None = None, secret: str | None = None
    ) -> dict[str, Any]:
        """POST /api/providers/test: whether one that is not kept would answer, with what is wrong and what helps."""
        body = said({"vendor": vendor, "base_url": base_url, "key": secret})
        return dict(await self._request("POST", "/api/providers/test", json=body))

    async def test_provider(self: Requests, id: str, model: str | None = None) -> dict[str, Any]:
        """POST /api/providers/{id}/test: as `test_new_provider`; `model` is one to ask for a word."""
        body = said({"model": model}) or None
        return dict(await self._request("POST", f"/api/providers/{segment(id)}/test", json=body))

    async def sync_provider(self: Requests, id: str) -> dict[str, Any]:
        """POST /api/providers/{id}/sync: ask it anew which models it has; the provider."""
        return dict(await self._request("POST", f"/api/providers/{segment(id)}/sync"))

    async def provider_models(self: Requests, id: str) -> list[dict[str, Any]]:
        """GET /api/providers/{id}/models: with what each can do, how that is known, and what it costs."""
        return list((await self._request("GET", f"/api/providers/{segment(id)}/models"))["items"])

    async def probe_model(self: Requests, model: str) -> dict[str, Any]:
        """POST /api/models/{id}/probe: find out by asking what a model can do."""
        return dict(await self._request("POST", f"/api/models/{segment(model)}/probe"))

    # Keys

    async def add_provider_key(
        self: Requests, id: str, secret: str, label: str | None = None, weight: int | None = None
    ) -> dict[str, Any]:
        """POST /api/providers/{id}/keys: the key as it is told, with `warnings` of what looks odd about it."""
        body = said({"key": secret, "label": label, "weight": weight})
        return dict(await self._request("POST", f"/api/providers/{segment(id)}/keys", json=body))

    async def update_provider_key(self: Requests, id: str, key_id: str, **changes: Any) -> dict[str, Any]:
        """PATCH /api/providers/{id}/keys/{key_id}: `label`, `weight`; ``parked=False`` uses it again."""
        path = f"/api/providers/{segment(id)}/keys/{segment(key_id)}"
        return dict(await self._request("PATCH", path, json=changes))

    async def delete_provider_key(self: Requests, id: str, key_id: str) -> None:
        """DELETE /api/providers/{id}/keys/{key_id}: for good."""
        await self._request("DELETE", f"/api/providers/{segment(id)}/keys/{segment(key_id)}")

    # Money

    async def usage(
        self: Requests,
        by: str = "model",
        since: float | str | None = None,
        until: float | str | None = None,
        everyone: bool = False,
    ) -> list[dict[str, Any]]:
        """GET /api/usage: sums by one thing; of everyone for administrators. Times are epoch seconds or ISO 8601."""
        params = {"by": by, "since": since, "until": until, "everyone": 1 if everyone else None}
        return list((await self._request("GET", "/api/usage", params=params))["items"])

    async def prices(self: Requests) -> list[dict[str, Any]]:
        """GET /api/prices: what each model costs now, null where it is unpriced, and who set it."""
        return list((await self._request("GET", "/api/prices"))["items"])

    async def exchange_rates(self: Requests) -> list[dict[str, Any]]:
        """GET /api/exchange-rates: those that were set, newest first."""
        return list((await self._request("GET", "/api/exchange-rates"))["items"])

    async def set_exchange_rate(self: Requests, currency: str, into: str, rate: float, valid_from: str) -> None:
        """PUT /api/exchange-rates: from a day on, one `currency` is `rate` of `into`."""
        body = {"currency": currency, "into": into, "rate": rate, "valid_from": valid_from}
        await self._request("PUT", "/api/exchange-rates", json=body)

    async def set_price(self: Requests, model: str, **price: Any) -> None:
        """PUT /api/prices/{model}: what a model costs, whatever the catalogues say."""
        await self._request("PUT", f"/api/prices/{segment(model)}", json=price)

    async def delete_price(self: Requests, model: str) -> None:
        """DELETE /api/prices/{model}: let the catalogues say it again."""
        await self._request("DELETE", f"/api/prices/{segment(model)}")

    async def limits(self: Requests) -> list[dict[str, Any]]:
        """GET /api/limits: those that bind one, with what is used; all of them for administrators."""
        return list((await self._request("GET", "/api/limits"))["items"])

    async def create_limit(self: Requests, **limit: Any) -> dict[str, Any]:
        """POST /api/limits."""
        return dict(await self._request("POST", "/api/limits", json=limit))

    async def update_limit(self: Requests, id: str, **changes: Any) -> dict[str, Any]:
        """PATCH /api/limits/{id}: `soft`, `hard`, `forbid_unpriced`."""
        return dict(await self._request("PATCH", f"/api/limits/{segment(id)}", json=changes))

    async def delete_limit(self: Requests, id: str) -> None:
        """DELETE /api/limits/{id}."""
        await self._request("DELETE", f"/api/limits/{segment(id)}")
