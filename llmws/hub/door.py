"""The door for bytes: the one way by which a browser reaches the service, at ``{base_url}llmws/``.

Lists, history and intents travel through the widget's comm. What is too heavy for a websocket (downloads and uploads
now; SwanLab's board later) goes through this forwarder in Jupyter Server and in Voilà. It knows no secret: the service
judges the signed ticket in the address, and the browser's own cookies and tokens stop here.

Jupyter Server loads it as an extension (see ``jupyter-config/`` in the repository); `handlers` serves Voilà.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.iostream import StreamClosedError

from .. import http, instance
from ..settings import Settings

# What may pass; everything else, Cookie and Authorization above all, stays on its side.
_REQUEST_HEADERS = ("Accept", "If-Modified-Since", "If-None-Match", "If-Range", "Range")
_UPLOAD_HEADERS = ("Accept", "Content-Type")
_RESPONSE_HEADERS = (
    "Accept-Ranges",
    "Cache-Control",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "Content-Security-Policy",
    "Content-Type",
    "ETag",
    "Last-Modified",
)
# What the service takes at once: a chunk of 8 MiB, and what surrounds one.
_LARGEST = 9 * 2**20


@web.stream_request_body
class DoorHandler(JupyterHandler):
    """Forwards a GET or POST below the door to the service, in bounded memory."""

    def initialize(self, settings_of_llmws: Settings) -> None:
        self._settings_of_llmws = settings_of_llmws
        self._sent: list[bytes] = []

    def set_default_headers(self) -> None:
        super().set_default_headers()
        # Who is refused before the body was read finds the connection ended, and a proxy must not use it again.
        self.set_header("Connection", "close")

    async def prepare(self, **more: Any) -> None:
        await super().prepare(**more)
        if int(self.request.headers.get("Content-Length", 0)) > _LARGEST:
            raise web.HTTPError(413, f"More than {_LARGEST // 2**20} MiB cannot be sent at once.")
        connection: Any = self.request.connection
        connection.set_max_body_size(_LARGEST)

    def check_xsrf_cookie(self) -> None:
        """The ticket in the address is what a foreign page cannot know; Voilà has no such cookie."""

    def data_received(self, chunk: bytes) -> None:
        self._sent.append(chunk)

    @web.authenticated
    async def get(self, path: str) -> None:
        await self._forward("GET", path, _REQUEST_HEADERS)

    @web.authenticated
    async def post(self, path: str) -> None:
        await self._forward("POST", path, _UPLOAD_HEADERS, b"".join(self._sent))

    async def _forward(self, method: str, path: str, passing: tuple[str, ...], body: bytes | None = None) -> None:
        if not _is_plain(path):
            raise web.HTTPError(400, "A path below the door has no dots, backslashes or encoded slashes.")
        base_url = self._service_url()
        headers = {name: self.request.headers[name] for name in passing if name in self.request.headers}
        # Compressed bytes would no longer fit the Content-Length that is passed on.
        headers["Accept-Encoding"] = "identity"
        try:
            async with (
                http.new_client(base_url, headers=headers, proxies=False, connections=1) as client,
                client.stream(method, f"/door/{path}?{self.request.query}", content=body) as response,
            ):
                await self._pass_on(response)
        except http.HTTPError as error:
            raise web.HTTPError(502, f"The llmws service did not answer ({type(error).__name__}).") from error

    async def _pass_on(self, response: http.Response) -> None:
        self.set_status(response.status_code)
        for name in _RESPONSE_HEADERS:
            if name in response.headers:
                self.set_header(name, response.headers[name])
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        try:
            async for chunk in response.aiter_raw():
                self.write(chunk)
                await self.flush()
        except StreamClosedError:
            self.log.debug("llmws door: the browser hung up")

    def _service_url(self) -> str:
        if self._settings_of_llmws.url:
            return self._settings_of_llmws.url
        running = instance.running(self._settings_of_llmws.data)
        if running is None:
            raise web.HTTPError(503, "The llmws service is not running. Run a cell with llmws.connect().")
        return running.url


def handlers(base_url: str, settings: Settings) -> list[tuple[str, type[JupyterHandler], dict[str, Any]]]:
    """The door's route below `base_url`, for a tornado application."""
    return [(url_path_join(base_url, r"/llmws/(.+)"), DoorHandler, {"settings_of_llmws": settings})]


def _is_plain(path: str) -> bool:
    return "\\" not in path and "%" not in path and all(part not in ("", ".", "..") for part in path.split("/"))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "llmws.hub.door"}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.web_app.add_handlers(".*$", handlers(server.base_url, Settings.from_environment()))
