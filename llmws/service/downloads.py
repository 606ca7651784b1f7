"""Files that a browser saves: their names come from people and models, and they are never to be shown."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from fastapi.responses import StreamingResponse

_CHUNK = 1 << 16


def saved(pieces: Iterable[bytes], name: str, media_type: str) -> StreamingResponse:
    """An answer that is saved as `name`; `pieces` are made in a thread, as fast as they are taken."""
    headers = {"Content-Disposition": attachment(name), "Content-Security-Policy": "sandbox; default-src 'none'"}
    return StreamingResponse(in_chunks(pieces), media_type=media_type, headers=headers)


def attachment(name: str) -> str:
    r"""The Content-Disposition that saves a file under a name of `file_names` (RFC 6266).

    Example:
        >>> attachment("Ä.md")
        'attachment; filename="_.md"; filename*=UTF-8\'\'%C3%84.md'
    """
    ascii_only = "".join(letter if letter.isascii() else "_" for letter in name)
    return f"attachment; filename=\"{ascii_only}\"; filename*=UTF-8''{quote(name, safe='')}"


def in_chunks(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Small pieces put together: each one that is sent is a hand-over between threads."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
