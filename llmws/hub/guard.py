"""Who is asked for at the door of a person's dashboards: JupyterHub's identity, in front of every route.

Voilà serves its static files, and the socket of its preheated kernels, to whoever asks. Here each handler is wrapped,
so that a route that a later version adds is guarded, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server._tz import utcnow
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado.web import HTTPError, RequestHandler, StaticFileHandler
from tornado.websocket import WebSocketHandler

# Set in `Application.settings`; the name's end makes it one of the moments that count as activity.
LAST_REQUEST = "llmws_last_activity"


class Guarded(RequestHandler):
    """Mixed in before a handler: nothing of it runs before the hub has said who asks, and that they may."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        if isinstance(self, WebSocketHandler):
            return
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")

    async def prepare(self) -> None:
        user = await ensure_async(self.settings["identity_provider"].get_user(self))
        if user is None:
            if self._is_page() and self.request.method in ("GET", "HEAD"):
                # Where somebody is known, and may not, this raises instead.
                self.redirect(self.get_login_url())
                return
            raise HTTPError(403)
        if not await ensure_async(self.settings["authorizer"].is_authorized(self, user, "read", "dashboards")):
            raise HTTPError(403)
        self.current_user = user
        if self._is_page():
            self.settings[LAST_REQUEST] = utcnow()
        prepared: Any = super().prepare()
        if prepared is not None:
            await prepared

    def _is_page(self) -> bool:
        """Whether a person navigates there, and can be sent to sign in."""
        return isinstance(self, JupyterHandler) and not isinstance(
            self, APIHandler | WebSocketHandler | StaticFileHandler
        )


class GuardedFiles(Guarded, StaticFileHandler):
    """The same, before what serves files."""

    def parse_url_path(self, url_path: str) -> str:
        # Voilà takes the path apart and asserts what it found.
        if ".." in url_path.split("/"):
            raise HTTPError(404)
        try:
            return str(super().parse_url_path(url_path))
        except (AssertionError, ValueError):
            raise HTTPError(404) from None


def guarded(handlers: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The routes of a tornado application, each behind its guard."""
    return [(pattern, guard(handler), *more) for pattern, handler, *more in handlers]


def guard(handler: type[RequestHandler]) -> type[RequestHandler]:
    """`handler`, guarded."""
    front = GuardedFiles if issubclass(handler, StaticFileHandler) else Guarded
    return handler if issubclass(handler, Guarded) else type(handler.__name__, (front, handler), {})
