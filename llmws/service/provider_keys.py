"""A provider's keys on their way in: what people paste along is taken away, what cannot be a key is not repeated."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, SecretStr, with_config
from sqlalchemy import Connection

from ..errors import InvalidRequest
from ..providers.catalog import Vendor
from ..store import provider_keys as kept
from ..store.provider_keys import ProviderKey
from .bodies import STRICT, Name
from .here import CreatedId, TheStore
from .master_keys import TheMasterKeys
from .models import TheRegistry
from .provider_access import ManagedProvider, MyProvider
from .redaction import KNOWN
from .secrets import MasterKeys

LONGEST = 8192

# OPENAI_API_KEY="sk-…" of a shell's file, and the header of an HTTP request, in front of the key itself.
_PASTED = re.compile(
    r"^(?-i:(?:export\s+)?[A-Z][A-Z0-9_]*(?:KEY|TOKEN|SECRET)\s*=\s*)|^(?:authorization|x-api-key)\s*:\s*"
    r"|^bearer(?:\s+|$)",
    re.IGNORECASE,
)
_AROUND = " \t\r\n\"'`“”‘’\u200b\u200e\u2060\ufeff\xa0"

router = APIRouter(prefix="/api/providers/{id}/keys", tags=["providers"])

GivenKey = Annotated[SecretStr, Field(max_length=LONGEST, description="Written, and never told again.")]
Weight = Annotated[int, Field(ge=1, le=1000)]


@with_config(STRICT)
@dataclass(frozen=True)
class NewKey:
    key: GivenKey
    label: Name | None = None
    weight: Weight = 1


@with_config(STRICT)
@dataclass(frozen=True)
class KeyChanges:
    """What is to be different; `parked` can only be false: take the key up again."""

    label: Name | None = None
    weight: Weight | None = None
    parked: bool | None = None

    def values(self) -> dict[str, Any]:
        """The same as columns."""
        if self.parked:
            raise InvalidRequest(
                "A key is parked when its provider refuses it.", remedy="Remove it, or disable the provider."
            )
        given = {"label": self.label, "weight": self.weight}
        changed = {name: value for name, value in given.items() if value is not None}
        return changed | ({"parked_until": None, "parked_reason": None} if self.parked is False else {})


@router.post("", status_code=201)
async def create(
    new: NewKey, id: CreatedId, found: MyProvider, registry: TheRegistry, store: TheStore, master_keys: TheMasterKeys
) -> dict[str, Any]:
    """Give a provider of one's own a further key."""
    value, vendor = checked(new.key), registry.vendors.get(found.row.vendor)
    key = await store.write(add, master_keys, found.row.id, id, value, label=new.label, weight=new.weight)
    await registry.reload()
    return {**to_json(key), "warnings": warnings(value, vendor, registry.vendors) if vendor is not None else []}


@router.patch("/{key_id}")
async def change(
    key_id: str, changes: KeyChanges, found: ManagedProvider, registry: TheRegistry, store: TheStore
) -> dict[str, Any]:
    """Change what is given; `parked` false takes up again a key that the provider had refused."""
    key = await store.write(kept.update, found.row.id, key_id, **changes.values())
    await registry.reload()
    return to_json(key)


@router.delete("/{key_id}", status_code=204)
async def remove(key_id: str, found: ManagedProvider, registry: TheRegistry, store: TheStore) -> None:
    """Forget a key; calls that are under way with it come to their end."""
    await store.write(kept.remove, found.row.id, key_id)
    await registry.reload()


def checked(given: SecretStr) -> str:
    """The key itself, without blanks, quotes, ``Bearer`` or the name of a variable around it.

    Raises:
        InvalidRequest: it cannot be a key; the message does not repeat it.

    Example:
        >>> checked(SecretStr(' "Bearer sk-123456"\\n')), checked(SecretStr("export OPENAI_API_KEY='sk-123456'"))
        ('sk-123456', 'sk-123456')
    """
    key = given.get_secret_value()
    KNOWN.hide(key)
    before = None
    while key != before:
        before = key
        key = _PASTED.sub("", key.strip(_AROUND))
    KNOWN.hide(key)
    if not key:
        raise InvalidRequest("The key is empty.", remedy="Copy it again.")
    if re.search(r"\s", key):
        raise InvalidRequest(
            "There is a blank or a line break within the key.", remedy="Copy it again, in one piece and nothing else."
        )
    if set(key) <= set("*•…."):
        raise InvalidRequest(
            "That is how a key looks when it is hidden.", remedy="Make a new one where this was shown."
        )
    if not (key.isascii() and key.isprintable()):
        raise InvalidRequest("The key holds characters that no key has.", remedy="Copy it again.")
    return key


def warnings(key: str, vendor: Vendor, vendors: Mapping[str, Vendor]) -> list[str]:
    """What looks odd about `key` at `vendor`, without a part of it.

    Example:
        >>> ours = Vendor("ours", "Ours", "openai_chat", key_hint="sk-…")
        >>> theirs = Vendor("theirs", "Theirs", "openai_chat", key_hint="sk-ant-…")
        >>> warnings("sk-ant-123", ours, {"ours": ours, "theirs": theirs})
        ['This looks like a key of Theirs, not of Ours.']
    """
    if not (mine := _prefix(vendor)):
        return []  # any key may be one of its
    # Of those that many vendors' keys begin with, none says whose a key is.
    longer = {_prefix(one): one for one in vendors.values() if len(_prefix(one)) > len("sk-")} | {mine: vendor}
    best = max((prefix for prefix in longer if key.startswith(prefix)), key=len, default=None)
    if best is None:
        return [f"Keys of {vendor.name} begin with {mine}, and this one does not."]
    return [f"This looks like a key of {longer[best].name}, not of {vendor.name}."] if best != mine else []


def add(
    connection: Connection, master_keys: MasterKeys, provider_id: str, id: str, value: str, **more: Any
) -> ProviderKey:
    """Encrypt and keep a key, in the writing thread: so a rotation is over before, or comes after it."""
    master_keys.ensure(key.ciphertext for key in kept.all_of_them(connection))
    return kept.add(connection, provider_id, id, master_keys.encrypt(value, id), **more)


def to_json(key: ProviderKey, last_used_at: float | None = None) -> dict[str, Any]:
    """All that is ever told of a key; `last_used_at` where that is known better than the row knows it."""
    over = key.parked_until is not None and key.parked_until <= time.time()
    return {
        "id": key.id,
        "label": key.label,
        "weight": key.weight,
        "parked_until": None if over else key.parked_until,
        "parked_reason": None if over else key.parked_reason,
        "last_used_at": last_used_at or key.last_used_at,
        "created_at": key.created_at,
    }


def _prefix(vendor: Vendor) -> str:
    """What a vendor's keys begin with, where the hint says that.

    Example:
        >>> _prefix(Vendor("x", "X", "openai_chat", key_hint="sk-ant-…"))
        'sk-ant-'
    """
    return vendor.key_hint.partition("…")[0] if "…" in vendor.key_hint else ""
