"""The gateway's routes. Each names the wire that it speaks, and hands over."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from ...errors import NotFound
from ..access import Chatter, Reader
from ..models import Models
from ..refusals import OF_THE_WIRES, shape
from . import anthropic_messages, embeddings, model_list, openai_chat, openai_responses
from .bodies import decode, described
from .calls import begin, embed
from .embeddings import Wanted

router = APIRouter(prefix="/v1", tags=["gateway"], responses=OF_THE_WIRES)
_ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, as a whole or as it comes.",
        "content": {"application/json": {}, "text/event-stream": {}},
    }
}


@router.post("/chat/completions", response_model=None, responses=_ANSWERED, openapi_extra=described(openai_chat.Body))
async def complete(request: Request, person: Chatter) -> Response:
    """Ask a model, as OpenAI's chat completions do."""
    return await begin(request, person, openai_chat.ask, openai_chat.WIRE)


@router.post("/responses", response_model=None, responses=_ANSWERED, openapi_extra=described(openai_responses.Body))
async def respond(request: Request, person: Chatter) -> Response:
    """Ask a model, as OpenAI's responses do; nothing is kept between calls."""
    return await begin(request, person, openai_responses.ask, openai_responses.WIRE)


@router.post("/messages", response_model=None, responses=_ANSWERED, openapi_extra=described(anthropic_messages.Body))
async def message(request: Request, person: Chatter) -> Response:
    """Ask a model, as Anthropic's messages do."""
    return await begin(request, person, anthropic_messages.ask, anthropic_messages.WIRE)


@router.post("/messages/count_tokens", response_model=None, openapi_extra=described(anthropic_messages.Body))
async def count_tokens(request: Request, person: Chatter) -> Response:
    """About how many tokens a message would be, by an estimate: the model is not asked."""
    return JSONResponse({"input_tokens": anthropic_messages.count(decode(await request.body()))})


@router.post("/embeddings", response_model=None, openapi_extra=described(embeddings.Body))
async def embed_texts(request: Request, person: Chatter) -> Response:
    """Texts as vectors, as OpenAI's embeddings are."""
    return await embed(request, person, Wanted(decode(await request.body())))


@router.get("/models", response_model=None)
async def list_models(request: Request, person: Reader) -> Response:
    """The models that can be asked, in OpenAI's words; in Anthropic's for whom sends `anthropic-version`."""
    models = await Models(request.app.state.models, person).list()
    listed = model_list.anthropic if shape(request.url.path, request.headers) == "anthropic" else model_list.openai
    return JSONResponse(listed(models))


@router.get("/models/{id:path}", response_model=None)
async def show_model(id: str, request: Request, person: Reader) -> Response:
    """One of the models."""
    models = await Models(request.app.state.models, person).list()
    found = next((model for model in models if model.id == id), None)
    if found is None:
        raise NotFound(f"There is no model {id!r}.", remedy="See /v1/models for those there are.")
    is_anthropic = shape(request.url.path, request.headers) == "anthropic"
    return JSONResponse((model_list.anthropic_row if is_anthropic else model_list.openai_row)(found))
