"""A checkpoint is resumed from only if it is whole, and otherwise says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llmws.training.checkpoints import checkpoints

from .stand_in import save, write_safetensors


def cut(name: str) -> Callable[[Path], object]:
    def shorten(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-4])

    return shorten


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "it holds no weights."),
        (cut("adapter_model.safetensors"), "adapter_model.safetensors is not whole."),
        (
            lambda folder: (folder / "adapter_model.safetensors").write_bytes(b""),
            "adapter_model.safetensors is not whole.",
        ),
        (
            lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"\xff" * 64),
            "adapter_model.safetensors is not whole.",
        ),
        (lambda folder: (folder / "optimizer.pt").unlink(), "optimizer.pt is missing."),
        (lambda folder: (folder / "optimizer.pt").write_bytes(b"PK"), "optimizer.pt is not whole."),
        (lambda folder: (folder / "scheduler.pt").write_bytes(b""), "scheduler.pt is not whole."),
        (cut("trainer_state.json"), "trainer_state.json is not whole."),
        (
            lambda folder: (folder / "trainer_state.json").write_text('{"global_step": 3}'),
            "trainer_state.json tells of another step.",
        ),
        (lambda folder: (folder / "checkpoint-is-incomplete.txt").touch(), "its writing was broken off."),
    ],
)
def test_a_broken_one_says_why(tmp_path: Path, harm: Callable[[Path], object], reason: str) -> None:
    save(tmp_path, 5)
    save(tmp_path, 10)
    harm(tmp_path / "checkpoint-10")
    first, second = checkpoints(tmp_path)
    assert (first.step, first.valid) == (5, True)
    assert (second.step, second.valid, second.reason) == (10, False, reason)


def test_weights_in_parts_are_all_looked_at(tmp_path: Path) -> None:
    save(tmp_path, 5)
    folder = tmp_path / "checkpoint-5"
    (folder / "adapter_model.safetensors").unlink()
    parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": dict(zip("ab", parts, strict=True))})
    )
    write_safetensors(folder / parts[0])
    assert checkpoints(tmp_path)[0].reason == f"{parts[1]} is missing."
    write_safetensors(folder / parts[1])
    assert checkpoints(tmp_path)[0].valid


def test_other_folders_are_none_and_order_is_by_step(tmp_path: Path) -> None:
    for step in (100, 20, 3):
        save(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-7").touch()
    assert [checkpoint.step for checkpoint in checkpoints(tmp_path)] == [3, 20, 100]
    assert checkpoints(tmp_path / "nowhere") == []
