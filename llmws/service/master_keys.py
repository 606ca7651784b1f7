"""The master keys over the keys that they encrypt: which there are, and a new one in their place.

A rotation can be run again at any time, also after one that was cut off: it makes a master key, re-encrypts every row
in one transaction, and forgets the master keys that no row needs any more. Whoever adds a key meanwhile encrypts in the
writing thread, so with the new one or before the re-encryption.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter
from sqlalchemy import Connection

from .. import instance as instances
from ..errors import MasterKeyError
from ..settings import Settings
from ..store import Store, provider_keys
from .access import Administrator
from .here import TheStore, here
from .secrets import MasterKeys, key_id

TheMasterKeys = Annotated[MasterKeys, here("master_keys")]

router = APIRouter(prefix="/api/master-keys", tags=["providers"])


@router.get("")
async def show(_: Administrator, store: TheStore, master_keys: TheMasterKeys) -> dict[str, Any]:
    """Which master keys there are, and how many providers' keys each encrypts; one that is missing is not `here`."""
    return await status(store, master_keys)


@router.post("/rotate")
async def rotate_now(_: Administrator, store: TheStore, master_keys: TheMasterKeys) -> dict[str, Any]:
    """Make a new master key and encrypt every provider's key with it."""
    return await rotate(store, master_keys)


async def status(store: Store, master_keys: MasterKeys) -> dict[str, Any]:
    """As the route tells it."""
    used = Counter(key_id(key.ciphertext) for key in await store.read(provider_keys.all_of_them))
    here_now = master_keys.ids
    return {
        "configured": master_keys.configured,
        "file": str(master_keys.file),
        "items": [
            {"id": one, "current": one in here_now[:1], "here": one in here_now, "keys": used[one]}
            for one in dict.fromkeys([*here_now, *used])
        ],
    }


async def rotate(store: Store, master_keys: MasterKeys) -> dict[str, Any]:
    """Re-encrypt what can be read; what cannot stays as it is, for its master key may come back.

    Where the setting names the master keys, its first one is taken and none is made.
    """
    if not master_keys.configured:
        master_keys.add()
    changed, unreadable = await store.write(_reencrypt, master_keys)
    in_use = {key_id(key.ciphertext) for key in await store.read(provider_keys.all_of_them)}
    forgotten = () if master_keys.configured else master_keys.keep(in_use)
    told = await status(store, master_keys)
    return {**told, "reencrypted": changed, "unreadable": unreadable, "forgotten": list(forgotten)}


def _reencrypt(connection: Connection, master_keys: MasterKeys) -> tuple[int, int]:
    ciphertexts, unreadable = {}, 0
    for key in provider_keys.all_of_them(connection):
        try:
            ciphertexts[key.id] = master_keys.encrypt(master_keys.decrypt(key.ciphertext, key.id), key.id)
        except MasterKeyError:
            unreadable += 1
    provider_keys.reencrypt(connection, ciphertexts)
    return len(ciphertexts), unreadable


async def without_service(settings: Settings, what: str) -> dict[str, Any]:
    """`status` or `rotate` on a data folder that no service holds."""
    with instances.hold(settings.data, sqlite=settings.database_url.startswith("sqlite")):
        store = Store.open(settings.database_url)
        try:
            master_keys = MasterKeys(settings.data, settings.master_key)
            return await (rotate if what == "rotate" else status)(store, master_keys)
        finally:
            store.close()
