"""What a host can train on: its NVIDIA GPUs, or else its CPU as one slot."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

_QUERY = ["--query-gpu=uuid,name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device that one job has to itself.

    Args:
        id: unique on its host, and what CUDA_VISIBLE_DEVICES takes; ``cpu`` for the CPU.
        precision: the best that it computes in: ``bf16``, ``fp16`` or ``fp32``.
        memory_mb: of the device itself; None for the CPU.
        runner: whose it is, and `seen_at` when that runner last spoke: filled in by the service.
    """

    id: str
    kind: Literal["gpu", "cpu"]
    name: str
    precision: Literal["bf16", "fp16", "fp32"] = "fp32"
    memory_mb: int | None = None
    runner: str = ""
    seen_at: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


CPU = Accelerator("cpu", "cpu", "CPU")


def find_accelerators() -> list[Accelerator]:
    """Ask nvidia-smi; a host without it, or with a driver that does not answer, has its CPU."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return [CPU]
    try:
        told = subprocess.run([tool, *_QUERY], capture_output=True, text=True, timeout=_PATIENCE_S, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return [CPU]
    return parse(told.splitlines()) or [CPU]


def parse(rows: Iterable[str]) -> list[Accelerator]:
    """The GPUs of nvidia-smi's table.

    Example:
        >>> parse(["GPU-1f, NVIDIA A100-SXM4-40GB, 40960, 8.0"])[0].precision
        'bf16'
    """
    found = []
    for row in rows:
        cells = [cell.strip() for cell in row.split(",")]
        if len(cells) != 4 or not cells[2].isdigit():
            continue
        # Below Ampere (8.0) bfloat16 is emulated, and the trainer refuses it.
        ampere = cells[3].split(".")[0].isdigit() and int(cells[3].split(".")[0]) >= 8
        found.append(Accelerator(cells[0], "gpu", cells[1], "bf16" if ampere else "fp16", int(cells[2])))
    return found


def common_precision(accelerators: Iterable[Accelerator]) -> str:
    """The best precision that all of them compute in."""
    order = ("fp32", "fp16", "bf16")
    return min((accelerator.precision for accelerator in accelerators), key=order.index, default="fp32")
