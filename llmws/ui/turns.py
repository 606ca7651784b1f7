"""The part of the chat page that goes back to what was said: says it differently, asks again, goes on, looks elsewhere.

An intent that begins an answer takes a `key`, and is the same request however often it is repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client.tools import Toolbox
from ..messages import Part
from .page import intent
from .streams import Streams

if TYPE_CHECKING:
    from ..client.api import Api

# What is not words, and stays with a question that is said differently.
_ATTACHED = ("image", "file")
_AT_ONCE = 200


class Turns:
    """What `Chat` is made with."""

    _api: Api
    _streams: Streams
    _toolbox: Toolbox
    chat_id: str | None

    if TYPE_CHECKING:

        def tell(self, type: str, view: str | None = None, **content: Any) -> None: ...
        def _spoke(self, chat: str) -> None: ...
        def _with_stream(self, item: dict[str, Any]) -> dict[str, Any]: ...
        async def _snapshot(self, id: str) -> dict[str, Any]: ...
        async def _page_of(self, id: str, cursor: str | None, limit: int) -> dict[str, Any]: ...

    @intent
    async def edit(
        self, view: str, *, chat: str, message: str, text: str, key: str, model: str | None = None
    ) -> dict[str, Any]:
        """Say a question differently; what was attached to it stays."""
        before = (await self._api.message(chat, message))["message"]
        attached = [part for part in before.parts if part.type in _ATTACHED]
        said = [*attached, Part("text", text)] if attached else text
        self._spoke(chat)
        sent = await self._api.send(chat, said, model=model, key=key, replaces=message, tools=self._toolbox.tools)
        return await self._begun(view, chat, sent)

    @intent
    async def regenerate(
        self, view: str, *, chat: str, message: str, key: str, model: str | None = None
    ) -> dict[str, Any]:
        """Ask for another answer in this one's place."""
        self._spoke(chat)
        sent = await self._api.regenerate(chat, message, model, key=key, tools=self._toolbox.tools)
        return await self._begun(view, chat, sent)

    @intent
    async def resume(self, view: str, *, chat: str, message: str, key: str, model: str | None = None) -> dict[str, Any]:
        """Ask for the rest of an answer that was cut off."""
        self._spoke(chat)
        sent = await self._api.resume_answer(chat, message, model, key=key, tools=self._toolbox.tools)
        return await self._begun(view, chat, sent)

    @intent
    async def select(self, view: str, *, chat: str, message: str) -> dict[str, Any]:
        """Show the branch that a message is on, from that message on at least."""
        # Before it is asked for: of two conversations that are shown at once the last counts, whichever is read first.
        self.chat_id = chat
        await self._api.select(chat, message)
        self.tell("branched", view, id=chat)
        shown = await self._snapshot(chat)
        while shown["next_cursor"] and not any(item["id"] == message for item in shown["messages"]):
            page = await self._page_of(chat, shown["next_cursor"], _AT_ONCE)
            shown |= {"messages": page["messages"] + shown["messages"], "next_cursor": page["next_cursor"]}
        # As they are now: an answer may have gone on meanwhile.
        self._streams.flush()
        return {**shown, "messages": [self._with_stream(item) for item in shown["messages"]]}

    @intent
    async def written_by(self, view: str, *, generation: str) -> str:
        """The id of the message that a generation writes."""
        message_id: str = (await self._api.generation(generation))["message_id"]
        return message_id

    @intent
    async def about(self, view: str, *, id: str) -> dict[str, Any]:
        """A conversation with what it came to: an answer has ended in it."""
        return await self._api.chat(id)

    @intent
    async def titles(self, view: str, *, wanted: bool) -> dict[str, Any]:
        """Let a model name one's conversations from now on, or not."""
        return await self._api.update_me(automatic_titles=wanted)

    async def _begun(self, view: str | None, chat: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Follow the answer that was begun, and tell all tabs what stands below what now."""
        known = await self._api.chat(chat)
        if view is not None:
            self.chat_id = chat
        self._streams.follow(sent["generation"]["id"])
        asked = [] if sent["message"] is None else [sent["message"]]
        told = {"chat": known, "items": [*asked, self._with_stream(sent["answer"])]}
        self.tell("appended", view, **told)
        return told
