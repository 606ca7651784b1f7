"""One model server, reached over HTTP: what all wires share.

A wire is a pure module that makes the request, a pure `Fold` that reads the answer, and a thin class that hands both to
a `Server`. This module moves the bytes: it checks address and key, posts, reads events or lines, keeps time, and has
`failures` name what goes wrong. It knows no vendor and no field of any answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import Any, Literal, Protocol

import msgspec

from ..addresses import AddressPolicy
from ..errors import ProviderError
from ..http import (
    AsyncClient,
    EventStream,
    HTTPError,
    Response,
    ServerSentEvent,
    is_address,
    lines,
    quoted,
    read_bytes,
    read_text,
    timeout,
)
from ..messages import StreamEvent
from ..outbound import new_client
from .failures import Failures, is_complaint, request_id

CONNECT_S = 10.0
CALL_S = 15.0
DRAIN_S = 0.25
CALL_LIMIT = 64 << 20


class Fold(Protocol):
    """One answer being read.

    Attributes:
        spoke: something that a person sees has come.
        done: nothing follows.
        request_id: what the server's headers call the request, set before the first `feed`.
    """

    spoke: bool
    done: bool
    request_id: str

    def feed(self, chunk: Any) -> Iterator[StreamEvent]:
        """The events of one chunk; raises `ProviderError` where the chunk tells a failure."""

    def finish(self, failure: ProviderError | None = None) -> Iterator[StreamEvent]:
        """The events that end the answer; `failure` is what ended it. Raises where it had not begun."""


Form = Literal["events", "lines", "once"]
# What to post after a refusal instead, or None where that would not help.
Mend = Callable[[ProviderError], Mapping[str, Any] | None]


class Server:
    """The server of one vendor, for one account.

    Args:
        name: what people call it; used in errors.
        base_url: its address, to which the wire adds paths.
        api_key: sent in `key_header`: as bearer token in ``Authorization``, as it is in any other.
        headers: sent with every request.
        pasted: the ends of an address that people paste along, and that do not belong to `base_url`.
        client: one to share, which stays open; without it the server has its own, which goes where a laptop may.
        idle_s: seconds without a byte after which the server counts as gone; a keep-alive is a byte.
        first_token_s: seconds within which an answer must begin, whatever keep-alives come. None waits for ever.
        total_s: seconds within which it must end: who drips a byte now and then is never silent.
        tells_when, address_form: see `Failures`.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None = None,
        *,
        key_header: str = "Authorization",
        tells_when: bool = False,
        address_form: str = "most end in /v1",
        headers: Mapping[str, str] | None = None,
        pasted: tuple[str, ...] = (),
        client: AsyncClient | None = None,
        idle_s: float | None = 300.0,
        first_token_s: float | None = 600.0,
        total_s: float | None = 3_600.0,
    ) -> None:
        api_key = _checked_key(name, api_key or "")
        self.name = name
        self.base_url = _checked_url(name, base_url, pasted)
        self.failures = Failures(name, self.base_url, api_key, tells_when=tells_when, address_form=address_form)
        self._headers = dict(headers or {})
        if api_key:
            self._headers[key_header] = f"Bearer {api_key}" if key_header == "Authorization" else api_key
        self._idle_s = idle_s
        self._first_token_s = first_token_s
        self._total_s = total_s
        self._own_client = client is None
        self._client = client or new_client(AddressPolicy())

    async def aclose(self) -> None:
        if self._own_client:
            await self._client.aclose()

    async def ask(
        self,
        path: str,
        body: Mapping[str, Any],
        answer: Fold,
        *,
        form: Form = "events",
        mend: Mend | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """Post `body` and fold what comes into `answer`, as `Provider.stream` does.

        Args:
            form: server-sent events, a JSON text in each line, or one JSON text.
            mend: what to post after a refusal instead; see `Mend`.
        """
        failed: ProviderError | None = None
        if form == "once":
            try:
                for chunk in await self._at_once(path, body, answer, mend):
                    for event in answer.feed(chunk):
                        yield event
            except ProviderError as error:
                failed = error
            for event in answer.finish(failed):
                yield event
            return
        begin_by, end_by = _in(self._first_token_s), _in(self._total_s)
        async with aclosing(self._chunks(path, body, answer, form, mend)) as chunks:
            try:
                while (chunk := await self._next(chunks, answer, begin_by, end_by)) is not None:
                    for event in answer.feed(chunk):
                        yield event
                    if answer.done:
                        await _drain(chunks)
                        break
            except ProviderError as error:
                failed = error
        for event in answer.finish(failed):
            yield event

    async def call(
        self,
        method: Literal["GET", "POST"],
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        model: str = "",
        limit_s: float = CALL_S,
    ) -> Any:
        """The JSON that the server answers to one request; a complaint is raised, also one with HTTP 200.

        Args:
            model: whom `body` asks; used in errors.
            limit_s: seconds for all of it.
        """
        content = None if body is None else _encoded(body)
        packed = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
        headers = {**packed, **self._typed(content), **self._headers}
        try:
            async with (
                asyncio.timeout(limit_s),
                self._client.stream(
                    method,
                    self.base_url + path,
                    content=content,
                    headers=headers,
                    timeout=timeout(limit_s, CONNECT_S),
                ) as response,
            ):
                self._check_encoding(response)
                text = await read_text(response, CALL_LIMIT)
                if not response.is_success:
                    raise self.failures.refused(response.status_code, response.headers, text, model)
        except HTTPError as error:
            raise self.failures.network(error) from error
        except TimeoutError:
            raise self.failures.no_token() from None
        told = _json(text)
        if isinstance(told, dict) and is_complaint(told):
            raise self.failures.told(told, model)
        return told

    async def _at_once(self, path: str, body: Mapping[str, Any], answer: Fold, mend: Mend | None) -> list[Any]:
        """The chunks of an answer that nobody reads before its end; mostly there is one."""
        try:
            async with asyncio.timeout(self._first_token_s):
                return [chunk async for chunk in self._chunks(path, body, answer, "once", mend)]
        except TimeoutError:
            raise self.failures.no_token() from None

    async def _next(
        self, chunks: AsyncGenerator[Any, None], answer: Fold, begin_by: float | None, end_by: float | None
    ) -> Any:
        """The next chunk, or None at the end; keep-alives are no chunks, and put nothing off."""
        try:
            async with asyncio.timeout_at(end_by if answer.spoke or begin_by is None else begin_by):
                return await anext(chunks, None)
        except TimeoutError:
            raise (self.failures.no_end() if answer.spoke else self.failures.no_token()) from None

    def _check_encoding(self, response: Response) -> None:
        """An answer that was compressed twice grows a million times: nobody asked for that."""
        if response.headers.get("content-encoding", "identity").strip().lower() not in _ENCODINGS:
            raise self.failures.unreadable()

    async def _chunks(
        self, path: str, body: Mapping[str, Any], answer: Fold, form: Form, mend: Mend | None
    ) -> AsyncGenerator[Any, None]:
        """The JSON of each event or line, or of the whole body where the server did not stream."""
        read = {"events": self._events, "lines": self._lines, "once": self._once}[form]
        # What is answered at once may be as long under way as a first token, without a byte.
        idle_s = self._first_token_s if form == "once" else self._idle_s
        wanted: Mapping[str, Any] | None = body
        while wanted is not None:
            content = _encoded(wanted)
            # Not compressed: proxies that compress hold events back.
            headers = {"Accept": _ACCEPT[form], "Accept-Encoding": "identity", **self._typed(content), **self._headers}
            try:
                async with self._client.stream(
                    "POST",
                    self.base_url + path,
                    content=content,
                    headers=headers,
                    timeout=timeout(idle_s, CONNECT_S),
                ) as response:
                    self._check_encoding(response)
                    if response.is_success:
                        answer.request_id = request_id(response.headers)
                        async with aclosing(read(response)) as chunks:
                            async for chunk in chunks:
                                yield chunk
                        return
                    text = await read_text(response)
                    refusal = self.failures.refused(
                        response.status_code, response.headers, text, str(body.get("model", ""))
                    )
            except HTTPError as error:
                raise self.failures.network(error) from error
            wanted = None if mend is None else mend(refusal)
        raise refusal

    async def _events(self, response: Response) -> AsyncGenerator[Any, None]:
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
                    raise self.failures.broke_off() if begun else self.failures.unreadable()
                begun = True
                yield chunk
        if stream.text is None:
            raise self.failures.broke_off()
        yield _json(stream.text)

    async def _lines(self, response: Response) -> AsyncGenerator[Any, None]:
        """The JSON of each line; whether the last one was the last is for the fold to know."""
        begun = False
        async with aclosing(lines(response)) as source:
            async for line in source:
                if not line.strip():
                    continue
                if (chunk := _json(line)) is None:
                    raise self.failures.broke_off() if begun else self.failures.unreadable()
                begun = True
                yield chunk

    async def _once(self, response: Response) -> AsyncGenerator[Any, None]:
        if response.headers.get("content-type", "").startswith("text/event-stream"):  # it streams all the same
            async with aclosing(self._events(response)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        told = _json(await read_bytes(response, CALL_LIMIT))
        if told is None:
            raise self.failures.unreadable()
        yield told

    @staticmethod
    def _typed(content: bytes | None) -> dict[str, str]:
        return {} if content is None else {"Content-Type": "application/json"}


# What the HTTP library can undo, at most once.
_ENCODINGS = {"identity", "gzip", "deflate"}
_ACCEPT: dict[Form, str] = {
    "once": "application/json",
    "events": "text/event-stream, application/json",
    "lines": "application/x-ndjson, application/json",
}


def _in(seconds: float | None) -> float | None:
    return None if seconds is None else asyncio.get_running_loop().time() + seconds


def _chunk(event: ServerSentEvent) -> dict[str, Any] | None:
    """The JSON of an event: empty where the event is of no kind that we know, None where it is no JSON."""
    chunk = _json(event.data)
    if event.event == "error" and not (isinstance(chunk, dict) and chunk.get("error")):
        return {"error": chunk or event.data}
    if isinstance(chunk, dict):
        return chunk
    return None if chunk is None and event.event in ("", "message") else {}


async def _drain(source: AsyncGenerator[Any, None]) -> None:
    """Read what little follows the end, so that the connection can serve the next request; do not wait for more."""
    with suppress(TimeoutError, HTTPError, ProviderError):
        async with asyncio.timeout(DRAIN_S):
            while await anext(source, None) is not None:
                continue


def _json(text: str | bytes) -> Any:
    with suppress(ValueError, RecursionError):
        return msgspec.json.decode(text)
    # What Python's own reader takes, servers do send: NaN, half a character.
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


_ENCODER = json.JSONEncoder(allow_nan=False)


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return _ENCODER.encode(body).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ProviderError(
            f"The request cannot be written as JSON: {error}.", remedy="Check its parameters.", code="provider_invalid"
        ) from None


def _checked_url(name: str, url: str, pasted: tuple[str, ...]) -> str:
    """`url` without what people paste along; a ProviderError where it is none."""
    url = url.strip().rstrip("/")
    for ending in pasted:
        url = url.removesuffix(ending).rstrip("/")
    if not is_address(url):
        raise ProviderError(
            f"The address of {name} cannot be used.",
            remedy="It is like https://api.example.com/v1 or http://localhost:8000/v1.",
            code="provider_invalid",
        )
    return quoted(url).rstrip("/")


def _checked_key(name: str, key: str) -> str:
    """`key` without blank space around it; the HTTP library would repeat an impossible one in its error."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ProviderError(
            f"The key of {name} holds characters that no key has.", remedy="Copy it again.", code="provider_auth"
        )
    return key
