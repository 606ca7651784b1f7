"""How long one waits for a service that is away."""

from __future__ import annotations

import asyncio
import time

from .. import http
from ..errors import ServiceError
from .finding import Stopped

# How long a service may be away before a request gives up. One that was ended on purpose seldom comes back.
AWAY_LIMIT_S = 20.0
STOPPED_LIMIT_S = 5.0


class Absence:
    """Since when a service is away, and in what steps to look for it; `reset` where it was heard."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._since = time.monotonic()
        self._step = 0.05
        self._stopped: Stopped | None = None

    def stopped(self, stopped: Stopped) -> None:
        self._stopped = stopped

    async def wait(self, problem: Exception, url: str) -> None:
        away = time.monotonic() - self._since
        if self._stopped is not None and away > STOPPED_LIMIT_S:
            raise self._stopped
        if away > AWAY_LIMIT_S:
            why = f" ({http.failure(problem)})" if isinstance(problem, http.HTTPError) else ""
            raise ServiceError(
                f"The service at {url} does not answer{why}.",
                remedy="See `llmws status`, or connect again with llmws.connect().",
            ) from problem
        await asyncio.sleep(self._step)
        self._step = min(self._step * 1.6, 2.0)
