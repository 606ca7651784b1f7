"""What a host can train on, asked of a scripted nvidia-smi."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmws.training.accelerators import CPU, common_precision, find_accelerators


def put_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_gpus_are_told_with_what_they_compute_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "GPU-1, NVIDIA B200, 183359, 10.0\\nGPU-2, NVIDIA A100, 40960, 8.0\\nGPU-3, Tesla T4, 15360, 7.5\\nnonsense"
    put_nvidia_smi(tmp_path, monkeypatch, f"printf '{rows}'")
    found = find_accelerators()
    assert [(one.id, one.precision, one.memory_mb) for one in found] == [
        ("GPU-1", "bf16", 183359),
        ("GPU-2", "bf16", 40960),
        ("GPU-3", "fp16", 15360),
    ]
    assert common_precision(found) == "fp16"


@pytest.mark.parametrize("script", ["exit 9", "echo No devices were found"])
def test_a_driver_that_does_not_answer_leaves_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    put_nvidia_smi(tmp_path, monkeypatch, script)
    assert find_accelerators() == [CPU]


def test_without_nvidia_smi_there_is_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_accelerators() == [CPU]
    assert common_precision([CPU]) == "fp32"
