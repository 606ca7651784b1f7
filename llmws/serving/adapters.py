"""From what a fine-tune left to what llama.cpp serves: a LoRA adapter, or a whole model, as a GGUF.

The work is done by `weights.py` in a process of the training environment, which has what it needs; here it is called.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import MissingTool, TrainingError

_SCRIPT = Path(__file__).with_name("weights.py")


@dataclass(frozen=True, slots=True)
class Tuned:
    """A fine-tune that can be served.

    Args:
        kind: an adapter is served by its base's server (`Embedded.set_adapters`); a model wants one of its own
            (`Embedded` with `asleep_after_s`).
    """

    kind: Literal["adapter", "model"]
    path: Path


async def convert(python: Path, folder: Path, base: Path, target: Path) -> Tuned:
    """Write what a fine-tune left in `folder` as the GGUF `target`; a file that is there is complete.

    Args:
        python: the training environment's.
        folder: the trainer's output: ``adapter_config.json`` and its weights, or a whole model's.
        base: the GGUF that it was made from.

    Raises:
        MissingTool: the training environment is not there.
        TrainingError: it cannot be converted; the message says why.
    """
    paths = [path.absolute() for path in (folder, base, target)]
    try:
        process = await asyncio.create_subprocess_exec(
            python, "-I", _SCRIPT, *paths, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
    except FileNotFoundError:
        raise MissingTool(
            "The training environment is not installed.", remedy="Install it with `make train-env`."
        ) from None
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    told = _last_line(output)
    if "error" in told:
        raise TrainingError(told["error"]["message"], remedy=told["error"]["remedy"], code="conversion")
    if process.returncode or "kind" not in told:
        reason = (errors.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1].rstrip(".")
        raise TrainingError(
            f"The conversion ended with exit code {process.returncode}: {reason}.",
            remedy="Look whether disk or memory are full; `make train-env` mends the training environment.",
            code="conversion",
        )
    return Tuned(told["kind"], Path(told["path"]))


def _last_line(output: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(output.decode().strip().splitlines()[-1]))
    except (IndexError, ValueError):
        return {}
