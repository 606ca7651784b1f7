"""`docs/hub.md` is true: its steps, run as they are written, end with a person at work who asks the gateway.

Besides what `test_hub.py` needs: git, curl, systemd-analyze, a Python of the system's with venv, and a package index.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import nbformat
import psutil
import pytest

from .running import PASSWORD, PEOPLE, ROOT, Person, RunningHub, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
PAGE = (ROOT / "docs" / "hub.md").read_text(encoding="utf-8")
SCOPES = ["access:services!service=llmws", "custom:llmws:chat"]


def blocks(kind: str) -> list[str]:
    """The blocks of the page that are marked so, as they stand there."""
    found = re.findall(rf"^ *<!-- {kind} -->\n *```\w+\n(.*?)^ *```$", PAGE, flags=re.M | re.S)
    assert found, kind
    return [textwrap.dedent(block) for block in found]


@dataclass
class Administrator:
    """Who follows the page, on a terminal and in a browser. `hub` says where; the page's own blocks start it."""

    hub: RunningHub
    told: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def choose(self) -> None:
        """Step 2: the same names, with a place of the test's own."""
        names = re.findall(r"export (\w+)=", blocks("choose")[0])
        chosen = [str(ROOT), str(self.hub.folder / "prefix"), str(self.hub.state.folder), str(self.hub.port)]
        assert names == ["SOURCE", "PREFIX", "LLMWS_HUB_STATE", "LLMWS_HUB_PORT"]
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("LLMWS_", "JUPYTER", "VIRTUAL_"))
        }
        self.environment = {**kept, "LLMWS_EMBEDDED": "0", **dict(zip(names, chosen, strict=True))}

    def run(self, block: str, **more: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", block],
            cwd="/",
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        return done.stdout

    def start(self) -> None:
        with self.told.open("w") as output:
            self.process = subprocess.Popen(
                ["bash", "-euc", blocks("stays")[0]],
                cwd="/",
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        wait_for(lambda: "\nstate " in self.told.read_text(), self.process, self.told.read_text, limit_s=400)

    def interrupt(self) -> None:
        """Ctrl-C, which a terminal tells to all that runs there."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(90)
            wait_for(lambda: not any("jupyterhub" in part.name() for part in self._left()))
            self.process = None

    def remove(self) -> None:
        with contextlib.suppress(Exception):
            self.interrupt()
        self.hub.kill(*map(self.hub.uid, ("ada", "rita", "bob")))

    def _left(self) -> list[psutil.Process]:
        assert self.process is not None
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(str(self.hub.folder) in word for word in process.cmdline()) and process.uids().real == 0:
                    found.append(process)
        return found


@pytest.fixture
def administrator(hub: RunningHub) -> Iterator[Administrator]:
    """A machine without a hub: the one of the other tests makes room, since both would give people the same uids."""
    for tool in ("git", "curl", "systemd-analyze"):
        assert shutil.which(tool), f"This test needs {tool}."
    hub.stop()
    hub.kill(*map(hub.uid, PEOPLE))
    folder = hub.folder / "by-the-book"
    folder.mkdir(mode=0o755)
    there = Administrator(RunningHub(folder, hub.python), folder / "terminal.txt")
    try:
        there.choose()
        yield there
    finally:
        there.remove()
        hub.start()


def test_the_steps_of_the_page_lead_to_a_person_at_work(administrator: Administrator) -> None:
    clone, ask, back_up = blocks("run")
    administrator.run(clone)
    administrator.start()

    rita, bob = let_in(administrator)
    assert rita.open_server().url.path == "/user/rita/lab/tree/welcome.ipynb"
    made = rita.ask("POST", "/hub/api/users/rita/tokens", json={"note": "for a terminal", "scopes": SCOPES})
    token = made.raise_for_status().json()["token"]
    assert "Is there an echo?" in administrator.run(ask, TOKEN=token)

    publishes_a_dashboard(administrator, rita, bob)

    administrator.interrupt()
    administrator.run(back_up)
    kept = subprocess.run(
        ["tar", "--list", "--file", f"{administrator.hub.state.folder}.tar"], capture_output=True, text=True, check=True
    ).stdout
    for name in ("hub/accounts.db", "hub/jupyterhub.sqlite", "service/llmws.db", "homes/rita/notebooks/welcome.ipynb"):
        assert f"./{name}\n" in kept

    # Who was signed in before still is, and the token is good for the next hub, too.
    administrator.start()
    assert rita.get("/hub/home").url.path == "/hub/home"
    assert "Is there an echo?" in administrator.run(ask, TOKEN=token)


def let_in(administrator: Administrator) -> tuple[Person, Person]:
    """Steps 5 and 6, in browsers of their own: the first administrator, and two colleagues who are approved."""
    told = administrator.told.read_text()
    link = re.search(r"http://127\.0\.0\.1:\d+(/hub/first\?code=\S+)", told)
    assert link, told
    hub = administrator.hub
    with httpx.Client(base_url=hub.url, follow_redirects=True, timeout=60, trust_env=False) as ada:
        code = urlsplit(link[1]).query.removeprefix("code=")
        ada.get(link[1]).raise_for_status()
        send(ada, "/hub/first", code=code, username="ada", password=PASSWORD)
        for name, group in (("rita", "researchers"), ("bob", "business")):
            with httpx.Client(base_url=hub.url, timeout=60, trust_env=False) as colleague:
                colleague.get("/hub/signup").raise_for_status()
                send(colleague, "/hub/signup", username=name, password=PASSWORD)
            assert name in ada.get("/hub/accounts").text
            send(ada, "/hub/accounts", action="approve", name=name, group=group)
    return Person(hub, "rita"), Person(hub, "bob")


def publishes_a_dashboard(administrator: Administrator, rita: Person, bob: Person) -> None:
    """Rita wrote it in her JupyterLab, the administrator was sent it; Bob, who is there already, gets its card."""
    assert bob.open_server().is_success
    cell, metadata = *blocks("cell"), *blocks("metadata")
    written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)], metadata=json.loads(metadata))
    saved = {"type": "notebook", "format": "json", "content": written}
    rita.ask("PUT", "/user/rita/api/contents/stock.ipynb", json=saved).raise_for_status()
    home = administrator.hub.folder
    (home / "stock.ipynb").write_bytes(rita.get("/user/rita/files/stock.ipynb").raise_for_status().content)
    administrator.run(*blocks("publish"), HOME=str(home))
    assert "Ask what is left" in bob.get("/user/bob/").text
    bob.open_dashboard("stock")


def send(browser: httpx.Client, path: str, **fields: str) -> None:
    xsrf = next(cookie.value for cookie in browser.cookies.jar if cookie.name == "_xsrf" and cookie.path == "/hub/")
    browser.post(path, data={**fields, "_xsrf": str(xsrf)}).raise_for_status()


def test_the_unit_of_the_page_is_one_for_systemd(tmp_path: Path) -> None:
    (unit,) = blocks("unit")
    assert "ExecStart=/opt/llmws/.venv/bin/llmws hub" in unit
    file = tmp_path / "llmws.service"
    # The program need not be installed here.
    file.write_text(unit.replace("/opt/llmws/.venv/bin/llmws hub", "/bin/true hub"))
    done = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
