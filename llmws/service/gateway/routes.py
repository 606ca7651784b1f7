"""The gateway's routes. Each names the wire that it speaks, and hands over."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from ..access import Chatter, Reader
from ..models import Models
from . import openai_chat
from .calls import begin

router = APIRouter(prefix="/v1", tags=["gateway"])


@router.post("/chat/completions", response_model=None)
async def complete(request: Request, person: Chatter) -> Response:
    """Ask a model, as OpenAI's chat completions do."""
    return await begin(request, person, openai_chat.ask, "openai_chat")


@router.get("/models", response_model=None)
async def list_models(request: Request, person: Reader) -> Response:
    """The models that can be asked, as OpenAI lists them."""
    models = await Models(request.app.state.models, person).list()
    return JSONResponse(
        {
            "object": "list",
            "data": [{"id": model.id, "object": "model", "created": 0, "owned_by": model.provider} for model in models],
        }
    )
