"""Chats: what a conversation is called, who answers and how, which message it has come to (`head_id`), and where it is
kept: pinned, in a folder, under tags, archived.

A folder, like a tag, is there while a chat is in it. A temporary chat is neither listed nor found. Erasing one leaves
nothing of it but what it cost.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, insert, or_, select
from sqlalchemy import delete as delete_rows
from sqlalchemy import update as update_rows

from ..errors import Conflict, NotFound
from ..messages import Parameters
from . import attachments, search_index, tables
from .paging import newest

_CHANGEABLE = frozenset({"title", "model", "system", "parameters", "head_id"})
# Where a chat is kept is no change of what it is: one that is put away does not become today's.
_PLACED = frozenset({"folder", "tags", "pinned", "archived"})


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation.

    `head_id` is its latest message, `running` the generation that is answering just now. `assistant_id` tells with
    which assistant it was begun; that may be gone. A title that nobody typed is automatic, and gives way to a better.
    """

    id: str
    owner: str
    title: str
    model: str
    system: str
    parameters: Parameters
    head_id: str | None
    created_at: float
    updated_at: float
    deleted_at: float | None
    assistant_id: str | None
    automatic_title: bool
    folder: str
    pinned: bool
    archived: bool
    temporary: bool
    running: str | None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heading:
    """A folder or a tag, and how many chats it has (without the archived)."""

    name: str
    chats: int


_TOLD = tuple(column for column in tables.chats.c if column.name != "number")
_running = (
    select(tables.generations.c.id)
    .where(tables.generations.c.chat_id == tables.chats.c.id, tables.is_running)
    .scalar_subquery()
    .label("running")
)


def create(
    connection: Connection,
    owner: str,
    id: str,
    model: str,
    title: str | None = None,
    system: str | None = None,
    parameters: Parameters | None = None,
    assistant_id: str | None = None,
    temporary: bool = False,
) -> Chat:
    """Begin a chat; where `owner` already has one of this id (the request was repeated), return that one."""
    if (known := _find(connection, owner, tables.chats.c.id == id)) is not None:
        return known
    now = time.time()
    last = connection.scalar(select(func.max(tables.chats.c.number))) or 0
    connection.execute(
        insert(tables.chats).values(
            id=id,
            owner=owner,
            number=last + 1,
            temporary=temporary,
            title=title or "",
            automatic_title=not title,
            model=model,
            system=system or "",
            parameters=(parameters or Parameters()).to_dict(),
            created_at=now,
            updated_at=now,
            assistant_id=assistant_id,
        )
    )
    search_index.put_title(connection, id, title or "")
    return get(connection, owner, id)


def get(connection: Connection, owner: str, id: str) -> Chat:
    """The chat, or `NotFound` where `owner` has none of this id or deleted it."""
    return _found(_find(connection, owner, tables.chats.c.id == id, tables.chats.c.deleted_at.is_(None)))


def page(
    connection: Connection,
    owner: str,
    limit: int = 50,
    cursor: str | None = None,
    *,
    folder: str | None = None,
    tag: str | None = None,
    archived: bool | None = False,
) -> tuple[list[Chat], str | None]:
    """Chats, the pinned first, then by their last change, newest first, and the cursor of the next page.

    `folder` and `tag` leave those in it; the folder "" is what stands outside of all: what is in none, and what is
    pinned. `archived` is None for both kinds.
    """
    columns = tables.chats.c
    statement = listed(owner, folder=folder, tag=tag, archived=archived)
    rows, following = newest(
        connection, statement, columns.pinned, columns.updated_at, columns.id, limit=limit, cursor=cursor
    )
    return of_rows(connection, rows), following


def listed(owner: str, *, folder: str | None, tag: str | None, archived: bool | None) -> Select[Any]:
    """The rows of `owner`'s chats that a list or a search may show, see `page`; `of_rows` reads them."""
    columns, tags = tables.chats.c, tables.chat_tags.c
    found = select(*_TOLD, _running).where(
        columns.owner == owner, columns.deleted_at.is_(None), columns.temporary.is_(False)
    )
    if folder is not None:
        found = found.where(columns.folder == folder if folder else or_(columns.folder == "", columns.pinned))
    if tag is not None:
        found = found.where(columns.id.in_(select(tags.chat_id).where(tags.tag == tag)))
    return found if archived is None else found.where(columns.archived.is_(archived))


