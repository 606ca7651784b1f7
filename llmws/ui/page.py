"""The base of every page: one widget that speaks with its browser in custom messages only.

The browser sends intents, ``{"intent", "view", "request", "values"}``; the page answers each with
``{"type": "reply", "view", "request"}`` and a ``value`` or an ``error``. Messages reach every tab of a kernel, so each
tab has a view id and picks its own. Traits hold hints about looks only: anyone who reaches the kernel reads them.

Jupyter drops messages, either way, while a websocket comes back (a proxy restarted, a laptop slept). So all that a page
tells is numbered, whoever it is for: a tab that finds a number missing asks for a snapshot, and repeats what was not
answered. A request that is repeated is done once; the answer that it got is told again, marked as ``repeated``, since
more may have happened by now.

Intents arrive on whatever thread the kernel has; they are handed over to the client's loop at once, where all state
lives. A message is untrusted: only methods marked with `intent` can be called, with values of the declared types. An
exception in a callback or task is shown nowhere by Jupyter, so each ends here and becomes an error on the page.
This module knows no page, and nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

import anywidget
import traitlets

from ..client import Client, connect
from ..errors import Error, InvalidRequest, Unavailable
from ..messages import Message, Part

LOG = logging.getLogger("llmws.ui")

STATIC = Path(__file__).parent / "static"
# Characters of JSON: a long prompt fits many times, and a kernel is not filled by one message.
_LARGEST = 2_000_000
_MOST_AT_ONCE = 64
_LONGEST_ID = 64
# Replies that may have been lost on their way: a tab repeats its requests within seconds.
_REMEMBERED = 32

_Request = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Intent:
    """What a browser may ask for: a method of the page, and the types of what it takes."""

    method: Callable[..., Awaitable[Any]]
    types: Mapping[str, Any]
    required: frozenset[str]

    def check(self, values: Any) -> dict[str, Any]:
        """`values` as keyword arguments; what does not fit is an `InvalidRequest`."""
        if not isinstance(values, dict) or values.keys() - self.types.keys() or self.required - values.keys():
            raise InvalidRequest(f"This takes {', '.join(sorted(self.types)) or 'nothing'}.")
        for name, value in values.items():
            if not _fits(value, self.types[name]):
                raise InvalidRequest(f"{name!r} has the wrong type.")
        return values


def intent(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Let browsers call this method of a `Page`: ``async def name(self, view, *, value: str, …)``."""
    method.is_intent = True  # type: ignore[attr-defined]
    return method


