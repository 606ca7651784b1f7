"""What the gateway costs a call: requests a second, tokens of many streams at once, memory.

Ours is a real service with everything on: a token, access rules, a budget, a usage row on disk before a call ends, a
provider's key that lies encrypted. Beside it, in turns, the bare pass-through (`_bare`: the same libraries, and nothing
of all that) and LiteLLM's proxy in a virtual environment of its own, which is made at the first run. Each has one
process on one core; the model server (`_upstream`) and the load (`_load`) have the other.

- *Requests*: whole answers of 40 tokens, and streamed ones of 20 that come all at once, asked for on 100 connections.
- *Streams*: 200 and 500 at ten tokens a second, one begun each 2 ms. *Gap* is how much longer than at the model server
  it was from one token to the next; *first token* is from the request on.
- *Memory*: of ours, from request 5,000 to 50,000, by a line through what it was meanwhile.

    bench/gateway.py [--quick] [--json FILE]

With `--json FILE` the whole bench draws a plot beside it.

Quick: one short round, without LiteLLM, without 500 streams, and without memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvloop
from _load import Rate, Streams, Target, saturate, stream
from _plot import Panel, draw
from _report import Row, arguments, finish, median, percentile, spread
from _workspace import free_port

from llmws import instance as instances

HERE = Path(__file__).parent
CONNECTIONS = 100
RAMP_S = 0.002
LIMIT_S = 120.0
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmws" / "bench"
BARE, LITELLM = "bare pass-through", "LiteLLM"


class Served:
    """A gateway that runs, as the load sees it and as the machine does; and what was measured of it so far."""

    def __init__(self, target: Target, process: subprocess.Popen[bytes]) -> None:
        self.target = target
        self.process = psutil.Process(process.pid)
        self.rates: dict[str, list[float]] = {}
        self.cpu_ms: dict[str, list[float]] = {}
        self.streams: dict[int, list[Streams]] = {}

    def ask(self, kind: str, for_s: float) -> None:
        before = self._cpu_s()
        rate = self.load(kind, CONNECTIONS, for_s=for_s)
        self.rates.setdefault(kind, []).append(rate.per_s)
        self.cpu_ms.setdefault(kind, []).append((self._cpu_s() - before) * 1000 / len(rate.latencies_s))

    def load(self, kind: str, connections: int, **until: Any) -> Rate:
        request = self.target.request("fast", **REQUESTS[kind])
        rate = asyncio.run(saturate(self.target, request, connections, **until))
        if rate.failures:
            sys.exit(f"{self.target.name}: {len(rate.failures)} calls failed, the first: {rate.failures[0]}")
        return rate

    def stream(self, count: int, tokens: int) -> None:
        told = asyncio.run(stream(self.target, count, tokens, RAMP_S))
        for failure in told.failures[:1]:
            print(f"{self.target.name}: {len(told.failures)} of {count} streams failed, the first: {failure}")
        self.streams.setdefault(count, []).append(told)

    def first_ms(self, count: int, share: float) -> float:
        """Until the first token, by the median of the rounds."""
        return median([percentile(told.first_s, share) * 1000 for told in self.streams[count]])

    def gap_ms(self, count: int) -> list[float]:
        """The longest but one in a thousand of each round, beyond the upstream's."""
        return [percentile(told.gaps_s, 0.999) * 1000 for told in self.streams[count]]

    def memory_mb(self) -> float:
        return float(self.process.memory_info().rss) / 1e6

    def _cpu_s(self) -> float:
        return sum(self.process.cpu_times()[:2])


REQUESTS: dict[str, dict[str, Any]] = {"whole": {}, "streamed": {"stream": True, "max_tokens": 20}}


def main() -> None:
    asked = arguments(__doc__ or "")
    uvloop.install()
    load = os.getloadavg()[0]
    rows: list[Row] = []
    with contextlib.ExitStack() as running, tempfile.TemporaryDirectory(prefix="llmws-bench-") as folder:
        upstream = f"http://127.0.0.1:{running.enter_context(started('_upstream.py'))[0]}/v1"
        ours = running.enter_context(service(Path(folder), upstream))
        bare = running.enter_context(pass_through(upstream))
        peers = [bare] if asked.quick else [bare, running.enter_context(litellm(Path(folder), upstream))]
        for served in (ours, *peers):
            for kind in REQUESTS:
                served.load(kind, 10, requests=50)
        measure(ours, peers, asked.quick)
        rows += requests(ours, peers)
        for count in ours.streams:
            rows += streams(ours, peers, count)
        if not asked.quick:
            rows += memory(ours)
    rows.append(Row(f"machine: load average on {os.cpu_count()} cores before", load, ""))
    if asked.quick:
        print(f"left out by --quick: {LITELLM}, 500 streams, memory")
    if asked.json is not None and not asked.quick:
        plot(ours, peers, asked.json.with_suffix(".svg"))
    finish(rows, asked.json)


