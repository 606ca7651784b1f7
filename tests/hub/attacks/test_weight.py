"""Messages that weigh little and cost much: one of them must not take a server's memory, or the machine's."""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import time

import psutil
import pytest
import websocket

from ..running import header_of
from .scene import Attempts, Scene

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

V1 = "v1.kernel.websocket.jupyter.org"
_ALLOWED = 400 * 2**20
_LIMIT_S = 20.0
INNOCENT = json.dumps(header_of("comm_msg")).encode()

MESSAGES: list[tuple[str, str | None, bytes | str]] = [
    ("v1, many parts announced", V1, struct.pack("<Q", 2**40) + b"x" * 64),
    ("v1, a number of parts that is none", V1, b"\xff" * 64),
    ("v1, what is legacy's", V1, struct.pack("!2I", 2, 12) + INNOCENT),
    (
        "v1, parts that are each the whole",
        V1,
        struct.pack("<Q", 2000) + struct.pack("<2Q", 0, 2**40) * 1000 + b"x" * 2**20,
    ),
    ("legacy, many buffers announced", None, struct.pack("!i", 2**31 - 1) + b"x" * 64),
    (
        "legacy, buffers that are each the whole",
        None,
        struct.pack("!i", 100_000) + struct.pack("!2I", 0, 2**31) * 50_000,
    ),
    ("legacy, less than no buffers", None, struct.pack("!i", -5) + b"x" * 64),
    ("deep", None, '{"channel":"shell","header":' + "[" * 200_000 + "]" * 200_000 + "}"),
    ("a long number", None, '{"channel":"shell","header":{"msg_type":' + "9" * 200_000 + "}}"),
]


@pytest.mark.parametrize(("what", "protocol", "raw"), MESSAGES, ids=[what for what, _, _ in MESSAGES])
def test_a_message_costs_no_more_than_it_weighs(
    scene: Scene, attempts: Attempts, what: str, protocol: str | None, raw: bytes | str
) -> None:
    bob = scene.people["bob"]
    if not bob.get("/user/bob/").is_success or bob.get("/user/bob/").url.path != "/user/bob/":
        bob.open_server()
    kernel = bob.open_dashboard()
    (server,) = (process for process in scene.hub.processes(scene.hub.uid("bob")) if "-s" in process.cmdline())
    before = server.memory_info()
    # Where the attack works, it shall not take the machine that tests it.
    _limit_memory(server, str(before.vms + 3 * _ALLOWED))
    opened = websocket.create_connection(
        f"{scene.hub.url.replace('http', 'ws')}{kernel.path}/channels",
        cookie=bob.cookie_header(kernel.path),
        origin=scene.hub.url,
        subprotocols=[protocol] if protocol else None,
        timeout=_LIMIT_S,
    )
    began = time.monotonic()
    with contextlib.suppress(websocket.WebSocketException, OSError):
        opened.send_binary(raw) if isinstance(raw, bytes) else opened.send(raw)
    peak, answered = 0, False
    while not answered and time.monotonic() - began < _LIMIT_S:
        with contextlib.suppress(Exception):
            answered = bob.get("/user/bob/", timeout=1, follow_redirects=False).status_code == 200
        peak = max(peak, server.memory_info().rss - before.rss) if server.is_running() else _ALLOWED
    opened.close()
    attempts.add(what, (peak > _ALLOWED or not answered) and f"{peak / 2**20:.0f} MiB, answered: {answered}")
    if attempts.succeeded:
        server.kill()
        scene.people["bob"].stop_server()
    else:
        _limit_memory(server, "unlimited")
        bob.ask("DELETE", kernel.path)


def _limit_memory(server: psutil.Process, to: str) -> None:
    """By its own account, which may; root in a container may not."""
    uid = str(server.uids().real)
    options = ["--reuid", uid, "--regid", uid, "--clear-groups", "--", "prlimit", f"--pid={server.pid}", f"--as={to}:"]
    subprocess.run(["setpriv", *options], check=True)
