"""What a fine-tune through llmws costs beside the bare trainer: CPU of ours, delay of the first step, wall time.

Both sides train the same recipe on the same rows with the same `recipe.yaml`, in turns, alone on the machine. Ours is
everything that llmws runs: service, runner, supervisor, the embedded model's server, and the client's thread in this
process, which follows the job's events all the while. The peer is `llamafactory-cli train` by itself, in a copy of the
run folder.

    bench/training.py [--quick] [--json FILE]      quick: one round of 5 steps, else three of 20
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from _report import Row, arguments, finish, median, spread

from llmws import Recipe, connect
from llmws.client import Client
from llmws.settings import Settings
from llmws.training.launch import environment
from llmws.training.orders import Job
from llmws.training.run_dir import RunDir

BASE, DATASET = "smollm2-135m", "seafarer"
LOOK_S = 0.1
LIMIT_S = 1800.0


@dataclass(frozen=True)
class Run:
    """One side of one round, in seconds; CPU is user and system time."""

    first_step_s: float
    wall_s: float
    trainer_cpu_s: float
    ours_cpu_s: float = 0.0


@dataclass
class Meter:
    """CPU seconds of processes that come and go: the last that was seen of each."""

    trainer: dict[int, float]
    ours: dict[int, float]
    before: dict[int, float]

    @classmethod
    def start(cls, roots: list[int]) -> Meter:
        meter = cls({}, {}, {})
        meter.look(roots)
        meter.before, meter.ours, meter.trainer = {**meter.ours}, {}, {}
        return meter

    def look(self, roots: list[int]) -> None:
        for root in roots:
            try:
                tree = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            # Once a trainer, always one: a process that has ended and is not yet reaped has no command line any more.
            trainers = {process.pid for process in tree if process.pid in self.trainer or _is_trainer(process)}
            for process in tree:
                mine = self.trainer if process.pid in trainers else self.ours
                mine[process.pid] = max(mine.get(process.pid, 0.0), _cpu_s(process))

    def spent(self, of: dict[int, float]) -> float:
        return sum(value - self.before.get(pid, 0.0) for pid, value in of.items())


def _is_trainer(process: psutil.Process) -> bool:
    try:
        return any("llamafactory" in word for word in process.cmdline())
    except psutil.Error:
        return False


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def _wait_for_line(log: Path, begun: float, process: subprocess.Popen[bytes] | None = None) -> float:
    while time.monotonic() - begun < LIMIT_S:
        if log.exists() and b"\n" in log.read_bytes():
            return time.monotonic() - begun
        if process is not None and process.poll() is not None:
            raise SystemExit(f"the trainer ended with {process.returncode} before its first step: see {log.parent}")
        time.sleep(LOOK_S)
    raise SystemExit(f"no step within {LIMIT_S:.0f} s: see {log.parent}")


def ours(client: Client, settings: Settings, recipe: Recipe) -> tuple[Run, RunDir]:
    """A fine-tune through the service, followed by this client to its end."""
    service = client.run(client.api.status())["service"]["pid"]
    roots = [service]
    meter = Meter.start(roots)
    client_before_s = client.loop.submit(_thread_cpu_s()).result()
    begun = time.monotonic()
    job = client.finetune(BASE, DATASET, recipe)
    run = RunDir(settings.runs, job.id)
    first = _wait_for_line(run.trainer_log, begun)
    following = client.loop.submit(_follow(client, job.id))
    while not following.done():
        meter.look(roots)
        time.sleep(LOOK_S)
    wall = time.monotonic() - begun
    meter.look(roots)
    if job.state != "finished":
        raise SystemExit(f"the job is {job.state}: {job.reason}")
    client_s = client.loop.submit(_thread_cpu_s()).result() - client_before_s
    return Run(first, wall, meter.spent(meter.trainer), meter.spent(meter.ours) + client_s), run


async def _thread_cpu_s() -> float:
    """Of the client's loop: what this bench itself spends on looking is not ours."""
    return time.thread_time()


async def _follow(client: Client, job_id: str) -> None:
    async for _ in client.api.job_events(job_id):
        pass


def bare(run: RunDir, folder: Path) -> Run:
    """The same `recipe.yaml` in a folder of its own, started by hand."""
    job = Job.from_dict(run.read(run.job))
    folder.mkdir()
    shutil.copy(run.recipe, folder / "recipe.yaml")
    shutil.copytree(run.data, folder / "data")
    (folder / "base").symlink_to(run.base.resolve())
    copy = RunDir.at(folder)
    meter = Meter({}, {}, {})
    begun = time.monotonic()
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(
            [*job.command, "train", "recipe.yaml"],
            cwd=folder,
            env=environment(copy, job.order),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        first = _wait_for_line(copy.trainer_log, begun, process)
        while process.poll() is None:
            meter.look([process.pid])
            time.sleep(LOOK_S)
    if process.returncode:
        raise SystemExit(f"the bare trainer ended with {process.returncode}: see {folder}")
    return Run(first, time.monotonic() - begun, meter.spent(meter.trainer))


def rows(of_ours: list[Run], of_bare: list[Run], method: str) -> list[Row]:
    shares = [100 * run.ours_cpu_s / run.trainer_cpu_s for run in of_ours]
    delays = [mine.first_step_s - theirs.first_step_s for mine, theirs in zip(of_ours, of_bare, strict=True)]
    ratios = [mine.wall_s / theirs.wall_s for mine, theirs in zip(of_ours, of_bare, strict=True)]
    peer = "llamafactory-cli train"
    firsts, walls = [run.first_step_s for run in of_ours], [run.wall_s for run in of_ours]
    bare_first, bare_wall = median([run.first_step_s for run in of_bare]), median([run.wall_s for run in of_bare])
    return [
        Row(
            f"{method}: CPU of ours, share of the trainer's",
            median(shares),
            "%",
            peer,
            median([run.trainer_cpu_s for run in of_ours]),
            median(shares) / 100,
            "at most 3 %",
            median(shares) <= 3,
            spread(shares),
        ),
        Row(
            f"{method}: first step later than the peer's",
            median(delays),
            "s",
            peer,
            bare_first,
            median(firsts) / bare_first,
            "at most 2 s",
            median(delays) <= 2,
            spread(delays),
        ),
        Row(f"{method}: wall time", median(walls), "s", peer, bare_wall, median(ratios), None, None, spread(ratios)),
    ]


def main() -> None:
    asked = arguments(__doc__ or "")
    rounds, steps = (1, 5) if asked.quick else (3, 20)
    recipe = Recipe(max_steps=steps, batch_size=2, cutoff_len=128)
    with tempfile.TemporaryDirectory(prefix="llmws-bench-") as folder:
        os.environ["LLMWS_DATA"] = str(Path(folder) / "data")
        settings = Settings.from_environment()
        client = connect()
        try:
            # The weights are made into a Hugging Face folder once, which is not what a run costs.
            client.finetune(BASE, DATASET, replace(recipe, max_steps=1)).wait()
            of_ours, of_bare = [], []
            for turn in range(rounds):
                run, run_dir = ours(client, settings, recipe)
                of_ours.append(run)
                of_bare.append(bare(run_dir, Path(folder) / f"bare-{turn}"))
        finally:
            client.run(client.api.shutdown())
    finish(rows(of_ours, of_bare, f"LoRA, {steps} steps"), asked.json)


if __name__ == "__main__":
    main()
