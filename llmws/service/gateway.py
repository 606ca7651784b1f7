"""The gateway: every model of the workspace under ``/v1``, for programs that speak the OpenAI wire.

A call here is no generation: it takes the same metering path, but whoever hangs up has ended it, and of what was said
nothing is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from ..errors import StoreError, from_dict
from ..messages import StreamEvent, assemble
from ..providers.base import CompletionRequest
from . import events
from .access import Chatter, Reader
from .event_log import EventLog
from .ledger import Ledger, TheLedger
from .metering import Call, Origin, Receipt, metered, usage_row
from .models import TheModels
from .openai_wire import Answer, ChatCompletion

_DONE = b"data: [DONE]\n\n"

router = APIRouter(prefix="/v1", tags=["gateway"])


@router.get("/models")
async def list_models(person: Reader, models: TheModels) -> dict[str, Any]:
    """The models that can be asked, as OpenAI lists them."""
    return {
        "object": "list",
        "data": [
            {"id": model.id, "object": "model", "created": 0, "owned_by": model.provider}
            for model in await models.list()
        ],
    }


@router.post("/chat/completions", response_model=None)
async def complete(
    asked: ChatCompletion, request: Request, person: Chatter, models: TheModels, ledger: TheLedger
) -> Response:
    """Ask a model, as OpenAI's chat completions do."""
    chosen = models.choose(asked.model)
    # Nothing is cut to fit here: a program counts its own tokens, and is to hear where they are too many.
    wanted = CompletionRequest(chosen.model, tuple(asked.conversation()), asked.parameters())
    origin = Origin(purpose="gateway")
    call = Call(person, asked.model, chosen.provider_id, chosen.provider, wanted, origin)
    include_usage = asked.stream_options is not None and asked.stream_options.include_usage
    answer = Answer(request.state.request_id, asked.model, int(time.time()), include_usage)
    if not asked.stream:
        async with _asked(call, ledger) as log:
            said = [event async for batch in log.follow(0, events.SILENCE_S) for _, event in batch]
        _raise_failure(said)
        return JSONResponse(answer.whole(assemble(said)))
    stream = _stream(call, ledger, answer)
    # The status is settled by what comes first: a provider that refuses is an HTTP error, as it is at the provider.
    first = await anext(stream)
    return events.respond(_behind(first, stream))


async def _stream(call: Call, ledger: Ledger, answer: Answer) -> AsyncGenerator[list[bytes], None]:
    began = False
    async with _asked(call, ledger) as log:
        async for batch in log.follow(0, events.SILENCE_S):
            told = [event for _, event in batch]
            if not began and all(event.type in ("start", "usage") for event in told):
                continue
            if not began:
                told = [event for _, event in log.after(0)]
                _raise_failure(told)
            began = True
            yield [frame for event in told for frame in _frames(answer, event)]


def _frames(answer: Answer, event: StreamEvent) -> list[bytes]:
    if event.type == "error":
        error = {"message": event.text, "type": event.data.get("code"), "code": event.data.get("code")}
        return [events.frame({"error": error})]
    ended = [_DONE] if event.type == "end" else []
    if event.type == "end" and event.finish_reason == "error":
        return ended
    return [events.frame(chunk) for chunk in answer.chunks(event)] + ended


async def _behind(first: list[bytes], rest: AsyncGenerator[list[bytes], None]) -> AsyncGenerator[list[bytes], None]:
    async with contextlib.aclosing(rest):
        yield first
        async for batch in rest:
            yield batch


@asynccontextmanager
async def _asked(call: Call, ledger: Ledger) -> AsyncIterator[EventLog]:
    """The events of `call` while it runs; leaving the block hangs up on the model, and still settles."""
    log = EventLog()

    async def run() -> None:
        try:
            await metered(call, ledger, log.append, partial(_settle, ledger))
        except StoreError as problem:
            # What it used could not be kept, so its end is not told as if it had been.
            log.append(
                StreamEvent("error", text=problem.message, data={"code": problem.code, "remedy": problem.remedy})
            )
        finally:
            if not log.closed:
                log.append(StreamEvent("end", finish_reason="error"))

    task = asyncio.create_task(run(), name="gateway call")
    try:
        yield log
    finally:
        if not log.closed:
            task.cancel()
        await asyncio.wait({task})


async def _settle(ledger: Ledger, receipt: Receipt, tail: list[StreamEvent]) -> list[StreamEvent]:
    if (row := usage_row(receipt)) is not None:
        await ledger.keep(row)
    return tail


def _raise_failure(said: list[StreamEvent]) -> None:
    """What an answer that failed before its first word comes to: the error itself."""
    for event in said:
        if event.type in ("reasoning", "text", "tool_call"):
            return
        if event.type == "error":
            raise from_dict({**event.data, "message": event.text}, status=502)
