"""`connect` and the `Client`: what a person types in a cell, as plain calls over `Api`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from ..errors import Error, InvalidRequest, Unavailable
from ..http import HTTPError
from ..messages import Message, Parameters
from ..recipe import Recipe
from ..settings import Settings
from .api import Api
from .assistants import Assistants
from .bridge import Bridge, bridge
from .chats import Chats
from .choices import Choices, chosen
from .comparisons import compare
from .finding import Address, Finder, Given, finder_for
from .inputs import Attachment, attached, converse
from .jobs import Job, Jobs
from .listings import table
from .money import Time, limits_table, moment, prices_table, usage_table
from .origin import of_cell
from .providers import Providers
from .tools import Approve, Result, Toolbox, results_message

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")

_MODEL_COLUMNS = ["id", "provider", "context", "vision", "tools", "reasoning", "input_price", "output_price"]
_MODEL_COLUMNS += ["currency", "checked_at", "state"]

_DATASET_COLUMNS = ["name", "rows", "description", "language", "licence", "formatting", "source"]

_CONNECTED: dict[Any, Client] = {}
_CONNECTING = threading.Lock()


def connect(url: str | None = None, token: str | None = None) -> Client:
    """Find the service, or start it, and return a client for it.

    In this order: `url`; the address in LLMWS_URL (a hub sets it); the running service of the data folder; else
    one is started, which ends by itself when nothing uses it any more. Connecting twice gives the same client.

    Raises:
        ServiceError: it cannot be reached or started; the message says why and what helps.
        VersionMismatch: the running service is newer than this client.

    Example:
        >>> client = llmws.connect()
        >>> client.chat("Why is the sky blue?", model="echo").finish_reason
        Why is the sky blue?
        'stop'
    """
    settings = Settings.from_environment()
    if token is None:
        token = settings.token
    address = url or settings.url
    finder = finder_for(replace(settings, url=address, token=token))
    key = (address, token) if address else settings
    with _CONNECTING:
        if isinstance(finder, Given):
            bridge().run(finder.check())
        found = bridge().run(finder.address(start="always"))
        client = _CONNECTED.get(key)
        if client is None or client.closed:
            client = _CONNECTED[key] = Client(finder, found)
        client.api.address = found
        return client


class Client:
    """A connection to the service; `connect` makes it.

    Attributes:
        api: the routes as asynchronous methods, for code that runs on `loop`.
        loop: the bridge to the client's event loop.
        chats: the conversations that are kept.
        assistants: whom to begin them with.
        jobs: the fine-tunes.
        providers: accounts at vendors of models, with their keys.

    Example:
        >>> client
        Client('http://127.0.0.1:...')
        >>> client.api.address.url == client.url
        True
    """

    def __init__(self, finder: Finder, address: Address) -> None:
        self.loop: Bridge = bridge()
        self.api = Api(finder, address)
        self.chats = Chats(self)
        self.assistants = Assistants(self)
        self.jobs = Jobs(self)
        self.providers = Providers(self)
        self.closed = False
        self._presence: Future[None] = self.loop.submit(self._stay())

    @property
    def url(self) -> str:
        """The service's address; it may change when the service restarts."""
        return self.api.address.url

    @property
    def token(self) -> str | None:
        """The token to ask with. It opens everything of yours in the service: keep it out of a notebook's output."""
        return self.api.address.token

    def models(self) -> pandas.DataFrame:
        """The models that can be asked.

        Returns:
            DataFrame: id, provider, context (tokens), vision, tools, reasoning, input_price, output_price (missing
            where unpriced), currency, checked_at, state.

        Example:
            >>> "echo" in list(client.models().id)
            True
        """
        return table(self.run(self.api.models()), _MODEL_COLUMNS, times=["checked_at"])

    def chat(
        self,
        prompt: str | Sequence[Message],
        model: str | None = None,
        system: str | None = None,
        *,
        attachments: Sequence[Attachment] = (),
        tools: Sequence[Callable[..., Any]] = (),
        approve: Approve | bool | None = None,
        parameters: Parameters | None = None,
        show: bool = True,
        **choices: Unpack[Choices],
    ) -> Message:
        """Ask once, write the answer to stdout while it comes, and return it; `chats` keeps conversations.

        The stop button of Lab (KeyboardInterrupt) cancels the answer in the service, too.

        Args:
            prompt: a question, or the messages so far.
            model: an id of `models()`; by default the first that is ready.
            system: what the model shall keep in mind.
            attachments: pictures (PNG, JPEG, WebP, GIF) and text files, by their path or bytes, or as (name, bytes).
            tools: Python functions that the model may call, see `approve`; they run in this cell.
            approve: looks at each call (a `ToolCall`) and says whether it may run; True lets all. By default you are
                asked below the cell.
            parameters: how it shall answer; single ones as keywords: ``temperature=0, max_tokens=50``.
            show: False returns the answer only.

        Raises:
            NotFound: there is no such model.
            InvalidRequest: the model cannot see, or not read so much; a function lacks type hints or a docstring.
            ProviderError: the model's server refused or broke off.

        Example:
            >>> message = client.chat("Name three moons.", model="echo")
            Name three moons.
            >>> message.text, message.cost
            ('Name three moons.', 0.0)
        """
        wanted, how, origin = self.model(model), chosen(parameters, choices), of_cell()
        toolbox = Toolbox(tools)
        parts = self.run(attached(self.api, attachments)) if attachments else ()
        messages = [Message.user(prompt)] if isinstance(prompt, str) else list(prompt)
        if not messages:
            raise InvalidRequest("There is nothing to answer.", remedy="Pass a question, or messages.")
        messages[-1] = replace(messages[-1], parts=(*parts, *messages[-1].parts))
        if system:
            messages.insert(0, Message.system(system))

        def ask(answer: Message | None, results: Sequence[Result]) -> Callable[[], Awaitable[dict[str, Any]]]:
            if answer is not None:
                messages.extend((answer, results_message(results)))
            return lambda: self.api.generate(list(messages), wanted, how, origin=origin, tools=toolbox.tools)

        return converse(self, ask, toolbox, approve, show)

    def compare(
        self,
        prompt: str | Sequence[Message],
        models: Sequence[str],
        repeat: int = 1,
        system: str | None = None,
        *,
        parameters: Parameters | None = None,
        show: bool = True,
        **choices: Unpack[Choices],
    ) -> pandas.DataFrame:
        """Put the same question to several models at once; what one of them does is no concern of the others.

        A line shows how far it is. The stop button of Lab (KeyboardInterrupt) cancels every answer in the service, too.

        Args:
            prompt: a question, or the messages so far.
            models: ids of `models()`; one that does not exist gets a row with its error.
            repeat: how often each is asked; two answers of one model are written at the same time.
            system: what the models shall keep in mind.
            parameters: how they shall answer; single ones as keywords: ``temperature=0, max_tokens=50``.
            show: False shows no progress.

        Returns:
            DataFrame: model, text, first_token_s, tokens_per_s, usage (a `Usage`), cost (missing where unpriced), error
            (a sentence; missing where all is well), repeat (from 1), finish_reason; in the order asked.

        Example:
            >>> answers = client.compare("Name three moons.", models=["echo", "nowhere"])
            2 of 2 answers in ... s
            >>> answers.text[0], answers.error[1]
            ('Name three moons.', "There is no model 'nowhere'. See client.models() for those there are.")
        """
        return compare(self, prompt, models, repeat, system, chosen(parameters, choices), show)

    def finetune(
        self, base: str, dataset: str, recipe: Recipe | Mapping[str, Any] | None = None, name: str | None = None
    ) -> Job:
        """Begin a fine-tune; it goes on in the service, whatever becomes of this cell.

        Args:
            base: the model to begin from, by its id.
            dataset: a name of `datasets()`.
            recipe: how; by default LoRA, three passes.
            name: by default the dataset's, with a number.

        Raises:
            NotFound: the base is none that can be tuned here.
            DatasetError: there is no such dataset, or a row of it cannot be trained on; the message names the line.
            InvalidRequest: a value of the recipe cannot be.
            Unavailable: the training environment is missing.

        Example:
            >>> job = client.finetune(base="smollm2-135m", dataset="seafarer", recipe=llmws.Recipe(max_steps=10))
            >>> len(job.wait().points())
            10
        """
        return self.jobs.create(base, dataset, recipe, name)

    def datasets(self) -> pandas.DataFrame:
        """The datasets that can be trained on.

        Returns:
            DataFrame: name, rows (missing where the file cannot be read), description, language, licence, formatting,
            source (``sample``, or ``own`` for those in the data folder's `datasets/`).

        Example:
            >>> client.datasets().name[0]
            'seafarer'
        """
        return table(self.run(self.api.datasets()), _DATASET_COLUMNS)

    def usage(
        self, by: str = "model", since: Time = None, until: Time = None, *, everyone: bool = False
    ) -> pandas.DataFrame:
        """What was used and what it cost: your own, or everyone's where you administer.

        Args:
            by: model, answered_by (differs where another stepped in), provider, purpose, person, group, day or hour.
            since, until: calls that ended from then to before then: a datetime, ISO 8601, or epoch seconds.
            everyone: for administrators.

        Returns:
            DataFrame: what it is by, calls, input_tokens, output_tokens, reasoning_tokens, cache_read_tokens,
            cache_write_tokens, USD, CNY (each currency on its own, nothing is converted), unpriced_calls (whose cost is
            not known), estimated_calls (whose tokens the provider did not tell).

        Example:
            >>> message = client.chat("Name three moons.", model="echo", show=False)
            >>> table = client.usage(by="model")
            >>> int(table.calls[table.model == "echo"].iloc[0]) > 0
            True
        """
        return usage_table(self.run(self.api.usage(by, moment(since), moment(until), everyone)), by)

    def limits(self) -> pandas.DataFrame:
        """The budgets, rates and numbers of parallel calls that bind you; all there are, where you administer.

        Returns:
            DataFrame: kind, name, subject (whom `used` is of), model (a pattern), unit, period, soft, hard, used, held
            (by calls that run), remaining, resets_at, forbid_unpriced, id.

        Example:
            >>> list(client.limits().columns)[:6]
            ['kind', 'name', 'subject', 'model', 'unit', 'period']
        """
        return limits_table(self.run(self.api.limits()))

    def prices(self) -> pandas.DataFrame:
        """What each model costs now, per million tokens.

        Returns:
            DataFrame: model, currency (missing where unpriced), input, output, cache_read, cache_write, cache_write_1h,
            reasoning, thinking, tiers (a list of other prices, from a length of the prompt on), hours, valid_from,
            source, checked (when it was read there), second_hand (by whom, if not by us), set_by (an administrator).

        Example:
            >>> table = client.prices()
            >>> table.source[table.model == "echo"].iloc[0]
            'served here'
        """
        return prices_table(self.run(self.api.prices()))

    def model(self, id: str | None = None) -> str:
        """`id`, or else the id of the first model that is ready.

        Example:
            >>> client.model("echo")
            'echo'
        """
        if id is not None:
            return id
        models = self.run(self.api.models())
        # The echo is there to try things out; nobody means it who names no model.
        for state in ("ready", "starting"):
            for model in models:
                if model.get("state") == state and model["id"] != "echo":
                    return model["id"]
        raise Unavailable("No model is ready.", remedy="See client.models() for their states, or name one.")

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a method of `api` and wait for it; an interrupt cancels it.

        Example:
            >>> client.run(client.api.status())["service"]["version"] == llmws.__version__
            True
        """
        return self.loop.run(coroutine)

    def close(self) -> None:
        """Let the service go; it may then end by itself. The next `connect` gives a new client.

        Example:
            >>> client.close()
            >>> client.closed
            True
        """
        if not self.closed:
            self.closed = True
            self._presence.cancel()
            self.loop.run(self.api.aclose())

    async def _stay(self) -> None:
        """Hold the presence stream for as long as this client lives; without one a laptop's service ends when idle."""
        pause = 0.1
        while True:
            # Whatever is wrong, the next request says so to a person who can act on it.
            with contextlib.suppress(Error, HTTPError):
                async for _ in self.api.presence():
                    pause = 0.1
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
            with contextlib.suppress(Error):
                await self.api.find(start="never")

    def __repr__(self) -> str:
        return f"Client({self.url!r})"


def _forget() -> None:
    """After a fork: the threads that hold these clients' presence do not exist, and the lock may be held for ever."""
    global _CONNECTING
    _CONNECTED.clear()
    _CONNECTING = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
