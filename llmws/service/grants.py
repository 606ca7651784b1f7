"""Sharing: an owner lets others use a thing, a person or a group at a time.

Tuned models are shared by who made them; a provider, or a single model of one, spends its owner's money and is shared
by an administrator, who owns it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from ..errors import NotFound
from ..store import adapters as kept_adapters
from ..store import grants as kept
from ..store import providers as kept_providers
from ..store.grants import Grant, Kind
from .access import Administrator, Rule, Trainer
from .adapters import TheAdapters
from .bodies import Name
from .here import TheStore
from .models import TheRegistry
from .provider_access import ManagedProvider, owned

Grantee = Annotated[Name, Path()]

router = APIRouter()

_ADMINISTER = Rule("administer")


def _share(prefix: str, noun: str, mine: Callable[..., Awaitable[str]], to_give: Callable[..., Awaitable[str]]) -> None:
    """The routes of one noun.

    Args:
        mine: the dependency that finds the thing's id where the person may look at its grants and take them back.
        to_give: the same where they may share it.
    """
    found, given = Depends(mine), Depends(to_give)
    about = APIRouter(prefix=f"{prefix}/grants", tags=[noun])

    @about.get("")
    async def list_grants(store: TheStore, thing: str = found) -> dict[str, Any]:
        """With whom it is shared."""
        grants = await store.read(kept.all_of, noun)
        return {"items": [to_json(grant) for grant in grants if grant.thing_id == thing]}

    @about.put("/{kind}/{grantee}")
    async def add_grant(
        kind: Kind, grantee: Grantee, store: TheStore, adapters: TheAdapters, registry: TheRegistry, thing: str = given
    ) -> dict[str, Any]:
        """Share it with a person or a group."""
        grant = await store.write(kept.add, noun, thing, kind, grantee)
        await adapters.regrant()
        await registry.reload()
        return to_json(grant)

    @about.delete("/{kind}/{grantee}", status_code=204)
    async def remove_grant(
        kind: Kind, grantee: Grantee, store: TheStore, adapters: TheAdapters, registry: TheRegistry, thing: str = found
    ) -> None:
        """Share it no longer; answers that are being written come to their end."""
        await store.write(kept.remove, noun, thing, kind, grantee)
        await adapters.regrant()
        await registry.reload()

    router.include_router(about)


def to_json(grant: Grant) -> dict[str, Any]:
    return {"kind": grant.kind, "grantee": grant.grantee, "created_at": grant.created_at}


async def _model(id: str, request: Request, person: Trainer, registry: TheRegistry, store: TheStore) -> str:
    """A model that the person tuned, or one of a provider of theirs; the latter is given by an administrator."""
    source = registry.source(id.partition("/")[0])
    if source is None or "/" not in id:
        return (await store.read(kept_adapters.get, person.name, id)).id
    if source.setup.row.owner != person.name:
        raise NotFound(f"There is no model {id!r} of yours.")
    if request.method == "PUT":
        await _ADMINISTER(request)
    return id


async def _provider(found: ManagedProvider) -> str:
    return found.row.id


async def _provider_to_give(id: str, person: Administrator, registry: TheRegistry) -> str:
    return owned(registry, id, person).row.id


_share("/api/models/{id:path}", kept_adapters.NOUN, _model, _model)
_share("/api/providers/{id}", kept_providers.NOUN, _provider, _provider_to_give)
