"""Weights between GGUF and Hugging Face, in the real training environment: what is served is what was trained."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from llmws.errors import MissingTool, TrainingError
from llmws.http import new_client
from llmws.serving import adapters
from llmws.serving.embedded import Embedded, EmbeddedModel, Endpoint, find_embedded_model
from llmws.settings import Settings
from llmws.training import environment

SCRIPT = Path(adapters.__file__).with_name("weights.py")
TEXTS = [
    "Hello, world!",
    "  two  spaces,\ttab\nand newline\r\n",
    "In 2026 it cost 1,234.50 €; x2y3",
    "你好，世界！这是一个测试。",
    "日本語とかな、한국어, ελληνικά, עברית, عربي",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 naïve ½ ²",
    "I'm, you'll, they've; DON'T",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    "def f(x):\n    return x**2  # ok\n",
    "\u200bzero\u00a0width\ufeff",
]

_TOKENIZE = """
import json, sys
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
print(json.dumps([tokenizer.encode(text).ids for text in json.load(sys.stdin)]))
"""
_SAME = """
import sys, torch
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer
gguf, folder = Path(sys.argv[1]), sys.argv[2]
theirs = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name).state_dict()
ours = AutoModelForCausalLM.from_pretrained(folder).state_dict()
assert theirs.keys() == ours.keys(), theirs.keys() ^ ours.keys()
assert all(torch.equal(theirs[name].float(), ours[name]) for name in theirs)
tokenizer = AutoTokenizer.from_pretrained(folder)
assert (tokenizer.eos_token, tokenizer.bos_token) == ("<|im_end|>", "<|im_start|>")
"""
# An adapter as peft writes one, without a training: random matrices on some layers, in bfloat16 or float32.
_MAKE_ADAPTER = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import save_file
folder, dtype = Path(sys.argv[1]), getattr(torch, sys.argv[2])
torch.manual_seed(1)
sizes = {"self_attn.q_proj": (576, 576), "self_attn.k_proj": (576, 192), "mlp.down_proj": (1536, 576)}
made = {}
for layer in range(8):
    for name, (inner, outer) in sizes.items():
        key = f"base_model.model.model.layers.{layer}.{name}"
        made[f"{key}.lora_A.weight"] = (torch.randn(4, inner) * 0.1).to(dtype)
        made[f"{key}.lora_B.weight"] = (torch.randn(outer, 4) * 0.1).to(dtype)
folder.mkdir()
save_file(made, folder / "adapter_model.safetensors")
config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none"} | json.loads(sys.argv[3])
(folder / "adapter_config.json").write_text(json.dumps(config))
"""
# The same adapter merged into the weights by the definition of LoRA, in Hugging Face's order of rows.
_MERGE = """
import sys, torch
from pathlib import Path
from safetensors.torch import load_file, save_file
weights, adapter, merged = (Path(path) for path in sys.argv[1:])
merged.mkdir()
model = load_file(weights / "model.safetensors")
lora = load_file(adapter / "adapter_model.safetensors")
for name in lora:
    if name.endswith(".lora_A.weight"):
        key = name.removeprefix("base_model.model.").replace(".lora_A", "")
        model[key] += 8 / 4 * (lora[name.replace("lora_A", "lora_B")].float() @ lora[name].float())
save_file({name: tensor.to(torch.bfloat16) for name, tensor in model.items()}, merged / "model.safetensors")
(merged / "config.json").write_text((weights / "config.json").read_text())
"""


def run(python: Path, code: str, *arguments: object, stdin: Any = None) -> str:
    ended = subprocess.run(
        [python, "-I", "-c", code, *map(str, arguments)], input=json.dumps(stdin), capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def convert_weights(python: Path, gguf: Path, folder: Path) -> dict[str, Any]:
    ended = subprocess.run([python, "-I", SCRIPT, gguf, folder], capture_output=True, text=True)
    assert (ended.returncode == 0) == ("error" not in ended.stdout), ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="session")
def model() -> EmbeddedModel:
    return find_embedded_model(Settings())


@pytest.fixture(scope="session")
def python() -> Path:
    settings = Settings.from_environment()
    assert environment.status(settings).state == "ready", "`make train-env` installs what this test needs"
    return environment.python(settings)


