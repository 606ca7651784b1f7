"""What three answers at 500 tokens/s each cost a page: token to pixel, longest task, Stop, bytes, frames per second.

A model server inside this bench speaks the OpenAI wire and says numbered words in Markdown, each in an event of its
own; it notes when it wrote which. The Compare page asks it three times at once, in JupyterLab and in stand-alone Voilà,
in a headless Chromium. In every frame, after layout and before paint, the page notes the newest number that each column
shows, and stamps it in the first task after that paint; the compositor's part (a frame at most) is not seen. Both
stamps are CLOCK_MONOTONIC: the page's origin is found by asking for its clock until an answer took little time. A token
that was never shown (Stop came before) counts as shown at the end, so that falling behind cannot flatter anybody.

The peer is the naive way: three `ipywidgets.HTML`, rewritten every 50 ms with all of the text, rendered in the kernel,
which reads the same model server directly. It has no service, no store and no metering to pass.

    bench/ui.py [--quick] [--json FILE]

Full: three rounds of 5,000 tokens a stream, ours and the peer in turns in both hosts, Stop by button and by Escape in
turns. Quick: one round of 1,500 tokens, the peer in Voilà only, Stop by button.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

from _report import Row, arguments, finish, median, percentile, spread
from playwright.sync_api import Browser, Page, expect, sync_playwright

from llmws import instance

ROOT = Path(__file__).parents[1]
UI = ROOT / "llmws" / "ui"
TOKENS_PER_S = 500
MODELS = ("one", "two", "three")
PEER = "ipywidgets.HTML, 50 ms"
HOSTS = {"lab": "JupyterLab", "voila": "Voilà"}
TOKEN = "token-of-the-bench"
START_LIMIT_S, END_LIMIT_S = 120.0, 60.0

PROBE = """
(() => {
  const bench = (window.bench = { bytes: 0, frames: [], tasks: [], asked: null });
  window.WebSocket = class extends WebSocket {
    constructor(...address) {
      super(...address);
      this.addEventListener("message", ({ data }) => { bench.bytes += data.byteLength ?? data.size ?? data.length; });
    }
  };
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) bench.tasks.push([task.startTime, task.duration]);
  }).observe({ type: "longtask" });
  const note = (event) => { if (event.type === "click" || event.key === "Escape") bench.asked = event.timeStamp; };
  for (const type of ["click", "keydown"]) addEventListener(type, note, true);

  // The number of the last word below `element`, from the end, so that a long text costs no more than a short one.
  const newest = (element) => {
    let node = element;
    while (node?.lastChild) node = node.lastChild;
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_ALL);
    walker.currentNode = node;
    for (; node && node !== element; node = walker.previousNode()) {
      const found = node.nodeType === Node.TEXT_NODE ? node.data.slice(-400).match(/w\\d{5}/g) : null;
      if (found) return Number(found.at(-1).slice(1));
    }
    return -1;
  };

  bench.watch = (columns, running) => {
    const pulse = document.createElement("div");
    pulse.style = "position:fixed;visibility:hidden;contain:strict;width:1px;height:1px";
    document.body.append(pulse);
    const painted = new MessageChannel();
    let seen = [];
    // Observers of size come after layout and before paint: what stands there now is what this frame shows.
    new ResizeObserver(() => {
      seen = [document.querySelectorAll(running).length, ...[...document.querySelectorAll(columns)].map(newest)];
      painted.port2.postMessage(null);
    }).observe(pulse);
    painted.port1.onmessage = () => bench.frames.push([performance.now(), bench.bytes, ...seen]);
    const tick = () => {
      pulse.style.width = pulse.style.width === "1px" ? "2px" : "1px";
      requestAnimationFrame(tick);
    };
    tick();
  };
  bench.stopped = () => {
    const last = bench.frames.at(-1);
    return bench.asked !== null && last[0] > bench.asked && last[2] === 0;
  };
})();
"""

OURS_CELL = """
from llmws import ui

ui.Compare(models=["scripted/one", "scripted/two", "scripted/three"])
"""

PEER_CELL = """
import asyncio, json, time
import httpx, ipywidgets, mistune

