"""A service, a JupyterLab and a stand-alone Voilà on a folder of their own, as people have them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from llmws import instance

UI = Path(__file__).parents[1] / "llmws" / "ui"
HOSTS = {"lab": "JupyterLab", "voila": "Voilà"}
READY = {"lab": "/api/status", "voila": "/voila/static/voila.js"}
TOKEN = "token-of-the-bench"
START_LIMIT_S, END_LIMIT_S = 120.0, 60.0


def wait_for(condition: Callable[[], object], limit_s: float) -> None:
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


def answers(url: str, path: str) -> bool:
    try:
        return _ask(url, "GET", path)[0] < 400
    except OSError:
        return False


def end_sessions(url: str) -> None:
    """The next page gets a fresh kernel, and none of the last one's work."""
    for session in json.loads(_ask(url, "GET", "/api/sessions")[1]):
        _ask(url, "DELETE", f"/api/sessions/{session['id']}")


def notebook(cell: str) -> str:
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    code: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "bench",
        "metadata": {},
        "outputs": [],
        "source": cell,
    }
    told = {"cells": [code], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(told)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def open_notebook(page: Page, host: str, urls: Mapping[str, str], name: str) -> None:
    """Open a notebook, and run it where the host does not do so by itself."""
    if host == "voila":
        page.goto(f"{urls[host]}/voila/render/{name}.ipynb")
        return
    page.goto(f"{urls[host]}/doc/tree/{name}.ipynb?token={TOKEN}")
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=START_LIMIT_S * 1000)
    page.locator(".jp-Notebook .cm-content").first.click()
    page.keyboard.press("Shift+Enter")


def _server(host: str, port: int, notebooks: Path) -> list[str]:
    """The module of a host, and its options."""
    if host == "voila":
        return ["llmws.hub.dashboards", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1", str(notebooks)]
    options = ["--no-browser", "--allow-root", f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}"]
    return ["jupyterlab", *options, f"--ServerApp.root_dir={notebooks}", "--LabApp.news_url=None"]


@contextlib.contextmanager
def workspace(
    folder: Path, models: str, cells: Mapping[str, str], hosts: Collection[str] = tuple(HOSTS)
) -> Iterator[dict[str, str]]:
    """Service, JupyterLab and Voilà on `folder`; the addresses of the last two.

    Args:
        models: where a model server of OpenAI's wire listens, whose models are called ``scripted/…``.
        cells: notebooks of one cell, by their name.
        hosts: which of the two there are.
    """
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
    row = f'[scripted]\nname = "Scripted"\nwire = "openai_chat"\nneeds_key = false\nbase_url = "{models}"\n'
    (folder / "providers.toml").write_text(row)
    # Or JupyterLab asks, in front of the page's buttons, whether it may tell news.
    quiet = (
        folder / "jupyter_config_dir/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    )
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    for name, cell in cells.items():
        (notebooks / f"{name}.ipynb").write_text(notebook(cell))
    ports = {host: free_port() for host in hosts}
    urls = {host: f"http://127.0.0.1:{port}" for host, port in ports.items()}
    commands = [["llmws.service"], *(_server(host, port, notebooks) for host, port in ports.items())]
    processes = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.log").open("wb") as log:
                run = [sys.executable, "-m", *command]
                child = subprocess.Popen(
                    run, env=environment, cwd=notebooks, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
                processes.append(child)
        wait_for(lambda: instance.running(folder / "data"), START_LIMIT_S)
        for host, url in urls.items():
            wait_for(lambda url=url, path=READY[host]: answers(url, path), START_LIMIT_S)  # type: ignore[misc]
        yield urls
    finally:
        for child in processes:
            child.terminate()
        for child in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(20)
            child.kill()
