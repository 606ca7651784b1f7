"""What a hub costs its people: starts, the way from sign-in to a page, many sessions at once, and a person who idles.

A real hub as root, every person under an account of their own, on loopback and without TLS. Half of its people are
researchers (JupyterLab, and a kernel that is connected to the service), half are business users (dashboards: one page
open, one kernel preheated). All of it runs on this one machine, the browser and the sessions included.

- *Starts*: all servers at once, from the first request until the last is ready.
- *Sign-in to a page*: in a headless Chromium, from the press of "Sign in" until a page can be used. For Lab that is the
  welcome notebook with its kernel idle, for a dashboard the composer of Chat. *Cold* includes the start of the server,
  and leads straight to the dashboard; *preheated* finds a server whose kernel waits. The peer is plain Voilà, without
  any sign-in of its own, that the same hub starts with the same notebook for another person.
- *Sessions*: ten for each server. Each asks the model echo at `/v1/chat/completions` through the proxy with the token
  of the person's server, streamed, reads it to the end, thinks for a second, and asks again, over a connection of its
  own that stays open. *In a cell*: beside these, each researcher's kernel runs `client.chat` with the same pause; a
  call then is all from the browser's end of the websocket to the end of the cell.
- *First byte*: one session alone asks through the proxy and at the service's own port in turns.
- *Idle*: memory (PSS, so that what is shared is counted once) and CPU of all that runs under a person's account.

    bench/hub.py [--quick] [--json FILE]

Full: 200 sessions over 20 servers for a minute, five rounds of pages. Quick: 20 over 2 for three seconds, one round of
pages without Lab's. Pages come last, when what all servers read lies in the machine's memory. It needs what `tests/hub`
needs: root, setpriv, and a Python that all accounts can run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx
import psutil
from _probe import launch
from _report import Row, arguments, finish, median, percentile, spread
from playwright.sync_api import Browser, Page, sync_playwright

from llmws.hub.accounts import Accounts
from llmws.hub.landing import cards
from llmws.hub.roles import BUSINESS, RESEARCHERS
from llmws.hub.state import FIRST_PERSON
from tests.hub.running import PASSWORD, Kernel, Person, RunningHub, open_folder, readable_python, wait_for

THINK_S = 1.0
SESSIONS_EACH = 10
LIMIT_MS = 90_000
# What a kernel that was just started does without a pause is over once nothing was computed for so long.
SETTLED_S = 1.0
MEMORY_GB = 24
MEAN_GOAL_S, FIRST_GOAL_MS, VOILA_GOAL = 0.42, 320, 1.3
SAID = "The tide comes in, the tide goes out."
ASKED = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": SAID}]}
LAB_ONE, OURS, PEER, PEER_NAME = "lena", "olaf", "peer", "plain Voilà"
# As Voilà says in a server's log (voila/voila_kernel_manager.py).
_STARTED = re.compile(r"Kernel pool of (\S+) is filled")
_USED = re.compile(r"Using pre-heated kernel: \S+ for (\S+)")
# Read after the hub's own configuration: who is in which group, and plain Voilà for the one who is the peer.
CONFIG = """
import sys
from llmws.hub.spawner import OwnAccount
from llmws.shipped import shipped

c = get_config()

class Beside(OwnAccount):
    async def run_pre_spawn_hook(self):
        await super().run_pre_spawn_hook()
        if self.user.name == "peer":
            self.cmd = [sys.executable, "-m", "voila", str(shipped("notebooks") / "dashboards"), "--no-browser"]
            self.cmd += ["--VoilaConfiguration.preheat_kernel=True", "--VoilaConfiguration.default_pool_size=1"]

    def get_args(self):
        if self.user.name != "peer":
            return super().get_args()
        return [f"--port={self.port}", "--base_url=/user/peer/", "--Voila.ip=127.0.0.1"]

