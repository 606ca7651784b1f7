"""What the browser tests share: one service, one JupyterLab, one Voilà, and a Chromium to look at them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import comm
import httpx
import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from llmws import instance
from llmws.client import Client, connect
from llmws.settings import Settings
from tests.ports import free_port
from tests.service.workshop import Workshop

ROOT = Path(__file__).parents[2]
UI = ROOT / "llmws" / "ui"
# A provider whose address nobody answers at: its models can be asked, and fail.
NOBODY = '[gone]\nname = "Gone"\nwire = "openai_chat"\nneeds_key = false\nbase_url = "http://127.0.0.1:1/v1"\n'
# The scripted trainer takes as long as the tests want to look at it.
STEP_S = 0.15
TOKEN = "token-of-the-tests"
START_LIMIT_S = 60
LIMIT_MS = 60_000
expect.set_options(timeout=LIMIT_MS)


@dataclass
class Workspace:
    """A data folder with its service, a copy of the notebooks, and the environment of who uses both."""

    folder: Path
    environment: dict[str, str]
    service: subprocess.Popen[bytes] | None = None
    servers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return Path(self.environment["LLMWS_DATA"])

    @property
    def notebooks(self) -> Path:
        return self.folder / "notebooks"

    def start(self, log: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                env=self.environment,
                cwd=self.notebooks,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def start_service(self) -> None:
        """Start the service as our child, and wait until it can be found."""
        process = self.service = self.start("service.log", "llmws.service")
        wait_for(lambda: (found := instance.running(self.data)) is not None and found.pid == process.pid, process)

    @contextlib.contextmanager
    def service_frozen(self) -> Iterator[None]:
        """The service, there but silent."""
        assert self.service is not None
        self.service.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.service.send_signal(signal.SIGCONT)

    def restart_service(self) -> None:
        """End the service as its owner does, and start it as the environment now says."""
        assert self.service is not None
        client = self.client()
        client.loop.run(client.api.shutdown())
        self.service.wait(START_LIMIT_S)
        self.start_service()

    def kill_service(self) -> None:
        """End the service as a crash does; a client in need of it starts another."""
        assert self.service is not None
        self.service.kill()
        self.service.wait()

    def client(self) -> Client:
        found = instance.running(self.data)
        assert found is not None
        return connect(found.url, found.token)


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[bytes], limit_s: float = START_LIMIT_S) -> None:
    """Wait until `condition` holds; fail where `process` ends before."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{process.args} did not come up"
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LLMWS_", "JUPYTER"))}
    workshop = Workshop.make(folder, Settings(data=folder / "data", providers=folder / "providers.toml"), served=True)
    environment |= workshop.variables
    environment |= {
        "STAND_IN": json.dumps({"step_s": STEP_S}),
        "JUPYTER_PATH": str(UI),
        "JUPYTER_CONFIG_PATH": str(UI / "voila"),
    }
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        environment[name] = str(folder / name.lower())
    (folder / "providers.toml").write_text(NOBODY)
    workspace = Workspace(folder, environment)
    workspace.start_service()
    yield workspace
    if instance.running(workspace.data) is not None:
        client = workspace.client()
        client.loop.run(client.api.shutdown())
    if workspace.service is not None:
        end(workspace.service)


@pytest.fixture
def real_trainer(workspace: Workspace) -> Iterator[None]:
    """LLaMA-Factory in the stand-in's place; `make train-env` installs it."""
    names = ("LLMWS_TRAINING_COMMAND", "LLMWS_TRAINING_ENVIRONMENT")
    # What the stand-in takes for weights of the base is nothing to train.
    weights = workspace.data / "models"
    stand_in = {name: workspace.environment.pop(name) for name in names}
    shutil.rmtree(weights, ignore_errors=True)
    workspace.restart_service()
    yield
    workspace.environment.update(stand_in)
    shutil.rmtree(weights, ignore_errors=True)
    workspace.restart_service()


