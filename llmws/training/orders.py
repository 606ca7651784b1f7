"""What a runner is told to do: an `Order` from the service, and the `Job` that it writes into the run folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import TrainingError
from ..recipe import Recipe

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Order:
    """A fine-tune, as the service orders it.

    Args:
        id: the job's, and the name of its folder.
        round: 1, and one more each time that somebody resumes the ended job; an older round's order changes nothing.
        base: the id of the model to begin from.
        weights: where its weights lie on the runner's host: a GGUF file or a Hugging Face folder.
        template: LLaMA-Factory's name of its chat template.
        dataset, dataset_dir: a name in the `dataset_info.json` of a folder on the runner's host.
        accelerators: the ids of those that the job has to itself.
        max_attempts: how often the trainer is started in a round before somebody has to ask for it.
    """

    id: str
    base: str
    weights: str
    template: str
    dataset: str
    dataset_dir: str
    recipe: Recipe = field(default_factory=Recipe)
    accelerators: tuple[str, ...] = ("cpu",)
    round: int = 1
    max_attempts: int = 3

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "recipe": self.recipe.to_dict(), "accelerators": list(self.accelerators)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Order:
        """Decode what `to_dict` wrote; keys of a newer version are ignored, an id that is no id is refused."""
        known = {f.name: value[f.name] for f in fields(cls) if f.name in value}
        if not _ID.fullmatch(str(known.get("id"))):
            raise TrainingError(f"The order's id {known.get('id')!r} is none.", remedy="Upgrade the service.")
        known["recipe"] = Recipe.from_dict(known.get("recipe", {}))
        known["accelerators"] = tuple(known.get("accelerators", ("cpu",)))
        try:
            return cls(**known)
        except TypeError as problem:
            raise TrainingError(f"The order is incomplete: {problem}.", remedy="Upgrade the service.") from None


@dataclass(frozen=True, slots=True)
class Job:
    """An order, and with what it is carried out here; it stands in `job.json` and holds no secret.

    Args:
        command: the trainer, without its arguments: ``[…/llamafactory-cli]``.
        convert: what makes a Hugging Face folder of a GGUF file, without the two paths.
        models: where such folders are kept, for all runs.
        precision: ``bf16``, ``fp16`` or ``fp32``.
        pinned: the trainer is of our own lock: it writes SwanLab's files, and a checkpoint when it is stopped.
        pause_s: between a crash and the next attempt.
    """

    order: Order
    command: tuple[str, ...]
    convert: tuple[str, ...]
    models: Path
    precision: str = "fp32"
    pinned: bool = True
    pause_s: float = 10.0

    def to_dict(self) -> dict[str, Any]:
        told = {**asdict(self), "order": self.order.to_dict(), "models": str(self.models)}
        return {**told, "command": list(self.command), "convert": list(self.convert)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Job:
        known = {f.name: value[f.name] for f in fields(cls) if f.name in value}
        known["order"] = Order.from_dict(known["order"])
        known["models"] = Path(known["models"])
        return cls(**{**known, "command": tuple(known["command"]), "convert": tuple(known["convert"])})
