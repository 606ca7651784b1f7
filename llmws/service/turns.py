"""What is said in a conversation: messages listed and said, answers begun, begun anew and gone on with.

A conversation is a tree: whoever edits a question or asks for another answer begins a branch, and nothing is lost. The
chat's head says which branch is shown; what is said next goes below it. One answer is written at a time, wherever in
the tree that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import with_config
from sqlalchemy import Connection

from ..errors import Conflict, InvalidRequest
from ..messages import Message, Parameters
from ..store import Store
from ..store import chats as kept_chats
from ..store import generations as kept_generations
from ..store import messages as kept
from ..store.chats import Chat
from ..store.generations import Begun
from ..store.messages import HEAD, ChatMessage
from . import attachments, history, saying
from . import generations as running
from .access import Chatter, Reader
from .bodies import STRICT, GivenParameters, Name
from .chats import Limit
from .chats import to_json as chat_to_json
from .generations import Generations, TheGenerations, TheOrigin
from .here import CreatedId, TheStore
from .identity import Person
from .metering import Call, Origin
from .models import Models, TheModels
from .titles import TheTitles, Titles, first_words
from .tool_calls import GivenTools

# How an answer ends of which there may be more.
_CUT_OFF = ("length", "cancelled", "interrupted", "error")

router = APIRouter(prefix="/api/chats", tags=["chats"])


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who is to answer and how, where it is not the chat that says so."""

    model: Name | None = None
    parameters: GivenParameters | None = None
    tools: GivenTools = ()


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Said(Asked, saying.Spoken):
    replaces: Name | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer is to stand.

    Args:
        parent_id: below which message it goes, or what a person says before it.
        said: what they say, if they do.
    """

    parent_id: str | None = HEAD
    said: Message | None = None


@dataclass(frozen=True, slots=True)
class Answering:
    """A request that wants an answer in a chat: who makes it, and all that it takes."""

    id: str
    person: Person
    origin: Origin
    models: Models
    generations: Generations
    titles: Titles
    store: Store

    async def chat(self, id: str) -> Chat:
        return await self.store.read(kept_chats.get, self.person.name, id)

    async def message(self, chat_id: str, id: str) -> ChatMessage:
        return await self.store.read(kept.get, self.person.name, id, chat_id)

    async def begin(self, chat: Chat, asked: Asked, place: Place, model: str | None = None) -> dict[str, Any]:
        """Begin the answer, or find it where the request is repeated; `model` is asked where `asked` names none."""
        owner, model = self.person.name, asked.model or model or chat.model
        chosen = self.models.choose(model)
        if place.said is not None:
            await attachments.check_sight(self.models, model, chosen.vision, place.said.parts)
        given = asked.parameters.to_dict() if asked.parameters else {}
        parameters = Parameters.from_dict({**chat.parameters.to_dict(), **given})

        def begin(connection: Connection) -> tuple[Begun, Call]:
            begun = kept_generations.begin(
                connection,
                owner,
                self.id,
                model=model,
                provider=chosen.provider_id,
                purpose=self.origin.purpose,
                chat_id=chat.id,
                message=place.said,
                parent_id=place.parent_id,
            )
            path = [row.message for row in kept.path(connection, owner, chat.id, begun.answer.parent_id)]
            if begun.created and place.said is not None:
                saying.keep(connection, owner, chat.id, path)
                if not chat.title:
                    kept_chats.give_title(connection, owner, chat.id, first_words(saying.title_of(place.said)))
            turns = history.turns(chat.system, path)
            # Only below an answer that was cut off does another begin.
            goes_on = bool(turns) and turns[-1].role == "assistant"
            plan = running.plan(
                self.person, chosen, turns, parameters, model, self.origin, goes_on=goes_on, tools=asked.tools
            )
            return begun, plan

        begun = await self.generations.start(owner, self.id, begin)
        _check_is_this(begun, place)
        if begun.created and chat.automatic_title:
            self.titles.follow(begun.generation, self.person, self.models, self.origin)
        return await self._told(chat.id, begun)

    async def _told(self, chat_id: str, begun: Begun) -> dict[str, Any]:
        rows = [begun.answer] if begun.message is None else [begun.message, begun.answer]
        told = {item["id"]: item for item in await self.store.read(_items, chat_id, rows)}
        return {
            "message": None if begun.message is None else told[begun.message.id],
            "answer": told[begun.answer.id],
            "generation": running.to_json(begun.generation),
        }


async def _answering(
    id: CreatedId,
    person: Chatter,
    origin: TheOrigin,
    models: TheModels,
    generations: TheGenerations,
    titles: TheTitles,
    store: TheStore,
) -> Answering:
    return Answering(id, person, origin, models, generations, titles, store)


TheAnswering = Annotated[Answering, Depends(_answering)]


def to_json(row: ChatMessage, siblings: Mapping[str | None, list[str]] | None = None) -> dict[str, Any]:
    """A message as it is told; `siblings` are the chat's, by what they are below."""
    return {
        "id": row.id,
        "parent_id": row.parent_id,
        "generation_id": row.generation_id,
        "created_at": row.created_at,
        "siblings": [row.id] if siblings is None else siblings[row.parent_id],
        "message": row.message.to_dict(),
    }


