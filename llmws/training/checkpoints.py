"""Whether a checkpoint can be resumed from: a run that was killed, or met a full disk, leaves halves behind.

Only what the trainer will read is looked at, and only the structure of it: the header and length of safetensors files
(https://github.com/huggingface/safetensors#format), the directory at the end of PyTorch's zip files, the trainer's own
state. The files are not trusted: nothing is unpickled.
"""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"checkpoint-(\d+)$")
_WEIGHTS = ("adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json")
# Longer headers than that do not occur; a broken length would otherwise be read into memory.
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint folder; `reason` says why it cannot be resumed from, and is empty where it can."""

    step: int
    path: Path
    reason: str = ""

    @property
    def valid(self) -> bool:
        return not self.reason


def checkpoints(output: Path) -> list[Checkpoint]:
    """The checkpoints in a trainer's output folder, in order of steps."""
    found = []
    for path in output.iterdir() if output.is_dir() else ():
        if (name := _NAME.fullmatch(path.name)) and path.is_dir():
            step = int(name[1])
            try:
                _examine(path, step)
            except (ValueError, OSError) as problem:
                found.append(Checkpoint(step, path, str(problem)))
            else:
                found.append(Checkpoint(step, path))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def _examine(path: Path, step: int) -> None:
    if (path / "checkpoint-is-incomplete.txt").exists():  # transformers' mark on one that SIGTERM asked for
        raise ValueError("its writing was broken off.")
    weights = next((path / name for name in _WEIGHTS if (path / name).is_file()), None)
    if weights is None:
        raise ValueError("it holds no weights.")
    parts = [weights]
    if weights.suffix == ".json":
        parts = sorted({path / Path(name).name for name in _read(weights)["weight_map"].values()})
    for part in parts:
        _safetensors(part)
    state = path / "trainer_state.json"
    if _read(state).get("global_step") != step:
        raise ValueError(f"{state.name} tells of another step.")
    if any(path.glob("global_step*")):  # DeepSpeed keeps optimiser and schedule there
        return
    for name in ("optimizer.pt", "scheduler.pt"):
        if not (path / name).is_file():
            raise ValueError(f"{name} is missing.")
        if not zipfile.is_zipfile(path / name):
            raise ValueError(f"{name} is not whole.")


def _read(path: Path) -> dict:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing.") from None
    except ValueError:
        raise ValueError(f"{path.name} is not whole.") from None
    return told if isinstance(told, dict) else {}


def _safetensors(path: Path) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
                raise ValueError
            header = json.loads(file.read(length))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        if not ends or size != 8 + length + max(ends):
            raise ValueError
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing.") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ValueError(f"{path.name} is not whole.") from None
