"""Links to conversations, on a hub: made, listed and revoked by the owner, opened by whoever has one.

A link is 256 random bits that are told once; kept is their hash, by which alone it is looked up, so that neither the
database nor the time it takes tells a secret. What it opens is a page without scripts, which loads nothing, and which
search engines, caches and the next page's server are not told of. Who tries many that open nothing waits.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import Field, with_config
from sqlalchemy import Connection

from ..errors import Conflict, NotFound
from ..messages import Message
from ..store import chats as kept_chats
from ..store import links as kept
from ..store import messages as kept_messages
from ..store.chats import Chat
from ..store.links import Link
from ..store.messages import ChatMessage
from ..transfer.web_page import POLICY, Language
from . import shared_page, shares
from .access import Chatter, Open
from .bodies import STRICT
from .downloads import in_chunks
from .exports import Library
from .grants import require_kept, require_others
from .here import CreatedId, TheSettings, TheStore, here

DEFAULT_DAYS = 30
_DAY_S = 86_400
_HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}

router = APIRouter(tags=["links"])


@with_config(STRICT)
@dataclass(frozen=True)
class NewLink:
    """`days` until it expires; None: not until it is revoked."""

    days: Annotated[int, Field(ge=1, le=3650)] | None = DEFAULT_DAYS


class Misses:
    """Who asks for links that open nothing: after `most` within `window_s` an address is not even looked up for.

    Example:
        >>> misses = Misses(most=1)
        >>> misses.add("192.0.2.1")
        >>> misses.wait_s("192.0.2.1") > 0, misses.wait_s("192.0.2.2")
        (True, 0.0)
    """

    # Addresses that are remembered: made-up ones must not fill the memory.
    MOST_KNOWN = 10_000

    def __init__(self, most: int = 30, window_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._window_s, self._clock = most, window_s, clock
        self._known: dict[str, tuple[float, int]] = {}

    def wait_s(self, address: str) -> float:
        """How long `address` has to wait; 0.0 where it need not."""
        began, count = self._known.get(address, (0.0, 0))
        left = began + self._window_s - self._clock()
        return left if count >= self._most and left > 0 else 0.0

    def add(self, address: str) -> None:
        now = self._clock()
        began, count = self._known.pop(address, (now, 0))
        if began + self._window_s <= now:
            began, count = now, 0
        while len(self._known) >= self.MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[address] = (began, count + 1)


def to_json(link: Link) -> dict[str, Any]:
    return {"id": link.id, "created_at": link.created_at, "expires_at": link.expires_at}


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _offered(request: Request, settings: TheSettings) -> None:
    require_others(request)
    if not settings.links:
        raise Conflict(
            "An administrator has switched links off.", remedy="Share it with people or groups.", code="links_off"
        )


@router.get("/api/chats/{id}/links")
async def list_links(id: str, person: Chatter, store: TheStore) -> dict[str, Any]:
    """The links to a chat that were not revoked; their secrets are told nowhere."""
    return {"items": [to_json(link) for link in await store.read(kept.of, person.name, id)]}


@router.post("/api/chats/{id}/links", status_code=201)
async def create_link(
    id: str,
    new: NewLink,
    link_id: CreatedId,
    request: Request,
    person: Chatter,
    settings: TheSettings,
    store: TheStore,
) -> dict[str, Any]:
    """Make a link to what was said up to now. Its secret is in `path`, below the hub's address, and is told here."""
    require_kept(await store.read(kept_chats.get, person.name, id))
    _offered(request, settings)
    secret = secrets.token_urlsafe(32)
    until = None if new.days is None else time.time() + new.days * _DAY_S
    link = await store.write(kept.create, person.name, id, link_id, _hash(secret), until)
    prefix = request.scope.get("root_path", "")
    return {**to_json(link), "path": f"{prefix}/door/shared/{secret}"}


@router.delete("/api/chats/{id}/links/{link_id}", status_code=204)
async def revoke_link(id: str, link_id: str, person: Chatter, store: TheStore) -> None:
    """Have it open nothing, from now on; `restore` brings it back."""
    await store.write(kept.revoke, person.name, id, link_id)


@router.post("/api/chats/{id}/links/{link_id}/restore")
async def restore_link(
    id: str, link_id: str, request: Request, person: Chatter, settings: TheSettings, store: TheStore
) -> dict[str, Any]:
    """Undo a revocation."""
    await store.read(kept_chats.get, person.name, id)
    _offered(request, settings)
    return to_json(await store.write(kept.restore, person.name, id, link_id))


@router.get(
    "/door/shared/{secret}",
    response_class=HTMLResponse,
    responses={404: {"content": {"text/html": {}}}, 429: {"content": {"text/html": {}}}},
    dependencies=[Depends(Open("its secret was given to whoever asks"))],
)
async def open_link(
    secret: str,
    request: Request,
    settings: TheSettings,
    store: TheStore,
    misses: Annotated[Misses, here("missed_links")],
) -> Response:
    """What a link shows: a page to read."""
    address = _address(request)
    if wait_s := misses.wait_s(address):
        headers = {**_HEADERS, "Retry-After": str(round(wait_s + 0.5))}
        return HTMLResponse(shared_page.nothing(_language(request)), 429, headers)
    try:
        _offered(request, settings)
        chat, said = await store.read(_shown, _hash(secret))
    except (NotFound, Conflict):
        misses.add(address)
        return HTMLResponse(shared_page.nothing(_language(request)), 404, _HEADERS)
    load = Library(store, chat.owner).load
    page = shared_page.conversation(chat, said, load, _language(request))
    # A model may have written half a character, which no page can hold.
    pieces = (text.encode("utf-8", "replace") for text in page)
    return StreamingResponse(in_chunks(pieces), 200, _HEADERS, HTMLResponse.media_type)


def _shown(connection: Connection, secret_hash: str) -> tuple[Chat, list[tuple[ChatMessage, Message]]]:
    link = kept.opened(connection, secret_hash)
    rows = kept_messages.path(connection, link.owner, link.chat_id, to=link.head_id)
    return kept_chats.get(connection, link.owner, link.chat_id), shares.seen(rows)


def _address(request: Request) -> str:
    """Who asks, as the proxy in front saw it: what a browser says of itself stands before."""
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    return hops[-1].strip() or (request.client.host if request.client else "")


def _language(request: Request) -> Language:
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"
