"""`Parameters` as keywords of a call in a cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, TypedDict

from ..errors import InvalidRequest
from ..messages import Parameters


class Choices(TypedDict, total=False):
    """`Parameters` as keywords: ``client.chat("…", temperature=0)``."""

    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    seed: int | None
    stop: tuple[str, ...]
    reasoning_effort: Literal["none", "low", "medium", "high"] | None
    extra: dict[str, Any]


def chosen(parameters: Parameters | None, choices: Choices) -> Parameters | None:
    """`parameters` with `choices` laid over them; a name that does not exist is an `InvalidRequest`.

    Example:
        >>> chosen(Parameters(seed=1), {"temperature": 0}).to_dict()
        {'temperature': 0, 'seed': 1}
    """
    unknown = sorted(set(choices) - set(Choices.__annotations__))
    if unknown:
        raise InvalidRequest(
            f"There is no parameter {', '.join(unknown)}.",
            remedy=f"There are {', '.join(Choices.__annotations__)}; what only one provider knows goes into `extra`.",
        )
    if isinstance(stop := choices.get("stop"), str):
        choices = {**choices, "stop": (stop,)}
    return replace(parameters or Parameters(), **choices) if choices else parameters
