"""The OpenAI chat completions wire, which most model servers speak, each a little differently.

What differs is data (`Quirks`, from a row of the catalogue), never a branch on a vendor's name. This module moves the
bytes; the request is made in `openai_request`, the answer folded in `openai_answer`, a failure named in `failures`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from fnmatch import fnmatch
from typing import Any

from ..errors import ProviderError
from ..http import AsyncClient, EventStream, HTTPError, ServerSentEvent, is_address, new_client, read_text, timeout
from ..messages import StreamEvent
from .base import CompletionRequest, ModelInfo
from .failures import Failures, is_complaint
from .openai_answer import Answer
from .openai_request import Quirks, request_body, unheard

__all__ = ["OpenAIChat", "Quirks"]

CONNECT_S = 10.0
LIST_S = 15.0
DRAIN_S = 0.25
LIST_LIMIT = 16 << 20


class OpenAIChat:
    """A model server that speaks OpenAI chat completions; see `Provider`.

    Args:
        name: what people call it; used in errors.
        base_url: the address before ``/chat/completions``; most end in ``/v1``.
        api_key: sent as bearer token.
        client: one to share, which stays open; without it the provider has its own.
        idle_s: seconds without a byte after which the server counts as gone; a keep-alive is a byte.
        first_token_s: seconds within which the answer must begin, whatever keep-alives come. None waits for ever.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None = None,
        *,
        quirks: Quirks | None = None,
        client: AsyncClient | None = None,
        idle_s: float | None = 300.0,
        first_token_s: float | None = 600.0,
    ) -> None:
        self.name = name
        api_key = _checked_key(name, api_key or "")
        self._base_url = _checked_url(name, base_url)
        self._failures = Failures(name, self._base_url, api_key)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._quirks = quirks or Quirks()
        self._idle_s = idle_s
        self._first_token_s = first_token_s
        self._own_client = client is None
        self._client = client or new_client()

    async def aclose(self) -> None:
        if self._own_client:
            await self._client.aclose()

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        body = _encoded(request_body(request, self._quirks))
        answer = Answer(
            request.model,
            self._failures,
            opens_in_reasoning=any(fnmatch(request.model.lower(), it) for it in self._quirks.opens_in_reasoning),
            warnings=tuple(unheard(request.parameters, self._quirks)),
        )
        due = None if self._first_token_s is None else asyncio.get_running_loop().time() + self._first_token_s
        failed: ProviderError | None = None
        async with aclosing(self._chunks(body, request.model)) as chunks:
            try:
                while (chunk := await self._next(chunks, None if answer.spoke else due)) is not None:
                    for event in answer.feed(chunk):
                        yield event
            except ProviderError as error:
                failed = error
        for event in answer.finish(failed):
            yield event

    async def models(self) -> list[ModelInfo]:
        """What the server lists. Not every server has a list; then the error is ``provider_not_found``."""
        headers = {"Accept": "application/json", **self._headers}
        try:
            async with (
                asyncio.timeout(LIST_S),
                self._client.stream(
                    "GET", f"{self._base_url}/models", headers=headers, timeout=timeout(LIST_S, CONNECT_S)
                ) as response,
            ):
                text = await read_text(response, LIST_LIMIT)
                if not response.is_success:
                    raise self._failures.refused(response.status_code, response.headers, text, "")
        except HTTPError as error:
            raise self._failures.network(error) from error
        except TimeoutError:
            raise self._failures.no_token() from None
        listed = _json(text)
        if isinstance(listed, dict) and is_complaint(listed):
            raise self._failures.told(listed, "")
        if isinstance(listed, dict):
            listed = listed.get("data", listed.get("models"))
        if not isinstance(listed, list):
            raise self._failures.unreadable()
        return [_model(row) for row in listed if isinstance(row, dict) and isinstance(row.get("id"), str)]

    async def _next(self, chunks: AsyncGenerator[Any, None], due: float | None) -> Any:
        """The next chunk, or None at the end; keep-alives are no chunks, so they do not move `due`."""
        try:
            async with asyncio.timeout_at(due):
                return await anext(chunks, None)
        except TimeoutError:
            raise self._failures.no_token() from None

    async def _chunks(self, body: bytes, model: str) -> AsyncGenerator[Any, None]:
        """The JSON of each event, or of the whole body where the server did not stream."""
        # Not compressed: proxies that compress hold events back.
        headers = {
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            **self._headers,
        }
        try:
            async with self._client.stream(
                "POST",
                f"{self._base_url}/chat/completions",
                content=body,
                headers=headers,
                timeout=timeout(self._idle_s, CONNECT_S),
            ) as response:
                if not response.is_success:
                    text = await read_text(response)
                    raise self._failures.refused(response.status_code, response.headers, text, model)
                stream = EventStream(response)
                begun = False
                async with aclosing(stream.events()) as events:
                    async for event in events:
                        if event.data.strip() == "[DONE]":
                            await _drain(events)
                            return
                        if not event.data.strip():
                            continue
                        if (chunk := _chunk(event)) is None:
                            raise self._failures.broke_off() if begun else self._failures.unreadable()
                        begun = True
                        yield chunk
                if stream.text is None:
                    raise self._failures.broke_off()
                yield _json(stream.text)
        except HTTPError as error:
            raise self._failures.network(error) from error


