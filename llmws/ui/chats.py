"""The chat page: conversations, their messages as they stream, and what a person can do with them.

The page keeps next to nothing: the service owns the conversations, a browser what it shows. Here an intent becomes
calls of the client, and their results the messages that all tabs get.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import traitlets

from ..client import Client
from ..client.assistants import found
from ..client.listings import conversation
from ..errors import InvalidRequest, NotFound, ServiceError
from ..messages import Message
from .as_code import AsCode
from .given import parameters_of
from .inputs import Inputs, said
from .library import Library
from .models import askable
from .page import STATIC, Page, intent
from .sharing import Sharing
from .streams import Streams
from .tools import Tools
from .transfer import Transfer
from .turns import Turns
from .typesetting import Typesetting

# How many messages a browser gets when it opens a chat, when it reads backwards, and at the most.
_FIRST, _SHOWN, _READ = 30, 60, 200
_PULSE_LIMIT_S = 2.5


class Chat(AsCode, Inputs, Library, Tools, Turns, Sharing, Transfer, Typesetting, Page):
    """The chat page: talk with the models of the workspace; conversations are kept.

    Args:
        client: whom to ask; by default ``llmws.connect()``.
        chat: the id of a conversation to open with.
        model: the id of the model that a new conversation begins with.
        assistant: the id or name of the assistant that a new conversation begins with.
        tools: Python functions, with type hints and docstrings, that the models may call; each call runs in this kernel
            once it is allowed on the page.
        language, theme: see `Page`.

    Raises:
        NotFound: there is no such conversation, or no such assistant.
        InvalidRequest: a function cannot be described to a model.

    Example:
        >>> page = ui.Chat(model="echo")
        >>> page.messages                        # nothing was said yet
        []
    """

    _esm = STATIC / "chats.js"
    _css = STATIC / "chats.css"
    model = traitlets.Unicode("", read_only=True).tag(sync=True)
    assistant = traitlets.Unicode("", read_only=True).tag(sync=True)

    def __init__(
        self,
        client: Client | None = None,
        *,
        chat: str | None = None,
        model: str = "",
        assistant: str = "",
        tools: Iterable[Callable[..., Any]] = (),
        **traits: Any,
    ) -> None:
        self._offer(tools)
        super().__init__(client, **traits)
        self.set_trait("model", model)
        self._api = self.client.api
        if assistant:
            self.set_trait("assistant", found(self.client.loop.run(self._api.assistants()), assistant)["id"])
        self.chat_id = None if chat is None else self.client.loop.run(self._api.chat(chat))["id"]
        self._streams = Streams(self, self._api, self._answered)

    @property
    def messages(self) -> list[Message]:
        """What was said in the conversation that the page shows, with what is being said just now."""
        return [item["message"] for item in self.client.loop.run(self._said())]

    async def _said(self) -> list[dict[str, Any]]:
        if self.chat_id is None:
            return []
        items = await conversation(partial(self._api.messages, self.chat_id))
        self._streams.flush()
        return [self._with_stream(item) for item in items]

    # What a browser asks for

    @intent
    async def start(self, view: str, *, chat: str | None = None) -> dict[str, Any]:
        """All that a fresh tab needs; `chat` is what it showed before it was reloaded, perhaps by another kernel."""
        models, chats, assistant = await asyncio.gather(
            askable(self._api), self._outside(), self._assistant(self.assistant or None)
        )
        shown = await self._snapshot_if_there(self.chat_id or chat)
        return {"models": models, "chats": chats, "chat": shown, "assistant": assistant}

    @intent
    async def pulse(self, view: str) -> dict[str, Any]:
        """Whether the service is there, and what is new."""
        try:
            async with asyncio.timeout(_PULSE_LIMIT_S):
                models, chats = await asyncio.gather(askable(self._api), self._outside())
        except TimeoutError:
            raise ServiceError("The service does not answer.", remedy="See `llmws status`.") from None
        return {"models": models, "chats": chats}

    @intent
    async def show(self, view: str, *, id: str | None) -> dict[str, Any]:
        # Before it is read: of two that are shown at once the last counts, whichever comes first.
        self.chat_id = id
        return await self._snapshot(id) if id is not None else {}

    @intent
    async def earlier(self, view: str, *, id: str, cursor: str, limit: int = _SHOWN) -> dict[str, Any]:
        return await self._page_of(id, cursor, min(max(limit, 1), _READ))

    @intent
    async def say(
        self,
        view: str,
        *,
        text: str,
        key: str,
        chat: str | None = None,
        model: str | None = None,
        parameters: dict[str, Any] | None = None,
        system: str | None = None,
        assistant: str | None = None,
        attachments: list[dict[str, Any]] | None = None,
        temporary: bool = False,
    ) -> dict[str, Any]:
        """Say `text`, in a new conversation where `chat` is None. A repeated `key` is the same message."""
        parts = said(text, attachments)
        if chat is None:
            if model is None:
                raise InvalidRequest("There is no model to ask.", remedy="Choose one below the text.")
            settings = parameters_of(parameters)
            made = await self._api.create_chat(
                model,
                system=system,
                parameters=settings,
                key=f"{key}-chat",
                assistant=assistant,
                temporary=temporary or None,
            )
            chat = made["id"]
        self._spoke(chat)
        sent = await self._api.send(chat, parts, model=model, key=key, tools=self._toolbox.tools)
        return await self._begun(view, chat, sent)

    @intent
    async def change(
        self,
        view: str,
        *,
        id: str,
        title: str | None = None,
        model: str | None = None,
        parameters: dict[str, Any] | None = None,
        system: str | None = None,
    ) -> dict[str, Any]:
        changes = {"title": title, "model": model, "parameters": parameters_of(parameters), "system": system}
        given = {name: value for name, value in changes.items() if value is not None}
        return self._share(view, await self._api.update_chat(id, **given))

    @intent
    async def stop(self, view: str, *, generation: str) -> None:
        await self._api.cancel(generation)

    # What they have in common

    @property
    def tools_in_code(self) -> list[str]:
        return [tool.name for tool in self._toolbox.tools]

    def _share(self, view: str, chat: dict[str, Any]) -> dict[str, Any]:
        self.tell("chat", view, chat=chat)
        return chat

    async def _snapshot_if_there(self, id: str | None) -> dict[str, Any] | None:
        self.chat_id = id
        try:
            return await self._snapshot(id) if id is not None else None
        except (NotFound, InvalidRequest):
            # Another may have been opened meanwhile.
            if self.chat_id == id:
                self.chat_id = None
            return None

    async def _snapshot(self, id: str) -> dict[str, Any]:
        """A conversation and its latest messages, as they are now."""
        chat, page = await asyncio.gather(self._api.chat(id), self._api.messages(id, limit=_FIRST))
        if chat["running"]:
            self._streams.follow(chat["running"])
        # From here to the reply nothing is awaited: what is told in between would be missing on the page.
        self._streams.flush()
        items = [self._with_stream(item) for item in page["items"]]
        calls = self.calls(items[-1] if items else None)
        return {"chat": chat, "messages": items, "next_cursor": page["next_cursor"], "calls": calls}

    async def _page_of(self, id: str, cursor: str | None, limit: int) -> dict[str, Any]:
        page = await self._api.messages(id, limit=limit, cursor=cursor)
        self._streams.flush()
        return {"messages": [self._with_stream(item) for item in page["items"]], "next_cursor": page["next_cursor"]}

    def _with_stream(self, item: dict[str, Any]) -> dict[str, Any]:
        """The stored message, or what its generation has said since."""
        live = None if item["message"].finish_reason else self._streams.message(item["generation_id"])
        return item if live is None else {**item, "message": live}
