"""What is said in a chat, by a person or by functions that they let run: its form, and the message it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator, with_config
from sqlalchemy import Connection

from ..messages import Message, Part
from ..store import attachments as kept_attachments
from . import attachments
from .bodies import STRICT, Text, storable
from .tool_calls import GivenResults, check_results, result_message


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class GivenPart:
    """Words, or an attachment by its id: ``{"type": "image", "data": {"attachment": …}}``.

    What else `data` says of an attachment is taken from the attachment itself.
    """

    type: Literal["text", "image", "file"]
    text: Text = ""
    data: Annotated[dict[str, Any], BeforeValidator(storable)] = field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> GivenPart:
        if self.type == "text" and not self.text:
            raise ValueError("there is no text in it")
        named = self.data.get("attachment")
        if self.type != "text" and not (isinstance(named, str) and named):
            raise ValueError("it names no attachment")
        return self

    def part(self) -> Part:
        return Part("text", self.text) if self.type == "text" else Part(self.type, data=self.data)


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Spoken:
    """`text`, or `parts` where there is more than that; or `tool_results`, where the last answer waits for them."""

    text: Text | None = None
    parts: Annotated[tuple[GivenPart, ...] | None, Field(min_length=1, max_length=64)] = None
    tool_results: Annotated[GivenResults | None, Field(min_length=1)] = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Spoken:
        if sum(given is not None for given in (self.text, self.parts, self.tool_results)) != 1 or self.text == "":
            raise ValueError("say `text`, or `parts`, or `tool_results`")
        return self

    def message(self, connection: Connection, owner: str) -> Message:
        """What is kept of it; `NotFound` where an attachment is not `owner`'s."""
        if self.tool_results is not None:
            return result_message(self.tool_results)
        if self.parts is None:
            return Message.user(self.text or "")
        return Message("user", attachments.said(connection, owner, [given.part() for given in self.parts]))


def keep(connection: Connection, owner: str, chat_id: str, path: Sequence[Message]) -> None:
    """Have the attachments of what was said last stay as long as the chat does; results must be those waited for."""
    said = path[-1]
    if said.role == "tool":
        check_results(path)
    kept_attachments.link(connection, owner, chat_id, said.attachments)


def title_of(message: Message) -> str:
    """What a chat may be called that begins with `message`: its words, or else its first attachment.

    Example:
        >>> title_of(Message("user", (Part("image", data={"name": "cat.png"}),)))
        'cat.png'
    """
    names = [str(part.data["name"]) for part in message.parts if part.data.get("name")]
    return message.text or next(iter(names), "")
