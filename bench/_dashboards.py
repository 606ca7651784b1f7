"""How soon a preheated dashboard can be used, beside a bare page that says hello, preheated alike.

Both are Voilà servers with one kernel that waits: ours with the Chat dashboard and its template, the peer with
Voilà's own template and a notebook that prints one word and has no widget. What the peer's template asks of a public
CDN is refused at once, as offline, by the browser itself (`OFFLINE`): a bench that looked at each request to refuse
these would slow down whoever makes more of them, which is the peer. A context of its own for each page, so that
nothing is in a cache; both sides in turns, each after its kernel has been refilled and its processes are quiet.
*Usable* is, for ours, that the composer can be typed in, for the peer that its word can be read; the page itself
looks for it in every frame, from the begin of its navigation on.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from _report import Row, median, spread
from _workspace import START_LIMIT_S, UI, answers, free_port, notebook, wait_for
from playwright.sync_api import Browser

from llmws import instance

GOAL = 1.3
# For the browser that `measure` is given: no name means a host, and only this one has an address.
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
QUIET_S = 0.5
HELLO = 'print("hello")'
CHAT = "from llmws import ui\n\nui.Chat()"
# Notes in the first frame that has it when what `selector` finds, and says `text`, can be seen.
WATCH = """([selector, text]) => {
  const look = () => {
    const found = [...document.querySelectorAll(selector)].some(
      (one) => one.textContent.includes(text) && !one.disabled && one.checkVisibility({ visibilityProperty: true }),
    );
    if (found) globalThis.usableAt = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
SHOWN = {"ours": [".lw-composer textarea", ""], "peer": [".jp-OutputArea-output", "hello"]}
SIDES = {"ours": ("llmws.hub.dashboards", CHAT), "peer": ("voila", HELLO)}


def measure(browser: Browser, folder: Path, rounds: int) -> list[Row]:
    """The row of it, from so many rounds; a first one opens caches of the system and is not counted."""
    took: dict[str, list[float]] = {side: [] for side in SIDES}
    folder.mkdir()
    with _servers(folder) as servers:
        for turn in range(rounds + 1):
            # Who is second finds the machine warmer.
            for side in SIDES if turn % 2 else reversed(SIDES):
                port, server = servers[side]
                # Plain Voilà refuses the request that would end the kernel of a page that was left.
                _wait_until_quiet(server, kernels=1 if side == "ours" else turn + 1)
                seconds = _open(browser, f"http://127.0.0.1:{port}/voila/render/page.ipynb", side)
                took[side] += [seconds] if turn else []
    ours, peer = median(took["ours"]), median(took["peer"])
    told = ("a bare hello, preheated alike", peer, ours / peer, f"at most {GOAL} of the peer", ours / peer <= GOAL)
    return [Row("Voilà: a preheated dashboard is usable", ours, "s", *told, spread(took["ours"]))]


def _open(browser: Browser, url: str, side: str) -> float:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.set_default_timeout(START_LIMIT_S * 1000)
    try:
        page = context.new_page()
        page.add_init_script(f"({WATCH})({json.dumps(SHOWN[side])})")
        page.goto(url, wait_until="commit")
        wait_for(lambda: page.evaluate("globalThis.usableAt"), START_LIMIT_S)
        took: float = page.evaluate("globalThis.usableAt")
        page.goto("about:blank")  # a page that is left ends its kernel
        return took / 1000
    finally:
        context.close()


@contextlib.contextmanager
def _servers(folder: Path) -> Iterator[dict[str, tuple[int, psutil.Process]]]:
    """A port and a process for each side."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LLMWS_", "JUPYTER"))}
    environment |= {"LLMWS_DATA": str(folder / "data"), "LLMWS_EMBEDDED": "0"}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        environment[name] = str(folder / name.lower())
    ours = environment | {"JUPYTER_PATH": str(UI), "JUPYTER_CONFIG_PATH": str(UI / "voila")}
    preheated = ["--VoilaConfiguration.preheat_kernel=True", "--VoilaConfiguration.default_pool_size=1"]
    with contextlib.ExitStack() as held:

        def start(module: str, *options: str) -> psutil.Process:
            log = held.enter_context((folder / f"{module}.log").open("wb"))
            command, told = [sys.executable, "-m", module, *options], environment if module == "voila" else ours
            child = subprocess.Popen(command, env=told, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            held.callback(_end, child)
            return psutil.Process(child.pid)

        start("llmws.service")
        wait_for(lambda: instance.running(folder / "data"), START_LIMIT_S)
        found = {}
        for side, (module, cell) in SIDES.items():
            notebooks = folder / side
            notebooks.mkdir()
            (notebooks / "page.ipynb").write_text(notebook(cell))
            port = free_port()
            server = start(module, str(notebooks), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1", *preheated)
            found[side] = (port, server)
        for port, _ in found.values():
            wait_for(lambda port=port: answers(f"http://127.0.0.1:{port}", "/voila/static/voila.js"), START_LIMIT_S)
        yield found


def _wait_until_quiet(server: psutil.Process, kernels: int) -> None:
    """Until so many kernels are there, one of which waits for the next page, and nothing computes any more."""
    seen = -1.0

    def is_quiet() -> bool:
        nonlocal seen
        children = server.children(recursive=True)
        spent = 0.0
        for process in (server, *children):
            with contextlib.suppress(psutil.Error):
                spent += sum(process.cpu_times()[:2])
        before, seen = seen, spent
        time.sleep(QUIET_S)
        return len(children) >= kernels and 0 <= spent - before < 0.03

    wait_for(is_quiet, START_LIMIT_S)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(20)
    child.kill()
