"""What Ollama says of its models, read from ``GET /api/tags``, ``POST /api/show`` and ``GET /api/ps``; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .base import ModelInfo
from .untrusted import dict_of, dicts_of, number_of


@dataclass(frozen=True, slots=True)
class About:
    """What ``POST /api/show`` says of a model; None where it does not.

    Args:
        capabilities: among them ``completion``, ``thinking``, ``vision``, ``tools`` and ``embedding``.
        context: tokens that the model can read at most.
        window: tokens that it reads where a request does not ask for more (``num_ctx`` in its Modelfile).
        think: what the request's ``think`` may be; another value silently counts as none. Servers older than 0.40
            do not say.
        elsewhere: it runs in Ollama's cloud, always with its whole context.
    """

    capabilities: frozenset[str] | None = None
    context: int | None = None
    window: int | None = None
    think: tuple[bool | str, ...] | None = None
    elsewhere: bool = False

    def can(self, capability: str) -> bool | None:
        return None if self.capabilities is None else capability in self.capabilities


def about_of(shown: Any) -> About:
    """Read an answer of ``POST /api/show``.

    Example:
        >>> about_of({"capabilities": ["completion"], "model_info": {"llama.context_length": 8192}}).context
        8192
    """
    shown = dict_of(shown)
    told = shown.get("capabilities")
    thinking = dict_of(shown.get("thinking")).get("values")
    return About(
        capabilities=frozenset(map(str, told)) if isinstance(told, list) else None,
        context=_context(dict_of(shown.get("model_info"))),
        window=_window(shown.get("parameters")),
        think=tuple(value for value in thinking if isinstance(value, bool | str))
        if isinstance(thinking, list)
        else None,
        elsewhere=bool(shown.get("remote_host")),
    )


def listed(tags: Any) -> dict[str, About | None] | None:
    """The models of ``GET /api/tags`` by name, None where that is no list.

    New servers list capabilities and context, too; without both a model has to be asked about, and is None here.

    Example:
        >>> listed({"models": [{"name": "qwen3:8b"}]})
        {'qwen3:8b': None}
    """
    rows = dict_of(tags).get("models")
    if not isinstance(rows, list):
        return None
    named = [(row.get("model") or row.get("name"), row) for row in dicts_of(rows)]
    return {name: _about_row(row) for name, row in named if isinstance(name, str) and name}


def loaded_window(running: Any, model: str) -> int:
    """The tokens for which ``GET /api/ps`` says that `model` is loaded; 0 where it is not.

    Example:
        >>> loaded_window({"models": [{"model": "qwen3:latest", "context_length": 4096}]}, "qwen3")
        4096
    """
    names = {model, f"{model}:latest"}
    rows = dicts_of(dict_of(running).get("models"))
    return next((number_of(row, "context_length") for row in rows if names & {row.get("name"), row.get("model")}), 0)


def info_of(name: str, about: About) -> ModelInfo:
    return ModelInfo(
        name,
        name.removesuffix(":latest"),
        context=about.context,
        vision=about.can("vision"),
        tools=about.can("tools"),
        reasoning=about.can("thinking"),
        # `format` is a matter of the server, which the cloud does not have: https://docs.ollama.com/capabilities/structured-outputs
        json_schema=None if about.elsewhere else about.can("completion"),
        embeddings=about.can("embedding"),
    )


def _about_row(row: Mapping[str, Any]) -> About | None:
    told, context = row.get("capabilities"), number_of(dict_of(row.get("details")), "context_length")
    if not isinstance(told, list) or not context:
        return None
    return About(frozenset(map(str, told)), context, elsewhere=bool(row.get("remote_host")))


def _context(info: Mapping[str, Any]) -> int | None:
    """The key begins with the architecture's name."""
    found = (number_of(info, key) for key in info if isinstance(key, str) and key.endswith(".context_length"))
    return next((context for context in found if context), None)


def _window(parameters: Any) -> int | None:
    """``num_ctx`` in the text of a Modelfile's parameters, one a line."""
    lines = parameters.splitlines() if isinstance(parameters, str) else ()
    words = (line.split() for line in lines)
    found = (word[1] for word in words if len(word) == 2 and word[0] == "num_ctx")
    return next((int(number) for number in found if number.isascii() and number.isdigit()), None)