def of_rows(connection: Connection, rows: Iterable[Row[Any]]) -> list[Chat]:
    """The chats that rows of `listed` tell, which may tell more besides."""
    found = [row._asdict() for row in rows]
    tags = _tags(connection, [chat["id"] for chat in found])
    for chat in found:
        chat |= {"parameters": Parameters.from_dict(chat["parameters"]), "tags": tags.get(chat["id"], ())}
    return [Chat(**{field.name: chat[field.name] for field in fields(Chat)}) for chat in found]


def folders(connection: Connection, owner: str) -> list[Heading]:
    """The folders of `owner`, by name."""
    name = tables.chats.c.folder
    return _headings(connection, owner, name, select(name, func.count()).where(name != ""))


def tags(connection: Connection, owner: str) -> list[Heading]:
    """The tags that `owner` uses, by name."""
    columns = tables.chat_tags.c
    joined = select(columns.tag, func.count()).join_from(tables.chat_tags, tables.chats)
    return _headings(connection, owner, columns.tag, joined)


def rename_folder(connection: Connection, owner: str, folder: str, to: str) -> int:
    """Move all of a folder's chats to another, also the archived and the deleted; how many those were."""
    columns = tables.chats.c
    moved = update_rows(tables.chats).where(columns.owner == owner, columns.folder == folder, columns.folder != "")
    return connection.execute(moved.values(folder=to)).rowcount


def update(connection: Connection, owner: str, id: str, **changes: Any) -> Chat:
    """Change `title`, `model`, `system`, `parameters` or `head_id` (to another message of the same chat), or where the
    chat is kept: `folder`, `tags` (all it shall have), `pinned`, `archived`."""
    if unknown := set(changes) - _CHANGEABLE - _PLACED:
        raise TypeError(f"a chat's {', '.join(sorted(unknown))} cannot be changed")
    get(connection, owner, id)
    if "parameters" in changes:
        changes["parameters"] = changes["parameters"].to_dict()
    if "title" in changes:
        changes["automatic_title"] = not changes["title"]
        search_index.put_title(connection, id, changes["title"])
    if changes.get("head_id") is not None:
        _check_head(connection, id, changes["head_id"])
    if not changes.keys() <= _PLACED:
        changes["updated_at"] = time.time()
    if (tags := changes.pop("tags", None)) is not None:
        _set_tags(connection, id, tags)
    if changes:
        _set(connection, id, **changes)
    return get(connection, owner, id)


def give_title(connection: Connection, owner: str, id: str, title: str) -> bool:
    """Give the chat a title of ours; tells whether it has it: one that somebody typed stays."""
    columns = tables.chats.c
    mine = (columns.id == id, columns.owner == owner, columns.deleted_at.is_(None))
    given = connection.execute(update_rows(tables.chats).where(*mine, columns.automatic_title).values(title=title))
    if given.rowcount == 1:
        search_index.put_title(connection, id, title)
    return given.rowcount == 1


def go_to(connection: Connection, owner: str, id: str, head_id: str) -> Chat:
    """Move the head to another message of the chat. To look at another branch changes nothing that was said."""
    get(connection, owner, id)
    _check_head(connection, id, head_id)
    _set(connection, id, head_id=head_id)
    return get(connection, owner, id)


def delete(connection: Connection, owner: str, id: str) -> None:
    """Hide the chat; `restore` brings it back."""
    get(connection, owner, id)
    _set(connection, id, deleted_at=time.time())


def erase_temporary(connection: Connection, owner: str, id: str) -> None:
    """Erase a temporary chat; one that is answering is a `Conflict`."""
    if get(connection, owner, id).running is not None:
        raise Conflict("This chat is still answering.", remedy="Stop the answer, then try again.")
    erase(connection, [id])


