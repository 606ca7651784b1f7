"""The part of `Api` that speaks of conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from ..messages import Parameters, Part, Tool
from .bodies import decoded, said, segment, told_tools
from .origin import of_page
from .requests import Requests


class Asked(TypedDict, total=False):
    """What an answer that is asked for again takes besides, see `ChatRoutes.send`."""

    parameters: Parameters | None
    key: str | None
    origin: Mapping[str, str] | None
    tools: Sequence[Tool]


class ChatRoutes:
    """Routes as methods, one each, see `Api`."""

    async def chats(
        self: Requests,
        limit: int = 50,
        cursor: str | None = None,
        query: str | None = None,
        folder: str | None = None,
        tag: str | None = None,
        archived: bool | None = None,
    ) -> dict[str, Any]:
        """GET /api/chats: a page, pinned ones first, then newest first, as ``{"items", "next_cursor"}``."""
        among = {"query": query, "folder": folder, "tag": tag, "archived": archived}
        return await self._request("GET", "/api/chats", params={"limit": limit, "cursor": cursor, **among})

    async def folders(self: Requests) -> list[dict[str, Any]]:
        """GET /api/chats/folders: their names, and how many ``chats`` each has."""
        return (await self._request("GET", "/api/chats/folders"))["items"]

    async def rename_folder(self: Requests, folder: str, to: str) -> dict[str, Any]:
        """POST /api/chats/folders/rename; to ``""`` its chats are in none, as ``{"name", "moved"}``."""
        return await self._request("POST", "/api/chats/folders/rename", json={"folder": folder, "to": to})

    async def chat_tags(self: Requests) -> list[dict[str, Any]]:
        """GET /api/chats/tags: their names, and how many ``chats`` each has."""
        return (await self._request("GET", "/api/chats/tags"))["items"]

    async def create_chat(
        self: Requests,
        model: str | None = None,
        title: str | None = None,
        system: str | None = None,
        parameters: Parameters | None = None,
        key: str | None = None,
        assistant: str | None = None,
        temporary: bool | None = None,
    ) -> dict[str, Any]:
        """POST /api/chats; what is None is the `assistant`'s, where one is named."""
        body: dict[str, Any] = {"model": model, "title": title, "system": system, "parameters": parameters}
        body |= {"assistant_id": assistant, "temporary": temporary}
        return await self._request("POST", "/api/chats", json=said(body), key=key)

    async def chat(self: Requests, chat_id: str) -> dict[str, Any]:
        """GET /api/chats/{id}."""
        return await self._request("GET", f"/api/chats/{segment(chat_id)}")

    async def update_chat(self: Requests, chat_id: str, **changes: Any) -> dict[str, Any]:
        """PATCH /api/chats/{id}: `title`, `model`, `system`, `parameters`, `folder`, `tags`, `pinned`, `archived`."""
        body = {name: value.to_dict() if isinstance(value, Parameters) else value for name, value in changes.items()}
        return await self._request("PATCH", f"/api/chats/{segment(chat_id)}", json=body)

    async def delete_chat(self: Requests, chat_id: str) -> None:
        """DELETE /api/chats/{id}; `restore_chat` undoes it."""
        await self._request("DELETE", f"/api/chats/{segment(chat_id)}")

    async def restore_chat(self: Requests, chat_id: str) -> dict[str, Any]:
        """POST /api/chats/{id}/restore."""
        return await self._request("POST", f"/api/chats/{segment(chat_id)}/restore")

    async def messages(self: Requests, chat_id: str, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """GET /api/chats/{id}/messages: a page, oldest first; the newest page first, `next_cursor` leads to older."""
        path = f"/api/chats/{segment(chat_id)}/messages"
        page = await self._request("GET", path, params={"limit": limit, "cursor": cursor})
        return {**page, "items": [decoded(item) for item in page["items"]]}

    async def send(
        self: Requests,
        chat_id: str,
        text: str | Sequence[Part] | None,
        model: str | None = None,
        parameters: Parameters | None = None,
        key: str | None = None,
        origin: Mapping[str, str] | None = None,
        replaces: str | None = None,
        tools: Sequence[Tool] = (),
        tool_results: Sequence[Mapping[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """POST /api/chats/{id}/messages: ask, and get ``{"message", "answer", "generation"}`` at once.

        Args:
            text: what is said, or its parts, where pictures and files are named by their ids; None for results.
            tools: the functions that the model may call.
            tool_results: what came of the calls that the last answer made, each ``{"id", "text", "error", "denied"}``.
        """
        body = said({"model": model, "parameters": parameters, "replaces": replaces, "tool_results": tool_results})
        if text is not None:
            body |= {"text": text} if isinstance(text, str) else {"parts": [part.to_dict() for part in text]}
        body |= told_tools(tools)
        return await _begun(self, f"/api/chats/{segment(chat_id)}/messages", body, key, origin)

    async def message(self: Requests, chat_id: str, message_id: str) -> dict[str, Any]:
        """GET /api/chats/{id}/messages/{message_id}."""
        return decoded(await self._request("GET", _of(chat_id, message_id)))

    async def regenerate(
        self: Requests, chat_id: str, message_id: str, model: str | None = None, **asked: Unpack[Asked]
    ) -> dict[str, Any]:
        """POST /api/chats/{id}/messages/{message_id}/regenerate: like `send`, without a ``message``."""
        return await _again(self, f"{_of(chat_id, message_id)}/regenerate", model, **asked)

    async def resume_answer(
        self: Requests, chat_id: str, message_id: str, model: str | None = None, **asked: Unpack[Asked]
    ) -> dict[str, Any]:
        """POST /api/chats/{id}/messages/{message_id}/continue: like `regenerate`."""
        return await _again(self, f"{_of(chat_id, message_id)}/continue", model, **asked)

    async def select(self: Requests, chat_id: str, message_id: str) -> dict[str, Any]:
        """POST /api/chats/{id}/messages/{message_id}/select: show the branch that a message is on; the chat."""
        return await self._request("POST", f"{_of(chat_id, message_id)}/select")


def _of(chat_id: str, message_id: str) -> str:
    return f"/api/chats/{segment(chat_id)}/messages/{segment(message_id)}"


async def _again(
    api: Requests,
    path: str,
    model: str | None,
    parameters: Parameters | None = None,
    key: str | None = None,
    origin: Mapping[str, str] | None = None,
    tools: Sequence[Tool] = (),
) -> dict[str, Any]:
    body = said({"model": model, "parameters": parameters}) | told_tools(tools)
    return await _begun(api, path, body, key, origin)


async def _begun(
    api: Requests, path: str, body: dict[str, Any], key: str | None, origin: Mapping[str, str] | None
) -> dict[str, Any]:
    headers = of_page() if origin is None else origin
    sent = await api._request("POST", path, json=body, key=key, headers=headers)
    message = sent["message"]
    return {**sent, "message": message and decoded(message), "answer": decoded(sent["answer"])}