def plot(ours: Served, peers: Sequence[Served], file: Path) -> None:
    everybody = (ours, *peers)
    rates = [(it.target.name, median(it.rates["whole"])) for it in everybody]
    first = [(it.target.name, it.first_ms(200, 0.5)) for it in everybody]
    panels = [
        Panel("requests per second, one process on one core", rates),
        Panel("ms to the first token, median of 200 streams (logarithmic)", first, is_log=True),
    ]
    draw(panels, file)


def measure(ours: Served, peers: Sequence[Served], quick: bool) -> None:
    """Ask all in turns, so that what else the machine does meets each of them."""
    rounds, for_s, counts, tokens = (1, 4.0, (200,), 50) if quick else (5, 4.0, (200, 500), 100)
    for turn in range(rounds):
        for served in (ours, *peers) if turn % 2 else (*peers, ours):
            for kind in REQUESTS:
                served.ask(kind, for_s)
    for turn in range(1 if quick else 3):
        for count in counts:
            for served in (peers[0], ours) if turn % 2 else (ours, peers[0]):
                served.stream(count, tokens)
    for peer in peers[1:]:
        peer.stream(counts[0], tokens)


def requests(ours: Served, peers: Sequence[Served]) -> Iterator[Row]:
    for kind in REQUESTS:
        for peer, least in zip(peers, (0.6, 15.0), strict=False):
            mine, theirs = ours.rates[kind], peer.rates[kind]
            ratio = median(mine) / median(theirs)
            # Twenty tokens in one piece is what no model does: stated beside the bare pass-through, and no goal.
            is_goal = kind == "whole" or peer is not peers[0]
            goal = (f"at least {least:g} of the peer", ratio >= least) if is_goal else (None, None)
            name = f"requests/s, {kind} answers"
            yield Row(name, median(mine), "1/s", peer.target.name, median(theirs), ratio, *goal, spread(mine))
        cpu, bare = ours.cpu_ms[kind], peers[0].cpu_ms[kind]
        told = (BARE, median(bare), median(cpu) / median(bare), None, None, spread(cpu))
        yield Row(f"processor time of a call, {kind}", median(cpu), "ms", *told)


def streams(ours: Served, peers: Sequence[Served], count: int) -> Iterator[Row]:
    bare, name = peers[0], f"{count} streams"
    complete, theirs = (min(told.complete for told in it.streams[count]) for it in (ours, bare))
    goal = (f"all of {count}", complete == count)
    yield Row(f"{name}: complete, in the worst round", complete, "", BARE, theirs, None, *goal)
    gaps = ours.gap_ms(count)
    goal = ("at most 100", median(gaps) <= 100)
    yield Row(
        f"{name}: gap beyond the upstream's, p99.9",
        median(gaps),
        "ms",
        BARE,
        median(bare.gap_ms(count)),
        None,
        *goal,
        spread(gaps),
    )
    for share, most in ((0.5, 10.0), (0.99, 60.0)):
        first, theirs_ms = ours.first_ms(count, share), bare.first_ms(count, share)
        goal = (f"at most {most:g} more than the peer", first - theirs_ms <= most)
        yield Row(f"{name}: first token, p{share * 100:g}", first, "ms", BARE, theirs_ms, None, *goal)
    for peer in peers[1:]:
        if count in peer.streams:
            told = (peer.target.name, peer.first_ms(count, 0.5))
            yield Row(f"{name}: first token, p50", ours.first_ms(count, 0.5), "ms", *told)


def memory(ours: Served) -> Iterator[Row]:
    """Ours while it answers 50,000 requests: what it grew by from the 5,000th on, by least squares."""
    ours.load("whole", CONNECTIONS, requests=5_000)
    asked, seen = [5_000], [ours.memory_mb()]
    while asked[-1] < 50_000:
        ours.load("whole", CONNECTIONS, requests=1_000)
        asked.append(asked[-1] + 1_000)
        seen.append(ours.memory_mb())
    grown = statistics.linear_regression(asked, seen).slope * 45_000
    yield Row("memory after 5,000 requests", seen[0], "MB")
    goal = ("at most 2 % of it", grown <= 0.02 * seen[0])
    yield Row("memory: growth to 50,000, by the slope", grown, "MB", None, None, None, *goal, spread(seen))


