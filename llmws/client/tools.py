"""Python functions that a model may call: described to it, checked, run here in the kernel, and told what came of it.

The model only asks. Nothing runs before a person has approved the call, or the code has said that it may; arguments are
validated against the type hints first, and what fails is told to the model, which may then do better.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidRequest
from ..messages import Message, Part, Tool

# Rounds of calls and results until a person is asked again how to go on.
MOST_ROUNDS = 25
# Characters of a result: some thousand tokens, of which a model reads each at every turn.
LONGEST_RESULT = 20_000
_LONGEST_ERROR = 2_000
_DENIED = "The person did not allow this call. Do not try it again unless they ask for it."
_STOPPED = "The person stopped this call."
_LEFT = "The person stopped waiting for this call. It still runs in their kernel; what it will return is not known."
_NAME_LENGTH = 64


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model asks for: a function by its name, and the arguments, as far as they are JSON.

    Example:
        >>> ToolCall("c1", "add", {"a": 1, "b": 2})
        add(a=1, b=2)
    """

    id: str
    name: str
    arguments: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a call: what the function returned, as text, or why it did not; `denied` is an `error`, too.

    Example:
        >>> Result("c1", "3").to_dict()
        {'id': 'c1', 'text': '3', 'error': False, 'denied': False}
    """

    id: str
    text: str
    error: bool = False
    denied: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "text": self.text, "error": self.error, "denied": self.denied}


Approve = Callable[[ToolCall], bool]


class Toolbox:
    """Functions by their names.

    Args:
        functions: each with type hints, by which arguments are checked, and a docstring, which the model reads.

    Raises:
        InvalidRequest: one of them cannot be described to a model.

    Example:
        >>> def add(a: int, b: int = 1) -> int:
        ...     "Add two numbers."
        ...     return a + b
        >>> box = Toolbox([add])
        >>> box.tools[0].parameters["properties"]["a"]
        {'title': 'A', 'type': 'integer'}
        >>> box.run(Part("tool_call", data={"id": "c1", "name": "add", "arguments": '{"a": 2}'}))
        Result(id='c1', text='3', error=False, denied=False)
        >>> box.run(Part("tool_call", data={"id": "c1", "name": "add", "arguments": '{"a": "two"}'})).text
        'a: Input should be a valid integer, unable to parse string as an integer'
    """

    def __init__(self, functions: Iterable[Callable[..., Any]] = ()) -> None:
        self._functions: dict[str, _Function] = {}
        for one in functions:
            function = _Function(one)
            if function.tool.name in self._functions:
                raise InvalidRequest(f"There are two functions {function.tool.name}.", remedy="Rename one of them.")
            self._functions[function.tool.name] = function

    def __bool__(self) -> bool:
        return bool(self._functions)

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What a model is told of them."""
        return tuple(function.tool for function in self._functions.values())

    def run(self, call: Part, run: Run | None = None) -> Result:
        """Run what `call` asks for, here and now, and tell what came of it; whatever happens, it is a `Result`.

        Args:
            run: lets another thread stop it.
        """
        call_id, name = str(call.data.get("id", "")), str(call.data.get("name", ""))
        function = self._functions.get(name)
        if function is None:
            known = ", ".join(self._functions) or "none"
            return Result(call_id, f"There is no function {name!r}. There are: {known}.", error=True)
        try:
            return Result(call_id, function(_object(call), run or Run()))
        except _Refused as refused:
            return Result(call_id, str(refused), error=True)
        except asyncio.CancelledError:
            return Result(call_id, _STOPPED, error=True)
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - the model is told of it, and may do better
            told = f"{type(problem).__name__}: {problem}"
            return Result(call_id, _cut(told, _LONGEST_ERROR), error=True)


def calls_of(message: Message) -> tuple[Part, ...]:
    """The calls whose results an answer waits for; none where it ended for another reason.

    Example:
        >>> calls_of(Message("assistant", (Part("tool_call", data={"id": "c1"}),), finish_reason="cancelled"))
        ()
    """
    if message.role != "assistant" or message.finish_reason != "tool_calls":
        return ()
    return tuple(part for part in message.parts if part.type == "tool_call")


def asked_for(call: Part) -> ToolCall:
    """A call as a person looks at it.

    Example:
        >>> asked_for(Part("tool_call", data={"id": "c1", "name": "add", "arguments": '{"a": 1}'}))
        add(a=1)
    """
    try:
        arguments = _object(call)
    except _Refused:
        arguments = {"arguments": call.data.get("arguments")}
    return ToolCall(str(call.data.get("id", "")), str(call.data.get("name", "")), arguments)