columns = {name: ipywidgets.HTML(layout={"width": "33%", "height": "500px"}) for name in ("one", "two", "three")}
for column in columns.values():
    column.add_class("bench-column")
start, stop = ipywidgets.Button(description="Start"), ipywidgets.Button(description="Stop")
tasks = []

async def answer(name, column):
    text, due = "", 0.0
    column.add_class("bench-running")
    try:
        async with httpx.AsyncClient(timeout=None) as client:
            body = {"model": name, "stream": True, "messages": [{"role": "user", "content": "Speak."}]}
            async with client.stream("POST", "ADDRESS/chat/completions", json=body) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        text += json.loads(line[6:])["choices"][0]["delta"].get("content", "")
                    if time.monotonic() >= due:
                        column.value = mistune.html(text)
                        due = time.monotonic() + 0.05
    finally:
        column.value = mistune.html(text)
        column.remove_class("bench-running")

start.on_click(lambda _: tasks.extend(asyncio.ensure_future(answer(*item)) for item in columns.items()))
stop.on_click(lambda _: [task.cancel() for task in tasks])
ipywidgets.VBox([ipywidgets.HBox([start, stop]), ipywidgets.HBox(list(columns.values()))])
"""


def words() -> Iterator[str]:
    """Numbered words in Markdown as a model writes it: headings, paragraphs, lists, code, a table, over and over.

    Example:
        >>> list(islice(words(), 3))
        ['## w00000', ' w00001', ' w00002']
    """
    numbers = count()
    word = map("w{:05d}".format, numbers)
    while True:
        yield f"## {next(word)}"
        yield from (f" {one}" for one in islice(word, 5))
        for _ in range(2):
            yield f"\n\n{next(word)}"
            for place in range(60):
                before, after = {17: (" **", ""), 19: (" ", "**"), 31: (" `", "`"), 41: (" *", "*")}.get(
                    place, (" ", "")
                )
                yield f"{before}{next(word)}{after}{',' if place % 9 == 4 else ''}"
            yield "."
        for item in range(6):
            yield ("\n" if item else "\n\n") + f"- {next(word)}"
            yield from (f" {one}" for one in islice(word, 8))
        yield f"\n\n```python\ndef {next(word)}("
        yield f"{next(word)}):"
        for _ in range(12):
            yield f"\n    {next(word)} ="
            yield from (f" {sign}{next(word)}" for sign in ("", "+ ", "* "))
        yield "\n```\n\n"
        yield f"| {next(word)} | {next(word)} |\n|---|---|\n"
        for _ in range(6):
            yield f"| {next(word)} "
            yield f"| {next(word)} |\n"
        yield "\n"


NUMBER = re.compile(r"w(\d{5})")


@dataclass
class Speaker:
    """The scripted model server: `written` has, for each model, when it wrote the word of each number."""

    port: int = 0
    written: dict[str, list[float]] = field(default_factory=dict)
    speaking: set[str] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        threading.Thread(target=self._loop.run_forever, name="speaker", daemon=True).start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(found[1]) if (found := re.search(r"content-length: (\d+)", head)) else 0
            asked = await reader.readexactly(size)
            await self._answer(writer, json.loads(asked)["model"] if asked else None)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked hung up: that is how Stop ends an answer
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, model: str | None) -> None:
        kind = "text/event-stream" if model else "application/json"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode())
        if model is None:
            writer.write(json.dumps({"object": "list", "data": [{"id": name} for name in MODELS]}).encode())
            await writer.drain()
            return
        written = self.written[model] = []
        self.speaking.add(model)
        begun = self._loop.time()
        try:
            for index, word in enumerate(words()):
                await asyncio.sleep(begun + index / TOKENS_PER_S - self._loop.time())
                delta = {"index": 0, "delta": {"content": word}, "finish_reason": None}
                chunk = {"id": "bench", "object": "chat.completion.chunk", "model": model, "choices": [delta]}
                now = time.monotonic()
                writer.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                written += [now] * len(NUMBER.findall(word))
                await writer.drain()
        finally:
            self.speaking.discard(model)


@dataclass(frozen=True)
class Take:
    """One run of one side in one host. `half_bytes` came until half of all tokens were shown."""

    token_ms: list[float]
    longest_ms: float
    stop_ms: float
    bytes: int
    half_bytes: int
    shown: int
    frames_per_s: float
    rate: float


@dataclass
class Bench:
    """What is measured: the model server, the browser, and the addresses of JupyterLab and Voilà."""

    speaker: Speaker
    browser: Browser
    tokens: int
    urls: dict[str, str]

    def take(self, host: str, side: str, escape: bool) -> Take:
        """Open a page, stream, stop, and read what it noted."""
        context = self.browser.new_context(viewport={"width": 1440, "height": 1100}, locale="en-US")
        context.set_default_timeout(START_LIMIT_S * 1000)
        context.add_init_script(PROBE)
        try:
            page = self._open(context.new_page(), host, side)
            return self._streamed(page, side, escape)
        finally:
            context.close()
            if host == "lab":
                _end_sessions(self.urls["lab"])

    def _open(self, page: Page, host: str, side: str) -> Page:
        if host == "voila":
            page.goto(f"{self.urls[host]}/voila/render/{side}.ipynb")
        else:
            page.goto(f"{self.urls[host]}/doc/tree/{side}.ipynb?token={TOKEN}")
            expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=START_LIMIT_S * 1000)
            page.locator(".jp-Notebook .cm-content").first.click()
            page.keyboard.press("Shift+Enter")
        if side == "ours":
            expect(page.locator(".lw-chip")).to_have_count(len(MODELS), timeout=START_LIMIT_S * 1000)
        else:
            page.get_by_role("button", name="Start", exact=True).wait_for()
        return page

    def _streamed(self, page: Page, side: str, escape: bool) -> Take:
        self.speaker.written.clear()
        origin = _origin(page)
        if side == "ours":
            page.evaluate("bench.watch('.lw-column', '.lw-answer[data-running=true]')")
            composer = page.get_by_role("textbox", name="Message")
            composer.fill("Speak.")
            composer.press("Enter")
            stop = page.get_by_role("button", name="Stop all")
        else:
            page.evaluate("bench.watch('.bench-column', '.bench-running')")
            page.get_by_role("button", name="Start", exact=True).click()
            stop = page.get_by_role("button", name="Stop", exact=True)
        stop.scroll_into_view_if_needed()
        place = stop.bounding_box()
        assert place is not None
        self._wait_until_said()
        page.evaluate("bench.asked = null")
        if escape and side == "ours":
            page.keyboard.press("Escape")
        else:
            page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        try:
            _wait_for(lambda: page.evaluate("bench.stopped()"), END_LIMIT_S)
        except TimeoutError:
            # The peer may be further behind than anybody waits; then this long is what is told.
            if side == "ours":
                raise
        told = page.evaluate("({ ...bench, now: performance.now() })")
        if told["asked"] is None:
            raise SystemExit("Stop was not pressed: something stands in front of it")
        columns = ".lw-column" if side == "ours" else ".bench-column"
        texts = page.locator(columns).evaluate_all("all => all.map(one => one.textContent)")
        if abs(_origin(page) - origin) > 0.005:
            raise SystemExit("the clocks of page and bench drift apart: nothing can be said")
        if side == "ours":
            for text in texts:
                numbers = [int(number) for number in NUMBER.findall(text)]
                if numbers != list(range(len(numbers))) or len(numbers) < self.tokens / 2:
                    raise SystemExit(f"a column of {len(numbers)} tokens lacks some, or has them in another order")
        _wait_for(lambda: not self.speaker.speaking, END_LIMIT_S)
        return self._read(told, origin)

    def _wait_until_said(self) -> None:
        def said() -> bool:
            return min((len(self.speaker.written.get(name, ())) for name in MODELS), default=0) >= self.tokens

        _wait_for(said, START_LIMIT_S + 3 * self.tokens / TOKENS_PER_S)

    def _read(self, told: dict[str, Any], origin: float) -> Take:
        written = [[1000 * (at - origin) for at in self.speaker.written[name]] for name in MODELS]
        asked = told["asked"]
        first = min(stamps[0] for stamps in written)
        frames = [frame for frame in told["frames"] if len(frame) == 3 + len(MODELS) and frame[0] >= first]
        ended = next((frame[0] for frame in frames if frame[0] > asked and frame[2] == 0), told["now"])
        frames = [frame for frame in frames if frame[0] <= ended]
        times = [frame[0] for frame in frames]
        late: list[float] = []
        for column, stamps in enumerate(written):
            # What was rewritten may show less for a moment; it was seen all the same.
            newest = _running_most([frame[3 + column] for frame in frames])
            for number, at in enumerate(stamps):
                if at < asked:
                    found = bisect_left(newest, number)
                    late.append((times[found] if found < len(times) else ended) - at)
        shown = [sum(frame[3:]) + len(MODELS) for frame in frames]
        half = next(index for index, amount in enumerate(shown) if amount >= max(shown) / 2)
        before = frames[0][1]
        spans = [(len(stamps) - 1) * 1000 / (stamps[-1] - stamps[0]) for stamps in written]
        return Take(
            late,
            max((length for at, length in told["tasks"] if at + length > first and at < ended), default=0.0),
            ended - asked,
            frames[-1][1] - before,
            frames[half][1] - before,
            max(shown),
            1000 * (len(frames) - 1) / (times[-1] - times[0]),
            min(spans),
        )


def _running_most(numbers: list[int]) -> list[int]:
    most, seen = -1, []
    for number in numbers:
        most = max(most, number)
        seen.append(most)
    return seen


def _origin(page: Page) -> float:
    """When the page's clock was 0, on ours: from the shortest of some questions."""
    best, origin = math.inf, 0.0
    for _ in range(200):
        asked = time.monotonic()
        told = page.evaluate("performance.now()") / 1000
        took = time.monotonic() - asked
        if took < best:
            best, origin = took, asked + took / 2 - told
        if best < 0.003:
            break
    return origin


