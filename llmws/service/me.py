"""Who asks, and what they may do: a page offers nobody what the service would refuse. The service refuses it anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import with_config

from ..store import Store
from ..store import preferences as kept
from .access import NEEDS, Chatter, Reader, may
from .bodies import STRICT
from .here import TheSettings, TheStore, here
from .identity import Identity, Person
from .titles import TheTitles

router = APIRouter(tags=["service"])


@with_config(STRICT)
@dataclass(frozen=True)
class Changes:
    """What is None stays as it is."""

    automatic_titles: bool | None = None


@router.get("/api/me")
async def me(
    person: Reader,
    identity: Annotated[Identity, here("identity")],
    settings: TheSettings,
    store: TheStore,
    titles: TheTitles,
) -> dict[str, Any]:
    """Whose token this is, which actions it is good for, whether there is anybody else here, and links to share by.

    `automatic_titles` is null where no model gives titles, whatever one wants.
    """
    actions = sorted(action for action in NEEDS if may(person, action))
    hub = identity.revocable
    return {
        "name": person.name,
        "groups": sorted(person.groups),
        "actions": actions,
        "hub": hub,
        "links": hub and settings.links,
        "automatic_titles": (await _wanted(person, store)) if titles.allowed else None,
    }


@router.patch("/api/me")
async def change(changes: Changes, person: Chatter, store: TheStore) -> dict[str, Any]:
    """Change what is given: whether a model may be asked for the titles of one's conversations."""
    if changes.automatic_titles is not None:
        await store.write(kept.update, person.name, automatic_titles=changes.automatic_titles)
    return {"automatic_titles": await _wanted(person, store)}


async def _wanted(person: Person, store: Store) -> bool:
    return (await store.read(kept.get, person.name)).automatic_titles
