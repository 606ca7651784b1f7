"""The websocket of a dashboard's kernel, to which anybody with a browser may write."""

from __future__ import annotations

from typing import Any

from jupyterhub.services.auth import HubOAuth
from tornado.ioloop import PeriodicCallback
from tornado.web import HTTPError
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

_V1 = "v1.kernel.websocket.jupyter.org"
# A message has a channel, four parts and its buffers; a page of ours sends none of these.
MOST_PARTS = 100
# As a stream of the service, it ends within a minute of its token.
LOOKED_AT_EVERY_S = 30.0
_MALFORMED, _NOT_ALLOWED = 1007, 1008


class KernelSocket(VoilaKernelWebsocketHandler):
    """Voilà's own, which reads no message whose beginning announces more parts than one can have.

    Jupyter Server makes room for as many as are announced before it looks how long the message is: 64 bytes would take
    all memory of the machine (`deserialize_msg_from_ws_v1` and `deserialize_binary_message`, jupyter_server 2).

    While it is open, the hub is asked whether whoever opened it is still signed in. That also tells the hub that their
    token is in use: a page that was opened once asks its server for nothing else.
    """

    _watch: PeriodicCallback | None = None

    async def open(self, kernel_id: str) -> None:
        await super().open(kernel_id)
        self.kernel_manager.page_is_connected()
        self._watch = PeriodicCallback(self._look, 1000 * LOOKED_AT_EVERY_S)
        self._watch.start()

    def on_close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        super().on_close()

    async def _look(self) -> None:
        hub: HubOAuth = self.identity_provider.hub_auth
        try:
            user = await hub.user_for_token(hub.get_token(self), use_cache=False, sync=False)
        except HTTPError:
            return  # the hub is away; who was signed in stays so
        if user is None or not hub.check_scopes(hub.access_scopes, user):
            self.close(_NOT_ALLOWED)

    def on_message(self, message: Any) -> Any:
        if isinstance(message, bytes) and not 0 < self._parts(message) <= MOST_PARTS:
            self.close(_MALFORMED)
            return None
        return super().on_message(message)

    def _parts(self, message: bytes) -> int:
        """How many offsets follow, as both protocols begin."""
        if self.selected_subprotocol == _V1:
            return int.from_bytes(message[:8], "little")
        return int.from_bytes(message[:4], "big", signed=True)