c.JupyterHub.spawner_class = Beside
c.JupyterHub.load_groups = GROUPS
"""


@dataclass
class BenchHub(RunningHub):
    """The hub of the tests, with people of the bench's own."""

    researchers: list[str] = field(default_factory=list)
    business: list[str] = field(default_factory=list)
    uids: dict[str, int] = field(default_factory=dict)

    @property
    def people(self) -> list[str]:
        return [LAB_ONE, OURS, PEER, *self.researchers, *self.business]

    def settle(self) -> None:
        self.state.prepare()
        accounts = Accounts.open(self.state.hub)
        for number, name in enumerate(self.people):
            accounts.sign_up(name, PASSWORD, f"127.0.1.{number}")
            accounts.approve(name, "the bench")
            self.uids[name] = accounts.uid(name)
        accounts.close()
        groups = {
            RESEARCHERS: {"users": [LAB_ONE, *self.researchers]},
            BUSINESS: {"users": [OURS, PEER, *self.business]},
        }
        (self.state.hub / "config.py").write_text(CONFIG.replace("GROUPS", repr(groups)))

    def uid(self, name: str) -> int:
        return self.uids[name]

    def end(self) -> None:
        """End people's servers, which outlive their hub."""
        self.kill(*self.uids.values())

    def kernels_wait(self, name: str) -> bool:
        """Whether a kernel was started for the next page of each dashboard: once, and again for each that was used."""
        shown = [path.name for path in self.dashboards.glob("*.ipynb")]
        if name != PEER:
            shown = [card.path for card in cards(self.dashboards)]
        log = self.state.server_log(name, "").read_text()
        started, used = Counter(_STARTED.findall(log)), Counter(_USED.findall(log))
        return all(started[path] > used[path] for path in shown)

    def parts(self) -> list[psutil.Process]:
        """The hub itself with its proxy, service, runner and culler."""
        assert self.process is not None
        root = psutil.Process(self.process.pid)
        return [one for one in (root, *root.children(recursive=True)) if one.uids().real < FIRST_PERSON]


@dataclass
class Calls:
    """What sessions met: seconds to the first byte and to the end of each call, and what went wrong."""

    first_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def main() -> None:
    asked = arguments(__doc__ or "")
    each, rounds, for_s, idle_s = (1, 1, 3.0, 2.0) if asked.quick else (10, 5, 60.0, 20.0)
    assert os.geteuid() == 0, "This bench gives people accounts of their own: run it as root."
    load = os.getloadavg()[0]
    rows: list[Row] = []
    with open_folder() as folder:
        hub = BenchHub(folder, readable_python(folder))
        hub.researchers = [f"rita{number}" for number in range(each)]
        hub.business = [f"bob{number}" for number in range(each)]
        try:
            hub.settle()
            hub.start()
            people = {name: Person(hub, name) for name in (*hub.researchers, *hub.business)}
            rows += starts(people)
            kernels = at_work(hub, people)
            tokens = [hub.servers(name)[0].environ()["LLMWS_TOKEN"] for name in people]
            rows += first_bytes(hub, tokens[0], 20 if asked.quick else 100)
            rows += sessions(hub, tokens, kernels, for_s)
            rows += idle(hub, idle_s)
            stop(people)
            rows = pages(hub, rounds, with_lab=not asked.quick) + rows
        finally:
            hub.end()
            hub.remove()
    rows.append(Row(f"machine: load average on {os.cpu_count()} cores before", load, ""))
    finish(rows, asked.json)


def pages(hub: BenchHub, rounds: int, *, with_lab: bool) -> list[Row]:
    """From the press of "Sign in" to a page that can be used."""
    people = {name: Person(hub, name) for name in (OURS, PEER, LAB_ONE)}
    took: dict[str, list[float]] = {}
    with sync_playwright() as it:
        browser = launch(it)
        for turn in range(rounds):
            # Who is second finds files and caches warm.
            for name in (OURS, PEER) if turn % 2 else (PEER, OURS):
                stop(people)
                page = f"/user/{name}/voila/render/chat.ipynb"
                took.setdefault(f"cold {name}", []).append(_sign_in(browser, hub, name, _spawning(name, page), _chat))
                _wait_until_ready(hub, name)
                took.setdefault(f"preheated {name}", []).append(_sign_in(browser, hub, name, page, _chat))
            if with_lab:
                stop(people)
                way = _spawning(LAB_ONE, f"/user/{LAB_ONE}/lab/tree/welcome.ipynb")
                took.setdefault("lab", []).append(_sign_in(browser, hub, LAB_ONE, way, _lab))
        browser.close()
    for person in people.values():
        person.close()
    rows = [Row("sign-in to Lab, cold", median(took["lab"]), "s", spread=spread(took["lab"]))] if with_lab else []
    for kind in ("cold", "preheated"):
        ours, peer = took[f"{kind} {OURS}"], took[f"{kind} {PEER}"]
        ratio = median(ours) / median(peer)
        told = (f"at most {VOILA_GOAL} of the peer", ratio <= VOILA_GOAL, spread(ours))
        rows.append(Row(f"sign-in to a dashboard, {kind}", median(ours), "s", PEER_NAME, median(peer), ratio, *told))
    return rows


def _spawning(name: str, page: str) -> str:
    return f"/hub/spawn/{name}?{urlencode({'next': page})}"


def _sign_in(browser: Browser, hub: BenchHub, name: str, way: str, is_there: Callable[[Page], None]) -> float:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.set_default_timeout(LIMIT_MS)
    try:
        page = context.new_page()
        page.goto(f"{hub.url}/hub/login?{urlencode({'next': way})}")
        page.locator("[name=username]").fill(name)
        page.locator("[name=password]").fill(PASSWORD)
        began = time.monotonic()
        page.locator("button[type=submit]").click(no_wait_after=True)
        is_there(page)
        return time.monotonic() - began
    finally:
        context.close()