@pytest.fixture(scope="session")
def weights(python: Path, model: EmbeddedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "hf"
    assert convert_weights(python, model.path, folder) == {"kind": "weights", "path": str(folder)}
    return folder


async def post(endpoint: Endpoint, path: str, body: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    async with new_client(headers=headers, proxies=False, idle_s=300) as client:
        return (await client.post(endpoint.base_url.removesuffix("/v1") + path, json=body)).raise_for_status().json()


async def next_token(server: Embedded, model_id: str) -> dict[str, float]:
    """How probable a model finds the next token, as logarithms."""
    body = {"prompt": "The capital of France is", "n_predict": 1, "temperature": 0, "n_probs": 2000}
    async with server.call(model_id, wait_s=300) as endpoint:
        told = await post(endpoint, "/completion", body | endpoint.extra)
    return {one["token"]: one["logprob"] for one in told["completion_probabilities"][0]["top_logprobs"]}


def apart(one: dict[str, float], other: dict[str, float]) -> float:
    """The mean difference of two predictions, over the tokens that one of them finds likely."""
    likely = sorted(one.keys() & other.keys(), key=one.__getitem__)[-100:]
    return sum(abs(one[token] - other[token]) for token in likely) / len(likely)


@pytest.mark.long
def test_the_weights_are_those_of_the_gguf_to_the_bit(python: Path, model: EmbeddedModel, weights: Path) -> None:
    run(python, _SAME, model.path, weights)


@pytest.mark.long
async def test_both_split_a_text_into_the_same_tokens(python: Path, model: EmbeddedModel, weights: Path) -> None:
    server = Embedded(model, context=512)
    await server.start()
    async with server.call(model.id, wait_s=300) as endpoint:
        served = [(await post(endpoint, "/tokenize", {"content": text, "parse_special": True})) for text in TEXTS]
    await server.stop()
    trained = json.loads(run(python, _TOKENIZE, weights, stdin=TEXTS))
    assert [told["tokens"] for told in served] == trained


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
async def test_an_adapter_answers_as_the_merged_model_does(
    python: Path, model: EmbeddedModel, weights: Path, tmp_path: Path, dtype: str
) -> None:
    run(python, _MAKE_ADAPTER, tmp_path / "adapter", dtype, "{}")
    run(python, _MERGE, weights, tmp_path / "adapter", tmp_path / "merged")
    adapter = await adapters.convert(python, tmp_path / "adapter", model.path, tmp_path / "adapter.gguf")
    merged = await adapters.convert(python, tmp_path / "merged", model.path, tmp_path / "merged.gguf")
    assert adapter == adapters.Tuned("adapter", tmp_path / "adapter.gguf")
    assert merged == adapters.Tuned("model", tmp_path / "merged.gguf")
    both = Embedded(model, context=512)
    await both.set_adapters({"tuned": adapter.path})
    alone = Embedded(EmbeddedModel("merged", "merged", merged.path), context=512, asleep_after_s=60)
    await both.start()
    await alone.start()
    base, tuned = await next_token(both, model.id), await next_token(both, "tuned")
    whole = await next_token(alone, "merged")
    await both.stop()
    await alone.stop()
    assert apart(tuned, whole) < 0.2 * apart(tuned, base)


@pytest.mark.long
def test_its_examples_hold(python: Path) -> None:
    ended = subprocess.run([python, "-m", "doctest", SCRIPT], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"peft_type": "IA3"}', "type 'IA3'; only LoRA"),
        ('{"use_dora": true}', "use_dora, which llama.cpp cannot serve"),
        ('{"modules_to_save": ["lm_head"]}', "modules_to_save"),
        ('{"bias": "all"}', "biases"),
    ],
)
async def test_an_adapter_that_cannot_be_served_is_refused(
    python: Path, model: EmbeddedModel, tmp_path: Path, config: str, message: str
) -> None:
    run(python, _MAKE_ADAPTER, tmp_path / "adapter", "float32", config)
    with pytest.raises(TrainingError, match=message):
        await adapters.convert(python, tmp_path / "adapter", model.path, tmp_path / "out.gguf")
    assert os.listdir(tmp_path) == ["adapter"]  # noqa: PTH208


_EDIT = """
import sys
from gguf import GGUFReader, GGUFValueType, GGUFWriter
source, target, key, value = sys.argv[1:]
writer = GGUFWriter(target, value if key == "general.architecture" else "llama")
for name, field in GGUFReader(source).fields.items():
    if not name.startswith("GGUF.") and name != "general.architecture":
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(name, value if name == key else field.contents(), field.types[0], inner)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.close()
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("general.architecture", "qwen2", "has the architecture 'qwen2'; only 'llama'"),
        ("tokenizer.ggml.pre", "llama-bpe", "has the tokenizer 'llama-bpe'; only 'smollm'"),
    ],
)
def test_another_kind_of_model_is_refused(
    python: Path, model: EmbeddedModel, tmp_path: Path, key: str, value: str, message: str
) -> None:
    run(python, _EDIT, model.path, tmp_path / "other.gguf", key, value)
    told = convert_weights(python, tmp_path / "other.gguf", tmp_path / "hf")
    assert message in told["error"]["message"]
    assert not (tmp_path / "hf").exists()


@pytest.mark.long
def test_what_is_no_model_is_refused(python: Path, tmp_path: Path, weights: Path, model: EmbeddedModel) -> None:
    (tmp_path / "text.gguf").write_text("no model at all")
    assert (
        "cannot be read as a GGUF"
        in convert_weights(python, tmp_path / "text.gguf", tmp_path / "a")["error"]["message"]
    )
    assert "no model file" in convert_weights(python, tmp_path / "none.gguf", tmp_path / "a")["error"]["message"]
    assert "there already" in convert_weights(python, model.path, weights)["error"]["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["text.gguf"]


async def test_without_a_training_environment_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingTool, match="make train-env"):
        await adapters.convert(tmp_path / "bin" / "python", tmp_path, tmp_path / "a.gguf", tmp_path / "b.gguf")


async def test_a_conversion_that_crashes_says_what_it_said(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'it begins'\necho 'ImportError: no numpy' >&2\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(TrainingError, match=r"exit code 3: ImportError: no numpy.*make train-env"):
        await adapters.convert(python, tmp_path, tmp_path / "a.gguf", tmp_path / "b.gguf")
