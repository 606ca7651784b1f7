"""Why a trainer ended, in a sentence: its exit code and the tail of what it printed become a `Reason`."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

_MEMORY = "Lower the batch size or the longest row, choose qlora, or free some memory; then resume."
_DISK = "Free some space, then resume the job: it goes on from its last checkpoint."
_DATA = "Check the dataset's rows and its entry in dataset_info.json."
_INSTALL = "Run `make train-env`, or set LLMWS_TRAINING_COMMAND."

# (what it printed, the sentence, what helps, whether another attempt might go better); the first that fits counts.
_KNOWN: tuple[tuple[str, str, str, bool], ...] = (
    (
        r"No space left on device|os error 28\b|Disk quota exceeded|File too large|PytorchStreamWriter failed writing",
        "The disk is full.",
        _DISK,
        False,
    ),
    (r"CUDA out of memory|OutOfMemoryError|HIP out of memory", "The GPU has too little memory.", _MEMORY, False),
    (
        r"DefaultCPUAllocator: can't allocate|std::bad_alloc|\bMemoryError\b|Cannot allocate memory",
        "The machine has too little memory.",
        _MEMORY,
        False,
    ),
    (
        r"keys? (?:are|is) not used by the HfArgumentParser: (?P<what>\[[^\]\n]*\])",
        "LLaMA-Factory does not know the argument {what}.",
        "Remove it from the recipe's 'extra'.",
        False,
    ),
    (
        r"DatasetGenerationError|Cannot find valid samples|Undefined dataset|Column to remove .* not in the dataset",
        "LLaMA-Factory could not read the dataset.",
        _DATA,
        False,
    ),
    (
        r"ModuleNotFoundError: No module named '(?P<what>[^'\n]+)'",
        "The training environment lacks {what}.",
        _INSTALL,
        False,
    ),
    (
        r"(?:CUDA error|CUDA driver|cuDNN|NCCL|Xid)[^\n]*",
        "The GPU or its driver failed.",
        "See output.log; perhaps another job or the driver disturbed it.",
        True,
    ),
)
_EXCEPTION = re.compile(r"^(?:\[rank\d+\]: ?)?((?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b.*)$", re.MULTILINE)
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence and its remedy; `again` says that another attempt might go better."""

    message: str
    remedy: str
    again: bool
    code: str = "training"


def explain(printed: str, code: int | None) -> Reason:
    """Why a trainer that was not asked to stop ended with `code` (negative: by a signal; None: nobody saw it).

    Example:
        >>> explain("…\\ntorch.OutOfMemoryError: CUDA out of memory.\\n", 1).message
        'The GPU has too little memory.'
    """
    for pattern, message, remedy, again in _KNOWN:
        if found := re.search(pattern, printed):
            return Reason(message.format(**found.groupdict()), remedy, again, _code(message))
    if name := signal_name(code):
        hint = " Often the machine ran out of memory." if name == "SIGKILL" else ""
        return Reason(f"The trainer was ended by {name}.{hint}", "Resume the job: it goes on from a checkpoint.", True)
    if code is None:
        return Reason("The trainer ended, and nobody saw how.", "Resume the job: it goes on from a checkpoint.", True)
    said = _EXCEPTION.findall(printed)
    last = f": {said[-1].strip()[:_LONGEST].rstrip('.')}" if said else ""
    return Reason(f"The trainer ended with exit code {code}{last}.", "See output.log in the run folder.", True)


def signal_name(code: int | None) -> str:
    """The signal that an exit code tells of, also by way of a shell (128 + n); empty where there is none."""
    number = -code if code is not None and code < 0 else code - 128 if code is not None and 128 < code < 160 else 0
    try:
        return signal.Signals(number).name if number else ""
    except ValueError:
        return ""


def _code(message: str) -> str:
    if "disk" in message:
        return "disk_full"
    return "memory" if "memory" in message else "training"