def _chat(page: Page) -> None:
    page.get_by_role("textbox", name="Message").wait_for()


def _lab(page: Page) -> None:
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()


def _wait_until_ready(hub: BenchHub, *names: str) -> None:
    """Until kernels wait for the next pages, and nothing of these people's computes any more."""
    on_dashboards = [name for name in names if name in (OURS, PEER, *hub.business)]
    uids, seen, since = [hub.uid(name) for name in names], 0.0, time.monotonic()

    def is_ready() -> bool:
        nonlocal seen, since
        before, seen = seen, cpu_s(hub.processes(*uids))
        if abs(seen - before) > 0.03:
            since = time.monotonic()
        time.sleep(0.3)
        return time.monotonic() - since > SETTLED_S and all(map(hub.kernels_wait, on_dashboards))

    wait_for(is_ready, limit_s=300)


def starts(people: dict[str, Person]) -> list[Row]:
    """All servers at once."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(people)) as pool:
        ready = list(pool.map(lambda person: _started(person, began), people.values()))
    return [
        Row("servers started per minute", 60 * len(ready) / max(ready), "1/min", spread=f"n={len(ready)}"),
        Row("server started, among that many at once", median(ready), "s", spread=spread(ready)),
    ]


def _started(person: Person, began: float) -> float:
    person.ask("POST", f"/hub/api/users/{person.name}/server").raise_for_status()
    with person.stream("GET", f"/hub/api/users/{person.name}/server/progress") as progress:
        for line in progress.iter_lines():
            if '"ready": true' in line:
                return time.monotonic() - began
    raise SystemExit(f"the server of {person.name} did not start")


def stop(people: dict[str, Person]) -> None:
    """All servers at once."""
    with ThreadPoolExecutor(len(people)) as pool:
        list(pool.map(Person.stop_server, people.values()))


def at_work(hub: BenchHub, people: dict[str, Person]) -> list[Kernel]:
    """Give each researcher a connected kernel, and each business user an open page; the researchers' kernels."""
    kernels = []
    for name, person in people.items():
        person.get(person.root)
        if name in hub.business:
            person.open_dashboard()
        else:
            kernels.append(person.start_kernel())
            kernels[-1].run("import llmws\nclient = llmws.connect()")
    _wait_until_ready(hub, *people)
    return kernels


def first_bytes(hub: BenchHub, token: str, count: int) -> list[Row]:
    """One session alone, through the proxy and past it in turns."""
    ways = {"proxy": f"{hub.url}/services/llmws", "past it": service_url(hub)}
    took: dict[str, list[float]] = {way: [] for way in ways}

    async def ask() -> None:
        async with client_of(token, 2) as client:
            for turn in range(count + 3):
                for way, url in ways.items():
                    calls = Calls()
                    await call(client, url, calls)
                    if calls.errors:
                        raise SystemExit(f"{way}: {calls.errors[0]}")
                    # The first ones open connections and fill caches.
                    took[way] += [1000 * calls.first_s[0]] if turn >= 3 else []

    asyncio.run(ask())
    ours, peer = median(took["proxy"]), median(took["past it"])
    name = "first byte, one session alone"
    return [
        Row(name, ours, "ms", "service asked directly", peer, ours / peer, spread=spread(took["proxy"])),
        Row("first byte: what the proxy adds", ours - peer, "ms"),
    ]


def sessions(hub: BenchHub, tokens: list[str], kernels: list[Kernel], for_s: float) -> list[Row]:
    """Many sessions at once, for so many seconds."""
    calls, cells, over = Calls(), Calls(), time.monotonic() + for_s
    before = {part.pid: cpu_s([part]) for part in hub.parts()}
    threads = [threading.Thread(target=_in_a_cell, args=(kernel, cells, over)) for kernel in kernels]
    for thread in threads:
        thread.start()
    asyncio.run(_ask_all(hub, tokens, calls, over))
    for thread in threads:
        thread.join()
    spent = sum(cpu_s([part]) - before.get(part.pid, 0.0) for part in hub.parts())
    mean, first = statistics.fmean(calls.whole_s), 1000 * statistics.fmean(calls.first_s)
    what = f"{len(tokens) * SESSIONS_EACH} sessions, {len(tokens)} servers"
    rows = [
        Row(f"{what}: a call, mean", mean, "s", goal=f"at most {MEAN_GOAL_S} s", met=mean <= MEAN_GOAL_S),
        Row(f"{what}: a call, p95", percentile(calls.whole_s, 0.95), "s", spread=spread(calls.whole_s)),
        Row(f"{what}: first byte, mean", first, "ms", goal=f"at most {FIRST_GOAL_MS} ms", met=first <= FIRST_GOAL_MS),
        Row(f"{what}: first byte, p95", 1000 * percentile(calls.first_s, 0.95), "ms"),
        Row(f"{what}: calls", len(calls.whole_s) / for_s, "1/s"),
        Row(f"{what}: CPU of hub, proxy and service", 100 * spent / for_s, "% of a core"),
        Row("in a cell, beside these: a call, mean", statistics.fmean(cells.whole_s), "s"),
        Row("in a cell, beside these: a call, p95", percentile(cells.whole_s, 0.95), "s", spread=spread(cells.whole_s)),
    ]
    errors = [*calls.errors, *cells.errors]
    tried = len(errors) + len(calls.whole_s) + len(cells.whole_s)
    return [*rows, Row(f"errors in {tried} calls", len(errors), "", goal="none", met=not errors, spread=_some(errors))]


