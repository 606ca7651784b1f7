"""A line of LLaMA-Factory's `trainer_log.jsonl` becomes a `Point`: pure, so that a kernel can read a log as well.

The file is appended to while we read, and again after a resume, which repeats the steps since the checkpoint; a train
and an evaluation line of one step come apart. So `merge` folds points by step, the later telling what it knows. Who
writes it: https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.5/src/llamafactory/train/callbacks.py (`LogCallback`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

_NAMES = {
    "loss": "loss",
    "eval_loss": "eval_loss",
    "lr": "learning_rate",
    "epoch": "epoch",
    "reward": "reward",
    "accuracy": "accuracy",
    "throughput": "tokens_per_s",
}
_SKIPPED = {"current_steps", "total_steps", "percentage", "elapsed_time", "remaining_time"}
_CLOCK = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)$")


@dataclass(frozen=True, slots=True)
class Point:
    """What is known of one step; None is what the trainer did not say.

    Times are seconds as the trainer counts them: since its start (a resumed one counts anew) and until its end.
    `diverged` says that a number was infinite or none at all; it is then left out. `more` holds what has no name here.
    """

    step: int
    total_steps: int | None = None
    loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float | None = None
    epoch: float | None = None
    reward: float | None = None
    accuracy: float | None = None
    tokens_per_s: float | None = None
    elapsed_s: float | None = None
    remaining_s: float | None = None
    diverged: bool = False
    more: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The point as JSON-ready data, without what is not known."""
        told = {key: value for key, value in asdict(self).items() if value is not None}
        return {key: value for key, value in told.items() if value or key not in ("diverged", "more")}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Point:
        """Decode what `to_dict` wrote; keys of a newer version are ignored."""
        return cls(**{f.name: value[f.name] for f in fields(cls) if f.name in value})


def parse(line: str) -> Point | None:
    """The point of a line; None for half a line, for what is no JSON, or tells of no step.

    Example:
        >>> point = parse('{"current_steps": 2, "total_steps": 30, "loss": 4.3, "elapsed_time": "0:01:05"}')
        >>> point.step, point.loss, point.elapsed_s
        (2, 4.3, 65.0)
        >>> parse('{"current_steps": 3, "lo') is None
        True
    """
    try:
        told = json.loads(line)
    except ValueError:
        return None
    if not isinstance(told, dict) or not isinstance(told.get("current_steps"), int):
        return None
    numbers = {key: float(value) for key, value in told.items() if _is_number(value) and key not in _SKIPPED}
    finite = {key: value for key, value in numbers.items() if math.isfinite(value)}
    known: dict[str, Any] = {name: finite[key] for key, name in _NAMES.items() if key in finite}
    total = told.get("total_steps")
    return Point(
        told["current_steps"],
        total if isinstance(total, int) and total > 0 else None,
        elapsed_s=_seconds(told.get("elapsed_time")),
        remaining_s=_seconds(told.get("remaining_time")),
        diverged=len(finite) < len(numbers),
        more={key: value for key, value in finite.items() if key not in _NAMES},
        **known,
    )


def overlay(older: Point, newer: Point) -> Point:
    """What two lines about one step say together; where both speak, the newer is right."""
    told = {f.name: value for f in fields(newer) if (value := getattr(newer, f.name)) not in (None, {}, False)}
    return replace(older, **{**told, "more": {**older.more, **newer.more}})


def merge(points: Iterable[Point]) -> list[Point]:
    """One point per step, in order of steps.

    Example:
        >>> [(point.step, point.loss) for point in merge([Point(1, loss=3.0), Point(2, loss=2.5), Point(1, loss=2.9)])]
        [(1, 2.9), (2, 2.5)]
    """
    folded: dict[int, Point] = {}
    for point in points:
        folded[point.step] = overlay(folded[point.step], point) if point.step in folded else point
    return [folded[step] for step in sorted(folded)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _seconds(clock: Any) -> float | None:
    found = _CLOCK.match(clock) if isinstance(clock, str) else None
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
