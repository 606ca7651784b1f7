"""From an ordered job to a trainer that can start: data copied and checked, weights in place, arguments, environment.

Runs in the supervisor, so that neither the service nor the runner waits for a large dataset. Every step may be
repeated after a crash. Nothing secret goes into the folder: what a tracker needs travels in the environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ..datasets.formats import copy_to
from ..datasets.validation import check
from ..errors import TrainingError
from .environment import STUBS
from .orders import Job, Order
from .run_dir import RunDir, full_disk, is_full

# What of our own environment a trainer must not see (LLMWS_TOKEN), or would break it.
_NOT_PASSED = ("PYTHONPATH", "PYTHONHOME", "USE_V1", "VIRTUAL_ENV")


def prepare(run: RunDir, job: Job) -> None:
    """Make the run folder ready for the trainer.

    Raises:
        DatasetError: a row that cannot be trained on, with its line.
        TrainingError: no weights, a full disk.
    """
    order = job.order
    if not run.recipe.exists():
        check(Path(order.dataset_dir), order.dataset, stage=order.recipe.stage)
        try:
            copy_to(Path(order.dataset_dir), order.dataset, run.data)
        except OSError as problem:
            raise full_disk(run.folder) if is_full(problem) else problem from problem
    _link(run.base, _weights(run, job))
    run.write_text(run.recipe, yaml.safe_dump(arguments(job), allow_unicode=True, sort_keys=False))


def arguments(job: Job) -> dict[str, Any]:
    """The whole of ``recipe.yaml``; paths are relative, because LLaMA-Factory's launcher cuts at spaces."""
    order = job.order
    told: dict[str, Any] = {
        "model_name_or_path": "base",
        "template": order.template,
        "dataset": order.dataset,
        "dataset_dir": "data",
        "output_dir": "output",
        "report_to": "none",
        "disable_tqdm": True,
        "save_total_limit": 3,
        "bf16": job.precision == "bf16",
        "fp16": job.precision == "fp16",
    }
    if job.pinned:
        told |= {
            "enable_jit_checkpoint": True,
            "use_swanlab": True,
            "swanlab_mode": "local",
            "swanlab_logdir": "swanlab",
        }
        told |= {"swanlab_project": "llmws", "swanlab_run_name": order.id}
    return told | order.recipe.arguments()


def environment(run: RunDir, order: Order) -> dict[str, str]:
    """The trainer's environment: ours without what it must not see, offline, with its caches inside the run folder."""
    told = {key: value for key, value in dict(os.environ).items() if not key.startswith("LLMWS_")}
    for name in _NOT_PASSED:
        told.pop(name, None)
    devices = [accelerator for accelerator in order.accelerators if accelerator != "cpu"]
    if not devices:
        # Threads that spin for one another starve beside anything else: measured on two busy cores, 268 s with OpenMP's
        # default where this took 38 s; alone there is no difference to see.
        told.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return told | {
        "PYTHONPATH": str(STUBS),
        "PYTHONUNBUFFERED": "1",
        # With these two LLaMA-Factory turns SIGABRT into "finish the step, save, exit 0".
        "LLAMABOARD_ENABLED": "1",
        "LLAMABOARD_WORKDIR": str(run.output),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(run.cache),
        "CUDA_VISIBLE_DEVICES": ",".join(devices),
    }


def _weights(run: RunDir, job: Job) -> Path:
    """The Hugging Face folder of the base; made once of a GGUF file, for all runs."""
    source = Path(job.order.weights)
    if source.is_dir():
        return source
    if source.suffix != ".gguf" or not source.is_file():
        raise TrainingError(
            f"The weights of {job.order.base} are not at {source}.",
            remedy="Choose a GGUF file or a Hugging Face folder on the runner's host.",
        )
    told = source.stat()
    folder = job.models / f"{source.stem}-{told.st_size:x}-{told.st_mtime_ns:x}"
    job.models.mkdir(parents=True, exist_ok=True)
    with (job.models / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _convert(run, job, source, folder)
    return folder


def _convert(run: RunDir, job: Job, source: Path, folder: Path) -> None:
    """Let `serving/weights.py` make `folder`, whole or not at all; it says in one JSON line how that went."""
    with run.output_log.open("ab") as log:
        try:
            ended = subprocess.run(
                [*job.convert, str(source), str(folder)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        except OSError as problem:
            raise TrainingError(
                f"{job.convert[0]} cannot be started: {problem.strerror}.", remedy="Run `make train-env`."
            ) from None
    if ended.returncode or not folder.is_dir():
        with contextlib.suppress(ValueError, IndexError, KeyError, TypeError):
            said = json.loads(ended.stdout.splitlines()[-1])["error"]
            raise TrainingError(said["message"], remedy=said["remedy"], code="conversion")
        raise TrainingError(
            f"The weights of {job.order.base} could not be converted (exit code {ended.returncode}).",
            remedy="See output.log in the run folder.",
            code="conversion",
        )


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target.absolute())
