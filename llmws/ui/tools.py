"""The part of the chat page that lets models call functions of the kernel, one approved call at a time.

Untrusted: the model, which asks for calls, and the browser's message, which decides. A decision names the call with its
arguments as they were shown, and counts only where the service's own copy of the conversation says that the model asked
for just that and waits for it. Nothing else leads to a function.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from ..client.tools import Result, Run, Toolbox, calls_of, denied, left
from ..errors import Conflict, InvalidRequest, NotFound
from ..messages import Message, Part
from .page import intent

if TYPE_CHECKING:
    from ..client.api import Api

T = TypeVar("T")
Decision = Literal["allow", "always", "deny", "again", "stop"]
# Rounds of calls that run by themselves, because a person said so, until they are asked again.
AUTOMATIC_ROUNDS = 10
# Characters of a result that a page shows.
_SHOWN = 4_000
_REMEMBERED = 64
# How long a coroutine that is stopped may clear up.
_STOP_S = 1.0


class Tools:
    """What `Chat` is made with."""

    _api: Api

    if TYPE_CHECKING:

        def tell(self, type: str, view: str | None = None, **content: Any) -> None: ...
        def spawn(self, work: Any) -> asyncio.Task[None]: ...
        async def _begun(self, view: str | None, chat: str, sent: dict[str, Any]) -> dict[str, Any]: ...

    def _offer(self, functions: Iterable[Callable[..., Any]]) -> None:
        self._toolbox = Toolbox(functions)
        # Of each answer that waits, what came of its calls so far: None while a function runs.
        self._decided: dict[str, dict[str, Result | None]] = {}
        self._always: defaultdict[str, set[str]] = defaultdict(set)
        self._rounds: defaultdict[str, int] = defaultdict(int)
        # What runs just now, by the answer and the call.
        self._runs: dict[tuple[str, str], tuple[Run, asyncio.Future[Result]]] = {}

    @intent
    async def decide(self, view: str, *, chat: str, message: str, call: dict[str, Any], decision: str) -> bool:
        """Let a call run, once or from now on in this conversation, or not; ``again`` tells the model once more.

        ``stop`` ends the waiting for one that runs, and says whether it goes on in the kernel nevertheless.
        """
        if decision not in get_args(Decision):
            raise InvalidRequest(f"There is no decision {decision!r}.", remedy="Allow the call, or deny it.")
        answer = await self._waiting(chat, message)
        asked = _asked_for(answer, call)
        decided = self._decided_of(message)
        goes_on = False
        if decision == "stop":
            goes_on = await self._stop(message, asked)
        elif decision == "deny":
            decided.setdefault(asked.data["id"], denied(asked))
        elif decision != "again":
            if decision == "always":
                self._always[chat].add(asked.data["name"])
            self._run(chat, message, answer, [asked, *self._allowed(chat, answer)])
        self._tell_calls(chat, message, answer)
        await self._go_on(chat, message, answer)
        return goes_on

    def calls(self, item: dict[str, Any] | None) -> dict[str, Any] | None:
        """How it stands with the calls of a message, the last of a conversation; None where it waits for none."""
        if item is None or not (waiting := calls_of(item["message"])):
            return None
        return {"message": item["id"], "states": self._states(item["id"], waiting)}

    def _spoke(self, chat: str) -> None:
        """A person said something: what runs by itself may do so again."""
        self._rounds.pop(chat, None)

    def _answered(self, generation_id: str, message: Message) -> None:
        """An answer has ended: of its calls those run that need not be asked for, and browsers learn what can be."""
        if calls_of(message):
            self.spawn(self._take_calls(generation_id))

    async def _take_calls(self, generation_id: str) -> None:
        try:
            generation = await self._api.generation(generation_id)
        except NotFound:  # left, with its conversation
            return
        chat, message, answer = generation["chat_id"], generation["message_id"], generation.get("message")
        if chat is None or answer is None:
            return
        if calls := self._allowed(chat, answer):
            self._rounds[chat] += 1
            if self._rounds[chat] > AUTOMATIC_ROUNDS:
                self._always.pop(chat, None)
            else:
                self._run(chat, message, answer, calls)
        self._tell_calls(chat, message, answer)

    def _allowed(self, chat: str, answer: Message) -> list[Part]:
        return [call for call in calls_of(answer) if call.data.get("name") in self._always.get(chat, ())]

    def _run(self, chat: str, id: str, answer: Message, calls: Iterable[Part]) -> None:
        decided = self._decided_of(id)
        for call in calls:
            if call.data["id"] not in decided:
                decided[call.data["id"]] = None
                self.spawn(self._run_one(chat, id, answer, call))

    async def _run_one(self, chat: str, id: str, answer: Message, call: Part) -> None:
        run, place = Run(), (id, call.data["id"])
        ended = in_thread(self._toolbox.run, call, run)
        self._runs[place] = run, ended
        try:
            result = await ended
        finally:
            del self._runs[place]
        decided = self._decided_of(id)
        # Nobody waits any more for one that was left.
        if decided.get(result.id) is None:
            decided[result.id] = result
            self._tell_calls(chat, id, answer)
            await self._go_on(chat, id, answer)

    async def _stop(self, id: str, call: Part) -> bool:
        """Stop a call, or else leave it; whether it goes on."""
        if (running := self._runs.get((id, call.data["id"]))) is None:
            return False
        run, ended = running
        run.stop()
        await asyncio.wait({ended}, timeout=_STOP_S)
        if not ended.done():
            self._decided_of(id)[call.data["id"]] = left(call)
        return not ended.done()

    async def _go_on(self, chat: str, id: str, answer: Message) -> None:
        """Tell the model what came of its calls, once that is known of all of them."""
        decided = self._decided_of(id)
        results = [decided.get(call.data["id"]) for call in calls_of(answer)]
        if not all(results):
            return
        told = [result.to_dict() for result in results if result is not None]
        # One message, however often it is told, or from how many tabs.
        sent = await self._api.send(
            chat, None, model=answer.model, tools=self._toolbox.tools, tool_results=told, key=f"{id}-results"
        )
        await self._begun(None, chat, sent)

    async def _waiting(self, chat: str, message: str) -> Message:
        """The answer that a conversation waits with, as the service has it."""
        items = (await self._api.messages(chat, limit=1))["items"]
        if not items or items[-1]["id"] != message or not calls_of(items[-1]["message"]):
            raise Conflict("The conversation has gone on without this call.", remedy="Look at its end.")
        answer: Message = items[-1]["message"]
        return answer

    def _decided_of(self, message: str) -> dict[str, Result | None]:
        while len(self._decided) > _REMEMBERED:
            self._decided.pop(next(iter(self._decided)))
        return self._decided.setdefault(message, {})

    def _states(self, message: str, calls: Iterable[Part]) -> dict[str, Any]:
        return {call.data["id"]: self._state(call, self._decided.get(message, {})) for call in calls}

    def _state(self, call: Part, decided: Mapping[str, Result | None]) -> dict[str, Any]:
        if call.data["id"] not in decided:
            return {"state": "waiting", "known": call.data.get("name") in self._toolbox}
        result = decided[call.data["id"]]
        if result is None:
            return {"state": "running"}
        return {"state": "done", "text": result.text[:_SHOWN], "error": result.error, "denied": result.denied}

    def _tell_calls(self, chat: str, message: str, answer: Message) -> None:
        self.tell("calls", None, chat=chat, message=message, states=self._states(message, calls_of(answer)))


def in_thread(work: Callable[..., T], *given: Any) -> asyncio.Future[T]:
    """What `work` comes to in a thread of its own.

    One of a pool would be missing there if it never ended, and would have the kernel wait for it at its end.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def tell(result: T) -> None:
        # The page may be gone.
        if not ended.done():
            ended.set_result(result)

    def run() -> None:
        result = work(*given)
        with contextlib.suppress(RuntimeError):  # so may the loop
            loop.call_soon_threadsafe(tell, result)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="llmws-function", daemon=True).start()
    return ended


def _asked_for(answer: Message, shown: Mapping[str, Any]) -> Part:
    """The call that a browser showed; its name and arguments must be those that the model gave, letter by letter."""
    for call in calls_of(answer):
        if call.data.get("id") and all(
            shown.get(name) == call.data.get(name, "") for name in ("id", "name", "arguments")
        ):
            return call
    raise InvalidRequest("The model did not ask for this call.", remedy="Reload the page, and look at it again.")