def restore(connection: Connection, owner: str, id: str) -> Chat:
    """Undo `delete`; a chat that was not deleted stays as it is."""
    _found(_find(connection, owner, tables.chats.c.id == id))
    _set(connection, id, deleted_at=None)
    return get(connection, owner, id)


def erase(connection: Connection, ids: Collection[str]) -> None:
    """Remove every row of these chats, and all that was said in them, from all tables but that of usage.

    Whoever adds a table that holds something of a chat, or of its messages or generations, adds it here. A chat that is
    answering must be stopped before.
    """
    chats = tables.chats.c
    search_index.remove(connection, connection.scalars(select(chats.number).where(chats.id.in_(ids))).all())
    attachments.erase_of_chats(connection, ids)
    grants = tables.grants.c
    generations = select(tables.generations.c.id).where(tables.generations.c.chat_id.in_(ids))
    for table, belongs in (
        (tables.chat_tags, tables.chat_tags.c.chat_id.in_(ids)),
        (tables.links, tables.links.c.chat_id.in_(ids)),
        (tables.grants, (grants.noun == "chats") & grants.thing_id.in_(ids)),
        (tables.segments, tables.segments.c.generation_id.in_(generations)),
        (tables.generations, tables.generations.c.chat_id.in_(ids)),
        (tables.messages, tables.messages.c.chat_id.in_(ids)),
        (tables.chats, chats.id.in_(ids)),
    ):
        connection.execute(delete_rows(table).where(belongs))


def outdated(connection: Connection, deleted_before: float, temporary_before: float, limit: int = 50) -> Sequence[str]:
    """Ids of chats that `erase` is due for: deleted, or temporary and last changed, before these times."""
    chats = tables.chats.c
    is_due = or_(chats.deleted_at < deleted_before, chats.temporary & (chats.updated_at < temporary_before))
    return connection.scalars(select(chats.id).where(is_due, _running.is_(None)).limit(limit)).all()


def temporary(connection: Connection, owners: Collection[str]) -> Sequence[str]:
    """Ids of the temporary chats of these people, but for those that are answering."""
    chats = tables.chats.c
    theirs = (chats.owner.in_(owners), chats.temporary, _running.is_(None))
    return connection.scalars(select(chats.id).where(*theirs)).all()


def _find(connection: Connection, owner: str, *conditions: ColumnElement[bool]) -> Chat | None:
    statement: Select[Any] = select(*_TOLD, _running)
    rows = connection.execute(statement.where(tables.chats.c.owner == owner, *conditions)).all()
    return next(iter(of_rows(connection, rows)), None)


def _found(chat: Chat | None) -> Chat:
    if chat is None:
        raise NotFound("There is no such chat.", remedy="It may have been deleted, or belong to somebody else.")
    return chat


def _set(connection: Connection, id: str, **values: Any) -> None:
    connection.execute(update_rows(tables.chats).where(tables.chats.c.id == id).values(values))


def _check_head(connection: Connection, id: str, head_id: str) -> None:
    columns = tables.messages.c
    if connection.execute(select(columns.id).where(columns.id == head_id, columns.chat_id == id)).first() is None:
        raise NotFound("There is no such message in this chat.", remedy="Choose a head among the chat's messages.")


def _tags(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    columns = tables.chat_tags.c
    found: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(select(tables.chat_tags).where(columns.chat_id.in_(ids)).order_by(columns.tag)):
        found[row.chat_id] = (*found.get(row.chat_id, ()), row.tag)
    return found


def _set_tags(connection: Connection, id: str, tags: Iterable[str]) -> None:
    connection.execute(delete_rows(tables.chat_tags).where(tables.chat_tags.c.chat_id == id))
    if rows := [{"chat_id": id, "tag": tag} for tag in dict.fromkeys(tags)]:
        connection.execute(insert(tables.chat_tags), rows)


def _headings(connection: Connection, owner: str, name: ColumnElement[str], statement: Select[Any]) -> list[Heading]:
    columns = tables.chats.c
    shown = (columns.owner == owner, columns.deleted_at.is_(None), ~columns.temporary, ~columns.archived)
    found = connection.execute(statement.where(*shown).group_by(name).order_by(name))
    return [Heading(one, chats) for one, chats in found]
