"""Messages that weigh little and cost much: one of them must not take a server's memory, or the machine's."""

from __future__ import annotations

import json
import struct
import subprocess
import time
from pathlib import Path

import httpx
import psutil
import pytest
import websocket

from ..running import header_of
from .scene import Attempts, Scene

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

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
    bob.open_server()
    kernel = bob.open_dashboard()
    (server,) = scene.hub.servers("bob")
    before = _peak(server)
    # Where the attack works, it shall not take the machine that tests it.
    _limit_memory(server, server.memory_info().vms + 3 * _ALLOWED)
    opened = websocket.create_connection(
        f"{scene.hub.url.replace('http', 'ws')}{kernel.path}/channels",
        cookie=bob.cookie_header(kernel.path),
        origin=scene.hub.url,
        subprotocols=[protocol] if protocol else None,
        timeout=_LIMIT_S,
    )
    answered, peak = False, 0
    try:
        opened.send_binary(raw) if isinstance(raw, bytes) else opened.send(raw)
        answered = _is_past_it(opened) and bob.get("/user/bob/", timeout=_LIMIT_S).is_success
        peak = _peak(server) - before
    except httpx.TimeoutException:
        answered = False
    finally:
        if not answered or peak > _ALLOWED:
            # The next message meets a fresh server: what this one took at most stays known of it.
            server.kill()
            scene.people["bob"].stop_server()
    opened.close()
    attempts.add(what, (peak > _ALLOWED or not answered) and f"{peak / 2**20:.0f} MiB, answered: {answered}")
    if not attempts.succeeded:
        bob.ask("DELETE", kernel.path)


def _is_past_it(opened: websocket.WebSocket) -> bool:
    """Whether the server has dealt with the message: it answers a ping that comes behind it, or has hung up."""
    limit = time.monotonic() + _LIMIT_S
    try:
        opened.ping("behind")
        while time.monotonic() < limit:
            kind, said = opened.recv_data(control_frame=True)
            if kind == websocket.ABNF.OPCODE_PONG and said == b"behind":
                return True
    except websocket.WebSocketTimeoutException:
        return False
    except (websocket.WebSocketException, OSError):
        return True
    return False


def _peak(server: psutil.Process) -> int:
    """The most memory, in bytes, that a process ever had: what it took for a moment counts, too."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


def _limit_memory(server: psutil.Process, to: int) -> None:
    """By its own account, which may; root in a container may not."""
    uid = str(server.uids().real)
    options = ["--reuid", uid, "--regid", uid, "--clear-groups", "--", "prlimit", f"--pid={server.pid}", f"--as={to}:"]
    subprocess.run(["setpriv", *options], check=True)
    assert str(to) in Path(f"/proc/{server.pid}/limits").read_text()
