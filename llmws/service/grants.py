"""Sharing: an owner lets others use a thing, a person or a group at a time.

Tuned models are shared by who made them; a provider, or a single model of one, spends its owner's money and is shared
by an administrator, who owns it. Conversations and assistants are shared by who owns them, where there is anybody else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from ..errors import Conflict, Forbidden, InvalidRequest, NotFound
from ..store import adapters as kept_adapters
from ..store import assistants as kept_assistants
from ..store import chats as kept_chats
from ..store import grants as kept
from ..store import providers as kept_providers
from ..store import shares as kept_shares
from ..store.chats import Chat
from ..store.grants import Grant, Kind
from .access import Administrator, Chatter, Rule, Trainer
from .bodies import Name
from .here import TheStore
from .identity import Identity, Person
from .models import TheRegistry
from .provider_access import ManagedProvider, owned

Grantee = Annotated[Name, Path()]

router = APIRouter()

_ADMINISTER = Rule("administer")


async def _as_it_is(request: Request) -> None:
    """Who may use a thing of this noun is read whenever somebody does."""


async def _tell_models(request: Request) -> None:
    """Have those models used that are shared now: who may is kept beside them."""
    await request.app.state.adapters.regrant()
    await request.app.state.models.reload()


def _share(
    prefix: str,
    noun: str,
    mine: Callable[..., Awaitable[str]],
    to_give: Callable[..., Awaitable[str]],
    tell: Callable[[Request], Awaitable[None]] = _as_it_is,
) -> None:
    """The routes of one noun.

    Args:
        mine: the dependency that finds the thing's id where the person may look at its grants and take them back.
        to_give: the same where they may share it.
        tell: what has to know of a change.
    """
    found, given = Depends(mine), Depends(to_give)
    about = APIRouter(prefix=f"{prefix}/grants", tags=[noun])

    @about.get("")
    async def list_grants(store: TheStore, thing: str = found) -> dict[str, Any]:
        """With whom it is shared."""
        return {"items": [to_json(grant) for grant in await store.read(kept.of, noun, thing)]}

    @about.put("/{kind}/{grantee}")
    async def add_grant(
        kind: Kind, grantee: Grantee, request: Request, store: TheStore, thing: str = given
    ) -> dict[str, Any]:
        """Share it with a person or a group."""
        grant = await store.write(kept.add, noun, thing, kind, grantee)
        await tell(request)
        return to_json(grant)

    @about.delete("/{kind}/{grantee}", status_code=204)
    async def remove_grant(kind: Kind, grantee: Grantee, request: Request, store: TheStore, thing: str = found) -> None:
        """Share it no longer; answers that are being written come to their end."""
        await store.write(kept.remove, noun, thing, kind, grantee)
        await tell(request)

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


def require_others(request: Request) -> None:
    """Refuse to share where there is nobody to share with."""
    identity: Identity = request.app.state.identity
    if not identity.revocable:
        raise Conflict(
            "Sharing needs a hub: on this computer you are the only person.",
            remedy="Set up a hub for your team (docs/hub.md), or send an export.",
            code="needs_hub",
        )


def require_kept(chat: Chat) -> None:
    """Refuse to share what is meant to leave no trace."""
    if chat.temporary:
        raise Conflict("A temporary chat is not shared.", remedy="Send an export of it instead.")


def _check_receiver(request: Request, person: Person) -> None:
    """Refuse to give to oneself, and to groups of others: what one is not in, one cannot know the members of."""
    require_others(request)
    kind, grantee = request.path_params.get("kind"), str(request.path_params.get("grantee"))
    if kind == "person" and grantee == person.name:
        raise InvalidRequest("This is yours already.", remedy="Name somebody else.")
    if kind == "group" and grantee not in person.groups:
        yours = ", ".join(sorted(person.groups)) or "none yet"
        raise Forbidden(f"You are not in the group {grantee}.", remedy=f"Share with one of your groups ({yours}).")


async def _chat(id: str, person: Chatter, store: TheStore) -> str:
    return (await store.read(kept_chats.get, person.name, id)).id


async def _chat_to_give(id: str, request: Request, person: Chatter, store: TheStore) -> str:
    chat = await store.read(kept_chats.get, person.name, id)
    require_kept(chat)
    _check_receiver(request, person)
    return chat.id


async def _assistant(id: str, person: Chatter, store: TheStore) -> str:
    return (await store.read(kept_assistants.get, person.name, id)).id


async def _assistant_to_give(id: str, request: Request, person: Chatter, store: TheStore) -> str:
    assistant = await store.read(kept_assistants.get, person.name, id)
    _check_receiver(request, person)
    return assistant.id


_share("/api/models/{id:path}", kept_adapters.NOUN, _model, _model, _tell_models)
_share("/api/providers/{id}", kept_providers.NOUN, _provider, _provider_to_give, _tell_models)
_share("/api/chats/{id}", kept_shares.NOUN, _chat, _chat_to_give)
_share("/api/assistants/{id}", kept_assistants.NOUN, _assistant, _assistant_to_give)