def _chunk(event: ServerSentEvent) -> dict[str, Any] | None:
    """The JSON of an event: empty where the event is of no kind that we know, None where it is no JSON."""
    chunk = _json(event.data)
    if event.event == "error" and not (isinstance(chunk, dict) and chunk.get("error")):
        return {"error": chunk or event.data}
    if isinstance(chunk, dict):
        return chunk
    return None if chunk is None and event.event in ("", "message") else {}


async def _drain(events: AsyncGenerator[ServerSentEvent, None]) -> None:
    """Read what little follows ``[DONE]``, so that the connection can serve the next request; do not wait for more."""
    with suppress(TimeoutError, HTTPError):
        async with asyncio.timeout(DRAIN_S):
            while await anext(events, None):
                continue


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ProviderError(
            f"The request cannot be written as JSON: {error}.", remedy="Check its parameters.", code="provider_invalid"
        ) from None


def _model(row: Mapping[str, Any]) -> ModelInfo:
    """A row of ``GET /models``; the names are vLLM's, OpenRouter's, LM Studio's, Groq's and llama.cpp's."""
    meta = row["meta"] if isinstance(row.get("meta"), dict) else {}
    about = row["architecture"] if isinstance(row.get("architecture"), dict) else {}
    sizes = [row.get(name) for name in ("max_model_len", "context_length", "max_context_length", "context_window")]
    sizes += [meta.get("n_ctx"), meta.get("n_ctx_train")]
    takes, knows = about.get("input_modalities"), row.get("supported_parameters")
    names = [name for name in (row.get("name"), row.get("display_name"), row["id"]) if isinstance(name, str) and name]
    return ModelInfo(
        row["id"],
        names[0],
        context=next((size for size in sizes if isinstance(size, int) and size > 0), None),
        vision="image" in takes if isinstance(takes, list) else None,
        tools="tools" in knows if isinstance(knows, list) else None,
        reasoning="reasoning" in knows if isinstance(knows, list) else None,
        base=row["parent"] if isinstance(row.get("parent"), str) else None,
    )


def _checked_url(name: str, url: str) -> str:
    """`url` without what people paste along; a ProviderError where it is none."""
    url = url.strip().rstrip("/").removesuffix("/chat/completions").rstrip("/")
    if not is_address(url):
        raise ProviderError(
            f"The address of {name} cannot be used.",
            remedy="It is like https://api.example.com/v1 or http://localhost:8000/v1.",
            code="provider_invalid",
        )
    return url


def _checked_key(name: str, key: str) -> str:
    """`key` without blank space around it; the HTTP library would repeat an impossible one in its error."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ProviderError(
            f"The key of {name} holds characters that no key has.", remedy="Copy it again.", code="provider_auth"
        )
    return key
