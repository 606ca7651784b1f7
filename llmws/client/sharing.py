"""Sharing from a cell: what is one's own is given to people, groups and who has a link; what others gave is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ..messages import Message
from .listings import conversation, listed, table
from .share_routes import Noun

if TYPE_CHECKING:
    import pandas

    from .chats import Chat
    from .client import Client

_COLUMNS = ["id", "title", "owner", "model", "created_at", "updated_at"]


@dataclass(frozen=True, slots=True)
class Link:
    """A way into a conversation for whoever has it. `path`, below the hub's address, is told once, and in no output.

    Example:
        >>> llmws.client.sharing.Link("1", "/services/llmws/door/shared/…", None)
        Link(id='1', expires_at=None)
    """

    id: str
    path: str = field(repr=False)
    expires_at: float | None


class Shareable:
    """What a thing is made with that its owner may give to others."""

    id: str
    _client: Client
    _noun: ClassVar[Noun]

    @property
    def _shared(self) -> str:
        """The id of what is given."""
        return self.id

    def share(self, *, person: str | None = None, group: str | None = None) -> list[str]:
        """Give it to a person or a group of a hub; without either, only say who has it.

        Returns:
            Who has it, besides its owner: ``person NAME`` and ``group NAME``.

        Raises:
            Conflict: there is nobody else: this is no hub.

        Example:
            >>> client.chats.create(model="echo").share()
            []
            >>> client.chats.create(model="echo").share(group="researchers")
            Traceback (most recent call last):
            llmws.errors.Conflict: Sharing needs a hub: on this computer you are the only person. ...
        """
        shared = self._shared
        for kind, grantee in _grantees(person, group):
            self._client.run(self._client.api.add_grant(self._noun, shared, kind, grantee))
        told = self._client.run(self._client.api.grants(self._noun, shared))
        return [f"{grant['kind']} {grant['grantee']}" for grant in told]

    def unshare(self, *, person: str | None = None, group: str | None = None) -> list[str]:
        """Undo `share`, from now on.

        Example:
            >>> client.chats.create(model="echo").unshare(person="pia")
            []
        """
        shared = self._shared
        for kind, grantee in _grantees(person, group):
            self._client.run(self._client.api.remove_grant(self._noun, shared, kind, grantee))
        return self.share()


class Linkable(Shareable):
    """What a conversation is made with, which may besides be read by link."""

    def link(self, days: int | None = 30) -> Link:
        """Make a link to what was said up to now; whoever has it reads that without an account.

        Args:
            days: until it expires; None: not until it is revoked.

        Raises:
            Conflict: this is no hub, an administrator switched links off, or nothing was said yet.

        Example:
            >>> client.chats.create(model="echo").link(days=7)
            Traceback (most recent call last):
            llmws.errors.Conflict: Sharing needs a hub: on this computer you are the only person. ...
        """
        told = self._client.run(self._client.api.create_link(self.id, days))
        return Link(told["id"], told["path"], told["expires_at"])

    def links(self) -> pandas.DataFrame:
        """The links to it that were not revoked.

        Returns:
            DataFrame: id, created_at, expires_at (with time zone; missing where it does not expire).

        Example:
            >>> list(client.chats.create(model="echo").links().columns)
            ['id', 'created_at', 'expires_at']
        """
        links = self._client.run(self._client.api.links(self.id))
        return table(links, ["id", "created_at", "expires_at"], times=["created_at", "expires_at"])

    def revoke(self, link: Link | str) -> None:
        """Have a link, or the one of this id, open nothing, from now on.

        Example:
            >>> client.chats.create(model="echo").revoke("0" * 32)
            Traceback (most recent call last):
            llmws.errors.NotFound: There is no such link. It may have expired, or been revoked.
        """
        self._client.run(self._client.api.revoke_link(self.id, link.id if isinstance(link, Link) else link))


class SharedChat:
    """A conversation of somebody else's, to read: `client.chats.open_shared` gives it.

    Example:
        >>> about = {"id": "1", "owner": "ada", "title": "Sky", "model": "echo"}
        >>> llmws.client.sharing.SharedChat(client, about)
        SharedChat('Sky', owner='ada', id='1')
    """

    id: str
    owner: str
    title: str
    model: str

    def __init__(self, client: Client, about: dict[str, Any]) -> None:
        self._client = client
        self.id, self.owner = about["id"], about["owner"]
        self.title, self.model = about["title"], about["model"]

    def messages(self) -> list[Message]:
        """What was said up to now, oldest first."""
        items = self._client.run(conversation(partial(self._client.api.shared_messages, self.id)))
        return [item["message"] for item in items]

    def copy(self) -> Chat:
        """A conversation of one's own that goes on where this one is."""
        return self._client.chats.open(self._client.run(self._client.api.copy_shared(self.id))["id"])

    def leave(self) -> None:
        """Take it from one's own list; what a group of one's was given stays there."""
        self._client.run(self._client.api.leave_shared(self.id))

    def __repr__(self) -> str:
        return f"SharedChat({self.title!r}, owner={self.owner!r}, id={self.id!r})"


class SharedChats:
    """What `client.chats` is made with that is about conversations of others."""

    _client: Client

    def shared(self) -> pandas.DataFrame:
        """The conversations that others share with you, the last changed first.

        Returns:
            DataFrame: id, title, owner, model, created_at, updated_at (with time zone).

        Example:
            >>> list(client.chats.shared().owner)
            []
        """
        return table(self._client.run(listed(self._client.api.shared)), _COLUMNS, times=["created_at", "updated_at"])

    def open_shared(self, id: str) -> SharedChat:
        """The conversation of somebody else's with this id.

        Example:
            >>> client.chats.open_shared("0" * 32)
            Traceback (most recent call last):
            llmws.errors.NotFound: There is no such shared chat. ...
        """
        return SharedChat(self._client, self._client.run(self._client.api.shared_chat(id)))


def _grantees(person: str | None, group: str | None) -> Iterator[tuple[str, str]]:
    """Those that are named, as pairs of kind and name."""
    yield from ((kind, name) for kind, name in (("person", person), ("group", group)) if name is not None)