class Page(anywidget.AnyWidget):
    """A page of the workspace in a notebook or dashboard.

    Args:
        client: whom to ask; by default ``llmws.connect()``.
        language: ``"en"``, ``"zh"``, or ``"auto"``: what the browser speaks.
        theme: ``"light"``, ``"dark"``, or ``"auto"``: what JupyterLab or Voilà shows.
    """

    language = traitlets.Enum(["auto", "en", "zh"], "auto").tag(sync=True)
    theme = traitlets.Enum(["auto", "light", "dark"], "auto").tag(sync=True)

    intents: ClassVar[Mapping[str, Intent]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        methods = {name: member for base in reversed(cls.__mro__) for name, member in vars(base).items()}
        marked = {name: method for name, method in methods.items() if getattr(method, "is_intent", False) is True}
        cls.intents = {name: _declared(method) for name, method in marked.items()}

    def __init__(self, client: Client | None = None, **traits: Any) -> None:
        self.client = connect() if client is None else client
        self._tasks: set[asyncio.Task[None]] = set()
        self._number = 0
        self._underway: set[_Request] = set()
        self._replies: OrderedDict[_Request, dict[str, Any]] = OrderedDict()
        super().__init__(**traits)
        self.on_msg(self._receive)

    def tell(self, type: str, view: str | None = None, **content: Any) -> None:
        """Send a message to all tabs; `view` names the one that caused it and learns of it by its reply."""
        self._number += 1
        self.send(to_json({"type": type, "number": self._number, "view": view, **content}))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` on the client's loop, whose present thread this is; its failure is shown on the page."""
        task = asyncio.get_running_loop().create_task(self._watch(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @intent
    async def chinese(self, view: str) -> str:
        """What Python says, in Chinese: a front-end module, for a browser that is about to show some of it."""
        return _chinese()

    def _receive(self, widget: Any, content: Any, buffers: Any) -> None:
        # Not as an argument: a loop in debug mode writes those of slow calls to the log, and this may hold a secret.
        self.client.loop.call_soon(lambda: self._dispatch(content))

    def _dispatch(self, content: Any) -> None:
        view = request = None
        try:
            told = content if isinstance(content, dict) else {}
            view, request = _view_of(told), told.get("request") if type(told.get("request")) is int else None
            _check_size(content)
            wanted = self.intents.get(name) if isinstance(name := told.get("intent"), str) else None
            if wanted is None or view is None or request is None:
                raise InvalidRequest("The page was asked for something that it cannot do.")
            call = partial(wanted.method, self, view, **wanted.check(told.get("values", {})))
            if self._is_repeated(view, request):
                return
            if len(self._tasks) >= _MOST_AT_ONCE:
                raise Unavailable("The page is asked for too much at once.", remedy="Wait a moment.")
        except Exception as problem:  # noqa: BLE001 - nothing that a browser sends may get lost in a callback
            self._refuse(view, request, problem)
        else:
            self._underway.add((view, request))
            self.spawn(self._answer(view, request, call))

    def _is_repeated(self, view: str, request: int) -> bool:
        """Whether a tab asked this before; a reply that it did not get is told again."""
        known = self._replies.get((view, request))
        if known is not None:
            self.tell("reply", view, request=request, repeated=True, **known)
        return known is not None or (view, request) in self._underway

    async def _answer(self, view: str, request: int, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            value = await call()
        except Exception as problem:  # noqa: BLE001 - Jupyter would show it nowhere
            self._refuse(view, request, problem)
        else:
            self._reply(view, request, value=value)
        finally:
            self._underway.discard((view, request))

    def _reply(self, view: str, request: int, **content: Any) -> None:
        self._replies[view, request] = content
        while len(self._replies) > _REMEMBERED:
            self._replies.popitem(last=False)
        self.tell("reply", view, request=request, **content)

    async def _watch(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as problem:  # noqa: BLE001 - Jupyter would show it nowhere
            self._refuse(None, None, problem)

    def _refuse(self, view: str | None, request: int | None, problem: Exception) -> None:
        error = problem if isinstance(problem, Error) else _internal(problem)
        if view is None or request is None:
            self.tell("refused", error=error.to_dict())
        else:
            self._reply(view, request, error=error.to_dict())


@cache
def _chinese() -> str:
    return (STATIC / "chinese.js").read_text(encoding="utf-8")


def to_json(value: Any) -> Any:
    """`value` as JSON-ready data: a `Message` becomes its dict, wherever it stands.

    The text of files that are attached to it stays here: a page shows their names, and it may be a megabyte.
    """
    if isinstance(value, Message):
        return replace(
            value, parts=tuple(Part("file", data=one.data) if one.type == "file" else one for one in value.parts)
        ).to_dict()
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, list | tuple) else value


def _declared(method: Callable[..., Awaitable[Any]]) -> Intent:
    hints = get_type_hints(method)
    takes = [item for item in inspect.signature(method).parameters.values() if item.kind is item.KEYWORD_ONLY]
    required = frozenset(item.name for item in takes if item.default is item.empty)
    return Intent(method, {item.name: hints[item.name] for item in takes}, required)


def _fits(value: Any, annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType):
        return any(_fits(value, choice) for choice in get_args(annotation))
    # bool is an int to Python, and not to a person.
    return type(value) is (get_origin(annotation) or annotation)


def _check_size(content: Any) -> None:
    try:
        size = len(json.dumps(content, ensure_ascii=False))
    except (ValueError, TypeError, RecursionError):
        raise InvalidRequest("A message to the page was not JSON.") from None
    if size > _LARGEST:
        raise InvalidRequest(f"A message of {size:,} characters is too large.", remedy=f"{_LARGEST:,} are allowed.")


def _view_of(told: Mapping[str, Any]) -> str | None:
    view = told.get("view")
    return view if isinstance(view, str) and 0 < len(view) <= _LONGEST_ID else None


def _internal(problem: Exception) -> Error:
    LOG.error("a page failed", exc_info=problem)
    remedy = "Try again. If it happens again, report it with the output of `llmws doctor`."
    return Error(f"The page made a mistake ({type(problem).__name__}).", remedy=remedy, code="internal")
