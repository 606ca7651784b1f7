"""Values as a browser gives them, made into what the client takes."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidRequest
from ..messages import Parameters


def parameters_of(given: dict[str, Any] | None) -> Parameters | None:
    """How a model shall answer.

    Example:
        >>> parameters_of({"seed": 1}).seed
        1
    """
    try:
        return None if given is None else Parameters.from_dict(given)
    except (ValueError, TypeError) as problem:
        raise InvalidRequest(f"These parameters cannot be: {problem}.") from None
