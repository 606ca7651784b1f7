"""The short way to the gateway's routes: past FastAPI's routing, which takes longer than all that the gateway does.

The routes are FastAPI's all the same. It describes them, a test finds the rule that each states, and it would run them
just so; here the rule is asked and the endpoint called without finding out anew, for each request, what they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from ..access import Rule
from ..edge import path


class Express:
    """Calls those of `routes` that have a plain path and take nothing but the request and who sent it."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._known: dict[tuple[str, str], tuple[Rule, Any]] = {}
        for route in routes:
            assert isinstance(route, APIRoute)
            rules = [below.call for below in route.dependant.dependencies if isinstance(below.call, Rule)]
            if "{" not in route.path:
                self._known |= {(method, route.path): (rules[0], route.endpoint) for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._known.get((scope["method"], path(scope))) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        rule, endpoint = found
        request = Request(scope, receive, send)
        response = await endpoint(request, await rule(request))
        await response(scope, receive, send)
