"""What is said besides words in a cell: pictures and files, sent in by their path or bytes, and functions to call."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import InvalidRequest
from ..messages import Message, Part
from .answers import Answer, printable, shown
from .tools import MOST_ROUNDS, Approve, Result, Toolbox, ToolCall, asked_for, calls_of, denied

if TYPE_CHECKING:
    from .client import Client

# A path, or bytes, with a name if there is one.
Attachment = str | os.PathLike[str] | bytes | tuple[str, bytes]
_UNNAMED = "attachment"
# Characters of a result, below its call.
_SHOWN = 200


class Uploads(Protocol):
    async def add_attachment(self, name: str, body: bytes) -> dict[str, Any]: ...


async def attached(api: Uploads, attachments: Sequence[Attachment]) -> tuple[Part, ...]:
    """Send `attachments` in, and give the parts of a message that refer to them.

    Raises:
        InvalidRequest: one of them cannot be read, or is neither a picture nor text.
    """
    return tuple([_part(await api.add_attachment(*_read(one))) for one in attachments])


def asking(text: str, parts: Sequence[Part]) -> str | tuple[Part, ...]:
    """What is said, pictures and files before the question: models read it best in this order."""
    if not parts:
        return text
    return (*parts, Part("text", text)) if text else tuple(parts)


# What begins an answer: the first one, or the next after an answer and the results of its calls.
Ask = Callable[[Message | None, Sequence[Result]], Callable[[], Awaitable[dict[str, Any]]]]


def answers(
    client: Client, ask: Ask, toolbox: Toolbox, approve: Approve | bool | None, show: bool = False
) -> Iterator[Answer]:
    """The answers on the way to the last one, each to be followed to its end: in between, the functions are run that it
    calls.

    Args:
        approve: says of each call whether it may run; True lets all run, None asks in the cell.
        show: writes what is called, and what came of it.
    """
    gate = _Gate(approve)
    message: Message | None = None
    results: Sequence[Result] = ()
    for rounds_left in range(MOST_ROUNDS, -1, -1):
        answer = Answer(client.api, ask(message, results))
        yield answer
        if not toolbox or not rounds_left:
            return
        message = client.run(answer.kept())
        if not (calls := calls_of(message)):
            return
        results = [_result(toolbox, call, gate, show) for call in calls]


def converse(client: Client, ask: Ask, toolbox: Toolbox, approve: Approve | bool | None, show: bool) -> Message:
    """The last of `answers`, all of them written to stdout while they come if `show`."""
    *_, last = (shown(client.loop, answer, show) for answer in answers(client, ask, toolbox, approve, show))
    return last


def _result(toolbox: Toolbox, call: Part, gate: _Gate, show: bool) -> Result:
    asked = asked_for(call)
    # What is not there needs nobody's leave: it does not run either.
    if asked.name in toolbox and not gate(asked):
        return denied(call)
    result = toolbox.run(call)
    if show:
        told = result.text if len(result.text) <= _SHOWN else f"{result.text[:_SHOWN]}…"
        print(f"{asked!r}\n→ {printable(told)}\n" if asked.name in toolbox else printable(told))
    return result


class _Gate:
    """Who lets calls run: the code's own `approve`, or the person at the cell."""

    def __init__(self, approve: Approve | bool | None) -> None:
        self._approve = approve
        self._always: set[str] = set()

    def __call__(self, call: ToolCall) -> bool:
        if isinstance(self._approve, bool):
            return self._approve
        if self._approve is not None:
            return bool(self._approve(call))
        return call.name in self._always or self._ask(call)

    def _ask(self, call: ToolCall) -> bool:
        try:
            said = input(f"The model wants to call {call!r}. Allow? [y]es, [a]lways {call.name}, [n]o: ")
        except (EOFError, NotImplementedError):  # so is IPython's own StdinNotImplementedError
            raise InvalidRequest(
                f"The model wants to call {call.name}, and nobody can be asked here whether it may.",
                remedy="Pass approve=True, or a function that looks at the call and says whether.",
            ) from None
        answer = said.strip().lower()[:1]
        if answer == "a":
            self._always.add(call.name)
        return answer in ("y", "a")


def _read(attachment: Attachment) -> tuple[str, bytes]:
    if isinstance(attachment, bytes):
        return _UNNAMED, attachment
    if isinstance(attachment, tuple):
        return attachment
    path = Path(attachment).expanduser()
    try:
        return path.name, path.read_bytes()
    except OSError as problem:
        raise InvalidRequest(f"{path} cannot be read: {problem.strerror}.", remedy="Check the path.") from None


def _part(added: dict[str, Any]) -> Part:
    kind = "image" if added["media_type"].startswith("image/") else "file"
    return Part(kind, data={"attachment": added["id"], "name": added["name"]})
