"""How a route gets what lives as long as the service, and the id of what it is about to make."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Header, Request

from ..settings import Settings
from ..store import Store
from ..store.ids import derive_id, new_id


def here(name: str) -> Any:
    """A dependency: the part of the running service that `create_app` put into ``app.state`` under `name`."""

    def part(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(part)


async def _id(request: Request, idempotency_key: Annotated[str | None, Header(max_length=255)] = None) -> str:
    return derive_id(request.state.person.name, idempotency_key) if idempotency_key else new_id()


TheSettings = Annotated[Settings, here("settings")]
TheStore = Annotated[Store, here("store")]
# Derived from the Idempotency-Key where one is sent: a repeated POST then finds what it made the first time.
CreatedId = Annotated[str, Depends(_id)]