def _some(errors: list[str]) -> str | None:
    return errors[0][:80] if errors else None


async def _ask_all(hub: BenchHub, tokens: list[str], calls: Calls, over: float) -> None:
    async with contextlib.AsyncExitStack() as held, asyncio.TaskGroup() as all_of_them:
        for token in tokens:
            client = await held.enter_async_context(client_of(token, SESSIONS_EACH))
            for number in range(SESSIONS_EACH):
                wait_s = THINK_S * number / SESSIONS_EACH
                all_of_them.create_task(_session(client, f"{hub.url}/services/llmws", calls, over, wait_s))


async def _session(client: httpx.AsyncClient, url: str, calls: Calls, over: float, wait_s: float) -> None:
    await asyncio.sleep(wait_s)
    while time.monotonic() < over:
        await call(client, url, calls)
        await asyncio.sleep(THINK_S)


def client_of(token: str, connections: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(headers=headers, limits=limits, timeout=60, trust_env=False, verify=False)


async def call(client: httpx.AsyncClient, url: str, calls: Calls) -> None:
    """Ask once, and note how it went."""
    began, first, text = time.monotonic(), None, b""
    try:
        async with client.stream("POST", f"{url}/v1/chat/completions", json=ASKED) as response:
            async for piece in response.aiter_raw():
                first = first or time.monotonic()
                text += piece
    except httpx.HTTPError as problem:
        calls.errors.append(repr(problem))
        return
    if response.status_code != 200 or first is None or not text.rstrip().endswith(b"[DONE]"):
        calls.errors.append(f"{response.status_code}: {text[-200:]!r}")
        return
    calls.first_s.append(first - began)
    calls.whole_s.append(time.monotonic() - began)


def _in_a_cell(kernel: Kernel, calls: Calls, over: float) -> None:
    while time.monotonic() < over:
        began = time.monotonic()
        said = kernel.run(f"print('said', client.chat({SAID!r}, model='echo').text)")
        if f"said {SAID}" in said:
            calls.whole_s.append(time.monotonic() - began)
        else:
            calls.errors.append(said[-200:])
        time.sleep(THINK_S)


def idle(hub: BenchHub, for_s: float) -> list[Row]:
    """What everybody costs while they only have their pages open."""
    groups = {"Lab": hub.researchers, "dashboards": hub.business}
    _wait_until_ready(hub, *hub.researchers, *hub.business)
    of = {group: [hub.processes(hub.uid(name)) for name in names] for group, names in groups.items()}
    before = {group: sum(map(cpu_s, people)) for group, people in of.items()}
    time.sleep(for_s)
    shared_mb = pss_mb(hub.parts())
    rows = [Row("idle: hub, proxy, service, runner, culler", shared_mb, "MB")]
    for group, people in of.items():
        sizes = [pss_mb(processes) for processes in people]
        cpu = 100 * (sum(map(cpu_s, people)) - before[group]) / for_s / len(people)
        carried = (MEMORY_GB * 1000 - shared_mb) / statistics.fmean(sizes)
        rows += [
            Row(f"idle: a person in {group}, memory", statistics.fmean(sizes), "MB", spread=spread(sizes)),
            Row(f"idle: a person in {group}, CPU", cpu, "% of a core"),
            Row(f"people in {group} that {MEMORY_GB} GB carry", float(int(carried)), ""),
        ]
    return rows


def service_url(hub: BenchHub) -> str:
    return f"http://127.0.0.1:{hub.state.ports().service}/services/llmws"


def cpu_s(processes: list[psutil.Process]) -> float:
    """CPU seconds that those of `processes` have taken that still run."""
    spent = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


def pss_mb(processes: list[psutil.Process]) -> float:
    size = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            size += process.memory_full_info().pss
    return size / 1e6


if __name__ == "__main__":
    main()
