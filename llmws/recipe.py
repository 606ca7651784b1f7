"""`Recipe`: what a training form asks, and the arguments of LLaMA-Factory that follow from it.

One value serves the form (`schema`), the notebook, the service's checks and the run folder's `recipe.yaml`
(`arguments`). It knows no paths, devices or secrets: those are added by who prepares a run. What a name means to
LLaMA-Factory: https://github.com/hiyouga/LLaMA-Factory/tree/v0.9.5/src/llamafactory/hparams.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from .errors import InvalidRequest

Method = Literal["lora", "qlora", "full"]
Stage = Literal["sft", "pt", "dpo", "kto", "rm"]
Scheduler = Literal["cosine", "linear", "constant", "constant_with_warmup", "cosine_with_restarts", "polynomial"]

# What we set ourselves, what would leave the run folder or this machine, and what would write a secret into it.
_DENIED = """
adapter_folder adapter_name_or_path cache_dir dataset dataset_dir ddp_timeout deepspeed do_eval do_predict do_train
eval_dataset fsdp fsdp_config logging_dir media_dir model_name_or_path output_dir overwrite_cache overwrite_output_dir
plot_loss profiler_output_dir push_to_hub ref_model ref_model_adapters report_to resume_from_checkpoint reward_model
reward_model_adapters run_name template tokenized_path trust_remote_code use_swanlab warmup_ratio eval_strategy
enable_jit_checkpoint
"""
DENIED = frozenset(_DENIED.split())
DENIED_STARTS = ("export_", "hub_", "kt_", "master_", "push_to_hub_", "ray_", "swanlab_", "trackio_")
DENIED_ENDS = ("_api_key", "_secret", "_token")
# LLaMA-Factory's `max_steps` for "as many as the epochs take".
_NO_LIMIT = -1


def _asked(
    argument: str,
    default: Any,
    label: str,
    help: str,
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    *,
    choices: tuple[Any, ...] = (),
    above: bool = False,
    group: str = "run",
) -> Any:
    told: dict[str, Any] = {"argument": argument, "label": label, "help": help, "unit": unit, "group": group}
    told |= {"minimum": least, "maximum": most, "exclusive": above, "choices": choices}
    return field(default=default, metadata=told)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fine-tune, without saying what on what.

    A value that cannot be is an `InvalidRequest` that names the field (also in ``details["field"]``).

    Example:
        >>> Recipe(method="lora", max_steps=30).arguments()["finetuning_type"]
        'lora'
        >>> Recipe(max_steps=0)
        Traceback (most recent call last):
        ...
        llmws.errors.InvalidRequest: The recipe's max_steps is 0. It may be from 1 to 10,000,000.
    """

    method: Method = _asked(
        "finetuning_type",
        "lora",
        "Method",
        "lora trains a small adapter, qlora the same beside a quantised base, full every weight.",
        choices=get_args(Method),
    )
    stage: Stage = _asked(
        "stage",
        "sft",
        "Stage",
        "What the data teaches: sft answers, pt plain text, dpo and rm pairs of answers, kto single verdicts.",
        choices=get_args(Stage),
    )
    epochs: float = _asked(
        "num_train_epochs", 3.0, "Epochs", "How often each row is seen.", "passes", 0.0, 1000.0, above=True
    )
    max_steps: int | None = _asked(
        "max_steps", None, "Steps", "Exactly so many, whatever the epochs say.", "steps", 1, 10_000_000
    )
    learning_rate: float | None = _asked(
        "learning_rate", None, "Learning rate", "Empty: 1e-3 with an adapter, 2e-5 for full.", "", 0.0, 1.0, above=True
    )
    batch_size: int = _asked(
        "per_device_train_batch_size", 4, "Batch size", "Rows at a time on each device.", "rows", 1, 4096
    )
    gradient_accumulation: int = _asked(
        "gradient_accumulation_steps", 1, "Gradient accumulation", "Batches that make one step.", "batches", 1, 4096
    )
    cutoff_len: int = _asked(
        "cutoff_len", 512, "Longest row", "What of a row lies beyond it is cut off.", "tokens", 16, 1_048_576
    )
    scheduler: Scheduler = _asked(
        "lr_scheduler_type",
        "cosine",
        "Schedule",
        "How the learning rate falls.",
        choices=get_args(Scheduler),
        group="optimiser",
    )
    warmup: float = _asked(
        "warmup_steps", 0.1, "Warm-up", "The share of steps in which it rises.", "", 0.0, 0.9, group="optimiser"
    )
    lora_rank: int = _asked("lora_rank", 16, "Rank", "The size of the adapter.", "", 1, 1024, group="lora")
    lora_alpha: int | None = _asked(
        "lora_alpha", None, "Alpha", "How strongly it acts. Empty: twice the rank.", "", 1, 4096, group="lora"
    )
    lora_dropout: float = _asked("lora_dropout", 0.0, "Dropout", "In training only.", "", 0.0, 0.99, group="lora")
    lora_target: str = _asked(
        "lora_target", "all", "Layers", "Module names, separated by commas; all: every linear one.", group="lora"
    )
    quantization_bit: int | None = _asked(
        "quantization_bit", None, "Bits", "Of the base with qlora. Empty: 4.", "bits", choices=(4, 8), group="lora"
    )
    val_size: float = _asked(
        "val_size", 0.0, "Held back", "The share of rows to evaluate on.", "", 0.0, 0.5, group="evaluation"
    )
    eval_steps: int = _asked(
        "eval_steps", 50, "Evaluate every", "Where rows are held back.", "steps", 1, 1_000_000, group="evaluation"
    )
    save_steps: int = _asked(
        "save_steps", 50, "Checkpoint every", "A broken run goes on from the last one.", "steps", 1, 1_000_000
    )
    logging_steps: int = _asked("logging_steps", 1, "Report every", "For the curves.", "steps", 1, 1_000_000)
    seed: int = _asked("seed", 42, "Seed", "The same seed gives the same order of rows.", "", 0, 2**31 - 1)
    extra: Mapping[str, Any] = field(
        default_factory=dict,
        metadata={
            "label": "More arguments",
            "help": "Further arguments of LLaMA-Factory by their own names.",
            "group": "more",
        },
    )

    def __post_init__(self) -> None:
        for asked in fields(self):
            if asked.name != "extra":
                _check(asked.name, asked.metadata, str(asked.type), getattr(self, asked.name))
        if self.quantization_bit is not None and self.method != "qlora":
            raise _refuse("quantization_bit", f"is {self.quantization_bit} with method {self.method}.", "Use qlora.")
        if not self.lora_target.strip():
            raise _refuse("lora_target", "is empty.", "Name modules, or write all.")
        for name, value in self.extra.items():
            _check_extra(name, value)

    @property
    def rate(self) -> float:
        """The learning rate that is meant."""
        return self.learning_rate or (2e-5 if self.method == "full" else 1e-3)

    def arguments(self) -> dict[str, Any]:
        """The arguments of ``llamafactory-cli train`` that follow from the recipe alone, JSON-ready.

        Model, data, folders and precision are not among them: see `training.launch`.
        """
        left_out = {group for group, off in (("lora", self.method == "full"), ("evaluation", not self.val_size)) if off}
        asked = [f for f in fields(self) if f.name != "extra" and f.metadata["group"] not in left_out]
        told = {f.metadata["argument"]: getattr(self, f.name) for f in asked}
        told |= {"do_train": True, "finetuning_type": "full" if self.method == "full" else "lora"}
        told |= {"learning_rate": self.rate, "max_steps": self.max_steps or _NO_LIMIT}
        if self.method != "full":
            told["lora_alpha"] = self.lora_alpha or 2 * self.lora_rank
        if self.method == "qlora":
            told |= {"quantization_bit": self.quantization_bit or 4, "quantization_method": "bnb"}
        if self.val_size:
            told |= {"eval_strategy": "steps", "per_device_eval_batch_size": self.batch_size}
        told = {name: value for name, value in told.items() if value is not None}
        return told | dict(self.extra)

    def to_dict(self) -> dict[str, Any]:
        """Every field, JSON-ready."""
        return {**asdict(self), "extra": dict(self.extra)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Recipe:
        """Decode what `to_dict` wrote or a form sent; an unknown name is an `InvalidRequest`, not ignored."""
        known = {asked.name for asked in fields(cls)}
        if unknown := sorted(set(value) - known):
            raise _refuse(unknown[0], "is unknown.", "Put an argument of LLaMA-Factory's own into 'extra'.")
        return cls(**value)

    @classmethod
    def schema(cls) -> list[dict[str, Any]]:
        """What a form needs, a dict per field: name, type, default, label, help, unit, group, range, choices.

        `type` is ``text``, ``integer``, ``number``, ``choice`` or ``mapping``; `optional` fields may be None;
        `exclusive` says that the `minimum` itself is not allowed; `argument` is LLaMA-Factory's name.

        Example:
            >>> next(asked for asked in Recipe.schema() if asked["name"] == "batch_size")["minimum"]
            1
        """
        told = []
        for asked in fields(cls):
            default = {} if asked.default is MISSING else asked.default
            more = {**asked.metadata, "choices": list(asked.metadata.get("choices", ()))}
            told.append(
                {
                    "name": asked.name,
                    "type": _type(str(asked.type), bool(more["choices"])),
                    "optional": "None" in str(asked.type),
                    "default": default,
                    **more,
                }
            )
        return told


@dataclass(frozen=True, slots=True)
class Preset:
    """A recipe to begin with."""

    name: str
    help: str
    recipe: Recipe


def _type(annotation: str, choice: bool) -> str:
    if choice:
        return "choice"
    for start, name in (("int", "integer"), ("float", "number"), ("str", "text")):
        if annotation.startswith(start):
            return name
    return "mapping"


def _check(name: str, asked: Mapping[str, Any], annotation: str, value: Any) -> None:
    """Refuse a value of the wrong kind, out of range, or not among the choices."""
    if value is None and "None" in annotation:
        return
    if asked["choices"]:
        if value not in asked["choices"] or isinstance(value, bool):
            raise _refuse(name, f"is {value!r}.", f"It is one of {', '.join(map(str, asked['choices']))}.")
        return
    kind = _type(annotation, choice=False)
    wanted: Any = {"integer": int, "number": int | float, "text": str}[kind]
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise _refuse(name, f"is {value!r}.", f"It is {'an' if kind == 'integer' else 'a'} {kind}.")
    if kind == "text":
        return
    least, most = asked["minimum"], asked["maximum"]
    if not math.isfinite(value) or value < least or value > most or (asked["exclusive"] and value <= least):
        span = f"above {least:,}, up to {most:,}" if asked["exclusive"] else f"from {least:,} to {most:,}"
        raise _refuse(name, f"is {value}.", f"It may be {span}.")


def _check_extra(name: Any, value: Any) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        raise _refuse("extra", f"has {name!r}, which is no argument's name.", "Use LLaMA-Factory's own names.")
    if name in DENIED or name.startswith(DENIED_STARTS) or name.endswith(DENIED_ENDS):
        raise _refuse("extra", f"has {name}, which llmws sets itself or does not allow.", "Leave it out.")
    if name in _OWN:
        raise _refuse("extra", f"has {name}.", f"Use the recipe's {_OWN[name]} instead.")
    values = value if isinstance(value, list | tuple) else [value]
    if not all(item is None or isinstance(item, str | int | float | bool) for item in values):
        raise _refuse(
            "extra", f"has {name} of type {type(value).__name__}.", "Use a text, number, yes or no, or a list."
        )
    # LLaMA-Factory reads its YAML with OmegaConf, which would fill in the trainer's environment.
    if any(isinstance(item, str) and "${" in item for item in values):
        raise _refuse("extra", f"has {name} with '${{' in it.", "Write the value itself.")


def _refuse(name: str, what: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(f"The recipe's {name} {what}", remedy=remedy, details={"field": name})


# LLaMA-Factory's names of what the recipe has a field for.
_OWN = {asked.metadata["argument"]: asked.name for asked in fields(Recipe) if asked.name != "extra"}

PRESETS = (
    Preset("quick look", "A few minutes: does it learn at all?", Recipe(max_steps=30)),
    Preset("balanced", "Three passes at a gentler rate.", Recipe(epochs=3, learning_rate=3e-4, val_size=0.1)),
    Preset(
        "thorough",
        "Ten slow passes with a larger adapter.",
        Recipe(epochs=10, learning_rate=1e-4, lora_rank=32, lora_dropout=0.05, val_size=0.1),
    ),
)
