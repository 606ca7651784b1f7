"""The part of a `Chat` that goes back: a question said differently, another answer, the rest of one, its versions.

Messages are values and carry no ids; `at` says which is meant, by its place in `messages`, from the end where negative.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from ..errors import InvalidRequest
from ..messages import Message, Parameters
from .choices import Choices, chosen
from .inputs import converse
from .listings import conversation
from .origin import of_cell
from .tools import Approve, Result, Toolbox

if TYPE_CHECKING:
    from .client import Client


class Turns:
    """What `Chat` is made with."""

    id: str
    _client: Client
    _begin: Callable[..., Awaitable[dict[str, Any]]]

    def edit(
        self,
        text: str,
        at: int | None = None,
        model: str | None = None,
        *,
        tools: Sequence[Callable[..., Any]] = (),
        approve: Approve | bool | None = None,
        parameters: Parameters | None = None,
        show: bool = True,
        **choices: Unpack[Choices],
    ) -> Message:
        """Say a question differently, and get the new answer. What was there stays as another branch, see `select`.

        Args:
            at: which question; by default the last.
            model: another than the chat's, for this answer.
            tools, approve: functions that the model may call, and who lets them run, as with `send`.
            show: False returns the answer only.

        Raises:
            Conflict: an answer is already running in this chat.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> message = chat.send("Why is the sky blew?", show=False)
            >>> chat.edit("Why is the sky blue?", show=False).text
            'Why is the sky blue?'
            >>> len(chat.messages())
            2
        """
        send = partial(self._client.api.send, self.id, text, replaces=self._find(at, "user"))
        return self._answered(send, model, chosen(parameters, choices), Toolbox(tools), approve, show)

    def regenerate(
        self,
        model: str | None = None,
        at: int | None = None,
        *,
        tools: Sequence[Callable[..., Any]] = (),
        approve: Approve | bool | None = None,
        parameters: Parameters | None = None,
        show: bool = True,
        **choices: Unpack[Choices],
    ) -> Message:
        """Ask for another answer to the same. The one that was there stays as another branch, see `select`.

        Args:
            model: by default the one that gave the answer.
            at: instead of which answer; by default the last.
            tools, approve: as with `send`.
            show: False returns the answer only.

        Raises:
            Conflict: an answer is already running in this chat.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> message = chat.send("Name a moon.", show=False)
            >>> chat.regenerate(show=False, extra={"tokens": ["Io."]}).text
            'Io.'
        """
        again = partial(self._client.api.regenerate, self.id, self._find(at, "assistant"))
        return self._answered(again, model, chosen(parameters, choices), Toolbox(tools), approve, show)

    def resume(
        self,
        model: str | None = None,
        at: int | None = None,
        *,
        tools: Sequence[Callable[..., Any]] = (),
        approve: Approve | bool | None = None,
        parameters: Parameters | None = None,
        show: bool = True,
        **choices: Unpack[Choices],
    ) -> Message:
        """Get the rest of an answer that was cut off: by `max_tokens`, by Stop, by an error.

        Args:
            model: by default the one that gave the answer.
            at: which answer; by default the last.
            tools, approve: as with `send`.
            show: False returns the rest only.

        Raises:
            InvalidRequest: it came to its end, or said nothing yet.
            Conflict: an answer is already running in this chat.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> chat.send("one two three", max_tokens=2, show=False).finish_reason
            'length'
            >>> chat.resume(show=False, extra={"tokens": [" three"]}).text
            ' three'
        """
        on = partial(self._client.api.resume_answer, self.id, self._find(at, "assistant"))
        return self._answered(on, model, chosen(parameters, choices), Toolbox(tools), approve, show)

    def versions(self, at: int = -1) -> list[Message]:
        """All that was said at this place of the conversation, oldest first: a question and what it was changed to, the
        answers to one question.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> message = chat.send("Hello", show=False)
            >>> message = chat.edit("Good morning", show=False)
            >>> [version.text for version in chat.versions(at=0)]
            ['Hello', 'Good morning']
        """
        ids = _at(self._items(), at)["siblings"]
        return [self._client.run(self._client.api.message(self.id, one))["message"] for one in ids]

    def select(self, version: int, at: int = -1) -> list[Message]:
        """Go to the branch of one of the `versions`, by its number from 0 on; what is said next goes on there.

        Returns:
            The messages of that branch.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> message = chat.send("Hello", show=False)
            >>> message = chat.edit("Good morning", show=False)
            >>> [message.text for message in chat.select(0, at=0)]
            ['Hello', 'Hello']
        """
        message_id = _at(_at(self._items(), at)["siblings"], version)
        self._client.run(self._client.api.select(self.id, message_id))
        return [item["message"] for item in self._items()]

    def _items(self) -> list[dict[str, Any]]:
        return self._client.run(conversation(partial(self._client.api.messages, self.id)))

    def _find(self, at: int | None, role: str) -> str:
        """The id of the message at this place, or of the last of this role."""
        items = self._items()
        if at is not None:
            return str(_at(items, at)["id"])
        fitting = [item["id"] for item in items if item["message"].role == role]
        if not fitting:
            raise InvalidRequest("Nothing was said in this chat yet.", remedy="Ask with `send`.")
        return str(fitting[-1])

    def _answered(
        self,
        route: Callable[..., Awaitable[dict[str, Any]]],
        model: str | None,
        parameters: Parameters | None,
        toolbox: Toolbox,
        approve: Approve | bool | None,
        show: bool,
    ) -> Message:
        """The answer that `route` begins, or the last of those that follow the calls of functions in it."""
        origin = of_cell()

        async def first() -> dict[str, Any]:
            how = {"parameters": parameters, "origin": origin, "tools": toolbox.tools}
            begun: dict[str, Any] = (await route(model=model, **how))["generation"]
            return begun

        def ask(answer: Message | None, results: Sequence[Result]) -> Callable[[], Awaitable[dict[str, Any]]]:
            if answer is None:
                return first
            return partial(self._begin, None, results, model or answer.model, parameters, origin, toolbox.tools)

        return converse(self._client, ask, toolbox, approve, show)


def _at(found: Sequence[Any], place: int) -> Any:
    try:
        return found[place]
    except IndexError:
        raise InvalidRequest(
            f"There is no {place} among {len(found)}.", remedy="See `messages` and `versions`."
        ) from None
