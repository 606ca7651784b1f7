"""Ports for servers that have to be told theirs."""

from __future__ import annotations

import contextlib
import secrets
import socket

# Below those that the system hands out by itself (32768 on, as a rule): any other test might be given one of these in
# the seconds until the server listens.
_FIRST, _COUNT = 20_000, 10_000
_given: set[int] = set()


def free_port() -> int:
    """A port of this machine on which nothing listens, and that was not given to somebody before."""
    while True:
        port = _FIRST + secrets.randbelow(_COUNT)
        if port in _given:
            continue
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            _given.add(port)
            return port
