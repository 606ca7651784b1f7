"""Who asks, and what they may do: a page offers nobody what the service would refuse. The service refuses it anyway."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter

from ..errors import Forbidden
from .access import NEEDS, Reader, require
from .here import here
from .identity import Identity, Person

router = APIRouter(tags=["service"])


@router.get("/api/me")
async def me(person: Reader, identity: Annotated[Identity, here("identity")]) -> dict[str, Any]:
    """Whose token this is, which actions it is good for, and whether there is anybody else here."""
    actions = sorted(action for action in NEEDS if _may(person, action))
    return {"name": person.name, "groups": sorted(person.groups), "actions": actions, "hub": identity.revocable}


def _may(person: Person, action: str) -> bool:
    try:
        require(person, action)
    except Forbidden:
        return False
    return True
