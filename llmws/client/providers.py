"""Providers from a cell: `client.providers`. A key is sent to the service once, and is in nothing that is shown.

An error leaves here without the frames below it: IPython's verbose tracebacks show the values of their variables, and
one of these is the request.
"""

from __future__ import annotations

import getpass
import warnings
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import Error, InvalidRequest
from .listings import table

if TYPE_CHECKING:
    import pandas

    from .client import Client

T = TypeVar("T")

_COLUMNS = ["id", "name", "vendor", "base_url", "owner", "enabled", "keys", "model_count", "listed_at", "problem"]
_VENDOR_COLUMNS = ["id", "name", "wire", "base_url", "needs_key", "key_hint", "docs"]
_CAPABILITIES = ["context", "vision", "tools", "reasoning", "json_schema", "embeddings"]
_MODEL_COLUMNS = ["id", "name", "offered", *_CAPABILITIES, "input_price", "output_price", "currency", "said_by"]


@dataclass(frozen=True, slots=True, repr=False)
class Provider:
    """A provider as it stood; `problem` is why it has no newer list of models, in words.

    Example:
        >>> llmws.client.providers.Provider("deepseek", "DeepSeek", "deepseek", None, "ada", True, 2, None)
        Provider('deepseek', 2 models)
    """

    id: str
    name: str
    vendor: str
    base_url: str | None
    owner: str
    enabled: bool
    model_count: int
    problem: str | None

    def __repr__(self) -> str:
        count = f"{self.model_count} model{'' if self.model_count == 1 else 's'}"
        off = "" if self.enabled else ", switched off"
        return f"Provider({self.id!r}, {count}{off}{f': {self.problem}' if self.problem else ''})"


@dataclass(frozen=True, slots=True, repr=False)
class Verdict:
    """How a test of a provider ended: `code` is ``ok`` or a word for what is wrong, `message` says it in a sentence.

    Example:
        >>> llmws.client.providers.Verdict(False, "wrong_key", "DeepSeek does not accept the key.", "Check it.")
        Verdict(wrong_key: DeepSeek does not accept the key. Check it.)
    """

    ok: bool
    code: str
    message: str
    remedy: str = ""
    latency_s: float | None = None
    model_count: int | None = None
    checked_at: float | None = None

    def __repr__(self) -> str:
        return f"Verdict({self.code}: {f'{self.message} {self.remedy}'.strip()})"