@router.get("/{id}/messages")
async def list_messages(
    id: str, person: Reader, store: TheStore, limit: Limit = 50, cursor: str | None = None
) -> dict[str, Any]:
    """The latest messages of the branch that is shown, oldest first; `next_cursor` leads to older ones.

    The `siblings` of each are the versions of it that there are, oldest first, itself among them.
    """

    def find(connection: Connection) -> tuple[list[dict[str, Any]], str | None]:
        found, older = kept.page(connection, person.name, id, limit, cursor)
        return _items(connection, id, found), older

    items, older = await store.read(find)
    return {"items": items, "next_cursor": older}


@router.post("/{id}/messages", status_code=202)
async def send(id: str, said: Said, answering: TheAnswering) -> dict[str, Any]:
    """Say something; the answer begins, and is followed at its generation's events.

    What `replaces` a message of a person is said instead of it: a branch begins, and both stay. `tools` are functions
    that the model may call: an answer that does ends with the reason ``tool_calls``, and the next begins with their
    `tool_results`.
    """
    chat = await answering.chat(id)
    parent_id: str | None = HEAD
    if said.replaces is not None:
        replaced = await answering.message(id, said.replaces)
        if replaced.message.role != "user":
            raise InvalidRequest(
                "Only what a person said can be said differently.", remedy="Regenerate an answer instead."
            )
        parent_id = replaced.parent_id
    message = await answering.store.read(said.message, answering.person.name)
    return await answering.begin(chat, said, Place(parent_id, message))


@router.get("/{id}/messages/{message_id}")
async def show(id: str, message_id: str, person: Reader, store: TheStore) -> dict[str, Any]:
    """One message, on whatever branch it is."""

    def find(connection: Connection) -> dict[str, Any]:
        kept_chats.get(connection, person.name, id)
        return _items(connection, id, [kept.get(connection, person.name, message_id, id)])[0]

    return await store.read(find)


@router.post("/{id}/messages/{message_id}/regenerate", status_code=202)
async def regenerate(id: str, message_id: str, answering: TheAnswering, asked: Asked | None = None) -> dict[str, Any]:
    """Ask for another answer, beside this one and of the same model unless another is named; to a question, for one."""
    chat, row = await answering.chat(id), await answering.message(id, message_id)
    if row.message.role != "assistant":
        return await answering.begin(chat, asked or Asked(), Place(row.id))
    return await answering.begin(chat, asked or Asked(), Place(row.parent_id), row.message.model)


@router.post("/{id}/messages/{message_id}/continue", status_code=202)
async def go_on(id: str, message_id: str, answering: TheAnswering, asked: Asked | None = None) -> dict[str, Any]:
    """Ask for the rest of an answer that was cut off, of the same model unless another is named; it goes below it."""
    chat, row = await answering.chat(id), await answering.message(id, message_id)
    _check_goes_on(row.message)
    return await answering.begin(chat, asked or Asked(), Place(row.id), row.message.model)


@router.post("/{id}/messages/{message_id}/select")
async def select(id: str, message_id: str, person: Chatter, store: TheStore) -> dict[str, Any]:
    """Show the branch that this message is on, down to what was said last there; an answer elsewhere goes on."""

    def turn_to(connection: Connection) -> Chat:
        kept.get(connection, person.name, message_id, id)
        return kept_chats.go_to(connection, person.name, id, kept.newest_leaf(connection, id, message_id))

    return chat_to_json(await store.write(turn_to))


def _items(connection: Connection, chat_id: str, rows: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    siblings = kept.siblings(connection, chat_id, [row.parent_id for row in rows])
    return [to_json(row, siblings) for row in rows]


def _check_is_this(begun: Begun, place: Place) -> None:
    """That what a repeated request found is what it asks for."""
    first = begun.message or begun.answer
    said = begun.message.message if begun.message is not None else None
    if said != place.said or place.parent_id not in (HEAD, first.parent_id):
        raise Conflict("This Idempotency-Key began something else.", remedy="Use a new key for each message.")


def _check_goes_on(message: Message) -> None:
    if message.role == "assistant" and message.finish_reason is None:
        raise Conflict("This answer is still being written.", remedy="Wait for its end, or stop it.")
    if message.role != "assistant" or message.finish_reason not in _CUT_OFF:
        raise InvalidRequest("Only an answer that was cut off can go on.", remedy="Ask for more in a message.")
    if not message.text or message.parts[-1].type == "tool_call":
        raise InvalidRequest("There is nothing yet to go on from.", remedy="Regenerate the answer instead.")
