"""The OpenAI embeddings wire, as a server speaks it, pure; and what asks for vectors as other calls ask for answers.

See https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ...errors import ProviderError
from ...messages import Message, Parameters, StreamEvent
from ...providers.base import CompletionRequest, Embedder, Embeddings, Provider
from .bodies import Name, read, refuse

_MOST = 2_048


class Body(Struct):
    """What is asked."""

    model: Name
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class Wanted:
    """Vectors that were asked for: the body, read; and, once asked, what came.

    Example:
        >>> Wanted({"model": "m", "input": ["a", "b"]}).texts
        ['a', 'b']
    """

    def __init__(self, told: dict[str, Any]) -> None:
        body = read(told, Body)
        self.model = body.model
        self.texts = [body.input] if isinstance(body.input, str) else body.input
        self.dimensions = body.dimensions
        self.made: Embeddings | None = None
        self._packed = body.encoding_format == "base64"
        if not 1 <= len(self.texts) <= _MOST:
            raise refuse("input", f"`input` is {len(self.texts)} texts; it can be 1 to {_MOST:,} at once.")
        if not all(isinstance(text, str) for text in self.texts):
            remedy = "Send texts; LangChain does with check_embedding_ctx_length=False."
            raise refuse("input", "`input` is no text: tokens mean something else to each model.", remedy)

    def estimated_by(self) -> CompletionRequest:
        """The texts as a request, by which a call is estimated: nothing is written in answer."""
        return CompletionRequest(self.model, tuple(map(Message.user, self.texts)), Parameters(max_tokens=0))

    async def ask(self, provider: Provider, model: str) -> AsyncGenerator[StreamEvent, None]:
        """The events of a call that has no words: its usage, and its end."""
        if not isinstance(provider, Embedder):
            raise ProviderError(
                f"{provider.name} makes no embeddings.", remedy="Choose another model.", code="provider_invalid"
            )
        self.made = await provider.embed(model, self.texts, self.dimensions)
        yield StreamEvent("start", model=model)
        yield StreamEvent("usage", usage=self.made.usage)
        yield StreamEvent("end", finish_reason="stop")

    def answer(self) -> Mapping[str, Any]:
        """The answer on the wire."""
        assert self.made is not None
        tokens = self.made.usage.input_tokens
        rows = [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if self._packed else vector}
            for index, vector in enumerate(self.made.vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": rows, "model": self.model, "usage": usage}


class Vectors:
    """The answer to a call for vectors, see `wire.Answer`: it has no words, so only the whole is told."""

    silence = b""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted

    def frames(self, event: StreamEvent) -> Iterator[bytes]:
        return iter(())

    def whole(self, message: Message) -> Any:
        return self._wanted.answer()


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
