"""The websocket of a dashboard's kernel, to which anybody with a browser may write."""

from __future__ import annotations

from typing import Any

from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

_V1 = "v1.kernel.websocket.jupyter.org"
# A message has a channel, four parts and its buffers; a page of ours sends none of these.
MOST_PARTS = 100
_MALFORMED = 1007


class KernelSocket(VoilaKernelWebsocketHandler):
    """Voilà's own, which reads no message whose beginning announces more parts than one can have.

    Jupyter Server makes room for as many as are announced before it looks how long the message is: 64 bytes would take
    all memory of the machine (`deserialize_msg_from_ws_v1` and `deserialize_binary_message`, jupyter_server 2).
    """

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
