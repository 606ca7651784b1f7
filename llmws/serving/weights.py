"""Weights, between GGUF, which llama.cpp serves, and Hugging Face folders, which the trainer knows: one script.

It is run by its path, with the training environment's Python: gguf, numpy, safetensors and tokenizers are there and not
here, and nothing of llmws is there. What it writes, it writes aside and renames.

    python -I weights.py MODEL.gguf FOLDER            what a fine-tune begins from
    python -I weights.py FOLDER MODEL.gguf OUT.gguf   what a fine-tune of MODEL left in FOLDER: an adapter, or all of it

The architecture is llama's, the tokenizer SmolLM2's; any other is refused, since a conversion that is a little wrong
gives a model that is a little mad. Names and the order of rows are those of llama.cpp's `conversion/llama.py`, and an
adapter's tensors are, to the bit, those that `convert_lora_to_gguf.py` makes. That script is on PyPI only inside a
36 MB copy of llama.cpp's sources, loads torch, and takes twenty times as long.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import resource
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType, dequantize
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

_TOP = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_FROM_TOP = {theirs: ours for ours, theirs in _TOP.items()}
_FROM_BLOCK = {theirs: ours for ours, theirs in _BLOCK.items()}
_LORA_TENSOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])(?:\.default)?\.weight")
_NORMAL_TOKEN, _CONTROL_TOKEN = 1, 3

# numpy has no bfloat16, which is the upper half of a float32; that is why safetensors' own reader is not used.
_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class Refused(Exception):
    """What cannot be converted, in a sentence; and what helps."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


def hugging_face_name(name: str) -> str:
    """
    >>> hugging_face_name("blk.3.attn_q.weight")
    'model.layers.3.self_attn.q_proj.weight'
    """
    parts = name.split(".")
    if parts[0] == "blk" and len(parts) == 4 and parts[2] in _BLOCK and parts[3] == "weight":
        return f"model.layers.{parts[1]}.{_BLOCK[parts[2]]}.weight"
    if len(parts) == 2 and parts[0] in _TOP and parts[1] == "weight":
        return f"{_TOP[parts[0]]}.weight"
    raise Refused(f"The tensor {name} is not one that a plain llama model has.")


def gguf_name(name: str) -> str:
    """
    >>> gguf_name("model.layers.3.self_attn.q_proj.weight")
    'blk.3.attn_q.weight'
    """
    module = name.removesuffix(".weight")
    if module != name and module in _FROM_TOP:
        return f"{_FROM_TOP[module]}.weight"
    layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", module)
    if module != name and layer and layer[2] in _FROM_BLOCK:
        return f"blk.{layer[1]}.{_FROM_BLOCK[layer[2]]}.weight"
    raise Refused(f"The tensor {name} is not one that a plain llama model has.")