def denied(call: Part) -> Result:
    """What a model is told of a call that a person did not allow.

    Example:
        >>> denied(Part("tool_call", data={"id": "c1"})).denied
        True
    """
    return Result(str(call.data.get("id", "")), _DENIED, error=True, denied=True)


def left(call: Part) -> Result:
    """What a model is told of a call that a person waits for no longer, and that goes on.

    Example:
        >>> left(Part("tool_call", data={"id": "c1"})).error
        True
    """
    return Result(str(call.data.get("id", "")), _LEFT, error=True)


def results_message(results: Sequence[Result]) -> Message:
    """The message that tells a model of `results`, for a conversation that no service keeps.

    Example:
        >>> results_message([Result("c1", "3")]).role
        'tool'
    """
    told = (Part.tool_result(one.id, one.text, error=one.error, denied=one.denied) for one in results)
    return Message("tool", tuple(told))


class Run:
    """One run of a function, which another thread may stop as far as that can be: a coroutine is cancelled where it
    waits next. Python ends no thread from outside, so a plain function goes on until it ends by itself.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        if self._loop is not None and self._task is not None:
            # It has ended just now where its loop is closed.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._task.cancel)

    async def result(self, awaitable: Awaitable[Any]) -> Any:
        """What `awaitable` comes to."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._stopped:
            self.stop()
        return await awaitable


class _Refused(Exception):
    """The arguments are not what the function takes."""


class _Function:
    """One function: what a model is told of it, and how it is called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        import pydantic  # 60 ms that only who has functions pays

        _check(function)

        @functools.wraps(function)
        def arguments(*positional: Any, **named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return positional, named

        described: Any = arguments
        try:
            schema = pydantic.TypeAdapter(described).json_schema()
            self._validated = pydantic.validate_call(arguments)
        except (pydantic.PydanticUserError, NameError) as problem:
            raise InvalidRequest(
                f"The type hints of {function.__name__} cannot be described to a model: {problem}".splitlines()[0],
                remedy="Use int, float, str, bool, list, dict, Literal, Enum or dataclasses of these.",
            ) from None
        self._function = function
        self._invalid = pydantic.ValidationError
        self.tool = Tool(function.__name__, inspect.getdoc(function) or "", schema)

    def __call__(self, given: Mapping[str, Any], run: Run) -> str:
        try:
            positional, named = self._validated(**given)
        except self._invalid as problem:
            told = ((".".join(map(str, error["loc"])), error["msg"]) for error in problem.errors(include_url=False))
            raise _Refused("\n".join(f"{where}: {what}" for where, what in told)) from None
        returned = self._function(*positional, **named)
        if inspect.isawaitable(returned):
            returned = asyncio.run(run.result(returned))
        return _cut(returned if isinstance(returned, str) else _json(returned), LONGEST_RESULT)


def _check(function: Callable[..., Any]) -> None:
    name = getattr(function, "__name__", "")
    if not callable(function) or not name.isidentifier() or not name.isascii() or len(name) > _NAME_LENGTH:
        raise InvalidRequest(
            f"{function!r} is no function that a model can call.",
            remedy="Define one with `def`; its name is of a-z, 0-9 and _, up to 64 of them.",
        )
    if not inspect.getdoc(function):
        raise InvalidRequest(f"{name} has no docstring.", remedy="Say in one what it does: the model reads it.")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InvalidRequest(f"{name} takes {parameter}.", remedy="A model gives every argument by its name.")
        if parameter.annotation is parameter.empty:
            raise InvalidRequest(
                f"{name} has no type hint for {parameter.name}.",
                remedy=f"Write `{parameter.name}: int`, or what it is.",
            )


def _object(call: Part) -> dict[str, Any]:
    try:
        given = json.loads(call.data.get("arguments") or "{}")
    except (ValueError, RecursionError) as problem:
        raise _Refused(f"The arguments are not JSON: {problem}") from None
    if not isinstance(given, dict):
        raise _Refused("The arguments are not a JSON object.")
    return given


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):  # keys that are no text, a value that holds itself
        return str(value)


def _cut(text: str, longest: int) -> str:
    """
    >>> _cut("abcdef", 3)
    'abc… (6 characters, cut here)'
    """
    # What is half a character cannot be sent.
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters, cut here)"
