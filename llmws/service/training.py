"""What a fine-tune can be made of, besides data: base models, recipes, and an environment that is ready for it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter

from ..errors import Error, NotFound, Unavailable
from ..recipe import PRESETS, Recipe
from ..serving.embedded import find_embedded_model
from ..settings import Settings
from ..training import environment
from .access import Reader
from .here import TheSettings, here

# LLaMA-Factory's name for it. What can be converted for training has SmolLM2's tokenizer, and so its template.
_TEMPLATE = "smollm2"


@dataclass(frozen=True, slots=True)
class Base:
    """A model that fine-tunes can begin from; `weights` is what the runner takes: a GGUF file or a folder."""

    id: str
    name: str
    template: str
    weights: Path


@dataclass(frozen=True, slots=True)
class Bases:
    """The models whose weights are here; they can be tuned whether or not they are served."""

    settings: Settings

    def all(self) -> list[Base]:
        """Those there are; an `Error` says why there is none."""
        model = find_embedded_model(self.settings)
        return [Base(model.id, model.name, _TEMPLATE, model.path)]

    def find(self, id: str) -> Base:
        """The base, or `NotFound`."""
        for base in (known := self.all()):
            if base.id == id:
                return base
        raise NotFound(
            f"{id!r} cannot be fine-tuned here.", remedy=f"There are: {', '.join(base.id for base in known)}."
        )


async def require_environment(settings: Settings) -> None:
    """Raise `Unavailable` where fine-tunes would wait for ever: no training environment, and nobody installs one."""
    if settings.training_command is not None:
        return
    now = await asyncio.to_thread(environment.status, settings)
    if now.state not in ("ready", "installing"):
        raise Unavailable(now.detail, remedy=now.remedy, code="training_environment", details=now.to_dict())


def describe_environment(settings: Settings) -> dict[str, Any]:
    """How it stands with the training environment, as JSON."""
    now = environment.status(settings)
    told = {"environment": str(settings.training_environment), **now.to_dict()}
    if settings.training_command is not None:
        told |= {"state": "ready", "detail": f"LLMWS_TRAINING_COMMAND: {settings.training_command}", "remedy": ""}
    return {**told, "installed": told["state"] == "ready"}


TheBases = Annotated[Bases, here("bases")]
router = APIRouter(tags=["training"])


@router.get("/api/bases")
async def list_bases(person: Reader, bases: TheBases) -> dict[str, Any]:
    """The models that can be fine-tuned; where there is none, `problem` says why."""
    try:
        found = bases.all()
    except Error as problem:
        return {"items": [], "problem": problem.to_dict()}
    return {"items": [{**asdict(base), "weights": str(base.weights)} for base in found], "problem": None}


@router.get("/api/recipe")
async def describe_recipe(person: Reader) -> dict[str, Any]:
    """What a recipe asks, field by field, and recipes to begin with."""
    presets = [{"name": one.name, "help": one.help, "recipe": one.recipe.to_dict()} for one in PRESETS]
    return {"fields": Recipe.schema(), "presets": presets}


@router.get("/api/training-environment")
async def show_environment(person: Reader, settings: TheSettings) -> dict[str, Any]:
    """Whether fine-tunes can run here, and how far the installation of what they need is."""
    return await asyncio.to_thread(describe_environment, settings)
