"""Vendors as data: a row of `catalog.toml` says which wire a vendor speaks, where, and what it does differently.

Whose key opens it is not known here: `open_provider` is told.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..errors import ProviderError, SettingsError
from ..http import AsyncClient
from .anthropic_messages import AnthropicMessages, AnthropicQuirks
from .base import Provider
from .echo import Echo
from .ollama import Ollama
from .openai_chat import OpenAIChat, Quirks
from .openai_responses import OpenAIResponses, ResponsesQuirks

CATALOG = Path(__file__).with_name("catalog.toml")


@dataclass(frozen=True, slots=True)
class NoQuirks:
    """Of a wire whose servers need none."""


# A wire is a class and its quirks; `Vendor.wire` names it.
_WIRES: dict[str, tuple[Callable[..., Provider], type]] = {
    "openai_chat": (OpenAIChat, Quirks),
    "openai_responses": (OpenAIResponses, ResponsesQuirks),
    "anthropic_messages": (AnthropicMessages, AnthropicQuirks),
    "ollama": (Ollama, NoQuirks),
    "echo": (Echo, NoQuirks),
}


@dataclass(frozen=True, slots=True)
class Vendor:
    """A row of the catalogue; the fields are described in `catalog.toml`."""

    id: str
    name: str
    wire: Literal["openai_chat", "openai_responses", "anthropic_messages", "ollama", "echo"]
    base_url: str = ""
    needs_key: bool = True
    key_hint: str = ""
    docs: str = ""
    quirks: Any = field(default_factory=NoQuirks)


def load(path: Path | None = None) -> dict[str, Vendor]:
    """The vendors by id: those that come along, then those of the file `path`, which win.

    A file that is not there, is no TOML or says what no row can say is a `SettingsError` that names the place.

    Example:
        >>> load()["deepseek"].base_url
        'https://api.deepseek.com'
    """
    rows = _read(CATALOG) | ({} if path is None else _read(path))
    return {name: _vendor(name, rows) for name in rows}


def open_provider(
    vendor: Vendor, key: str | None = None, *, base_url: str | None = None, client: AsyncClient | None = None
) -> Provider:
    """The provider that speaks to `vendor` with `key`; close it with `aclose`.

    Args:
        base_url: another address than the row's; needed where the row has none.
        client: see `OpenAIChat`.

    Example:
        >>> open_provider(load()["echo"]).name
        'Echo'
    """
    if vendor.wire == "echo":
        return Echo(vendor.name)
    if vendor.needs_key and not key:
        raise ProviderError(f"{vendor.name} wants a key.", remedy="Give it one in its settings.", code="provider_auth")
    wire, _ = _WIRES[vendor.wire]
    quirks = {} if isinstance(vendor.quirks, NoQuirks) else {"quirks": vendor.quirks}
    return wire(vendor.name, base_url or vendor.base_url, key, client=client, **quirks)


def table() -> str:
    """The vendors that come along, as a Markdown table for the docs."""
    rows = [
        "| id | vendor | wire | address | key | what it does differently |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for vendor in load().values():
        name = f"[{vendor.name}]({vendor.docs})" if vendor.docs else vendor.name
        address = f"`{vendor.base_url}`" if vendor.base_url else ""
        key = f"`{vendor.key_hint}`" if vendor.needs_key else "none"
        rows.append(f"| `{vendor.id}` | {name} | `{vendor.wire}` | {address} | {key} | {_differences(vendor.quirks)} |")
    return "\n".join(rows)


def _differences(quirks: Any) -> str:
    """What of `quirks` is not the rule."""
    plain = type(quirks)()
    told = []
    for name in (f.name for f in fields(quirks) if getattr(quirks, f.name) != getattr(plain, f.name)):
        value = getattr(quirks, name)
        if name == "dialects":
            told.append("models of their own")
        elif isinstance(value, tuple):
            told.append(f"{name}: {', '.join(value) if len(value) < 5 else f'{len(value)} patterns'}")
        else:
            told.append(f"{name}: {str(value).lower() if isinstance(value, bool) else value}")
    return "; ".join(text.replace("|", "\\|").replace("*", "\\*") for text in told)


def _read(path: Path) -> dict[str, tuple[Path, Any]]:
    """The rows by id, each with the file that says it."""
    try:
        rows = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(
            f"The providers' file {path} cannot be read: {error.strerror}.", remedy="Correct LLMWS_PROVIDERS."
        ) from error
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML: {error}.", remedy="Correct that line.") from error
    return {name: (path, row) for name, row in rows.items()}


def _vendor(name: str, rows: Mapping[str, tuple[Path, Any]]) -> Vendor:
    path, row = rows[name]
    place = f"{path}, [{name}]"
    if not isinstance(row, Mapping) or not isinstance(row.get("quirks", {}), Mapping):
        raise SettingsError(f"{place}: this is not a table.", remedy="Give each vendor a table of its own.")
    if "like" in row:
        _, other = rows.get(str(row["like"]), (path, None))
        if not isinstance(other, Mapping) or "like" in other:
            raise SettingsError(
                f"{place}: like is {row['like']!r}.", remedy="It must be a vendor that is like no other."
            )
        row = {key: value for key, value in {**other, **row}.items() if key != "like"}
    _, kind = _WIRES.get(str(row.get("wire")), (None, NoQuirks))
    quirks = _build(kind, row.get("quirks", {}), f"{place}, quirks")
    return _build(Vendor, {**row, "id": name, "quirks": quirks}, place)


def _build(cls: Any, row: Mapping[str, Any], place: str) -> Any:
    """A `cls` of the values in `row`, each checked against the type of its field."""
    hints = get_type_hints(cls)
    values = {}
    for name, value in row.items():
        if name not in hints:
            raise SettingsError(f"{place}: {name!r} is not known.", remedy=f"It knows {', '.join(hints) or 'nothing'}.")
        if (inner := _rows_of(hints[name])) and isinstance(value, list):
            value = [_build(inner, it, f"{place}, {name}") if isinstance(it, Mapping) else it for it in value]
        if wanted := _misfit(value, hints[name]):
            raise SettingsError(f"{place}: {name} is {value!r}.", remedy=f"It must be {wanted}.")
        values[name] = tuple(value) if isinstance(value, list) else value
    for name in (f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING):
        if name not in row:
            raise SettingsError(f"{place}: {name} is missing.", remedy="Add it.")
    return cls(**values)


def _rows_of(hint: Any) -> Any:
    """The class of which `hint` wants a list of tables, if it does."""
    inner = get_args(hint)[0] if get_origin(hint) is tuple else None
    return inner if is_dataclass(inner) else None


def _misfit(value: Any, hint: Any) -> str:
    """What `value` should have been; empty where it fits."""
    if get_origin(hint) is Literal:
        return "" if value in get_args(hint) else f"one of {', '.join(map(repr, get_args(hint)))}"
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        fits = isinstance(value, list) and all(isinstance(item, inner) for item in value)
        return "" if fits else "a list of texts" if inner is str else "a list of tables"
    if hint is Any:
        return ""
    kinds = {bool: "true or false", int: "a whole number", float: "a number"}
    fits = isinstance(value, (int, float) if hint is float else hint) and isinstance(value, bool) <= (hint is bool)
    return "" if fits else kinds.get(hint, "a text")