def _wait_for(condition: Callable[[], object], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing within {limit_s:.0f} s")
        time.sleep(0.05)


def _ask(url: str, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, headers={"Authorization": f"token {TOKEN}"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _answers(url: str, path: str) -> bool:
    try:
        return _ask(url, "GET", path)[0] < 400
    except OSError:
        return False


def _end_sessions(url: str) -> None:
    """The next page gets a fresh kernel, and none of the last one's work."""
    for session in json.loads(_ask(url, "GET", "/api/sessions")[1]):
        _ask(url, "DELETE", f"/api/sessions/{session['id']}")


def _notebook(cell: str) -> str:
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    code = {"cell_type": "code", "execution_count": None, "id": "bench", "metadata": {}, "outputs": [], "source": cell}
    told = {"cells": [code], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(told)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def workspace(folder: Path, speaker: Speaker) -> Iterator[dict[str, str]]:
    """Service, JupyterLab and Voilà on `folder`; the addresses of the last two."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LLMWS_", "JUPYTER"))}
    environment |= {
        "LLMWS_DATA": str(folder / "data"),
        "LLMWS_EMBEDDED": "0",
        "LLMWS_PROVIDERS": str(folder / "providers.toml"),
        "JUPYTER_PATH": str(UI),
        "JUPYTER_CONFIG_PATH": str(UI / "voila"),
    }
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        environment[name] = str(folder / name.lower())
    row = f'[scripted]\nname = "Scripted"\nwire = "openai_chat"\nneeds_key = false\nbase_url = "{speaker.address}"\n'
    (folder / "providers.toml").write_text(row)
    # Or JupyterLab asks, in front of the page's buttons, whether it may tell news.
    quiet = (
        folder / "jupyter_config_dir/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    )
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    (notebooks / "ours.ipynb").write_text(_notebook(OURS_CELL))
    (notebooks / "peer.ipynb").write_text(_notebook(PEER_CELL.replace("ADDRESS", speaker.address)))
    ports = {host: _free_port() for host in HOSTS}
    lab = ["--no-browser", "--allow-root", f"--ServerApp.port={ports['lab']}", f"--IdentityProvider.token={TOKEN}"]
    lab += [f"--ServerApp.root_dir={notebooks}", "--LabApp.news_url=None"]
    voila = ["--no-browser", f"--port={ports['voila']}", "--Voila.ip=127.0.0.1", str(notebooks)]
    commands = [["llmws.service"], ["jupyterlab", *lab], ["llmws.hub.dashboards", *voila]]
    urls = {host: f"http://127.0.0.1:{port}" for host, port in ports.items()}
    processes = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.log").open("wb") as log:
                run = [sys.executable, "-m", *command]
                child = subprocess.Popen(
                    run, env=environment, cwd=notebooks, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
                processes.append(child)
        _wait_for(lambda: instance.running(folder / "data"), START_LIMIT_S)
        _wait_for(lambda: _answers(urls["lab"], "/api/status"), START_LIMIT_S)
        _wait_for(lambda: _answers(urls["voila"], "/voila/static/voila.js"), START_LIMIT_S)
        yield urls
    finally:
        for child in processes:
            child.terminate()
        for child in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(20)
            child.kill()


def rows(host: str, ours: list[Take], peers: list[Take]) -> list[Row]:
    """The figures of one host; what is measured once per round stands as the median of the rounds."""

    def row(
        name: str,
        unit: str,
        figure: Callable[[Take], float],
        most: float | None = None,
        of: Callable[[list[float]], float] = median,
    ) -> Row:
        mine, theirs = [figure(take) for take in ours], [figure(take) for take in peers]
        value, peer = of(mine), of(theirs) if theirs else None
        return Row(
            f"{HOSTS[host]}: {name}",
            value,
            unit,
            PEER if theirs else None,
            peer,
            value / peer if peer else None,
            None if most is None else f"at most {most:g} {unit}".rstrip(),
            None if most is None else value <= most,
            spread(mine),
        )

    return [
        row("token to pixel, p95", "ms", lambda take: percentile(take.token_ms, 0.95), 150),
        row("token to pixel, median", "ms", lambda take: median(take.token_ms)),
        row("longest main-thread task (0: none of 50)", "ms", lambda take: take.longest_ms, 100, max),
        row("Stop", "ms", lambda take: take.stop_ms, 150),
        row("bytes per token shown", "B", lambda take: take.bytes / take.shown),
        row("bytes at 2N tokens over those at N", "", lambda take: take.bytes / take.half_bytes, 2.2),
        row("frames", "1/s", lambda take: take.frames_per_s),
        row("tokens that a stream was given", "1/s", lambda take: take.rate),
    ]


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def _waited_for_cpu_s() -> float | None:
    """For how long, since the machine started, somebody waited for a CPU; None where the kernel does not tell."""
    file = Path("/proc/pressure/cpu")
    found = re.search(r"some .*total=(\d+)", file.read_text()) if file.exists() else None
    return int(found[1]) / 1e6 if found else None


def main() -> None:
    asked = arguments(__doc__ or "")
    rounds, tokens = (1, 1500) if asked.quick else (3, 5000)
    takes: dict[tuple[str, str], list[Take]] = {(host, side): [] for host in HOSTS for side in ("ours", "peer")}
    loads, begun, waited_s = [os.getloadavg()[0]], time.monotonic(), _waited_for_cpu_s()
    speaker = Speaker()
    speaker.start()
    with (
        tempfile.TemporaryDirectory(prefix="llmws-bench-", ignore_cleanup_errors=True) as folder,
        sync_playwright() as it,
    ):
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = it.chromium.launch(executable_path=_chromium(), args=options)
        with workspace(Path(folder), speaker) as urls:
            bench = Bench(speaker, browser, tokens, urls)
            for turn in range(rounds):
                for host, side in takes:
                    if side == "peer" and asked.quick and host != "voila":
                        continue
                    takes[host, side].append(bench.take(host, side, escape=turn % 2 == 1))
                    loads.append(os.getloadavg()[0])
            waited = ((_waited_for_cpu_s() or 0.0) - (waited_s or 0.0)) / (time.monotonic() - begun)
        browser.close()
    told = [row for host in HOSTS for row in rows(host, takes[host, "ours"], takes[host, "peer"])]
    told.append(Row(f"machine: load average on {os.cpu_count()} cores", median(loads), "", spread=spread(loads)))
    if waited_s is not None:
        told.append(Row("machine: time with somebody waiting for a CPU", 100 * waited, "%"))
    finish(told, asked.json)


if __name__ == "__main__":
    main()
