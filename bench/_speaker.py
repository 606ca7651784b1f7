"""A model server that says numbered words at a steady rate, and notes when it wrote which."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice

TOKENS_PER_S = 500
MODELS = ("one", "two", "three")
NUMBER = re.compile(r"w(\d{5})")


def words() -> Iterator[str]:
    """Numbered words in Markdown as a model writes it: headings, paragraphs, lists, code, a table, over and over.

    Example:
        >>> list(islice(words(), 3))
        ['## w00000', ' w00001', ' w00002']
    """
    numbers = count()
    word = map("w{:05d}".format, numbers)
    while True:
        yield f"## {next(word)}"
        yield from (f" {one}" for one in islice(word, 5))
        for _ in range(2):
            yield f"\n\n{next(word)}"
            for place in range(60):
                before, after = {17: (" **", ""), 19: (" ", "**"), 31: (" `", "`"), 41: (" *", "*")}.get(
                    place, (" ", "")
                )
                yield f"{before}{next(word)}{after}{',' if place % 9 == 4 else ''}"
            yield "."
        for item in range(6):
            yield ("\n" if item else "\n\n") + f"- {next(word)}"
            yield from (f" {one}" for one in islice(word, 8))
        yield f"\n\n```python\ndef {next(word)}("
        yield f"{next(word)}):"
        for _ in range(12):
            yield f"\n    {next(word)} ="
            yield from (f" {sign}{next(word)}" for sign in ("", "+ ", "* "))
        yield "\n```\n\n"
        yield f"| {next(word)} | {next(word)} |\n|---|---|\n"
        for _ in range(6):
            yield f"| {next(word)} "
            yield f"| {next(word)} |\n"
        yield "\n"


@dataclass
class Speaker:
    """The scripted model server: `written` has, for each model, when it wrote the word of each number."""

    port: int = 0
    written: dict[str, list[float]] = field(default_factory=dict)
    speaking: set[str] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        threading.Thread(target=self._loop.run_forever, name="speaker", daemon=True).start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(found[1]) if (found := re.search(r"content-length: (\d+)", head)) else 0
            asked = await reader.readexactly(size)
            await self._answer(writer, json.loads(asked)["model"] if asked else None)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked hung up: that is how Stop ends an answer
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, model: str | None) -> None:
        kind = "text/event-stream" if model else "application/json"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode())
        if model is None:
            writer.write(json.dumps({"object": "list", "data": [{"id": name} for name in MODELS]}).encode())
            await writer.drain()
            return
        written = self.written[model] = []
        self.speaking.add(model)
        begun = self._loop.time()
        try:
            for index, word in enumerate(words()):
                await asyncio.sleep(begun + index / TOKENS_PER_S - self._loop.time())
                delta = {"index": 0, "delta": {"content": word}, "finish_reason": None}
                chunk = {"id": "bench", "object": "chat.completion.chunk", "model": model, "choices": [delta]}
                now = time.monotonic()
                writer.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                written += [now] * len(NUMBER.findall(word))
                await writer.drain()
        finally:
            self.speaking.discard(model)
