"""The workspace's models as programs list them: in OpenAI's words or in Anthropic's. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..models import Model


def openai(models: Sequence[Model]) -> dict[str, Any]:
    """https://platform.openai.com/docs/api-reference/models"""
    return {"object": "list", "data": [openai_row(model) for model in models]}


def openai_row(model: Model) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": 0, "owned_by": model.provider}


def anthropic(models: Sequence[Model]) -> dict[str, Any]:
    """https://platform.claude.com/docs/en/api/models-list; all on one page."""
    ends = {"first_id": models[0].id, "last_id": models[-1].id} if models else {"first_id": None, "last_id": None}
    return {"data": [anthropic_row(model) for model in models], "has_more": False, **ends}


def anthropic_row(model: Model) -> dict[str, Any]:
    # When a model was made is not known here; the wire wants a time.
    made = datetime.fromtimestamp(0, UTC).isoformat().replace("+00:00", "Z")
    told = {"type": "model", "id": model.id, "display_name": model.name, "created_at": made}
    return told | {"max_input_tokens": model.context, "max_tokens": model.max_output}
