"""The part of the chat page that is about others: what they share, with whom one shares, and assistants."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from ..client.share_routes import Noun
from ..errors import InvalidRequest
from .given import parameters_of
from .inputs import paths
from .page import intent

if TYPE_CHECKING:
    from ..client.api import Api

_SHOWN = 60
# What is shared on this page; a tuned model is where it was tuned.
_NOUNS = ("chats", "assistants")


class Sharing:
    """What `Chat` is made with."""

    _api: Api
    chat_id: str | None

    @intent
    async def others(self, view: str) -> dict[str, Any]:
        """Who asks, what others share with them, and with whom they may begin."""
        me, shared, assistants = await asyncio.gather(self._api.me(), self._api.shared(), self._api.assistants())
        return {"me": me, "shared": shared, "assistants": assistants}

    @intent
    async def more_shared(self, view: str, *, cursor: str) -> dict[str, Any]:
        return await self._api.shared(cursor=cursor)

    @intent
    async def read_shared(self, view: str, *, id: str, cursor: str | None = None) -> dict[str, Any]:
        """A conversation of somebody else's, and a page of its messages."""
        chat, page = await asyncio.gather(
            self._api.shared_chat(id), self._api.shared_messages(id, limit=_SHOWN, cursor=cursor)
        )
        return {"chat": chat, "messages": page["items"], "next_cursor": page["next_cursor"]}

    @intent
    async def shared_pictures(self, view: str, *, id: str, ids: list[str]) -> dict[str, str]:
        """The paths of what is attached in a conversation of somebody else's, like `Inputs.pictures`."""
        return await paths(self._api, f"shared/{id}", ids)

    @intent
    async def copy_shared(self, view: str, *, id: str, key: str) -> dict[str, Any]:
        """Go on in a conversation of one's own; a repeated `key` is the same one."""
        return await self._api.copy_shared(id, key=key)

    @intent
    async def leave_shared(self, view: str, *, id: str) -> None:
        await self._api.leave_shared(id)

    # With whom one shares

    @intent
    async def sharing(self, view: str, *, noun: str, id: str) -> dict[str, Any]:
        """With whom a conversation or an assistant is shared, and by which links."""
        grants = await self._api.grants(_noun(noun), id)
        return {"grants": grants, "links": await self._api.links(id) if noun == "chats" else []}

    @intent
    async def give(self, view: str, *, noun: str, id: str, kind: str, grantee: str) -> dict[str, Any]:
        return await self._api.add_grant(_noun(noun), id, kind, grantee)

    @intent
    async def take_back(self, view: str, *, noun: str, id: str, kind: str, grantee: str) -> None:
        await self._api.remove_grant(_noun(noun), id, kind, grantee)

    @intent
    async def make_link(self, view: str, *, id: str, key: str, days: int | None) -> dict[str, Any]:
        """A link to what was said up to now; this reply alone tells its secret."""
        return await self._api.create_link(id, days, key=key)

    @intent
    async def revoke_link(self, view: str, *, id: str, link: str) -> None:
        await self._api.revoke_link(id, link)

    @intent
    async def restore_link(self, view: str, *, id: str, link: str) -> dict[str, Any]:
        return await self._api.restore_link(id, link)

    # Assistants

    @intent
    async def make_assistant(
        self,
        view: str,
        *,
        key: str,
        name: str,
        model: str,
        description: str = "",
        system: str = "",
        parameters: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A repeated `key` is the same one."""
        settings = parameters_of(parameters)
        return await self._api.create_assistant(name, model, description, system, settings, key=key)

    @intent
    async def change_assistant(
        self,
        view: str,
        *,
        id: str,
        name: str,
        model: str,
        description: str = "",
        system: str = "",
        parameters: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        told = {"name": name, "model": model, "description": description, "system": system}
        return await self._api.update_assistant(id, **told, parameters=parameters_of(parameters))

    @intent
    async def delete_assistant(self, view: str, *, id: str) -> None:
        await self._api.delete_assistant(id)

    @intent
    async def restore_assistant(self, view: str, *, id: str) -> dict[str, Any]:
        return await self._api.restore_assistant(id)


def _noun(told: str) -> Noun:
    if told not in _NOUNS:
        raise InvalidRequest(f"There are no {told!r} to share here.", remedy=f"Choose {' or '.join(_NOUNS)}.")
    return cast(Noun, told)
