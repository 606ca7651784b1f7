"""The Anthropic messages wire.

What models do differently is data (`AnthropicQuirks`, from a row of the catalogue). The request is made in
`anthropic_request`, the answer folded in `anthropic_answer`; `wire` moves the bytes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from ..messages import StreamEvent
from .anthropic_answer import Answer
from .anthropic_request import AnthropicQuirks, translate
from .base import CompletionRequest, ModelInfo
from .second_chance import SecondChance
from .untrusted import dict_of, dicts_of, number_of
from .wire import Server

__all__ = ["AnthropicMessages", "AnthropicQuirks"]

VERSION = "2023-06-01"
# A thousand models a page; a list that goes on for ever ends here.
PAGE, PAGES = 1_000, 10


class AnthropicMessages:
    """A model server that speaks Anthropic's messages; see `Provider`.

    Args:
        name, base_url, api_key: of the server, see `Server`; most addresses end in ``/v1``.
        options: more of `Server`: `client`, `idle_s`, `first_token_s`.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None = None,
        *,
        quirks: AnthropicQuirks | None = None,
        **options: Any,
    ) -> None:
        self.name = name
        self._server = Server(
            name,
            base_url,
            api_key,
            key_header="x-api-key",
            headers={"anthropic-version": VERSION},
            pasted=("/messages",),
            # https://platform.claude.com/docs/en/api/rate-limits: only a limit of spending comes without `retry-after`.
            tells_when=True,
            **options,
        )
        self._quirks = quirks or AnthropicQuirks()

    async def aclose(self) -> None:
        await self._server.aclose()

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        body, warnings = translate(request, self._quirks.of(request.model))
        answer = Answer(request.model, self._server.failures, warnings)
        mend = SecondChance(body, warnings).mend
        async with aclosing(self._server.ask("/messages", body, answer, mend=mend)) as events:
            async for event in events:
                yield event

    async def models(self) -> list[ModelInfo]:
        """What the server lists, page by page, with what it says that they can do; those that are retired are not."""
        found: list[ModelInfo] = []
        after = ""
        for _ in range(PAGES):
            told = dict_of(await self._server.call("GET", f"/models?limit={PAGE}{after}"))
            rows = dicts_of(told.get("data"))
            if not isinstance(told.get("data"), list):
                raise self._server.failures.unreadable()
            found += [_model(row) for row in rows if isinstance(row.get("id"), str) and not _is_retired(row)]
            last = told.get("last_id")
            if not told.get("has_more") or not isinstance(last, str):
                break
            after = f"&after_id={quote(last, safe='')}"
        return found


def _is_retired(row: Mapping[str, Any]) -> bool:
    return row.get("lifecycle") == "retired"


def _model(row: Mapping[str, Any]) -> ModelInfo:
    """A row of ``GET /v1/models``: https://platform.claude.com/docs/en/api/models-list."""
    can = dict_of(row.get("capabilities"))
    name = row.get("display_name")
    return ModelInfo(
        row["id"],
        name if isinstance(name, str) and name else row["id"],
        context=number_of(row, "max_input_tokens") or None,
        vision=_supports(can, "image_input"),
        tools=True,  # all models of this wire, whose list therefore does not say it
        reasoning=_supports(can, "thinking"),
        json_schema=_supports(can, "structured_outputs"),
        max_output=number_of(row, "max_tokens") or None,
    )


def _supports(can: Mapping[str, Any], name: str) -> bool | None:
    told = dict_of(can.get(name)).get("supported")
    return told if isinstance(told, bool) else None
