"""What is said in a conversation: messages listed and sent, answers begun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, with_config
from sqlalchemy import Connection

from ..errors import Conflict
from ..messages import Message, Parameters
from ..store import chats as kept_chats
from ..store import generations as kept_generations
from ..store import messages as kept
from ..store.generations import Begun
from ..store.messages import ChatMessage
from . import generations as running
from . import history
from .access import Chatter, Reader
from .bodies import STRICT, GivenParameters, Name, Text
from .chats import Limit
from .generations import TheGenerations, TheOrigin
from .here import CreatedId, TheStore
from .metering import Call
from .models import TheModels

_LONGEST_TITLE = 60

router = APIRouter(prefix="/api/chats", tags=["chats"])


@with_config(STRICT)
@dataclass(frozen=True)
class Said:
    text: Annotated[Text, Field(min_length=1)]
    model: Name | None = None
    parameters: GivenParameters | None = None


def to_json(row: ChatMessage) -> dict[str, Any]:
    return {
        "id": row.id,
        "parent_id": row.parent_id,
        "generation_id": row.generation_id,
        "created_at": row.created_at,
        "message": row.message.to_dict(),
    }


@router.get("/{id}/messages")
async def list_messages(
    id: str, person: Reader, store: TheStore, limit: Limit = 50, cursor: str | None = None
) -> dict[str, Any]:
    """The latest messages, oldest first; `next_cursor` leads to older ones."""
    found, older = await store.read(kept.page, person.name, id, limit, cursor)
    return {"items": [to_json(row) for row in found], "next_cursor": older}


@router.post("/{id}/messages", status_code=202)
async def send(
    id: str,
    said: Said,
    generation_id: CreatedId,
    person: Chatter,
    origin: TheOrigin,
    models: TheModels,
    generations: TheGenerations,
    store: TheStore,
) -> dict[str, Any]:
    """Say something; the answer begins, and is followed at its generation's events."""
    chat = await store.read(kept_chats.get, person.name, id)
    model = said.model or chat.model
    chosen = models.choose(model)
    given = said.parameters.to_dict() if said.parameters else {}
    parameters = Parameters.from_dict({**chat.parameters.to_dict(), **given})

    def begin(connection: Connection) -> tuple[Begun, Call]:
        begun = kept_generations.begin(
            connection,
            person.name,
            generation_id,
            model=model,
            provider=chosen.provider_id,
            purpose=origin.purpose,
            chat_id=id,
            message=Message.user(said.text),
        )
        if begun.created and not chat.title:
            kept_chats.update(connection, person.name, id, title=_title(said.text))
        path = [row.message for row in kept.path(connection, person.name, id)]
        return begun, running.plan(person, chosen, history.turns(chat.system, path), parameters, model, origin)

    begun = await generations.start(person.name, generation_id, begin)
    if begun.message is None or begun.message.message.text != said.text:
        raise Conflict("This Idempotency-Key sent another message.", remedy="Use a new key for each message.")
    return {
        "message": to_json(begun.message),
        "answer": to_json(begun.answer),
        "generation": running.to_json(begun.generation),
    }


def _title(text: str) -> str:
    """
    >>> _title("Why is the sky blue? And why is it red in the evening, when the sun is low?")
    'Why is the sky blue? And why is it red in the evening,…'
    """
    line = " ".join(text.split())
    if len(line) <= _LONGEST_TITLE:
        return line
    cut = line[: _LONGEST_TITLE - 1]
    return (cut.rpartition(" ")[0] if " " in cut[30:] else cut) + "…"
