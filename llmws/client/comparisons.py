"""One question to several models at once, from a cell: what `Client.compare` does.

The service runs the answers and keeps each apart from the others; this module asks, waits, says how far it is, and
makes a table of what came.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import from_dict
from ..messages import Message, Parameters
from .answers import begun, given_up
from .api import Api
from .listings import table
from .origin import of_cell
from .progress import follow

if TYPE_CHECKING:
    import pandas

    from .client import Client

COLUMNS = ["model", "text", "first_token_s", "tokens_per_s", "usage", "cost", "error", "repeat", "finish_reason"]
_TICK_S = 0.25
# A stream for each of a hundred answers would take the connections of everything else.
_FOLLOWED = 8


class Comparing:
    """One comparison, from asking for it to its table.

    Args:
        ask: posts the question and returns the comparison.
    """

    def __init__(self, api: Api, ask: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._api = api
        self._ask = ask
        self._id: str | None = None

    async def progress(self) -> AsyncGenerator[tuple[int, int]]:
        """Ask, and yield how many answers of how many have ended. Leaving before the end cancels all in the service."""
        comparison = await begun(self._ask, self._api.cancel_comparison)
        self._id, total = comparison["id"], len(comparison["items"])
        gate = asyncio.Semaphore(_FOLLOWED)
        following = {
            asyncio.create_task(self._follow(item["generation_id"], gate))
            for item in comparison["items"]
            if item["state"] == "running"
        }
        try:
            while following:
                yield total - len(following), total
                done, following = await asyncio.wait(following, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            yield total, total
        except (asyncio.CancelledError, GeneratorExit):
            if following:
                await given_up(self._api.cancel_comparison(comparison["id"]))
            raise
        finally:
            for task in following:
                task.cancel()

    async def items(self) -> list[dict[str, Any]]:
        """The answers as the service stored them."""
        assert self._id is not None, "only after `progress`"
        items: list[dict[str, Any]] = (await self._api.comparison(self._id))["items"]
        return items

    async def _follow(self, generation_id: str, gate: asyncio.Semaphore) -> None:
        async with gate, contextlib.aclosing(self._api.events(generation_id)) as events:
            async for _ in events:
                pass


def compare(
    client: Client,
    prompt: str | Sequence[Message],
    models: Sequence[str],
    repeat: int,
    system: str | None,
    parameters: Parameters | None,
    show: bool,
) -> pandas.DataFrame:
    """See `Client.compare`."""
    asked = [Message.user(prompt)] if isinstance(prompt, str) else list(prompt)
    wanted = [models] if isinstance(models, str) else list(models)
    origin = of_cell()

    async def ask() -> dict[str, Any]:
        return await client.api.create_comparison(
            wanted, messages=asked, system=system, repeat=repeat, parameters=parameters, origin=origin
        )

    began = time.monotonic()

    def line(state: tuple[int, int]) -> str:
        ended, total = state
        return f"{ended} of {total} answer{'' if total == 1 else 's'} in {time.monotonic() - began:.1f} s"

    comparing = Comparing(client.api, ask)
    follow(client.loop, comparing.progress(), line, show)
    return table(map(_row, client.run(comparing.items())), COLUMNS)


def _row(item: dict[str, Any]) -> dict[str, Any]:
    message: Message = item["message"] or Message("assistant")
    return {
        "model": item["model"],
        "text": message.text,
        "first_token_s": message.timing.first_token_s if message.timing else None,
        "tokens_per_s": message.tokens_per_s,
        "usage": message.usage,
        "cost": message.cost,
        "error": str(from_dict(item["error"])) if item["error"] else None,
        "repeat": item["repeat"],
        "finish_reason": item["finish_reason"],
    }
