"""A request that was refused because of one parameter, made once more without it; pure.

No table of models is ever complete: a provider that names what it does not take is believed. Only wishes are dropped
that leave the answer what it is: never the prompt, the tools, a schema, or the limit of what an answer may cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ProviderError
from ..messages import StreamEvent
from .base import changed, dropped

# How many parameters one request may lose.
TRIES = 4

_KEPT = {
    "model",
    "messages",
    "input",
    "prompt",
    "system",
    "instructions",
    "stream",
    "store",
    "tools",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "response_format",
    "format",
    "text",
    "output_config.format",
}
# The same wish by another name, of which a server knows one.
_RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_NAME = r"[`'\"“‘]?(?P<name>[a-z][a-z0-9_.]{2,60})[`'\"”’]?"
# What servers write: OpenAI's, Azure's, Groq's, xAI's, Anthropic's, pydantic's (vLLM, SGLang), Mistral's, and Go's.
_REFUSALS = [
    rf"(unsupported|unknown|unrecognized|unexpected) (request )?(parameter|argument|value|field|propert)\w*"
    rf"( supplied)?\s*:?\s*{_NAME}",
    rf"{_NAME}\s*:?\s*(is|are) (not (supported|permitted|allowed)|unsupported|deprecated|not compatible|incompatible)",
    rf"{_NAME}\s*:?\s*extra (inputs|fields) (are )?not (permitted|allowed)",
    rf"(does not|doesn't|cannot) (support|accept|take)( the)?( parameter| argument| field)?s?\s*:?\s*{_NAME}",
    rf"(parameter|argument|field|property) {_NAME} (is|are) (not|un)",
]
_STATUSES = {400, 422}


@dataclass
class SecondChance:
    """The request that was made, and what it was without.

    `mend` is what `Server.ask` wants: the body to post instead of one that was refused, or None; what that says less is
    appended to `warnings`.
    """

    body: Mapping[str, Any]
    warnings: list[StreamEvent]
    tries: int = TRIES

    def mend(self, refusal: ProviderError) -> Mapping[str, Any] | None:
        if self.tries == 0 or refusal.details.get("status") not in _STATUSES:
            return None
        mended = self._mended(refusal)
        if mended is not None:
            self.body, self.tries = mended, self.tries - 1
        return mended

    def _mended(self, refusal: ProviderError) -> Mapping[str, Any] | None:
        if self.body.get("stream") is False and re.search(r"only supports? stream", refusal.message.lower()):
            return {**self.body, "stream": True}
        if (limit := highest_limit(refusal)) is not None and limit < self.body.get("max_tokens", 0):
            self.warnings.append(changed("max_tokens", f"The answer was limited to {limit:,} tokens, the model's most"))
            return {**self.body, "max_tokens": limit}
        name = next((name for name in _named(refusal) if _holds(self.body, name)), None)
        if name is None:
            return None
        other = _RENAMED.get(name)
        if other is not None and other not in self.body:
            return {(other if key == name else key): value for key, value in self.body.items()}
        if name in _KEPT:
            return None
        self.warnings.append(dropped(name, "the provider does not take it"))
        return _without(self.body, name.split("."))


def highest_limit(refusal: ProviderError) -> int | None:
    """The highest ``max_tokens`` of a model, where a refusal tells it.

    Example:
        >>> told = "max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens for claude-x"
        >>> highest_limit(ProviderError(told))
        64000
    """
    found = re.search(r"max_tokens: \d+ > (\d+), which is the maximum", refusal.message)
    return int(found[1]) if found else None


def _named(refusal: ProviderError) -> Iterator[str]:
    """The parameters that `refusal` says are not taken, the likeliest first."""
    said = refusal.message.lower()
    named = [match["name"] for pattern in _REFUSALS for match in re.finditer(pattern, said)]
    parameter = refusal.details.get("parameter")
    # OpenAI says of a summary of the reasoning that the organisation must be verified, and means it in the code alone.
    coded = f"{said} {refusal.details.get('provider_code', '')}"
    if isinstance(parameter, str) and (named or re.search(r"unsupported|not supported|unknown|unrecognized", coded)):
        yield parameter.lower()
    yield from named


def _holds(body: Mapping[str, Any], name: str) -> bool:
    inner: Any = body
    for step in name.split("."):
        if not isinstance(inner, Mapping) or step not in inner:
            return False
        inner = inner[step]
    return True


def _without(body: Mapping[str, Any], path: list[str]) -> dict[str, Any]:
    """`body` without what lies at `path`, and without what that leaves empty."""
    rest = {key: value for key, value in body.items() if key != path[0]}
    if len(path) > 1 and (inner := _without(body[path[0]], path[1:])):
        return {**rest, path[0]: inner}
    return rest
