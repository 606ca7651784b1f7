"""Who asks, and what they may do: a page offers nobody what the service would refuse. The service refuses it anyway."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter

from ..errors import Forbidden
from .access import NEEDS, Reader, require
from .here import TheSettings, here
from .identity import Identity, Person

router = APIRouter(tags=["service"])


@router.get("/api/me")
async def me(person: Reader, identity: Annotated[Identity, here("identity")], settings: TheSettings) -> dict[str, Any]:
    """Whose token this is, which actions it is good for, whether there is anybody else here, and links to share by."""
    actions = sorted(action for action in NEEDS if _may(person, action))
    hub = identity.revocable
    told = {"name": person.name, "groups": sorted(person.groups), "actions": actions}
    return {**told, "hub": hub, "links": hub and settings.links}


def _may(person: Person, action: str) -> bool:
    try:
        require(person, action)
    except Forbidden:
        return False
    return True
