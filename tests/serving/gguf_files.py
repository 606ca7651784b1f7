"""Small GGUF files, written by hand: the format's reference is ggml's `docs/gguf.md`."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

_FLOAT32, _STRING = 6, 8


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _field(key: str, value: Any) -> bytes:
    if isinstance(value, float):
        return _string(key) + struct.pack("<If", _FLOAT32, value)
    return _string(key) + struct.pack("<I", _STRING) + _string(value)


def write_gguf(path: Path, fields: dict[str, Any], tensors: dict[str, tuple[tuple[int, ...], list[float]]]) -> Path:
    """Write a GGUF with float32 `tensors`; their shapes are ggml's, the fastest dimension first."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields))
    head += b"".join(_field(key, value) for key, value in fields.items())
    body = b""
    for name, (shape, values) in tensors.items():
        head += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(body))
        body += struct.pack(f"<{len(values)}f", *values)
        body += bytes(-len(body) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + body)
    return path


def write_adapter(path: Path, *, width: int = 576, seed: int = 1, strength: float = 0.5) -> Path:
    """A rank-2 LoRA adapter on the first blocks of SmolLM2-135M, strong enough that what it says is gibberish."""
    dice = random.Random(seed)

    def matrix(*shape: int) -> tuple[tuple[int, ...], list[float]]:
        return shape, [dice.uniform(-strength, strength) for _ in range(shape[0] * shape[1])]

    tensors = {}
    for block in range(6):
        tensors[f"blk.{block}.attn_q.weight.lora_a"] = matrix(width, 2)
        tensors[f"blk.{block}.attn_q.weight.lora_b"] = matrix(2, width)
    fields = {
        "general.type": "adapter",
        "general.architecture": "llama",
        "adapter.type": "lora",
        "adapter.lora.alpha": 4.0,
    }
    return write_gguf(path, fields, tensors)
