"""Assistants from a cell: `client.assistants`, a model with a system prompt and parameters under a name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from ..errors import InvalidRequest, NotFound
from ..messages import Parameters
from .choices import Choices, chosen
from .listings import table
from .share_routes import Noun
from .sharing import Shareable

if TYPE_CHECKING:
    import pandas

    from .client import Client

_COLUMNS = ["id", "name", "description", "model", "owner", "problem", "updated_at"]


class Assistant(Shareable):
    """Who answers, and how, for whoever begins a conversation with it. The service keeps it; this is a view of it.

    `problem` says why you cannot use it, None where you can; `owner` is who made it, and may change it.

    Example:
        >>> poet = client.assistants.create("Poet", model="echo", system="Answer in verse.")
        >>> client.chats.create(assistant=poet).system
        'Answer in verse.'
    """

    _noun: ClassVar[Noun] = "assistants"

    id: str
    name: str
    description: str
    owner: str
    model: str
    system: str
    parameters: Parameters
    problem: str | None

    def __init__(self, client: Client, about: dict[str, Any]) -> None:
        self._client = client
        self._take(about)

    def update(
        self,
        name: str | None = None,
        *,
        description: str | None = None,
        model: str | None = None,
        system: str | None = None,
        parameters: Parameters | None = None,
        **choices: Unpack[Choices],
    ) -> None:
        """Change what is given; conversations that were begun with it stay as they were begun.

        Example:
            >>> poet = client.assistants.create("Poet", model="echo", temperature=0.9)
            >>> poet.update("Bard", max_tokens=100)
            >>> poet.name, poet.parameters.to_dict()
            ('Bard', {'temperature': 0.9, 'max_tokens': 100})
        """
        wanted = chosen(parameters or self.parameters, choices) if parameters or choices else None
        told = {"name": name, "description": description, "model": model, "system": system, "parameters": wanted}
        self._take(self._client.run(self._client.api.update_assistant(self.id, **told)))

    def delete(self) -> None:
        """Take it from the list, of those whom it is shared with, too; `restore` undoes it.

        Example:
            >>> poet = client.assistants.create("Gone", model="echo")
            >>> poet.delete()
            >>> "Gone" in list(client.assistants.list().name)
            False
        """
        self._client.run(self._client.api.delete_assistant(self.id))

    def restore(self) -> None:
        """Undo `delete`.

        Example:
            >>> poet = client.assistants.create("Back", model="echo")
            >>> poet.delete()
            >>> poet.restore()
            >>> "Back" in list(client.assistants.list().name)
            True
        """
        self._take(self._client.run(self._client.api.restore_assistant(self.id)))

    def _take(self, about: dict[str, Any]) -> None:
        self.id, self.name, self.description = about["id"], about["name"], about["description"]
        self.owner, self.model, self.system = about["owner"], about["model"], about["system"]
        self.parameters, self.problem = Parameters.from_dict(about["parameters"]), about["problem"]

    def __repr__(self) -> str:
        return f"Assistant({self.name!r}, model={self.model!r}, id={self.id!r})"


class Assistants:
    """One's own assistants, and those that are shared with one: ``client.assistants``.

    Example:
        >>> client.assistants.create("Captain", model="echo", system="Speak like a sailor.")
        Assistant('Captain', model='echo', id='...')
        >>> client.chats.create(assistant="Captain").system
        'Speak like a sailor.'
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        name: str,
        model: str | None = None,
        system: str | None = None,
        description: str | None = None,
        *,
        parameters: Parameters | None = None,
        **choices: Unpack[Choices],
    ) -> Assistant:
        """Make an assistant; nobody else has it until you share it.

        Args:
            model: an id of `client.models()`; by default the first that is ready.

        Raises:
            NotFound: there is no such model.

        Example:
            >>> client.assistants.create("Terse", model="echo", system="Be brief.", temperature=0).parameters.to_dict()
            {'temperature': 0.0}
        """
        wanted = chosen(parameters, choices)
        about = self._client.api.create_assistant(name, self._client.model(model), description, system, wanted)
        return Assistant(self._client, self._client.run(about))

    def open(self, id: str) -> Assistant:
        """The assistant with this id or name.

        Raises:
            NotFound: there is none that you may use.
            InvalidRequest: several have this name.

        Example:
            >>> made = client.assistants.create("Navigator", model="echo")
            >>> client.assistants.open("Navigator").id == made.id
            True
        """
        return Assistant(self._client, found(self._client.run(self._client.api.assistants()), id))

    def list(self) -> pandas.DataFrame:
        """The assistants that you may begin with, by name.

        Returns:
            DataFrame: id, name, description, model, owner, problem (why you cannot use it; missing where you can),
            updated_at (with time zone).

        Example:
            >>> _ = client.assistants.create("Cook", model="echo")
            >>> "Cook" in list(client.assistants.list().name)
            True
        """
        return table(self._client.run(self._client.api.assistants()), _COLUMNS, times=["updated_at"])


def found(assistants: Iterable[dict[str, Any]], wanted: str) -> dict[str, Any]:
    """The one of these with an id or name; see `Assistants.open`.

    Example:
        >>> found([{"id": "1", "name": "Poet"}], "Poet")["id"]
        '1'
    """
    known = list(assistants)
    fitting = [one for one in known if one["id"] == wanted] or [one for one in known if one["name"] == wanted]
    if not fitting:
        raise NotFound(f"There is no assistant {wanted!r}.", remedy="See client.assistants.list() for those there are.")
    if len(fitting) > 1:
        raise InvalidRequest(f"There are {len(fitting)} assistants called {wanted!r}.", remedy="Name one by its id.")
    return fitting[0]
