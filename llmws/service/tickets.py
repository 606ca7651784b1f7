"""Signed tickets for bytes: ten minutes for one person, one action and one thing.

A browser fetches bytes without the token (see the door in docs/architecture.md). Its page gets a ticket from the
kernel, in a message, and may renew it; an address that leaks is soon worth nothing, and never good for anything else.
On a hub a ticket ends with the token that asked for it, or the scope of that: who signs out everywhere leaves nothing
open.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from pydantic import with_config
from sqlalchemy import Connection

from ..errors import Forbidden, InvalidRequest
from ..store import attachments as kept_attachments
from ..store import chats as kept_chats
from ..store import shares as kept_shares
from .access import Chatter, Rule, require
from .bodies import STRICT, Name
from .edge import bearer
from .here import TheStore, here
from .identity import Identity, Person

LIFETIME_S = 600


def _mine(get: Callable[[Connection, str, str], Any]) -> Callable[[Connection, Person, str], Any]:
    return lambda connection, person, thing_id: get(connection, person.name, thing_id)


def _shared_attachment(connection: Connection, person: Person, id: str) -> Any:
    chat_id, _, attachment_id = id.partition("/")
    return kept_shares.attachment(connection, person.name, person.groups, chat_id, attachment_id)


# What a ticket may be for, and how a person's thing is found: this raises `NotFound` for anybody else's.
THINGS: dict[tuple[str, str], Callable[[Connection, Person, str], Any]] = {
    ("download", "attachments"): _mine(kept_attachments.get),
    ("download", "chats"): _mine(kept_chats.get),
    ("download", "shared"): _shared_attachment,
}
# And for all that a person has of a noun, or a thing that is yet to be.
NOUNS = frozenset({("download", "chats"), ("upload", "attachments"), ("upload", "imports")})


class Tickets:
    """Issues tickets and judges them.

    Example:
        >>> tickets = Tickets(b"secret")
        >>> ticket = tickets.issue("ada", "download", "chats/1")
        >>> tickets.read(ticket, "download", "chats/1")
        ('ada', '')
        >>> tickets.read(ticket, "download", "chats/2")
        Traceback (most recent call last):
        llmws.errors.Forbidden: This link is for something else. Go back to the page and use its own.
    """

    def __init__(self, secret: bytes) -> None:
        self._signer = URLSafeTimedSerializer(
            secret, salt="llmws.ticket", signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        )

    @classmethod
    def of(cls, data: Path) -> Tickets:
        """The tickets of a data folder, whose secret (`ticket.key`, 0600) is made at first use."""
        file, aside = data / "ticket.key", data / "ticket.key.new"
        if not file.exists():
            # Renamed when whole: a crash must not leave an empty secret, which anybody could sign with.
            aside.unlink(missing_ok=True)
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
                new.write(secrets.token_bytes(32))
                os.fsync(new.fileno())
            aside.replace(file)
        return cls(file.read_bytes())

    def issue(self, owner: str, action: str, thing: str, reference: str = "") -> str:
        """A ticket; `reference` stands for the token that asks for it, where that may end before the ticket."""
        return str(self._signer.dumps([owner, action, thing, reference]))

    def read(self, ticket: str, action: str, thing: str) -> tuple[str, str]:
        """Whose `ticket` it is, and its reference; `Forbidden` unless it is for just this and not too old."""
        remedy = "Go back to the page and use its own."
        try:
            owner, for_action, for_thing, reference = self._signer.loads(ticket, max_age=LIFETIME_S)
        except SignatureExpired:
            raise Forbidden("This link has expired.", remedy="Go back to the page and try again.") from None
        except (BadSignature, ValueError, TypeError):
            raise Forbidden("This link is not valid.", remedy=remedy) from None
        if (for_action, for_thing) != (action, thing):
            raise Forbidden("This link is for something else.", remedy=remedy)
        return str(owner), str(reference)


TheTickets = Annotated[Tickets, here("tickets")]


@dataclass(frozen=True, slots=True)
class Ticketed(Rule):
    """The rule of a route below the door: a ticket for `action` on `thing`, in which ``{id}`` is the route's own."""

    thing: str = ""

    async def __call__(self, request: Request) -> Person:
        tickets: Tickets = request.app.state.tickets
        thing = self.thing.format(**request.path_params)
        owner, reference = tickets.read(request.query_params.get("ticket", ""), self.action, thing)
        identity: Identity = request.app.state.identity
        if identity.revocable:
            person = await identity.referred(reference)
            if person is None or person.name != owner:
                raise Forbidden("This link has ended with its sign-in.", remedy="Go back to the page and try again.")
            require(person, self.action)
            return Person(owner, groups=person.groups)
        return Person(owner)


@with_config(STRICT)
@dataclass(frozen=True)
class Wanted:
    action: Name
    thing: Name


router = APIRouter(tags=["tickets"])


@router.post("/api/tickets", status_code=201)
async def issue(
    request: Request, wanted: Wanted, person: Chatter, tickets: TheTickets, store: TheStore
) -> dict[str, Any]:
    """A ticket for an action on a thing (``chats/<id>``) or a noun, and the path below the door that takes it.

    A hub's service has a door of its own; there the path is whole, and begins with a slash.
    """
    noun, _, thing_id = wanted.thing.partition("/")
    find = THINGS.get((wanted.action, noun)) if thing_id else None
    if find is None and (wanted.action, wanted.thing) not in NOUNS:
        things = [f"{action} of {noun}/<id>" for action, noun in THINGS]
        known = ", ".join(things + [f"{action} of {noun}" for action, noun in sorted(NOUNS)])
        raise InvalidRequest("There are no tickets for that.", remedy=f"There are those for: {known}.")
    require(person, wanted.action)
    if find is not None:
        await store.read(find, person, thing_id)
    identity: Identity = request.app.state.identity
    reference = identity.reference(bearer(request.headers)) if identity.revocable else ""
    ticket = tickets.issue(person.name, wanted.action, wanted.thing, reference)
    path = f"{wanted.thing}/{wanted.action}?ticket={ticket}"
    if prefix := request.scope.get("root_path"):
        path = f"{prefix}/door/{path}"
    return {"ticket": ticket, "path": path, "expires_at": time.time() + LIFETIME_S}
