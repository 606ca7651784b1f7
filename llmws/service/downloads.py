"""Files that a browser saves: their names come from people and models, and they are never to be shown."""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import category
from urllib.parse import quote

from fastapi.responses import StreamingResponse

_CHUNK = 1 << 16


def saved(pieces: Iterable[bytes], name: str, media_type: str) -> StreamingResponse:
    """An answer that is saved as `name`; `pieces` are made in a thread, as fast as they are taken."""
    headers = {"Content-Disposition": attachment(name), "Content-Security-Policy": "sandbox; default-src 'none'"}
    return StreamingResponse(in_chunks(pieces), media_type=media_type, headers=headers)


def file_name(title: str, suffix: str) -> str:
    r"""A name for a file, as far as `title` can be one.

    Example:
        >>> file_name("../a:b\r\n", ".md")
        'a b.md'
    """
    # Category C: control characters, and those that turn the direction of writing (a `gpj.exe` that reads `exe.jpg`).
    plain = "".join(" " if letter in '/\\:*?"<>|' or category(letter)[0] == "C" else letter for letter in title)
    return (" ".join(plain.split())[:80].strip(" .") or "chat") + suffix


def attachment(name: str) -> str:
    r"""The Content-Disposition that saves a file under a `file_name` (RFC 6266).

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
