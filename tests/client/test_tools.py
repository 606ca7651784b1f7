"""Functions that a model may call: described, checked, run, and told what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from llmws.client.tools import LONGEST_RESULT, Result, Toolbox, ToolCall, asked_for
from llmws.errors import InvalidRequest
from llmws.messages import Part


@dataclass
class Place:
    latitude: float
    longitude: float = 0.0


def weather(
    place: Place, days: Annotated[int, Field(ge=1, le=7)] = 1, *, unit: Literal["C", "F"] = "C"
) -> dict[str, Any]:
    """Tell the weather.

    Args:
        place: where.
    """
    return {"at": place.latitude, "days": days, "unit": unit, "sky": "晴"}


def fail(why: str) -> None:
    """Fail."""
    raise RuntimeError(why)


async def later(n: int) -> int:
    """Wait."""
    return n + 1


def leave() -> None:
    """End it all."""
    raise SystemExit(3)


def call(name: str, arguments: Any) -> Part:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return Part("tool_call", data={"id": "c1", "name": name, "arguments": text})


def test_a_function_is_described_by_its_hints_and_docstring() -> None:
    [tool] = Toolbox([weather]).tools
    assert (tool.name, tool.description.splitlines()[0]) == ("weather", "Tell the weather.")
    assert tool.parameters["type"] == "object"
    assert tool.parameters["required"] == ["place"]
    assert tool.parameters["properties"]["unit"]["enum"] == ["C", "F"]
    assert tool.parameters["$defs"]["Place"]["properties"]["latitude"]["type"] == "number"


def test_what_it_returns_is_told_as_json_or_text() -> None:
    box = Toolbox([weather, later])
    told = box.run(call("weather", {"place": {"latitude": "3"}}))
    assert (told.error, json.loads(told.text)) == (False, {"at": 3.0, "days": 1, "unit": "C", "sky": "晴"})
    assert "晴" in told.text
    assert box.run(call("later", {"n": 1})) == Result("c1", "2")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({}, "place: Missing required argument"),
        ({"place": {"latitude": 1}, "days": 9}, "days: Input should be less than or equal to 7"),
        ({"place": {"latitude": 1}, "unit": "K"}, "unit: Input should be"),
        ({"place": {"latitude": 1}, "run": "rm"}, "run: Unexpected keyword argument"),
        ({"place": {}}, "place.latitude: Field required"),
        ("[1]", "not a JSON object"),
        ('{"place": ', "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_wrong_arguments_run_nothing_and_are_told(arguments: Any, why: str) -> None:
    told = Toolbox([weather]).run(call("weather", arguments))
    assert told.error
    assert why in told.text


def test_what_fails_is_told_and_harms_nothing() -> None:
    box = Toolbox([fail, leave])
    assert box.run(call("fail", {"why": "no wind"})) == Result("c1", "RuntimeError: no wind", error=True)
    assert box.run(call("leave", {})) == Result("c1", "SystemExit: 3", error=True)
    assert "There is no function 'rm'. There are: fail, leave." in box.run(call("rm", {})).text


def test_a_long_result_is_cut_and_says_so() -> None:
    def much() -> str:
        """Say much."""
        return "x" * (LONGEST_RESULT + 1) + "\ud83d"

    told = Toolbox([much]).run(call("much", {})).text
    assert told == "x" * LONGEST_RESULT + "… (20,002 characters, cut here)"


def test_what_is_no_json_is_told_in_its_own_words() -> None:
    def odd() -> Any:
        """Be odd."""
        return {(1, 2): object}

    assert "(1, 2)" in Toolbox([odd]).run(call("odd", {})).text


def test_a_call_is_shown_as_code() -> None:
    assert repr(asked_for(call("add", {"a": 1, "b": "x"}))) == "add(a=1, b='x')"
    assert asked_for(call("add", "{")) == ToolCall("c1", "add", {"arguments": "{"})


def untyped(x):  # type: ignore[no-untyped-def]
    """No hint."""


def undocumented(x: int) -> int:
    return x


def several(*x: int) -> None:
    """Too many."""


def strange(x: type[Result], y: Toolbox) -> None:
    """Not for models."""


def unresolved(x: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Not for models."""


@pytest.mark.parametrize(
    ("functions", "why"),
    [
        ([untyped], "no type hint for x"),
        ([undocumented], "no docstring"),
        ([several], r"takes \*x"),
        ([strange], "cannot be described"),
        ([unresolved], "cannot be described"),
        ([lambda: 1], "no function that a model can call"),
        ([weather, weather], "two functions weather"),
        (["weather"], "no function that a model can call"),
    ],
)
def test_a_function_that_cannot_be_described_is_refused(functions: list[Any], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        Toolbox(functions)
    assert refused.value.remedy
