"""Pictures and files that come with an imported conversation."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from dataclasses import replace
from typing import Any

from ..errors import InvalidRequest
from ..messages import Message, Part
from ..store import Store
from ..store import attachments as kept
from ..store.attachments import Attachment
from ..store.ids import new_id
from .file_names import plain
from .media import recognise


class Taken:
    """What one conversation has attached. It is kept as it comes, and goes after a day where no chat uses it."""

    def __init__(self, store: Store, owner: str, quota: int) -> None:
        self._store, self._owner, self._quota = store, owner, quota
        self.clear()

    def clear(self) -> None:
        self._known: dict[str, Attachment] = {}
        self.problem = ""

    async def add(self, told: dict[str, Any]) -> None:
        try:
            body = await asyncio.to_thread(base64.b64decode, told["data"], validate=True)
            name = plain(told["name"] or "attachment")
            media = await asyncio.to_thread(recognise, body, name)
            digest = hashlib.sha256(body).hexdigest()
            size = (media.width, media.height)
            new = Attachment(new_id(), self._owner, digest, name, media.type, len(body), *size, time.time())
            self._known[told["attachment"]] = await self._store.write(kept.add, new, body, self._quota)
        except (InvalidRequest, ValueError) as problem:
            self.problem = str(problem) if isinstance(problem, InvalidRequest) else "It is damaged."

    def named(self, message: Message) -> Message:
        """`message` with the ids of what is kept here; what is not is told by its name."""
        return replace(message, parts=tuple(map(self._part, message.parts)))

    def _part(self, part: Part) -> Part:
        if part.type not in ("image", "file") or "attachment" not in part.data:
            return part
        known = self._known.get(part.attachment or "")
        rest = {name: value for name, value in part.data.items() if name != "attachment"}
        if isinstance(rest.get("name"), str):
            rest["name"] = plain(rest["name"])
        if known is None:
            named = f"[{rest.get('name') or part.type}]\n\n"
            return replace(part, data=rest) if part.text else Part("text", named)
        about = {"name": known.name, "media_type": known.media_type, "width": known.width, "height": known.height}
        about = {name: value for name, value in about.items() if value is not None}
        return replace(part, data={**rest, **about, "attachment": known.id})
