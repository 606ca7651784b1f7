"""Assistants: made, changed and listed; a conversation is begun with one at `POST /api/chats`.

One that was given to a person is theirs to use where they may use its model; where not, it is listed with the reason.
Its system prompt and parameters are told to whoever may use it: the conversation that it begins shows them anyway.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, with_config

from ..errors import Error
from ..store import assistants as kept
from ..store.assistants import Assistant
from .access import Chatter, Reader
from .bodies import STRICT, GivenParameters, Name, Text
from .here import CreatedId, TheStore
from .identity import Person
from .models import Models, TheModels

AssistantName = Annotated[Name, Field(max_length=100)]
Description = Annotated[Text, Field(max_length=1000)]

router = APIRouter(prefix="/api/assistants", tags=["assistants"])


@with_config(STRICT)
@dataclass(frozen=True)
class NewAssistant:
    name: AssistantName
    model: Name
    description: Description = ""
    system: Text = ""
    parameters: GivenParameters | None = None


@with_config(STRICT)
@dataclass(frozen=True)
class Changes:
    """What is None stays as it is."""

    name: AssistantName | None = None
    description: Description | None = None
    model: Name | None = None
    system: Text | None = None
    parameters: GivenParameters | None = None


def to_json(assistant: Assistant, person: Person, models: Models) -> dict[str, Any]:
    told = {**asdict(assistant), "parameters": assistant.parameters.to_dict()}
    del told["deleted_at"]
    return {**told, "mine": assistant.owner == person.name, "problem": _problem(assistant, models)}


def _problem(assistant: Assistant, models: Models) -> str | None:
    """Why the person cannot ask its model, in a sentence; None where they can."""
    try:
        models.choose(assistant.model)
    except Error as problem:
        return f"You cannot use its model {assistant.model}. {problem}"
    return None


@router.get("")
async def list_assistants(person: Reader, models: TheModels, store: TheStore) -> dict[str, Any]:
    """One's own, and those that are shared with one, by name."""
    found = await store.read(kept.all_for, person.name, person.groups)
    return {"items": [to_json(assistant, person, models) for assistant in found]}


@router.post("", status_code=201)
async def create(
    new: NewAssistant, id: CreatedId, person: Chatter, models: TheModels, store: TheStore
) -> dict[str, Any]:
    models.choose(new.model)
    return to_json(await store.write(kept.create, person.name, id, **vars(new)), person, models)


@router.get("/{id}")
async def show(id: str, person: Reader, models: TheModels, store: TheStore) -> dict[str, Any]:
    return to_json(await store.read(kept.usable, person.name, person.groups, id), person, models)


@router.patch("/{id}")
async def change(id: str, changes: Changes, person: Chatter, models: TheModels, store: TheStore) -> dict[str, Any]:
    """Change what is given; what was begun with the assistant stays as it was begun."""
    if changes.model is not None:
        models.choose(changes.model)
    given = {name: value for name, value in vars(changes).items() if value is not None}
    return to_json(await store.write(kept.change, person.name, id, **given), person, models)


@router.delete("/{id}", status_code=204)
async def delete(id: str, person: Chatter, store: TheStore) -> None:
    """Put it away, for those with whom it is shared, too; `restore` brings it back."""
    await store.write(kept.delete, person.name, id)


@router.post("/{id}/restore")
async def restore(id: str, person: Chatter, models: TheModels, store: TheStore) -> dict[str, Any]:
    """Undo a delete."""
    return to_json(await store.write(kept.restore, person.name, id), person, models)
