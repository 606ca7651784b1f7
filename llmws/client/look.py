"""What the service says of itself, for `llmws status` and `llmws doctor`: looked at, never started."""

from __future__ import annotations

from typing import Any

from ..instance import is_held
from ..settings import Settings
from .api import Api
from .finding import Stopped, finder_for


async def look(settings: Settings) -> dict[str, Any]:
    """The service's status, with `state`: ``running``, ``starting`` or ``stopped``, of which only the first has more.

    Raises:
        Error: it runs and cannot be asked.
    """
    finder = finder_for(settings)
    try:
        address = await finder.address(start="never")
    except Stopped:
        return {"state": "starting" if is_held(settings.data) else "stopped", "data": str(settings.data)}
    api = Api(finder, address)
    try:
        return {"state": "running", **await api.status()}
    finally:
        await api.aclose()
