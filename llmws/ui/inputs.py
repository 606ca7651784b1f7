"""The part of the chat page for pictures and files: their bytes take the door, and this tells browsers the way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..client.inputs import asking
from ..errors import InvalidRequest, NotFound
from ..messages import Part
from .page import intent

if TYPE_CHECKING:
    from ..client.api import Api

# Pictures whose addresses are asked for at once.
_AT_ONCE = 50
_LONGEST_ID = 64


class Inputs:
    """What `Chat` is made with."""

    _api: Api

    @intent
    async def upload(self, view: str) -> str:
        """The path, below the door, that takes a file; its ticket lives for minutes, and takes any number."""
        return str((await self._api.ticket("upload", "attachments"))["path"])

    @intent
    async def pictures(self, view: str, *, ids: list[str]) -> dict[str, str]:
        """The paths of attachments below the door, by their ids; what is not there, or another's, has none."""
        return await paths(self._api, "attachments", ids)


async def paths(api: Api, within: str, ids: list[str]) -> dict[str, str]:
    """The paths, below the door, of those of these attachments that one may see `within` something."""
    if len(ids) > _AT_ONCE or not all(isinstance(one, str) and 0 < len(one) <= _LONGEST_ID for one in ids):
        raise InvalidRequest(f"Ask for {_AT_ONCE} pictures at most.")

    async def path(id: str) -> str | None:
        try:
            return str((await api.ticket("download", f"{within}/{id}"))["path"])
        except NotFound:
            return None

    found = await asyncio.gather(*map(path, ids))
    return {one: there for one, there in zip(ids, found, strict=True) if there is not None}


def said(text: str, attachments: list[dict[str, Any]] | None) -> str | tuple[Part, ...]:
    """What a browser says, in the order that `asking` gives it."""
    return asking(text, [_part(one) for one in attachments or ()])


def _part(told: Any) -> Part:
    # What they are is for the service to say; this only names them.
    if not isinstance(told, dict) or not isinstance(told.get("id"), str) or told.get("type") not in ("image", "file"):
        raise InvalidRequest("That is no attachment.")
    return Part(told["type"], data={"attachment": told["id"]})
