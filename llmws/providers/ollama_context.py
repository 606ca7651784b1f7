"""How much of a model's context a request to Ollama asks for; pure.

Ollama loads a model for so many tokens (``num_ctx``, often 4096, whatever the model can read), and silently leaves out
the beginning of a conversation that is longer. So each request asks for what it needs. But a model that is loaded for
another number is loaded anew, which takes seconds: what is loaded and enough stays, and what is asked for grows by
doubling. https://docs.ollama.com/context-length
"""

from __future__ import annotations

import json

from ..messages import Message
from .base import CompletionRequest
from .ollama_models import About

# Every server reads as much without being asked.
_LEAST = 4096
# Room for an answer that has no limit of its own.
_ANSWER = 2048
_IMAGE = 1024
_TEMPLATE = 8


def prompt_tokens(request: CompletionRequest) -> int:
    """About how many tokens the model reads: a quarter of the ASCII characters, and one for each other.

    Example:
        >>> prompt_tokens(CompletionRequest("m", (Message.user("How are you?"),)))
        11
    """
    tools = json.dumps([[tool.name, tool.description, dict(tool.parameters)] for tool in request.tools], default=str)
    return sum(_of_message(message) for message in request.messages) + (_of_text(tools) if request.tools else 0)


def window(request: CompletionRequest, about: About, loaded: int) -> int | None:
    """The ``num_ctx`` to ask for; None leaves it to the server.

    Args:
        loaded: the tokens for which the model is loaded; 0: it is not.
    """
    if about.elsewhere:
        return None
    # A quarter more than we guess: tokenisers differ, and too little is what nobody would notice.
    wanted = prompt_tokens(request) * 5 // 4 + (request.parameters.max_tokens or _ANSWER)
    enough = min(wanted, about.context or wanted)
    if loaded >= enough:
        return loaded
    usual = about.window or _LEAST
    if not loaded and enough <= usual:
        return None
    size = max(usual, 1 << (enough - 1).bit_length())
    return min(size, about.context or size)


def overflow(request: CompletionRequest, about: About) -> str:
    """The sentence for a conversation that the model cannot read whole; empty where it can."""
    tokens = prompt_tokens(request)
    if about.context is None or tokens <= about.context:
        return ""
    return (
        f"The conversation is about {tokens:,} tokens long and the model reads {about.context:,}: "
        "it does not see the beginning."
    )


def _of_message(message: Message) -> int:
    tokens = _TEMPLATE
    for part in message.parts:
        tokens += _IMAGE if part.type == "image" else _of_text(part.text)
        if part.type == "tool_call":
            tokens += _of_text(f"{part.data.get('name', '')}{part.data.get('arguments', '')}")
    return tokens


def _of_text(text: str) -> int:
    plain = len(text.encode("ascii", "ignore"))
    return -(-plain // 4) + len(text) - plain
