"""What the gateway costs a call: requests a second, tokens of many streams at once, memory.

Ours is a real service with everything on: a token, access rules, a budget, a usage row on disk before a call ends, a
provider's key that lies encrypted. Beside it, in turns, the bare pass-through (`_bare`: the same libraries, and nothing
of all that) and LiteLLM's proxy in a virtual environment of its own, which is made at the first run. Each has one
process on one core; the model server (`_upstream`) and the load (`_load`) have the other.

- *Requests*: whole answers of 40 tokens, and streamed ones of 20 that come all at once, asked for on 50 connections.
- *Streams*: 200 and 500 at ten tokens a second, one begun each 2 ms. *Gap* is how much longer than at the model server
  it was from one token to the next; *first token* is from the request on.
- *Memory*: of ours, from request 5,000 to 50,000, by a line through what it was meanwhile.

    bench/gateway.py [--quick] [--json FILE]

Quick: one short round, without LiteLLM, without 500 streams, and without memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
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
from _load import Streams, Target, saturate, stream
from _report import Row, arguments, finish, median, percentile, spread

from llmws import instance as instances

HERE = Path(__file__).parent
CONNECTIONS = 50
RAMP_S = 0.002
LIMIT_S = 120.0
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmws" / "bench"
BARE, LITELLM = "bare pass-through", "LiteLLM"


class Served:
    """A gateway that runs, as the load sees it and as the machine does."""

    def __init__(self, target: Target, process: subprocess.Popen[bytes]) -> None:
        self.target = target
        self.process = psutil.Process(process.pid)
        self.rates: dict[str, list[float]] = {}
        self.cpu_ms: dict[str, list[float]] = {}
        self.streams: dict[int, list[Streams]] = {}

    def ask(self, kind: str, for_s: float) -> None:
        request = self.target.request("fast", **REQUESTS[kind])
        before = self._cpu_s()
        rate = asyncio.run(saturate(self.target, request, CONNECTIONS, for_s))
        if rate.failures:
            sys.exit(f"{self.target.name}: {len(rate.failures)} calls failed, the first: {rate.failures[0]}")
        self.rates.setdefault(kind, []).append(rate.per_s)
        self.cpu_ms.setdefault(kind, []).append((self._cpu_s() - before) * 1000 / len(rate.latencies_s))

    def stream(self, count: int, tokens: int) -> None:
        told = asyncio.run(stream(self.target, count, tokens, RAMP_S))
        for failure in told.failures[:1]:
            print(f"{self.target.name}: {len(told.failures)} of {count} streams failed, the first: {failure}")
        self.streams.setdefault(count, []).append(told)

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
        rounds, for_s, counts, tokens = (1, 4.0, (200,), 50) if asked.quick else (5, 6.0, (200, 500), 150)
        for served in (ours, *peers):
            for kind in REQUESTS:
                warm_up(served, kind)
        for turn in range(rounds):
            for served in (ours, *peers) if turn % 2 else (*peers, ours):
                for kind in REQUESTS:
                    served.ask(kind, for_s)
        for count in counts:
            for served in (bare, ours, *peers[1:]):
                served.stream(count, tokens)
        rows += requests(ours, peers)
        for count in counts:
            rows += streams(ours, peers, count)
        if not asked.quick:
            rows += memory(ours)
    rows.append(Row(f"machine: load average on {os.cpu_count()} cores before", load, ""))
    if asked.quick:
        print(f"left out by --quick: {LITELLM}, 500 streams, memory")
    finish(rows, asked.json)


def warm_up(served: Served, kind: str) -> None:
    asyncio.run(saturate(served.target, served.target.request("fast", **REQUESTS[kind]), 10, requests=50))


def requests(ours: Served, peers: Sequence[Served]) -> Iterator[Row]:
    for kind in REQUESTS:
        for peer, least in zip(peers, (0.6, 15.0), strict=False):
            mine, theirs = ours.rates[kind], peer.rates[kind]
            ratio = median(mine) / median(theirs)
            goal = (f"at least {least:g} of the peer", ratio >= least)
            name = f"requests/s, {kind} answers"
            yield Row(name, median(mine), "1/s", peer.target.name, median(theirs), ratio, *goal, spread(mine))
        cpu, bare = ours.cpu_ms[kind], peers[0].cpu_ms[kind]
        told = (BARE, median(bare), median(cpu) / median(bare), None, None, spread(cpu))
        yield Row(f"processor time of a call, {kind}", median(cpu), "ms", *told)


def streams(ours: Served, peers: Sequence[Served], count: int) -> Iterator[Row]:
    mine, bare = ours.streams[count][0], peers[0].streams[count][0]
    name = f"{count} streams"
    complete = (f"all of {count}", mine.complete == count)
    yield Row(f"{name}: complete", mine.complete, "", BARE, bare.complete, None, *complete)
    gaps = percentile(mine.gaps_s, 0.999) * 1000
    told = (BARE, percentile(bare.gaps_s, 0.999) * 1000, None, "at most 100", gaps <= 100)
    yield Row(f"{name}: gap beyond the upstream's, p99.9", gaps, "ms", *told)
    for share, most in ((0.5, 10.0), (0.99, 60.0)):
        first, theirs = percentile(mine.first_s, share) * 1000, percentile(bare.first_s, share) * 1000
        told = (BARE, theirs, None, f"at most {most:g} more than the peer", first - theirs <= most)
        yield Row(f"{name}: first token, p{share * 100:g}", first, "ms", *told)
    for peer in peers[1:]:
        theirs_all = peer.streams[count][0]
        first = percentile(mine.first_s, 0.5) * 1000, percentile(theirs_all.first_s, 0.5) * 1000
        yield Row(f"{name}: first token, p50", first[0], "ms", peer.target.name, first[1])


def memory(ours: Served) -> Iterator[Row]:
    """Ours while it answers 50,000 requests: what it grew by from the 5,000th on, by least squares."""
    request = ours.target.request("fast")
    asyncio.run(saturate(ours.target, request, CONNECTIONS, requests=5_000))
    asked, seen = [5_000], [ours.memory_mb()]
    while asked[-1] < 50_000:
        asyncio.run(saturate(ours.target, request, CONNECTIONS, requests=1_000))
        asked.append(asked[-1] + 1_000)
        seen.append(ours.memory_mb())
    mean_asked, mean_seen = sum(asked) / len(asked), sum(seen) / len(seen)
    slope = sum((x - mean_asked) * (y - mean_seen) for x, y in zip(asked, seen, strict=True))
    slope /= sum((x - mean_asked) ** 2 for x in asked)
    grown = slope * 45_000
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
    providers = folder / "providers.toml"
    providers.write_text(f'[bench]\nname = "Bench"\nwire = "openai_chat"\nneeds_key = false\nbase_url = "{upstream}"\n')
    data = folder / "data"
    environment = {"LLMWS_EMBEDDED": "0", "LLMWS_DATA": str(data), "LLMWS_PROVIDERS": str(providers), "LLMWS_PORT": "0"}
    command = (sys.executable, "-m", "llmws.service")
    with started("", core=0, command=command, **environment) as (_, process):
        limit = time.monotonic() + LIMIT_S
        while (found := instances.running(data)) is None:
            if process.poll() is not None or time.monotonic() > limit:
                sys.exit("the service did not start")
            time.sleep(0.05)
        wait_until_ready(f"{found.url}/healthz", process, "the service")
        port = int(found.url.rpartition(":")[2])
        yield Served(Target("llmws", port, found.token, "bench/{}"), process)


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
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = (str(home / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port))
    # Its list of prices would be fetched from GitHub, and its use reported.
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_LOG": "ERROR"}
    with started("", core=0, command=(*command, "--num_workers", "1"), **environment) as (_, process):
        wait_until_ready(f"http://127.0.0.1:{port}/health/liveliness", process, LITELLM)
        yield Served(Target(LITELLM, port, "sk-bench"), process)


if __name__ == "__main__":
    main()