@contextlib.contextmanager
def started(
    script: str, *arguments: str, core: int = -1, command: Sequence[str] = (), **environment: str
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A process on a core of its own; the first line that a script of ours prints is its port."""
    command = command or (sys.executable, str(HERE / script), *arguments)
    with on_core(core), tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE if script else log, stderr=log, env=os.environ | environment
        )
    try:
        port = int(process.stdout.readline()) if process.stdout is not None else 0
        yield port, process
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Children begun in this block run on the first core (0) or on the last (-1), where this process stays."""
    here = psutil.Process()
    if not hasattr(here, "cpu_affinity"):
        yield
        return
    cores = sorted(ALL_CORES)
    here.cpu_affinity([cores[core]])
    yield
    here.cpu_affinity([cores[-1]])


ALL_CORES = psutil.Process().cpu_affinity() if hasattr(psutil.Process, "cpu_affinity") else []


def wait_until_ready(url: str, process: subprocess.Popen[bytes], what: str) -> None:
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=5).status_code < 500:
                return
        if process.poll() is not None:
            sys.exit(f"{what} ended with {process.returncode}")
        time.sleep(0.1)
    sys.exit(f"{what} was not ready within {LIMIT_S:.0f} s")


@contextlib.contextmanager
def pass_through(upstream: str) -> Iterator[Served]:
    with started("_bare.py", upstream, core=0) as (port, process):
        yield Served(Target(BARE, port, "none"), process)


@contextlib.contextmanager
def service(folder: Path, upstream: str) -> Iterator[Served]:
    """Ours with a provider that has a key, a price, and limits on money, tokens, requests and calls at a time."""
    data = folder / "data"
    environment = {"LLMWS_EMBEDDED": "0", "LLMWS_DATA": str(data), "LLMWS_PORT": "0"}
    command = (sys.executable, "-m", "llmws.service")
    with started("", core=0, command=command, **environment) as (_, process):
        limit = time.monotonic() + LIMIT_S
        while (found := instances.running(data)) is None:
            if process.poll() is not None or time.monotonic() > limit:
                sys.exit("the service did not start")
            time.sleep(0.05)
        wait_until_ready(f"{found.url}/healthz", process, "the service")
        with httpx.Client(base_url=found.url, headers={"Authorization": f"Bearer {found.token}"}) as api:
            provider = {"vendor": "compatible", "id": "bench", "base_url": upstream, "key": "sk-bench-0123456789"}
            asked = [api.post("/api/providers", json=provider)]
            price = {"input": "1", "output": "2", "currency": "USD"}
            asked += [api.put(f"/api/prices/bench/{model}", json=price) for model in ("fast", "paced")]
            for unit, period in (("USD", "month"), ("tokens", "day"), ("requests", "minute"), ("parallel", None)):
                bound = {"kind": "everyone", "unit": unit, "period": period, "hard": 1e9}
                asked.append(api.post("/api/limits", json=bound))
            for answer in asked:
                answer.raise_for_status()
        yield Served(Target("llmws", int(found.url.rpartition(":")[2]), found.token, "bench/{}"), process)


@contextlib.contextmanager
def litellm(folder: Path, upstream: str) -> Iterator[Served]:
    """LiteLLM's proxy as its documentation runs it: one worker, a master key, no database."""
    home = CACHE / "litellm"
    if not (home / "bin" / "litellm").exists():
        print("installing LiteLLM's proxy", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "--quiet", "litellm[proxy]"], check=True)
    models = "".join(
        f"  - model_name: {name}\n    litellm_params:\n      model: openai/{name}\n"
        f"      api_base: {upstream}\n      api_key: none\n"
        for name in ("fast", "paced")
    )
    config = folder / "litellm.yaml"
    config.write_text(f"model_list:\n{models}general_settings:\n  master_key: sk-bench\n")
    port = free_port()
    command = (str(home / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port))
    # Its list of prices would be fetched from GitHub, and its use reported.
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_LOG": "ERROR"}
    with started("", core=0, command=(*command, "--num_workers", "1"), **environment) as (_, process):
        wait_until_ready(f"http://127.0.0.1:{port}/health/liveliness", process, LITELLM)
        yield Served(Target(LITELLM, port, "sk-bench"), process)


if __name__ == "__main__":
    main()
