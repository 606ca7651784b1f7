"""The compare page: one question to several models at once, their answers side by side.

Each answer is a generation of its own, followed like those of a chat, so what one model does is no concern of the
others. The service owns the comparisons; a browser keeps what it shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import traitlets

from ..client import Client
from ..errors import InvalidRequest, NotFound, ServiceError
from ..messages import Message, Parameters
from .models import askable
from .page import STATIC, Page, intent
from .streams import Streams
from .typesetting import Typesetting

_PULSE_LIMIT_S = 2.5


class Compare(Typesetting, Page):
    """The compare page: ask several models the same, and see the answers side by side.

    Args:
        client: whom to ask; by default ``llmws.connect()``.
        models: the ids to begin with; one may stand there twice.
        comparison: the id of an earlier comparison to open with.
        language, theme: see `Page`.

    Example:
        >>> page = ui.Compare(models=["echo", "echo"])
        >>> page.answers                         # nothing was asked yet
        []
    """

    _esm = STATIC / "compare.js"
    _css = STATIC / "compare.css"
    models = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)

    def __init__(
        self,
        client: Client | None = None,
        *,
        models: Sequence[str] = (),
        comparison: str | None = None,
        **traits: Any,
    ) -> None:
        super().__init__(client, **traits)
        self.set_trait("models", list(models))
        self.comparison_id = comparison
        self._api = self.client.api
        self._streams = Streams(self, self._api)

    @property
    def answers(self) -> list[Message]:
        """What the models say in the comparison that the page shows, in the order of its columns."""
        return self.client.loop.run(self._answers())

    async def _answers(self) -> list[Message]:
        if self.comparison_id is None:
            return []
        told = await self._api.comparison(self.comparison_id)
        return [self._with_stream(item)["message"] or _unsaid(item) for item in told["items"]]

    # What a browser asks for

    @intent
    async def start(self, view: str, *, comparison: str | None = None) -> dict[str, Any]:
        """All that a fresh tab needs; `comparison` is what it showed before it was reloaded."""
        models, earlier = await asyncio.gather(askable(self._api), self._api.comparisons())
        # Last: what is told between a snapshot and its reply would be missing on the page.
        shown = await self._snapshot_if_there(self.comparison_id or comparison)
        return {"models": models, "earlier": earlier, "comparison": shown}

    @intent
    async def pulse(self, view: str) -> dict[str, Any]:
        """Whether the service is there, and what is new."""
        try:
            async with asyncio.timeout(_PULSE_LIMIT_S):
                models, earlier = await asyncio.gather(askable(self._api), self._api.comparisons())
        except TimeoutError:
            raise ServiceError("The service does not answer.", remedy="See `llmws status`.") from None
        return {"models": models, "earlier": earlier}

    @intent
    async def more(self, view: str, *, cursor: str) -> dict[str, Any]:
        return await self._api.comparisons(cursor=cursor)

    @intent
    async def show(self, view: str, *, id: str | None) -> dict[str, Any]:
        # Before it is read: of two that are shown at once the last counts, whichever comes first.
        self.comparison_id = id
        return {"comparison": await self._snapshot(id) if id is not None else None}

    @intent
    async def ask(
        self,
        view: str,
        *,
        prompt: str,
        models: list[str],
        key: str,
        system: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Ask all of `models`, of which one may stand there twice. A repeated `key` is the same question."""
        try:
            settings = Parameters.from_dict(parameters or {})
        except (ValueError, TypeError) as problem:
            raise InvalidRequest(f"These parameters cannot be: {problem}.") from None
        asked = await self._api.create_comparison(models, prompt, system=system, parameters=settings, key=key)
        self.comparison_id = asked["id"]
        told = self._take(asked)
        self.tell("asked", view, comparison=told)
        return {"comparison": told}

    @intent
    async def stop(self, view: str, *, generation: str) -> None:
        await self._api.cancel(generation)

    @intent
    async def stop_all(self, view: str, *, id: str) -> None:
        await self._api.cancel_comparison(id)

    # What they have in common

    async def _snapshot_if_there(self, id: str | None) -> dict[str, Any] | None:
        self.comparison_id = id
        try:
            return await self._snapshot(id) if id is not None else None
        except (NotFound, InvalidRequest):
            # Another may have been opened meanwhile.
            if self.comparison_id == id:
                self.comparison_id = None
            return None

    async def _snapshot(self, id: str) -> dict[str, Any]:
        return self._take(await self._api.comparison(id))

    def _take(self, told: dict[str, Any]) -> dict[str, Any]:
        """Show a comparison as it is now; from here to the reply nothing is awaited."""
        for item in told["items"]:
            if item["generation_id"] and item["state"] == "running":
                self._streams.follow(item["generation_id"])
        self._streams.flush()
        return {**told, "items": [self._with_stream(item) for item in told["items"]]}

    def _with_stream(self, item: dict[str, Any]) -> dict[str, Any]:
        """The stored answer, or what its generation has said since."""
        stored = item["message"]
        live = None if stored and stored.finish_reason else self._streams.message(item["generation_id"])
        return item if live is None else {**item, "message": live}


def _unsaid(item: dict[str, Any]) -> Message:
    """The answer that could not begin, or has not yet."""
    error = dict(item["error"]) if item["error"] else None
    return Message("assistant", model=item["model"], error=error, finish_reason="error" if error else None)
