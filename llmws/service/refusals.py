"""How an error leaves the service: in a shape of our own, and under ``/v1`` in that of the wire that was spoken. Pure.

A program of another's making shows the message alone, knows errors by status and type, and comes back by itself where
that may help: `Retry-After` says when, ``x-should-retry`` that it will not (both SDKs heed it).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import Error, ProviderError

Shape = Literal["own", "openai", "anthropic"]
# A program waits so long at most; OpenAI's own SDK heeds no longer `Retry-After` either.
_PATIENCE_S = 60.0
# Where a model server is at fault for what the caller asked, the caller hears it as if it had been ours.
_STATUS = {
    "provider_invalid": 400,
    "provider_context_length": 400,
    "provider_content_filter": 400,
    "provider_not_found": 404,
    "provider_rate": 429,
    "provider_overloaded": 503,
    "provider_timeout": 504,
}
# https://platform.openai.com/docs/guides/error-codes
_OPENAI = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
# https://platform.claude.com/docs/en/api/errors
_ANTHROPIC = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass(frozen=True)
class Told:
    """What went wrong, in one sentence, and what helps; `code` is for programs."""

    code: str
    message: str
    remedy: str
    request_id: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """The body of every error of the service's own routes."""

    error: Told


@dataclass(frozen=True)
class OpenAITold(Told):
    """The same, as OpenAI's SDK reads it."""

    type: str = ""
    param: str | None = None


@dataclass(frozen=True)
class OpenAIRefusal:
    error: OpenAITold


@dataclass(frozen=True)
class AnthropicTold:
    type: str
    message: str


@dataclass(frozen=True)
class AnthropicRefusal:
    """The same, as Anthropic's SDK reads it."""

    type: Literal["error"]
    error: AnthropicTold
    request_id: str


# How the routes are described: what may come of any of them besides what it is for.
OWN: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Refusal, "description": "It cannot be; `error.code` and the status say why."},
    503: {"model": Refusal, "description": "Not now; later."},
}
OF_THE_WIRES: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "model": OpenAIRefusal | AnthropicRefusal,
        "description": "It cannot be, in the shape of the wire: a limit is 429, with `Retry-After`.",
    },
    "5XX": {"model": OpenAIRefusal | AnthropicRefusal, "description": "The model's provider failed."},
}


def shape(path: str, headers: Mapping[str, str]) -> Shape:
    """Which wire a request for `path` speaks.

    Example:
        >>> shape("/v1/messages", {}), shape("/v1/models", {"anthropic-version": "2023-06-01"}), shape("/api/chats", {})
        ('anthropic', 'anthropic', 'own')
    """
    if not path.startswith("/v1/"):
        return "own"
    return "anthropic" if path.startswith("/v1/messages") or "anthropic-version" in headers else "openai"


def status(problem: Error, shape: Shape) -> int:
    """The status of an answer that is `problem`."""
    if shape == "own":
        return problem.status
    if isinstance(problem, ProviderError):
        found = _STATUS.get(problem.code, 502)
        return 529 if shape == "anthropic" and found == 503 else found
    # Neither wire knows 422 for a request that makes no sense.
    return 400 if problem.status == 422 else problem.status


def headers(problem: Error, shape: Shape) -> dict[str, str]:
    """What a program reads before the body."""
    told = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    wait_s = problem.details.get("retry_after_s")
    if isinstance(wait_s, int | float):
        told["Retry-After"] = str(max(1, math.ceil(wait_s)))
    lasts = isinstance(wait_s, int | float) and wait_s > _PATIENCE_S
    if shape != "own" and (lasts or (isinstance(problem, ProviderError) and not problem.retryable)):
        told["x-should-retry"] = "false"
    return told


def body(problem: Error, shape: Shape, request_id: str) -> dict[str, Any]:
    """The body of an answer that is `problem`."""
    if shape == "anthropic":
        return {"type": "error", "error": anthropic_error(problem), "request_id": request_id}
    told = problem.to_dict() if shape == "own" else openai_error(problem)
    return {"error": {**told, "request_id": request_id}}


def openai_error(problem: Error) -> dict[str, Any]:
    """The inside of OpenAI's shape; what it has no word for stands beside."""
    found = status(problem, "openai")
    kind = _OPENAI.get(found, "invalid_request_error" if found < 500 else "server_error")
    told = {"message": str(problem), "type": kind, "param": problem.details.get("param")}
    return {**problem.to_dict(), **told}


def anthropic_error(problem: Error) -> dict[str, Any]:
    """The inside of Anthropic's shape."""
    found = status(problem, "anthropic")
    kind = _ANTHROPIC.get(found, "invalid_request_error" if found < 500 else "api_error")
    return {"type": kind, "message": str(problem)}
