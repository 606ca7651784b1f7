"""Sharing: an owner lets others use a thing, a person or a group at a time. Tuned models are the first of them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from sqlalchemy import Connection

from ..store import adapters as kept_adapters
from ..store import grants as kept
from ..store.grants import Grant, Kind
from .access import Trainer
from .adapters import TheAdapters
from .bodies import Name
from .here import TheStore

NOUN = kept_adapters.NOUN
Grantee = Annotated[Name, Path()]

router = APIRouter(prefix="/api/models/{id}/grants", tags=["models"])


@router.get("")
async def list_grants(id: str, person: Trainer, store: TheStore) -> dict[str, Any]:
    """With whom a tuned model of one's own is shared."""

    def find(connection: Connection) -> list[Grant]:
        kept_adapters.get(connection, person.name, id)
        return [grant for grant in kept.all_of(connection, NOUN) if grant.thing_id == id]

    return {"items": [to_json(grant) for grant in await store.read(find)]}


@router.put("/{kind}/{grantee}")
async def add_grant(
    id: str, kind: Kind, grantee: Grantee, person: Trainer, store: TheStore, adapters: TheAdapters
) -> dict[str, Any]:
    """Share a tuned model of one's own with a person or a group."""

    def give(connection: Connection) -> Grant:
        kept_adapters.get(connection, person.name, id)
        return kept.add(connection, NOUN, id, kind, grantee)

    grant = await store.write(give)
    await adapters.regrant()
    return to_json(grant)


@router.delete("/{kind}/{grantee}", status_code=204)
async def remove_grant(
    id: str, kind: Kind, grantee: Grantee, person: Trainer, store: TheStore, adapters: TheAdapters
) -> None:
    """Share it no longer; answers that are being written come to their end."""

    def take_back(connection: Connection) -> None:
        kept_adapters.get(connection, person.name, id)
        kept.remove(connection, NOUN, id, kind, grantee)

    await store.write(take_back)
    await adapters.regrant()


def to_json(grant: Grant) -> dict[str, Any]:
    return {"kind": grant.kind, "grantee": grant.grantee, "created_at": grant.created_at}
