"""The routes of providers, keys, limits and usage over a few dicts, for the page's unit tests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from llmws.client.bridge import bridge
from llmws.errors import Forbidden, NotFound, ServiceError

DAY_S = 86_400
EVERYTHING = ("administer", "chat", "configure", "download", "read", "train")
WRONG_KEY = "sk-wrong"

VENDORS = [
    ("openai", "OpenAI", "openai_chat", "https://api.openai.com/v1", True, "sk-…"),
    ("anthropic", "Anthropic", "anthropic_messages", "https://api.anthropic.com", True, "sk-ant-…"),
    ("deepseek", "DeepSeek", "openai_chat", "https://api.deepseek.com", True, "sk-…"),
    ("ollama", "Ollama", "ollama", "http://localhost:11434", False, ""),
    ("compatible", "OpenAI-compatible server", "openai_chat", "", False, ""),
    ("echo", "Echo", "echo", "", False, ""),
]


def vendor(id: str, name: str, wire: str, base_url: str, needs_key: bool, key_hint: str) -> dict[str, Any]:
    docs = f"https://{id}.example/docs" if needs_key else ""
    told = {"id": id, "name": name, "wire": wire, "base_url": base_url, "needs_key": needs_key}
    return {**told, "key_hint": key_hint, "docs": docs}


def known(name: str, value: Any, source: str = "catalogue") -> dict[str, Any]:
    return {"name": name, "value": value, "source": source, "checked_at": time.time() - 3 * DAY_S}


def price(currency: str, input: float, output: float, **more: Any) -> dict[str, Any]:
    told = {"currency": currency, "input": input, "output": output, "source": "catalogue", "valid_from": "2026-08-01"}
    return {**told, **more}


class FakeProvidersApi:
    """One person's service. `actions` is what they may do, `away` refuses everything, `secrets` is what came."""

    def __init__(self, actions: tuple[str, ...] = EVERYTHING, hub: bool = False) -> None:
        self.away = False
        self.actions = actions
        self.hub = hub
        self.secrets: list[str] = []
        self.calls: list[tuple[str, Any]] = []
        self.accounts: dict[str, dict[str, Any]] = {}
        self.offered: dict[str, list[dict[str, Any]]] = {}
        self.kept_limits: dict[str, dict[str, Any]] = {}
        self.kept_rates: list[dict[str, Any]] = []
        self.rows: dict[str, list[dict[str, Any]]] = {}

    async def me(self) -> dict[str, Any]:
        self._check("me")
        return {"name": "ada", "groups": ["lab"], "actions": list(self.actions), "hub": self.hub}

    async def vendors(self) -> list[dict[str, Any]]:
        self._check("vendors", needs="configure")
        return [vendor(*row) for row in VENDORS]

    # Providers

    async def providers(self, everyone: bool = False) -> list[dict[str, Any]]:
        self._check("providers", everyone, needs="administer" if everyone else "configure")
        return [self._told(known) for known in self.accounts]

    async def provider(self, id: str) -> dict[str, Any]:
        self._check("provider", id)
        return self._told(id)

    async def create_provider(
        self,
        vendor: str,
        name: str | None = None,
        base_url: str | None = None,
        secret: str | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        self._check("create_provider", key, needs="configure")
        made = vendor if vendor not in self.accounts else f"{vendor}-{len(self.accounts) + 1}"
        now = time.time()
        told = {"id": made, "vendor": vendor, "name": name or vendor.capitalize(), "base_url": base_url, "owner": "ada"}
        told |= {"mine": True, "shared_with": [], "enabled": True, "only": [], "fallbacks": [], "keys": []}
        told |= {"model_count": None, "listed_at": None, "problem": None, "created_at": now, "updated_at": now}
        self.accounts[made] = told
        if secret:
            await self.add_provider_key(made, secret)
        return self._told(made)

    async def update_provider(self, id: str, **changes: Any) -> dict[str, Any]:
        self._check("update_provider", changes, needs="configure")
        self._known(id).update(changes)
        return self._told(id)

    async def delete_provider(self, id: str) -> None:
        self._check("delete_provider", id, needs="configure")
        del self.accounts[self._known(id)["id"]]

    async def test_new_provider(
        self, vendor: str, base_url: str | None = None, secret: str | None = None
    ) -> dict[str, Any]:
        self._check("test_new_provider", vendor, needs="configure")
        if secret:
            self.secrets.append(secret)
        return self._verdict(secret != WRONG_KEY)

    async def test_provider(self, id: str) -> dict[str, Any]:
        self._check("test_provider", id, needs="configure")
        return self._verdict(self._known(id)["problem"] is None)

    async def sync_provider(self, id: str) -> dict[str, Any]:
        self._check("sync_provider", id, needs="configure")
        models = self.offered.setdefault(id, [self._model(id, f"model-{number}") for number in (1, 2)])
        self._known(id).update(model_count=len(models), listed_at=time.time(), problem=None)
        return self._told(id)

    async def provider_models(self, id: str) -> list[dict[str, Any]]:
        self._check("provider_models", id)
        only = self._known(id)["only"]
        models = self.offered.get(id, [])
        return [{**model, "offered": not only or model["id"].partition("/")[2] in only} for model in models]

    async def probe_model(self, model: str) -> dict[str, Any]:
        self._check("probe_model", model)
        found = next(item for item in self.offered[model.partition("/")[0]] if item["id"] == model)
        found["capabilities"] = [known("tools", True, "probe"), known("vision", False, "probe")]
        return {"capabilities": found["capabilities"]}

    # Keys and sharing

    async def add_provider_key(
        self, id: str, secret: str, label: str | None = None, weight: int | None = None
    ) -> dict[str, Any]:
        self._check("add_provider_key", label, needs="configure")
        self.secrets.append(secret)
        keys = self._known(id)["keys"]
        told = {"id": f"key-{len(self.secrets)}", "label": label or "", "weight": weight or 1, "parked_until": None}
        keys.append({**told, "parked_reason": None, "last_used_at": None, "created_at": time.time()})
        return keys[-1]

    async def update_provider_key(self, id: str, key_id: str, **changes: Any) -> dict[str, Any]:
        self._check("update_provider_key", changes, needs="configure")
        key = next(key for key in self._known(id)["keys"] if key["id"] == key_id)
        if changes.pop("parked", None) is False:
            changes |= {"parked_until": None, "parked_reason": None}
        key.update(changes)
        return key

    async def delete_provider_key(self, id: str, key_id: str) -> None:
        self._check("delete_provider_key", key_id, needs="configure")
        provider = self._known(id)
        provider["keys"] = [key for key in provider["keys"] if key["id"] != key_id]

    async def add_grant(self, noun: str, id: str, kind: str, grantee: str) -> dict[str, Any]:
        self._check("add_grant", (kind, grantee), needs="administer")
        self._known(id)["shared_with"].append({"kind": kind, "grantee": grantee})
        return {"kind": kind, "grantee": grantee}

    async def remove_grant(self, noun: str, id: str, kind: str, grantee: str) -> None:
        self._check("remove_grant", (kind, grantee), needs="administer")
        self._known(id)["shared_with"].remove({"kind": kind, "grantee": grantee})

    # Money

    async def usage(
        self, by: str = "model", since: float | None = None, until: float | None = None, everyone: bool = False
    ) -> list[dict[str, Any]]:
        self._check("usage", (by, since, everyone), needs="administer" if everyone else None)
        return self.rows.get(by, [])

    async def set_price(self, model: str, **price: Any) -> None:
        self._check("set_price", price, needs="administer")
        self._priced(model, {**price, "source": "set by ada"})

    async def delete_price(self, model: str) -> None:
        self._check("delete_price", model, needs="administer")
        self._priced(model, None)

    async def exchange_rates(self) -> list[dict[str, Any]]:
        self._check("exchange_rates")
        return self.kept_rates

    async def set_exchange_rate(self, currency: str, into: str, rate: float, valid_from: str) -> None:
        self._check("set_exchange_rate", rate, needs="administer")
        told = {"currency": currency, "into": into, "rate": rate, "valid_from": valid_from, "set_by": "ada"}
        self.kept_rates.insert(0, told)

    async def limits(self) -> list[dict[str, Any]]:
        self._check("limits")
        return [dict(limit) for limit in self.kept_limits.values()]

    async def create_limit(self, **limit: Any) -> dict[str, Any]:
        self._check("create_limit", limit, needs="administer")
        made = {"id": f"limit-{len(self.calls)}", "used": 0, "remaining": limit["hard"], "resets_at": None, **limit}
        self.kept_limits[made["id"]] = made
        return made

    async def update_limit(self, id: str, **changes: Any) -> dict[str, Any]:
        self._check("update_limit", changes, needs="administer")
        self.kept_limits[id].update(changes)
        return self.kept_limits[id]

    async def delete_limit(self, id: str) -> None:
        self._check("delete_limit", id, needs="administer")
        del self.kept_limits[id]

    # What they have in common

    def _model(self, id: str, name: str) -> dict[str, Any]:
        return {"id": f"{id}/{name}", "name": name, "capabilities": [known("context", 131_072)], "price": None}

    def _priced(self, model: str, price: Mapping[str, Any] | None) -> None:
        for item in self.offered[model.partition("/")[0]]:
            if item["id"] == model:
                item["price"] = price

    def _verdict(self, ok: bool) -> dict[str, Any]:
        if ok:
            return {"ok": True, "code": "ok", "message": "", "remedy": "", "latency_s": 0.12, "model_count": 2}
        told = {"ok": False, "code": "wrong_key", "message": "The key was refused.", "remedy": "Check it."}
        return {**told, "latency_s": 0.12, "model_count": None, "checked_at": time.time()}

    def _known(self, id: str) -> dict[str, Any]:
        if id not in self.accounts:
            raise NotFound("There is no such provider.", remedy="It may have been deleted.")
        return self.accounts[id]

    def _told(self, id: str) -> dict[str, Any]:
        told = self._known(id)
        return {**told, "keys": [dict(key) for key in told["keys"]], "shared_with": list(told["shared_with"])}

    def _check(self, name: str, argument: Any = None, needs: str | None = None) -> None:
        self.calls.append((name, argument))
        if self.away:
            raise ServiceError("The service does not answer.", remedy="See `llmws status`.")
        if needs is not None and needs not in self.actions:
            raise Forbidden(f"Your account may not {needs}.")


class FakeProvidersClient:
    """What a page wants of a client: `api`, and the real bridge as `loop`."""

    def __init__(self, **choices: Any) -> None:
        self.api = FakeProvidersApi(**choices)
        self.loop = bridge()