def rows_for_gguf(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key matrix, from Hugging Face's rotary order (halves) into llama.cpp's (pairs)."""
    return rows.reshape(heads, 2, len(rows) // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def rows_for_hugging_face(rows: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of `rows_for_gguf`."""
    return rows.reshape(heads, len(rows) // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def reorder(
    name: str, rows: np.ndarray, heads: int, kv_heads: int, order: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """`rows` of the GGUF tensor `name` in another rotary order, if it has one."""
    count = {"attn_q": heads, "attn_k": kv_heads}.get(name.split(".")[-2])
    return order(rows, count) if count else rows


# ── GGUF → Hugging Face ──


class Source:
    """A GGUF file, checked to be one that can be converted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise Refused(f"There is no model file {path}.")
        try:
            self.reader = GGUFReader(path)
        except (OSError, ValueError, IndexError) as problem:
            raise Refused(f"{path.name} cannot be read as a GGUF file: {problem}.") from problem
        self.fields = self.reader.fields
        for key, wanted, what in (
            ("general.architecture", "llama", "architecture"),
            ("tokenizer.ggml.model", "gpt2", "kind of tokenizer"),
            ("tokenizer.ggml.pre", "smollm", "tokenizer"),
        ):
            if (found := self.get(key)) != wanted:
                raise Refused(
                    f"{path.name} has the {what} {found!r}; only {wanted!r} can be fine-tuned from a GGUF.",
                    "Fine-tune a model that comes as a Hugging Face folder, or the one that comes along.",
                )
        scaled = self.get("llama.rope.scaling.type", "none") != "none" or "llama.expert_count" in self.fields
        if scaled:
            raise Refused(f"{path.name} scales its rotary positions or has experts, which is not converted.")

    def get(self, key: str, default: Any = None) -> Any:
        field = self.fields.get(key)
        return default if field is None else field.contents()

    @property
    def heads(self) -> tuple[int, int]:
        heads = int(self.get("llama.attention.head_count"))
        return heads, int(self.get("llama.attention.head_count_kv", heads))

    def tensors(self) -> dict[str, np.ndarray]:
        """Every tensor in float32, by its Hugging Face name."""
        found = {}
        for tensor in self.reader.tensors:
            rows = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
            rows = reorder(tensor.name, rows, *self.heads, rows_for_hugging_face)
            found[hugging_face_name(tensor.name)] = np.ascontiguousarray(rows)
        return found

    def config(self, tied: bool) -> dict[str, Any]:
        heads, kv_heads = self.heads
        width = self.get("llama.embedding_length")
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": width,
            "intermediate_size": self.get("llama.feed_forward_length"),
            "num_hidden_layers": self.get("llama.block_count"),
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "head_dim": self.get("llama.attention.key_length", width // heads),
            "rms_norm_eps": _shortest(self.get("llama.attention.layer_norm_rms_epsilon")),
            "rope_theta": _shortest(self.get("llama.rope.freq_base", 10_000.0)),
            "max_position_embeddings": self.get("llama.context_length"),
            "vocab_size": len(self.get("tokenizer.ggml.tokens")),
            "tie_word_embeddings": tied,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "torch_dtype": "float32",
            **self.special_ids(),
        }

    def special_ids(self) -> dict[str, int]:
        eos = self.get("tokenizer.ggml.eos_token_id")
        return {
            "bos_token_id": self.get("tokenizer.ggml.bos_token_id", eos),
            "eos_token_id": eos,
            "pad_token_id": self.get("tokenizer.ggml.padding_token_id", eos),
        }

    def tokenizer(self) -> Tokenizer:
        """The tokenizer, built as SmolLM2's own `tokenizer.json` has it: digits one by one, then bytes."""
        tokens, kinds = self.get("tokenizer.ggml.tokens"), self.get("tokenizer.ggml.token_type")
        if odd := sorted(set(kinds) - {_NORMAL_TOKEN, _CONTROL_TOKEN}):
            raise Refused(f"The tokenizer has tokens of the kinds {odd}, which are not converted.")
        merges = [tuple(merge.split(" ")) for merge in self.get("tokenizer.ggml.merges")]
        tokenizer = Tokenizer(models.BPE(vocab={token: n for n, token in enumerate(tokens)}, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL_TOKEN]
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
        return tokenizer

    def tokenizer_config(self) -> dict[str, Any]:
        tokens = self.get("tokenizer.ggml.tokens")
        unknown = self.get("tokenizer.ggml.unknown_token_id")
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **{key.removesuffix("_id"): tokens[n] for key, n in self.special_ids().items()},
            **({} if unknown is None else {"unk_token": tokens[unknown]}),
            "model_max_length": self.get("llama.context_length"),
            "clean_up_tokenization_spaces": False,
            "chat_template": self.get("tokenizer.chat_template"),
        }


def to_hugging_face(gguf: Path, folder: Path) -> dict[str, Any]:
    """Make `folder` a Hugging Face folder with the weights of `gguf`, in float32: nothing that is in there is lost."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is there already.", "Choose another folder, or remove that one.")
    source = Source(gguf)
    aside = folder.with_name(f"{folder.name}.{os.getpid()}.new")
    aside.mkdir(parents=True)
    try:
        tensors = source.tensors()
        save_file(tensors, aside / "model.safetensors", metadata={"format": "pt"})
        _write_json(aside / "config.json", source.config(tied="lm_head.weight" not in tensors))
        _write_json(aside / "generation_config.json", source.special_ids())
        source.tokenizer().save(str(aside / "tokenizer.json"))
        _write_json(aside / "tokenizer_config.json", source.tokenizer_config())
        for path in aside.iterdir():
            path.chmod(0o644)  # safetensors writes for one account only; a hub's trainers have another
            _sync(path)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return {"kind": "weights", "path": str(folder)}


# ── Hugging Face → GGUF ──


def to_gguf(folder: Path, base: Path, target: Path) -> dict[str, Any]:
    """Write what a fine-tune of `base` left in `folder` as `target`: a LoRA adapter, else the whole model."""
    source = Source(base)
    if (folder / "adapter_config.json").exists():
        adapter(folder, source, target)
        return {"kind": "adapter", "path": str(target)}
    model(folder, source, target)
    return {"kind": "model", "path": str(target)}


def adapter(folder: Path, base: Source, target: Path) -> None:
    """Write the LoRA adapter in `folder`."""
    config = _read_json(folder / "adapter_config.json")
    _check_adapter(config)

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        for name, rows in _safetensors(folder, "adapter_model"):
            found = _LORA_TENSOR.fullmatch(name)
            if found is None:
                raise Refused(f"The adapter has the tensor {name}, which is neither a LoRA A nor a LoRA B matrix.")
            there = gguf_name(f"{found[1]}.weight")
            if found[2] == "B":
                rows = reorder(there, rows, *base.heads, rows_for_gguf)
            yield f"{there}.lora_{found[2].lower()}", rows

    # llama.cpp scales by alpha / rank; rank-stabilised LoRA means alpha / √rank.
    alpha = float(config["lora_alpha"]) * (math.sqrt(config["r"]) if config.get("use_rslora") else 1.0)

    def head(writer: GGUFWriter) -> None:
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)

    _write_gguf(target, head, tensors(), half=False)


def model(folder: Path, base: Source, target: Path) -> None:
    """Write the model in `folder`, matrices in float16; all but its weights (tokenizer, template) is as in `base`."""
    if (kind := _read_json(folder / "config.json").get("model_type")) != "llama":
        raise Refused(f"{folder} holds a {kind!r} model; only 'llama' can be converted.")
    wanted = {hugging_face_name(tensor.name): tensor.shape.tolist()[::-1] for tensor in base.reader.tensors}

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        missing = set(wanted)
        for name, rows in _safetensors(folder, "model"):
            if name == "lm_head.weight" and name not in wanted:
                continue  # tied to the embedding, but written all the same
            if list(rows.shape) != wanted.get(name):
                raise Refused(
                    f"The tensor {name} is {list(rows.shape)}, but {wanted.get(name)} in {base.path.name}.",
                    "Convert it with the model that it was fine-tuned from.",
                )
            missing.remove(name)
            there = gguf_name(name)
            yield there, reorder(there, rows, *base.heads, rows_for_gguf)
        if missing:
            raise Refused(f"{folder} lacks {len(missing)} tensors, among them {min(missing)}.")

    def head(writer: GGUFWriter) -> None:
        for key, field in base.fields.items():
            if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
                continue
            inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], inner)
        writer.add_file_type(LlamaFileType.MOSTLY_F16)

    _write_gguf(target, head, tensors(), half=True)


def _check_adapter(config: dict[str, Any]) -> None:
    if (kind := config.get("peft_type")) != "LORA":
        raise Refused(f"The adapter is of the type {kind!r}; only LoRA can be served.")
    for key in ("use_dora", "alpha_pattern", "modules_to_save", "fan_in_fan_out", "lora_bias"):
        if config.get(key):
            raise Refused(f"The adapter was trained with {key}, which llama.cpp cannot serve.")
    if config.get("bias", "none") != "none":
        raise Refused("The adapter has trained biases, which llama.cpp cannot serve.")
    if config.get("use_rslora") and config.get("rank_pattern"):
        raise Refused("The adapter has rank-stabilised LoRA of several ranks, which llama.cpp cannot serve.")


def _safetensors(folder: Path, stem: str) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors in ``STEM.safetensors`` or its shards, in float32."""
    files = sorted(folder.glob(f"{stem}.safetensors")) or sorted(folder.glob(f"{stem}-*-of-*.safetensors"))
    if not files:
        raise Refused(f"There is no {stem}.safetensors in {folder}.")
    for file in files:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            head = json.loads(stream.read(length))
        for name, told in head.items():
            if name != "__metadata__":
                yield name, _read_tensor(file, 8 + length, name, told)


def _read_tensor(file: Path, start: int, name: str, told: dict[str, Any]) -> np.ndarray:
    if told["dtype"] not in _DTYPES:
        raise Refused(f"The tensor {name} holds {told['dtype']}, which is not converted.")
    dtype = np.dtype(_DTYPES[told["dtype"]])
    begin, end = told["data_offsets"]
    values = np.fromfile(file, dtype, (end - begin) // dtype.itemsize, offset=start + begin).reshape(told["shape"])
    if told["dtype"] == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32, copy=False)


def _write_gguf(
    target: Path, head: Callable[[GGUFWriter], None], tensors: Iterator[tuple[str, np.ndarray]], *, half: bool
) -> None:
    """Write a GGUF aside and rename it; with `half`, matrices are written in float16, as llama.cpp expects it."""
    aside = target.with_name(f"{target.name}.{os.getpid()}.new")
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(aside, "llama")
    try:
        head(writer)
        for name, rows in tensors:
            writer.add_tensor(name, np.ascontiguousarray(rows, np.float16 if half and rows.ndim > 1 else np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        _sync(aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


# ── files ──


def _shortest(value: float) -> float:
    """The decimal number that somebody meant by a float32: 9.999999747378752e-06 is 1e-05."""
    return float(f"{value:.7g}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError:
        raise Refused(f"There is no {path.name} in {path.parent}.") from None
    except ValueError:
        raise Refused(f"{path} is not JSON.") from None


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _be_modest() -> None:
    """Fail rather than take more than half of the machine's memory. Not niced: somebody waits for a conversion."""
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (half, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main(arguments: list[str]) -> int:
    """Convert; one JSON line on stdout says what was made, or why not."""
    _be_modest()
    try:
        if len(arguments) not in (2, 3):
            raise Refused("weights.py takes MODEL.gguf FOLDER, or FOLDER MODEL.gguf OUT.gguf.")
        convert: Callable[..., dict[str, Any]] = to_hugging_face if len(arguments) == 2 else to_gguf
        told = convert(*map(Path, arguments))
    except Refused as problem:
        told = {"error": {"message": problem.message, "remedy": problem.remedy}}
    except MemoryError:
        told = {"error": {"message": "The machine has too little memory for this model.", "remedy": ""}}
    except OSError as problem:
        told = {"error": {"message": f"{problem.filename or 'A file'}: {problem.strerror or problem}.", "remedy": ""}}
    print(json.dumps(told))
    return 1 if "error" in told else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
