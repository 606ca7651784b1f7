"""What a trainer printed becomes a sentence with its remedy."""

from __future__ import annotations

import pytest

from llmws.training.reasons import explain, signal_name

TRACE = "Traceback (most recent call last):\n  File 'x.py', line 1\n"


@pytest.mark.parametrize(
    ("printed", "code", "message", "again"),
    [
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
            1,
            "The GPU has too little memory.",
            False,
        ),
        (
            "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory",
            1,
            "The machine has too little",
            False,
        ),
        (f"{TRACE}OSError: [Errno 28] No space left on device", 1, "The disk is full.", False),
        (
            "RuntimeError: [enforce fail at inline_container.cc:626] . PytorchStreamWriter failed writing",
            1,
            "The disk",
            False,
        ),
        (
            "ValueError: Some keys are not used by the HfArgumentParser: ['foo']",
            1,
            "does not know the argument ['foo']",
            False,
        ),
        ("datasets.exceptions.DatasetGenerationError: An error occurred", 1, "could not read the dataset", False),
        ("ModuleNotFoundError: No module named 'torch'", 1, "The training environment lacks torch.", False),
        ("RuntimeError: CUDA error: unspecified launch failure", 1, "The GPU or its driver failed.", True),
        (f"{TRACE}my.module.OddError: it is odd.\n", 1, "exit code 1: my.module.OddError: it is odd.", True),
        ("nothing", 3, "The trainer ended with exit code 3.", True),
        ("nothing", -9, "The trainer was ended by SIGKILL. Often the machine ran out of memory.", True),
        ("nothing", 139, "The trainer was ended by SIGSEGV.", True),
        ("nothing", None, "The trainer ended, and nobody saw how.", True),
    ],
)
def test_a_failure_is_explained(printed: str, code: int | None, message: str, again: bool) -> None:
    reason = explain(printed, code)
    assert message in reason.message
    assert reason.again is again
    assert reason.remedy


def test_signals_have_names() -> None:
    assert [signal_name(code) for code in (None, 0, 1, -15, 143, -999)] == ["", "", "", "SIGTERM", "SIGTERM", ""]