class _Secret:
    """A key on its way; nothing that shows it shows what it is."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "<key>"


class Providers:
    """Accounts at vendors of models: one's own, and those that are shared with one.

    Example:
        >>> client.providers.add("compatible", base_url="http://127.0.0.1:9/v1", id="lab")
        Provider('lab', 0 models: Nothing listens at http://127.0.0.1:9/v1. ...)
        >>> "lab" in list(client.providers.list().id)
        True
        >>> client.providers.remove("lab")
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self) -> pandas.DataFrame:
        """The providers that can be used.

        Returns:
            DataFrame: id, name, vendor, base_url (missing where it is the vendor's), owner (empty where everybody's),
            enabled, keys (how many; 0 of another's), model_count, listed_at, problem (a sentence; missing where all is
            well).

        Example:
            >>> client.providers.list().columns[:3].to_list()
            ['id', 'name', 'vendor']
        """
        rows = [
            {**told, "keys": len(told["keys"]), "problem": _sentence(told["problem"])}
            for told in self._run(self._client.api.providers())
        ]
        return table(rows, _COLUMNS, times=["listed_at"])

    def vendors(self) -> pandas.DataFrame:
        """What a provider can be of.

        Returns:
            DataFrame: id, name, wire, base_url, needs_key, key_hint, docs.

        Example:
            >>> "deepseek" in list(client.providers.vendors().id)
            True
        """
        return table(self._run(self._client.api.vendors()), _VENDOR_COLUMNS)

    def add(
        self,
        vendor: str,
        key: str | None = None,
        id: str | None = None,
        base_url: str | None = None,
        name: str | None = None,
        **more: Any,
    ) -> Provider:
        """Add a provider of one's own, and ask it for its models.

        Args:
            vendor: an id of `vendors()`; ``compatible`` for any server that speaks OpenAI's wire.
            key: where it wants one and none is given, it is asked for without being shown: better so, for a notebook
                keeps what is typed into it.
            id: how its models' ids begin; by default the vendor's.
            base_url: another address than the vendor's.
            more: `only` (patterns of the models that are offered), `fallbacks` (models that step in), `enabled`.

        Raises:
            InvalidRequest: something of it cannot be: an address, or a key with a blank in it.

        Example:
            >>> client.providers.add("compatible", base_url="http://127.0.0.1:9/v1", id="mine", only=["llama-*"])
            Provider('mine', 0 models: ...)
        """
        secret = _Secret(key) if key else None
        del key  # a verbose traceback shows what a frame still has
        secret = secret or self._asked_for(vendor)

        async def create() -> dict[str, Any]:
            value = secret.value if secret is not None else None
            return await self._client.api.create_provider(vendor, name, base_url, value or None, id=id, **more)

        added = self._run(create())
        _warn(added)
        return self.sync(added["id"]) if added["enabled"] else _provider(added)

    def test(self, id: str, model: str | None = None) -> Verdict:
        """Whether it answers, with each of its keys; a key that was refused and works again is used again.

        Args:
            model: one to ask for a word, by its provider's name for it; else some are, where keys are wanted.

        Example:
            >>> added = client.providers.add("compatible", base_url="http://127.0.0.1:9/v1", id="down")
            >>> client.providers.test("down")
            Verdict(refused: Nothing listens at http://127.0.0.1:9/v1. ...)
        """
        told = self._run(self._client.api.test_provider(id, model))
        return Verdict(**{field.name: told[field.name] for field in fields(Verdict)})

    def sync(self, id: str) -> Provider:
        """Ask it for its list of models now.

        Example:
            >>> added = client.providers.add("compatible", base_url="http://127.0.0.1:9/v1", id="away")
            >>> client.providers.sync("away").model_count
            0
        """
        return _provider(self._run(self._client.api.sync_provider(id)))

    def remove(self, id: str) -> None:
        """Forget it, its keys, and with whom it was shared; what was said and spent stays.

        Example:
            >>> added = client.providers.add("compatible", base_url="http://127.0.0.1:9/v1", id="old")
            >>> client.providers.remove("old")
        """
        self._run(self._client.api.delete_provider(id))

    def models(self, id: str) -> pandas.DataFrame:
        """What is known of its models.

        Returns:
            DataFrame: id, name, offered, context (tokens), vision, tools, reasoning, json_schema, embeddings,
            input_price, output_price, currency (missing where unpriced), said_by (who says so, by the capability's
            name: ``person``, ``probe``, ``provider`` or ``catalogue``).

        Example:
            >>> added = client.providers.add("compatible", base_url="http://127.0.0.1:9/v1", id="empty")
            >>> len(client.providers.models("empty"))
            0
        """
        rows = [_row(told) for told in self._run(self._client.api.provider_models(id))]
        return table(rows, _MODEL_COLUMNS)

    def add_key(self, id: str, key: str | None = None, label: str | None = None, weight: int = 1) -> None:
        """Give it a further key; each call takes one of them.

        Args:
            key: by default it is asked for without being shown.
            weight: how often it is taken beside the others.

        Example:
            >>> added = client.providers.add("compatible", base_url="http://127.0.0.1:9/v1", id="two")
            >>> client.providers.add_key("two", "sk-example-1", label="team")
            >>> client.providers.list().set_index("id").loc["two", "keys"].item()
            1
        """
        given = _Secret(key) if key else None
        del key
        secret = given or _prompt(id)

        async def create() -> dict[str, Any]:
            return await self._client.api.add_provider_key(id, secret.value, label, weight)

        _warn(self._run(create()))

    def share(self, id: str, person: str | None = None, group: str | None = None) -> None:
        """Let a person or a group use it: they see its models, never its keys. On a hub for administrators.

        Example:
            >>> added = client.providers.add("compatible", base_url="http://127.0.0.1:9/v1", id="ours")
            >>> client.providers.share("ours", group="researchers")
            >>> client.providers.unshare("ours", group="researchers")
        """
        self._run(self._client.api.add_grant("providers", id, *_grantee(person, group)))

    def unshare(self, id: str, person: str | None = None, group: str | None = None) -> None:
        """Share it no longer; see `share`.

        Example:
            >>> added = client.providers.add("compatible", base_url="http://127.0.0.1:9/v1", id="theirs")
            >>> client.providers.unshare("theirs", person="eve")
        """
        self._run(self._client.api.remove_grant("providers", id, *_grantee(person, group)))

    def _asked_for(self, vendor: str) -> _Secret | None:
        """The key of a vendor that wants one, typed unseen; none where nothing is typed."""
        row = next((row for row in self._run(self._client.api.vendors()) if row["id"] == vendor), None)
        return _prompt(row["name"]) if row is not None and row["needs_key"] else None

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            return self._client.run(coroutine)
        except Error as problem:
            problem.__cause__ = problem.__context__ = None
            raise problem.with_traceback(None) from None

    def __repr__(self) -> str:
        return f"Providers of {self._client!r}"


def _prompt(name: str) -> _Secret:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # it would be shown while it is typed
            return _Secret(getpass.getpass(f"Key of {name}: "))
    except (EOFError, OSError, RuntimeError, getpass.GetPassWarning):
        # ipykernel's StdinNotImplementedError, where nobody can be asked, is a RuntimeError.
        raise InvalidRequest(
            f"{name} wants a key, and nobody can be asked for it here.", remedy="Give `key`."
        ) from None


def _provider(told: Mapping[str, Any]) -> Provider:
    values = {field.name: told[field.name] for field in fields(Provider)}
    return Provider(**{**values, "problem": _sentence(told["problem"])})


def _sentence(problem: Mapping[str, Any] | None) -> str | None:
    return f"{problem['message']} {problem['remedy']}".strip() if problem else None


def _row(told: Mapping[str, Any]) -> dict[str, Any]:
    known = {one["name"]: one for one in told["capabilities"]}
    price = told["price"] or {}
    return {
        **{name: told[name] for name in ("id", "name", "offered")},
        **{name: one["value"] for name, one in known.items()},
        "input_price": price.get("input"),
        "output_price": price.get("output"),
        "currency": price.get("currency"),
        "said_by": {name: one["source"] for name, one in known.items()},
    }


def _warn(told: Mapping[str, Any]) -> None:
    for text in told.get("warnings", ()):
        warnings.warn(text, stacklevel=3)


def _grantee(person: str | None, group: str | None) -> tuple[str, str]:
    if person is not None and group is None:
        return "person", person
    if group is not None and person is None:
        return "group", group
    raise InvalidRequest("It is shared with a person or a group.", remedy="Name one: person=… or group=….")
