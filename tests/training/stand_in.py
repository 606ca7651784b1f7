"""A stand-in for ``llamafactory-cli train recipe.yaml``: log, checkpoints, signals and failures, without torch.

As measured with the real one, SIGABRT saves the model but no checkpoint, and SIGTERM both, if the recipe asks for it.

What it shall do beyond training is told by the environment variable STAND_IN, a JSON object:

    step_s        seconds per step
    load_s        seconds before the handler for SIGABRT is in place, as LLaMA-Factory takes to load
    hold_at       wait in this step until the file `go` stands in the run folder
    crash_at      raise in this step, in the first attempt only (`always`: in each)
    kill_at       end by SIGKILL in this step, in the first attempt only, with half a checkpoint left behind
    full_at       write to a full disk in this step, in the first attempt only
    deaf          neither SIGABRT nor SIGTERM are heeded
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
import zipfile
from pathlib import Path

import yaml

SCRIPT = json.loads(os.environ.get("STAND_IN", "{}"))
RUN = Path.cwd()
aborted: signal.Signals | None = None


def on_signal(number: int, _: object) -> None:
    global aborted
    aborted = signal.Signals(number)


def write_safetensors(path: Path, whole: bool = True) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8 if whole else 3))


def save(output: Path, step: int, whole: bool = True) -> None:
    folder = output / f"checkpoint-{step}"
    folder.mkdir(exist_ok=True)
    write_safetensors(folder / "adapter_model.safetensors", whole)
    if not whole:
        return
    for name in ("optimizer.pt", "scheduler.pt"):
        with zipfile.ZipFile(folder / name, "w") as file:
            file.writestr("data.pkl", "x")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))


def log(output: Path, step: int, total: int, **more: object) -> None:
    line = {"current_steps": step, "total_steps": total, "epoch": step / 10, "elapsed_time": "0:00:01", **more}
    with (output / "trainer_log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def misbehave(step: int, output: Path, first: bool) -> None:
    if step == SCRIPT.get("hold_at"):
        while not (RUN / "go").exists() and not aborted:
            time.sleep(0.02)
    if step == SCRIPT.get("crash_at") and (first or SCRIPT.get("always")):
        raise RuntimeError("the stand-in was told to crash")
    if step == SCRIPT.get("kill_at") and first:
        save(output, step, whole=False)
        os.kill(os.getpid(), signal.SIGKILL)
    if step == SCRIPT.get("full_at") and first:
        with Path("/dev/full").open("w") as file:
            file.write("x" * 10_000)


def main() -> int:
    action, name = sys.argv[1:]
    assert action == "train"
    recipe = yaml.safe_load((RUN / name).read_text())
    first = not (RUN / "begun").exists()
    (RUN / "begun").touch()
    (RUN / "environment.json").write_text(json.dumps(dict(os.environ)))
    print("loading", recipe["model_name_or_path"], flush=True)
    time.sleep(SCRIPT.get("load_s", 0))
    signal.signal(signal.SIGABRT, signal.SIG_IGN if SCRIPT.get("deaf") else on_signal)
    if SCRIPT.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif recipe.get("enable_jit_checkpoint"):
        signal.signal(signal.SIGTERM, on_signal)
    output = RUN / recipe["output_dir"]
    output.mkdir(exist_ok=True)
    step = max((int(path.name.split("-")[1]) for path in output.glob("checkpoint-*")), default=0)
    if not step and (output / "adapter_model.safetensors").exists():
        raise ValueError("Output directory already exists and is not empty. Please set `overwrite_output_dir`.")
    total = recipe["max_steps"]
    while step < total and not aborted:
        step += 1
        misbehave(step, output, first)
        time.sleep(SCRIPT.get("step_s", 0.01))
        print(f"step {step} – {10 / step:.2f}", flush=True)
        log(output, step, total, loss=10 / step, lr=0.001)
        if step % recipe["save_steps"] == 0:
            save(output, step)
    if aborted != signal.SIGABRT:
        save(output, step)
    write_safetensors(output / "adapter_model.safetensors")
    log(output, step, total)
    (output / "train_results.json").write_text("{}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
