"""When the kernels are started that wait for a dashboard's next page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from tornado.ioloop import IOLoop
from voila.utils import ENV_VARIABLE

from .kernels import WatchedKernels

# A page that has its kernel's websocket is drawn within this; where none comes, kernels are not put off for longer.
_DRAWN_S, _PUT_OFF_S = 1.0, 10.0


class PreheatedKernels(WatchedKernels):
    """Kernels of which those that no page waits for yet leave the processors to the page that is opened first.

    Voilà puts its own manager, which decides for which pages there are kernels, on top of this class
    (`voila_kernel_manager_factory`).
    """

    fill_if_needed: Any  # Voilà's

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._may_start = asyncio.Event()
        self._may_start.set()
        self._has_started_one = self._was_asked_for_one = False
        self._later: list[str] = []

    def begin_with_one(self, later: Iterable[str]) -> None:
        """Start one kernel, for the first page; once it is shown those for the next pages, and for those of `later`."""
        self._later = list(later)
        self._may_start.clear()
        IOLoop.current().call_later(_PUT_OFF_S, self._begin_others)

    async def start_kernel(self, **options: Any) -> str:  # type: ignore[override]
        if options.get("env", {}).get(ENV_VARIABLE.VOILA_PREHEAT) == "True":
            if self._has_started_one:
                await self._may_start.wait()
            self._has_started_one = True
        return str(await super().start_kernel(**options))

    def page_is_asked_for(self) -> None:
        """The first has its kernel; whoever asks for another may be waiting for one that was put off."""
        if self._was_asked_for_one:
            self._may_start.set()
        self._was_asked_for_one = True

    def page_is_connected(self) -> None:
        IOLoop.current().call_later(_DRAWN_S, self._begin_others)

    async def shutdown_all(self, *arguments: Any, **options: Any) -> None:  # type: ignore[override]
        # Voilà waits for each that it has begun to start.
        self._may_start.set()
        await super().shutdown_all(*arguments, **options)

    def _begin_others(self) -> None:
        self._may_start.set()
        while self._later:
            self.fill_if_needed(delay=0, notebook_name=self._later.pop(0))