@pytest.fixture(scope="session")
def lab(workspace: Workspace) -> Iterator[str]:
    """The address of a JupyterLab on the notebooks."""
    port = free_port()
    options = ["--no-browser", "--allow-root", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    options += [f"--IdentityProvider.token={TOKEN}", "--LabApp.expose_app_in_browser=True"]
    options += [f"--ServerApp.root_dir={workspace.notebooks}"]
    yield from _served(workspace, port, f"/api?token={TOKEN}", "lab", "jupyterlab", *options)


@pytest.fixture(scope="session")
def voila(workspace: Workspace) -> Iterator[str]:
    """The address of the dashboards."""
    port = free_port()
    folder = str(workspace.notebooks / "dashboards")
    options = ["--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1", folder]
    yield from _served(workspace, port, "/voila/static/voila.js", "voila", "llmws.hub.dashboards", *options)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Of a module, not of the session: playwright's loop would be in the way of other modules' asynchronous tests."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield browser
        browser.close()


def elsewhere(asked: list[str]) -> list[str]:
    """Those of the addresses that are not on this machine."""
    inside = ("data", "blob")
    return [url for url in asked if urlsplit(url).scheme not in inside and urlsplit(url).hostname != "127.0.0.1"]


@pytest.fixture
def requests() -> Iterator[list[str]]:
    """The addresses that the browser asked; whatever happens, none of them is elsewhere."""
    asked: list[str] = []
    yield asked
    assert asked
    assert elsewhere(asked) == []


@pytest.fixture
def new_page(chromium: Browser, requests: list[str]) -> Iterator[Callable[..., Page]]:
    contexts = []
    problems: list[str] = []

    def make(**options: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-US", **options})
        context.set_default_timeout(LIMIT_MS)
        context.on("request", lambda request: requests.append(request.url))
        # Our pages come as blobs; what goes wrong in the host is its own.
        context.on("weberror", lambda told: problems.append(told.error.stack or ""))
        contexts.append(context)
        return context.new_page()

    yield make
    for context in contexts:
        for page in context.pages:
            page.goto("about:blank")  # a page that is left ends its kernel, one whose browser ends does not
        context.close()
    assert [problem for problem in problems if "blob:" in problem] == []


@pytest.fixture
def open_notebook(
    request: pytest.FixtureRequest, workspace: Workspace, new_page: Callable[..., Page]
) -> Iterator[Callable[..., Page]]:
    """Opens a copy of a notebook of one cell in ``lab``, where it is run, or its dashboard in ``voila``."""
    copies: list[Path] = []

    def open_it(host: str, name: str, query: str = "", **options: Any) -> Page:
        page, url = new_page(**options), request.getfixturevalue(host)
        if host == "voila":
            page.goto(f"{url}/voila/render/{name}.ipynb{query}")
            return page
        # A copy: one that was saved shows the page of before until it is run, and its kernel may be there still.
        copies.append(workspace.notebooks / f"{name}-{uuid.uuid4().hex[:6]}.ipynb")
        shutil.copy(workspace.notebooks / f"{name}.ipynb", copies[-1])
        page.goto(f"{url}/doc/tree/{copies[-1].name}?token={TOKEN}")
        # A cell that is run before its kernel is there is not run at all.
        expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
        page.locator(".jp-Notebook .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        return page

    yield open_it
    if copies:
        end_kernels(request.getfixturevalue("lab"))
    for copy in copies:
        copy.unlink()


def write_notebook(path: Path, source: str, **metadata: Any) -> None:
    """A notebook of one cell."""
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    told = {"kernelspec": kernel, **metadata}
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata=told), path)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The custom messages that left the kernel."""
    messages: list[dict[str, Any]] = []

    class Recorder(comm.base_comm.BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, **more: Any) -> None:
            if data and data.get("method") == "custom":
                messages.append(data["content"])

    monkeypatch.setattr(comm, "create_comm", lambda *args, **named: Recorder(*args, **named))
    return messages


def _served(workspace: Workspace, port: int, probe: str, name: str, *command: str) -> Iterator[str]:
    process = workspace.servers[name] = workspace.start(f"{name}.log", *command)
    try:
        wait_for(lambda: _answers(port, probe), process)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


def end_kernels(lab: str) -> None:
    with httpx.Client(base_url=lab, headers={"Authorization": f"token {TOKEN}"}) as api:
        for session in api.get("/api/sessions").raise_for_status().json():
            api.delete(f"/api/sessions/{session['id']}").raise_for_status()


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 400
    except OSError:
        return False
    finally:
        connection.close()
