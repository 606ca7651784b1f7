"""A client without a service: the same asynchronous methods over a few dicts, for the page's unit tests."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from llmws.client.bridge import bridge
from llmws.errors import Conflict, NotFound, ServiceError
from llmws.messages import Message, Parameters, StreamEvent, Timing, Tool, Usage, assemble, cut

MODELS = [
    {
        "id": "smollm2-135m",
        "name": "SmolLM2 135M",
        "provider": "embedded",
        "context": 8192,
        "state": "ready",
        "reason": "",
    },
    {"id": "echo", "name": "Echo", "provider": "echo", "context": 1_000_000, "state": "ready", "reason": ""},
]


class FakeApi:
    """Answers word by word what was asked, or `script`; `pause_s` between words, `away` refuses everything."""

    def __init__(self) -> None:
        self.away = False
        self.pause_s = 0.0
        self.script: list[StreamEvent] | None = None
        self.calls: list[tuple[str, Any]] = []
        self._chats: dict[str, dict[str, Any]] = {}
        self._deleted: dict[str, dict[str, Any]] = {}
        self._messages: dict[str, list[dict[str, Any]]] = {}
        self._generations: dict[str, dict[str, Any]] = {}

    async def models(self) -> list[dict[str, Any]]:
        self._check("models")
        return [dict(model) for model in MODELS]

    async def chats(
        self,
        limit: int = 50,
        cursor: str | None = None,
        query: str | None = None,
        folder: str | None = None,
        tag: str | None = None,
        archived: bool | None = None,
    ) -> dict[str, Any]:
        self._check("chats")
        among = [chat for chat in self._chats.values() if bool(archived) == chat.get("archived", False)]
        among = [chat for chat in among if folder in (None, chat.get("folder", ""))]
        among = [chat for chat in among if tag is None or tag in chat.get("tags", [])]
        found = [chat for chat in among if (query or "").lower() in chat["title"].lower()]
        found.sort(key=lambda chat: -chat["updated_at"])
        begin = int(cursor or 0)
        following = str(begin + limit) if len(found) > begin + limit else None
        return {"items": [self._told(chat["id"]) for chat in found[begin : begin + limit]], "next_cursor": following}

    async def create_chat(
        self,
        model: str,
        title: str | None = None,
        system: str | None = None,
        parameters: Parameters | None = None,
        key: str | None = None,
        assistant: str | None = None,
        temporary: bool | None = None,
    ) -> dict[str, Any]:
        self._check("create_chat", key)
        chat_id = uuid.uuid5(uuid.NAMESPACE_URL, key or uuid.uuid4().hex).hex
        if chat_id not in self._chats:
            now = time.time()
            settings = (parameters or Parameters()).to_dict()
            told = {"id": chat_id, "title": title or "", "model": model, "system": system or "", "parameters": settings}
            told |= {"assistant_id": assistant, "temporary": bool(temporary)}
            self._chats[chat_id] = {**told, "created_at": now, "updated_at": now, "running": None}
            self._messages[chat_id] = []
        return self._told(chat_id)

    async def chat(self, chat_id: str) -> dict[str, Any]:
        self._check("chat", chat_id)
        return self._told(chat_id)

    async def update_chat(self, chat_id: str, **changes: Any) -> dict[str, Any]:
        self._check("update_chat", changes)
        if isinstance(changes.get("parameters"), Parameters):
            changes["parameters"] = changes["parameters"].to_dict()
        self._known(chat_id).update(changes, updated_at=time.time())
        return self._told(chat_id)

    async def folders(self) -> list[dict[str, Any]]:
        return self._headings([chat.get("folder", "") for chat in self._chats.values()])

    async def chat_tags(self) -> list[dict[str, Any]]:
        return self._headings([tag for chat in self._chats.values() for tag in chat.get("tags", [])])

    async def rename_folder(self, folder: str, to: str) -> dict[str, Any]:
        moved = [chat for chat in self._chats.values() if chat.get("folder") == folder]
        for chat in moved:
            chat["folder"] = to
        return {"name": to, "moved": len(moved)}

    def _headings(self, names: Sequence[str]) -> list[dict[str, Any]]:
        return [{"name": name, "chats": names.count(name)} for name in sorted({*names} - {""})]

    async def delete_chat(self, chat_id: str) -> None:
        self._check("delete_chat", chat_id)
        self._deleted[chat_id] = self._known(chat_id)
        del self._chats[chat_id]

    async def restore_chat(self, chat_id: str) -> dict[str, Any]:
        self._check("restore_chat", chat_id)
        self._chats[chat_id] = self._deleted.pop(chat_id)
        return self._told(chat_id)

    async def messages(self, chat_id: str, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        self._check("messages", chat_id)
        self._known(chat_id)
        everything = self._messages[chat_id]
        end = int(cursor) if cursor else len(everything)
        begin = max(0, end - limit)
        return {"items": [dict(item) for item in everything[begin:end]], "next_cursor": str(begin) if begin else None}

    async def send(
        self,
        chat_id: str,
        text: str,
        model: str | None = None,
        parameters: Parameters | None = None,
        key: str | None = None,
        replaces: str | None = None,
        tools: Sequence[Tool] = (),
        tool_results: Sequence[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        self._check("send", key)
        self.tools = tools
        chat = self._known(chat_id)
        if chat["running"]:
            raise Conflict("This chat is being answered already.", remedy="Wait for the answer, or stop it.")
        generation = {
            "id": uuid.uuid4().hex,
            "chat_id": chat_id,
            "events": [],
            "cancelled": False,
            "more": asyncio.Event(),
        }
        asked = self._append(chat_id, Message.user(text), None)
        answer = self._append(chat_id, Message("assistant"), generation["id"])
        chat.update(title=chat["title"] or text[:60], updated_at=time.time(), running=generation["id"])
        self._generations[generation["id"]] = generation
        told = {**answer}
        generation["task"] = asyncio.create_task(self._generate(generation, answer, model or chat["model"], text))
        return {"message": asked, "answer": told, "generation": {"id": generation["id"]}}

    async def cancel(self, generation_id: str) -> None:
        self._check("cancel", generation_id)
        self._generations[generation_id]["cancelled"] = True

    async def events(self, generation_id: str, after: int = 0) -> AsyncIterator[tuple[int, StreamEvent]]:
        self._check("events", generation_id)
        generation, position = self._generations[generation_id], after
        while True:
            generation["more"].clear()
            for number, event in list(cut(generation["events"], position)):
                position = number
                yield number, event
                if event.type == "end":
                    return
            await generation["more"].wait()

    async def ticket(self, action: str, thing: str) -> dict[str, Any]:
        self._check("ticket", thing)
        return {"ticket": "t", "path": f"{thing}/download?ticket=t", "expires_at": time.time() + 600}

    async def _generate(self, generation: dict[str, Any], answer: dict[str, Any], model: str, text: str) -> None:
        words = [StreamEvent("text", text=word) for word in text.split(" ")] if self.script is None else self.script
        said, began = 0, time.monotonic()
        self._say(generation, StreamEvent("start", model=model))
        for event in words:
            await asyncio.sleep(self.pause_s)
            if generation["cancelled"]:
                break
            said += 1
            self._say(generation, event)
        self._say(generation, StreamEvent("usage", usage=Usage(len(text.split()), said)))
        reason = "cancelled" if generation["cancelled"] else "stop"
        timing = Timing(self.pause_s, None, time.monotonic() - began)
        end = StreamEvent("end", finish_reason=reason, timing=timing)  # type: ignore[arg-type]
        answer["message"] = assemble([*generation["events"], end])
        self._chats.get(generation["chat_id"], {})["running"] = None
        self._say(generation, end)

    def _say(self, generation: dict[str, Any], event: StreamEvent) -> None:
        generation["events"].append(event)
        generation["more"].set()

    def _append(self, chat_id: str, message: Message, generation_id: str | None) -> dict[str, Any]:
        own = uuid.uuid4().hex
        item = {"id": own, "parent_id": None, "siblings": [own], "generation_id": generation_id}
        item |= {"created_at": time.time(), "message": message}
        self._messages[chat_id].append(item)
        return item

    def _known(self, chat_id: str) -> dict[str, Any]:
        if chat_id not in self._chats:
            raise NotFound("There is no such chat.", remedy="It may have been deleted.")
        return self._chats[chat_id]

    def _told(self, chat_id: str) -> dict[str, Any]:
        return dict(self._known(chat_id))

    def _check(self, name: str, argument: Any = None) -> None:
        self.calls.append((name, argument))
        if self.away:
            raise ServiceError("The service does not answer.", remedy="See `llmws status`.")


class FakeClient:
    """What a page wants of a client: `api`, and the real bridge as `loop`."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.loop = bridge()
