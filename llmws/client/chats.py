"""Conversations that are kept, from a cell: `client.chats` and the `Chat`s it gives."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from ..messages import Message, Parameters, Part, StreamEvent, Tool
from .assistants import Assistant
from .choices import Choices, chosen
from .inputs import Ask, Attachment, answers, asking, attached, converse
from .library import Library, Placed
from .origin import of_cell
from .share_routes import Noun
from .sharing import Linkable, SharedChats
from .tools import Approve, Result, Toolbox
from .transfers import export, import_
from .turns import Turns

if TYPE_CHECKING:
    import pandas

    from .client import Client


class Chat(Placed, Turns, Linkable):
    """A conversation. The service keeps it; this is a view of it.

    Example:
        >>> chat = client.chats.create(model="echo", title="First steps")
        >>> chat.send("Hello").text
        Hello
        'Hello'
        >>> [message.role for message in chat.messages()]
        ['user', 'assistant']
    """

    _noun: ClassVar[Noun] = "chats"

    id: str
    title: str
    model: str
    system: str | None
    parameters: Parameters
    temporary: bool

    def __init__(self, client: Client, about: dict[str, Any]) -> None:
        self._client = client
        self._take(about)

    def send(
        self,
        text: str,
        model: str | None = None,
        *,
        attachments: Sequence[Attachment] = (),
        tools: Sequence[Callable[..., Any]] = (),
        approve: Approve | bool | None = None,
        parameters: Parameters | None = None,
        show: bool = True,
        **choices: Unpack[Choices],
    ) -> Message:
        """Ask, write the answer to stdout while it comes, and return it.

        Args:
            model: another than the chat's, for this answer.
            attachments: pictures (PNG, JPEG, WebP, GIF) and text files, by their path or bytes, or as (name, bytes).
            tools: Python functions that the model may call, see `approve`; they run in this cell.
            approve: looks at each call (a `ToolCall`) and says whether it may run; True lets all. By default you are
                asked below the cell.
            show: False returns the answer only.

        Raises:
            Conflict: an answer is already running in this chat.
            InvalidRequest: the model cannot see, or not read so much; a function lacks type hints or a docstring.
            ProviderError: the model's server refused or broke off.

        Example:
            >>> client.chats.create(model="echo").send("And at dusk?", show=False).text
            'And at dusk?'
        """
        toolbox = Toolbox(tools)
        ask = self._asking(text, model, attachments, toolbox, chosen(parameters, choices))
        return converse(self._client, ask, toolbox, approve, show)

    def stream(
        self,
        text: str,
        model: str | None = None,
        *,
        attachments: Sequence[Attachment] = (),
        tools: Sequence[Callable[..., Any]] = (),
        approve: Approve | bool | None = None,
        parameters: Parameters | None = None,
        **choices: Unpack[Choices],
    ) -> Iterator[StreamEvent]:
        """Ask like `send`, and yield the events of the answer as they come; leaving the loop early cancels the answer.

        An answer that calls functions has an `end`, too; the events of the next, which knows what came of them, follow.

        Example:
            >>> [event.type for event in client.chats.create(model="echo").stream("Hi")][-1]
            'end'
        """
        toolbox = Toolbox(tools)
        ask = self._asking(text, model, attachments, toolbox, chosen(parameters, choices))
        for answer in answers(self._client, ask, toolbox, approve):
            with contextlib.closing(self._client.loop.iterate(answer.events())) as events:
                yield from events

    def messages(self) -> list[Message]:
        """All that was said on the branch that is shown, oldest first.

        Example:
            >>> client.chats.create(model="echo").messages()
            []
        """
        return [item["message"] for item in self._items()]

    def totals(self) -> dict[str, Any]:
        """What all answers of the chat came to, on every branch, with what its title took.

        Returns:
            input_tokens, output_tokens, costs (a list of ``{"currency", "cost"}``), unpriced (calls whose cost is not
            known), estimated (calls whose tokens the provider did not tell).

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> message = chat.send("one two", show=False)
            >>> chat.totals()["output_tokens"]
            2
        """
        totals: dict[str, Any] = self._client.run(self._client.api.chat(self.id))["totals"]
        return totals

    def context(self) -> dict[str, Any]:
        """How full the model's context is with the branch that is shown.

        Returns:
            used and limit (tokens; the limit is None where it is not known), source (``provider`` or ``estimate``),
            dropped (how many of the oldest messages did not fit any more).

        Example:
            >>> client.chats.create(model="echo").context()["limit"]
            1000000
        """
        context: dict[str, Any] = self._client.run(self._client.api.chat(self.id))["context"]
        return context

    def rename(self, title: str) -> None:
        """Give the chat another title.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> chat.rename("Colours of the sky")
            >>> chat.title
            'Colours of the sky'
        """
        self._take(self._client.run(self._client.api.update_chat(self.id, title=title)))

    def delete(self) -> None:
        """Take the chat from the list; for 30 days `restore` undoes it. A temporary one is erased at once.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> chat.delete()
            >>> chat.id in list(client.chats.list().id)
            False
        """
        self._client.run(self._client.api.delete_chat(self.id))

    def restore(self) -> None:
        """Undo `delete`.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> chat.delete()
            >>> chat.restore()
            >>> chat.id in list(client.chats.list().id)
            True
        """
        self._take(self._client.run(self._client.api.restore_chat(self.id)))

    def _asking(
        self,
        text: str,
        model: str | None,
        attachments: Sequence[Attachment],
        toolbox: Toolbox,
        parameters: Parameters | None,
    ) -> Ask:
        origin = of_cell()
        parts = self._client.run(attached(self._client.api, attachments)) if attachments else ()

        def ask(answer: Message | None, results: Sequence[Result]) -> Callable[[], Awaitable[dict[str, Any]]]:
            said = asking(text, parts) if answer is None else None
            return partial(self._begin, said, results, model, parameters, origin, toolbox.tools)

        return ask

    async def _begin(
        self,
        said: str | Sequence[Part] | None,
        results: Sequence[Result],
        model: str | None,
        parameters: Parameters | None,
        origin: Mapping[str, str],
        tools: Sequence[Tool] = (),
    ) -> dict[str, Any]:
        told = [result.to_dict() for result in results] or None
        sent = await self._client.api.send(
            self.id, said, model, parameters, origin=origin, tools=tools, tool_results=told
        )
        if not self.title:
            self._take(await self._client.api.chat(self.id))
        begun: dict[str, Any] = sent["generation"]
        return begun

    def _take(self, about: dict[str, Any]) -> None:
        self.id, self.title, self.model = about["id"], about["title"], about["model"]
        self.system = about.get("system")
        self.parameters = Parameters.from_dict(about.get("parameters") or {})
        self.folder, self.tags = about.get("folder", ""), tuple(about.get("tags", ()))
        self.pinned, self.archived = about.get("pinned", False), about.get("archived", False)
        self.temporary = about.get("temporary", False)

    def __repr__(self) -> str:
        return f"Chat({self.title!r}, model={self.model!r}, id={self.id!r})"


class Chats(Library, SharedChats):
    """The conversations of the person who is connected: ``client.chats``.

    Example:
        >>> client.chats.create(model="echo", title="Sky").send("Why is it blue?").role
        Why is it blue?
        'assistant'
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        model: str | None = None,
        system: str | None = None,
        title: str | None = None,
        *,
        assistant: Assistant | str | None = None,
        parameters: Parameters | None = None,
        temporary: bool = False,
        **choices: Unpack[Choices],
    ) -> Chat:
        """Begin a conversation.

        Args:
            model: an id of `client.models()`; by default the assistant's, or the first that is ready.
            system: what the model shall always keep in mind; by default the assistant's.
            title: by default the first words of the first question, and soon what a model makes of them, see
                `automatic_titles`.
            assistant: of `client.assistants`, itself or by its id or name; its parameters hold unless others are given.
            temporary: one that leaves no history: never listed nor found, and erased with `delete`, ten minutes after
                your last notebook and dashboard are gone, a day after its last message, or when the service starts.

        Raises:
            NotFound: there is no such model, or no such assistant.

        Example:
            >>> client.chats.create(model="echo", system="Be brief.", title="Sky")
            Chat('Sky', model='echo', id='...')
        """
        if isinstance(assistant, str):
            assistant = self._client.assistants.open(assistant)
        if assistant is None:
            model, assistant_id = self._client.model(model), None
        else:
            parameters, assistant_id = parameters or assistant.parameters, assistant.id
        wanted = chosen(parameters, choices)
        about = self._client.api.create_chat(
            model, title, system, wanted, assistant=assistant_id, temporary=temporary or None
        )
        return Chat(self._client, self._client.run(about))

    def open(self, id: str) -> Chat:
        """The conversation with this id; a `NotFound` where there is none.

        Example:
            >>> client.chats.open(client.chats.create(model="echo", title="Sky").id).title
            'Sky'
        """
        return Chat(self._client, self._client.run(self._client.api.chat(id)))

    def export(self, path: str | Path, format: str | None = None, chat: Chat | str | None = None) -> Path:
        """Write a conversation, or all of them, to a file.

        Args:
            path: a file; what stands there is replaced when the new one is whole.
            format: ``"json"`` (without loss, can be imported again), ``"markdown"``, ``"html"``, ``"csv"`` (a row per
                message, with figures) or ``"notebook"`` (replays the conversation); by default what `path` ends with.
            chat: one, or its id; else all, which as Markdown, HTML or notebooks are a ZIP.

        Returns:
            Path: of the file.

        Example:
            >>> import tempfile
            >>> chat = client.chats.create(model="echo", title="Sky")
            >>> folder = tempfile.mkdtemp()
            >>> client.chats.export(f"{folder}/sky.md", chat=chat).read_text().splitlines()[0]
            '# Sky'
        """
        return export(self._client, path, format, chat.id if isinstance(chat, Chat) else chat)

    def import_(self, path: str | Path, *, show: bool = True) -> pandas.DataFrame:
        """Bring conversations in from a file: JSON that `export` wrote, ChatGPT's (`conversations.json` or the ZIP
        that holds it), or Open WebUI's. The same again changes nothing; a conversation that has grown gets what is new.

        A line shows how far it is. The stop button of Lab (KeyboardInterrupt) ends it; what came stays.

        Args:
            show: False shows no progress.

        Returns:
            DataFrame: place (in the file, from 1), title, outcome (``imported``, ``updated``, ``present`` or
            ``refused``), messages (how many came), reason (why it was refused), chat_id.

        Raises:
            InvalidRequest: there is nothing in the file that could be imported.

        Example:
            >>> import tempfile
            >>> chat = client.chats.create(model="echo", title="Sky")
            >>> path = client.chats.export(f"{tempfile.mkdtemp()}/sky.json", chat=chat)
            >>> client.chats.import_(path).outcome[0]
            1 there already
            'present'
        """
        return import_(self._client, path, show)

    def automatic_titles(self, wanted: bool | None = None) -> bool:
        """Whether a model is asked for the titles of your conversations; with `wanted` from now on.

        It is one short call after the first answer, under the purpose ``title`` in `client.usage`; without it a title
        is the first words of the first question. False, too, where the administrator wants none.

        Example:
            >>> client.chats.automatic_titles(False)
            False
            >>> client.chats.automatic_titles(True)
            True
        """
        if wanted is not None:
            self._client.run(self._client.api.update_me(automatic_titles=wanted))
        return bool(self._client.run(self._client.api.me())["automatic_titles"])
