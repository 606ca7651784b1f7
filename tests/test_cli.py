"""The command line as a person uses it: what it prints, how it fails, what it leaves running."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from llmws import __version__, cli, doctor, instance
from llmws.client import connect
from llmws.doctor import Scrubber
from llmws.instance import Instance, hold, is_held, running
from llmws.up import notebooks
from tests.client.conftest import Workspace, workspace_in
from tests.ports import free_port
from tests.service.harness import wait_for

COMMAND = [sys.executable, "-m", "llmws"]
LIMIT_S = 60.0


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    with workspace_in(tmp_path, monkeypatch) as workspace:
        yield workspace


def llmws(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False)


@contextmanager
def started(*arguments: str, until: str, cwd: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A command that stays, once it printed a row of the name `until`, and its rows so far."""
    command = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd
    )
    try:
        rows = []
        assert command.stdout is not None
        for line in command.stdout:
            rows.append(line.rstrip("\n"))
            if line.startswith(until):
                break
        else:
            raise AssertionError("\n".join(rows))
        yield command, rows
    finally:
        if command.poll() is None:
            command.terminate()
        command.communicate(timeout=LIMIT_S)


def test_a_wrong_command_line_exits_with_2() -> None:
    for arguments in ([], ["fly"], ["up", "--port", "0"], ["up", "--port", "many"], ["status", "--yaml"]):
        done = llmws(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: llmws")
    assert llmws("--version").stdout == f"llmws {__version__}\n"


def test_status_and_stop_where_nothing_runs(workspace: Workspace) -> None:
    status = llmws("status")
    assert status.returncode == cli.NOT_RUNNING
    assert status.stdout == f"service       not running (llmws up starts it)\ndata          {workspace.data}\n"
    assert json.loads(llmws("status", "--json").stdout) == {"state": "stopped", "data": str(workspace.data)}
    stop = llmws("stop")
    assert (stop.returncode, stop.stdout) == (0, "service       not running\n")
    assert not workspace.data.exists(), "looking leaves nothing behind"


def test_status_tells_about_a_running_service_and_stop_ends_it(workspace: Workspace) -> None:
    client = connect()
    status = llmws("status")
    assert status.returncode == 0
    names = [line[:14].strip() for line in status.stdout.splitlines() if line[:1] != " "]
    assert names == ["service", "models", "running", "training", "disk"]
    assert client.url in status.stdout
    assert "echo, ready" in status.stdout
    assert "\x1b" not in status.stdout, "colours only on a terminal"
    told = json.loads(llmws("status", "--json").stdout)
    assert told["state"] == "running"
    assert client.token is not None
    assert client.token not in json.dumps(told) + status.stdout
    client.close()
    assert llmws("stop").stdout == "service       stopped\n"
    assert not is_held(workspace.data)


def test_stop_ends_a_service_that_hangs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connect().close()
    found = workspace.running()
    assert found is not None
    os.kill(found.pid, signal.SIGSTOP)
    monkeypatch.setattr(cli, "_GRACE_S", 0.2)
    monkeypatch.setattr(cli, "_ANSWER_LIMIT_S", 0.2)
    assert cli.main(["stop"]) == 0
    assert capsys.readouterr().out == "service       stopped\n"
    assert not is_held(workspace.data)


def test_stop_does_not_touch_a_service_that_is_only_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMWS_URL", "http://127.0.0.1:9")
    done = llmws("stop")
    assert (done.returncode, done.stdout) == (1, "")
    assert "LLMWS_URL" in done.stderr


def test_a_second_service_on_one_folder_is_refused(workspace: Workspace) -> None:
    with hold(workspace.data):
        done = llmws("service")
    assert done.returncode == 1
    assert re.fullmatch(
        rf"llmws: the data folder is held by a service on host {socket.gethostname()} since \d\d:\d\d\.\n"
        r"       Stop it there with `llmws stop`, or choose another folder with LLMWS_DATA\.\n",
        done.stderr,
    )


@pytest.mark.parametrize("command", [["up", "--no-lab"], ["status"], ["stop"]])
def test_a_service_of_another_host_is_refused(workspace: Workspace, command: list[str]) -> None:
    with hold(workspace.data) as held:
        here = Instance("http://127.0.0.1:9", "t", "gpu7", os.getpid(), "b", __version__, instance.API_VERSION, 0.0)
        held.publish(here)
        done = llmws(*command)
    assert done.returncode == 1
    assert done.stderr.startswith("llmws: the data folder is held by a service on host gpu7 since 1970-01-01")
    assert done.stderr.count("\n") == 2


@pytest.mark.parametrize("command", [["up", "--no-lab"], ["service"]])
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LLMWS_DATA", "{tmp}/file", "is not a folder"),
        ("LLMWS_DATA", "/proc/llmws", "cannot be made"),
        ("LLMWS_PORT", "many", "LLMWS_PORT is 'many'"),
        ("LLMWS_PORT", "{taken}", "is taken"),
    ],
)
def test_a_setting_that_cannot_be_is_a_line_and_a_remedy(
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    name: str,
    value: str,
    told: str,
) -> None:
    (tmp_path / "file").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv(name, value.format(tmp=tmp_path, taken=taken.getsockname()[1]))
        done = llmws(*command)
    assert done.returncode == 1
    message, remedy = done.stderr.splitlines()[-2:]
    assert message.startswith("llmws: ")
    assert told in message
    assert remedy.startswith("       ")
    assert name in remedy or name in message
    assert "Traceback" not in done.stderr + done.stdout


def test_a_corrupt_database_is_named_by_up(workspace: Workspace) -> None:
    workspace.data.mkdir()
    (workspace.data / "llmws.db").write_bytes(b"this is no database" * 100)
    done = llmws("up", "--no-lab")
    assert done.returncode == 1
    assert "llmws.db" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_debug_shows_where_an_error_came_from(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMWS_PORT", "many")
    for arguments in (["--debug", "status"], ["status", "--debug"]):
        done = llmws(*arguments)
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert "SettingsError" in done.stderr


def test_what_nobody_foresaw_is_no_traceback_either(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "is_held", lambda data: 1 / 0)
    assert cli.main(["stop"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("llmws: something went wrong that nobody foresaw (ZeroDivisionError")
    assert "--debug" in told
    with pytest.raises(ZeroDivisionError):
        cli.main(["--debug", "stop"])


def test_up_without_lab_keeps_the_service_until_ctrl_c(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMWS_IDLE_EXIT_S", "3")
    with started("up", "--no-lab", until="training") as (up, rows):
        found = workspace.running()
        assert found is not None
        assert rows[0] == f"service       {found.url}"
        assert rows[1] == "model         echo"
        up.send_signal(signal.SIGINT)
        assert up.wait(LIMIT_S) == 0
    wait_for(lambda: not is_held(workspace.data), "the service to end when nobody is there")


def test_up_opens_lab_and_ends_it(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "welcome.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4}')
    with started("up", "--port", str(free_port()), until="JupyterLab", cwd=tmp_path) as (up, rows):
        assert [row[:14].strip() for row in rows] == ["service", "model", "training", "JupyterLab"]
        url = rows[-1][14:]
        address, _, token = url.partition("?token=")
        assert address.endswith("/lab/tree/welcome.ipynb")
        page = httpx.get(url, trust_env=False, timeout=LIMIT_S, follow_redirects=True).raise_for_status().text
        told = json.loads(re.search(r'id="jupyter-config-data"[^>]*>\s*(\{.*?\})\s*</script>', page, re.S)[1])
        assert "@jupyterlab/apputils-extension:announcements" in told["disabledExtensions"], "it asks about news"
        assert httpx.get(address, trust_env=False, timeout=LIMIT_S).status_code == 302, "to the login"
        listing = f"{address.removesuffix('lab/tree/welcome.ipynb')}api/contents?token={token}"
        contents = httpx.get(listing, trust_env=False, timeout=LIMIT_S)
        assert [item["path"] for item in contents.json()["content"]] == ["welcome.ipynb"]
        lab = next(child for child in psutil.Process(up.pid).children() if "jupyterlab" in child.cmdline())
        assert not any(token in part for part in lab.cmdline()), "every account can read a command line"
        up.send_signal(signal.SIGINT)
        assert up.wait(LIMIT_S) == 0
    assert not lab.is_running()
    assert "stopping" in (workspace.data / "jupyterlab.log").read_text()


def test_a_lab_that_does_not_start_says_why(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "jupyter_server_config.py").write_text("raise SystemExit('this configuration is broken')")
    done = llmws("up", "--port", str(free_port()))
    assert done.returncode == 1
    message, remedy = done.stderr.splitlines()
    assert message == "llmws: JupyterLab could not be started: this configuration is broken"
    assert remedy.endswith("jupyterlab.log.")


def test_notebooks_are_the_repositorys_own_or_a_copy_that_keeps_what_was_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed, home, elsewhere = (tmp_path / name for name in ("installed", "home", "elsewhere"))
    (installed / "dashboards").mkdir(parents=True)
    home.mkdir()
    elsewhere.mkdir()
    (installed / "welcome.ipynb").write_text("new")
    (installed / "dashboards" / "chat.ipynb").write_text("new")
    monkeypatch.setattr("llmws.up.shipped", lambda name: installed)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)
    assert notebooks() == home / "llmws-notebooks"
    (home / "llmws-notebooks" / "welcome.ipynb").write_text("mine")
    assert notebooks() == home / "llmws-notebooks"
    assert (home / "llmws-notebooks" / "welcome.ipynb").read_text() == "mine"
    assert (home / "llmws-notebooks" / "dashboards" / "chat.ipynb").read_text() == "new"
    (elsewhere / "notebooks").mkdir()
    (elsewhere / "notebooks" / "welcome.ipynb").touch()
    assert notebooks() == elsewhere / "notebooks"


def test_doctor_holds_no_secret(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / "ada"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LLMWS_DATA", str(home / "data"))
    monkeypatch.setenv("LLMWS_TOKEN", "the-token-of-ada")
    monkeypatch.setenv("LLMWS_DATABASE", f"sqlite:///{home}/data/llmws.db")
    monkeypatch.setenv("https_proxy", "http://ada:pass-of-ada@proxy.example:3128")
    client = connect()
    try:
        assert client.token is not None
        for done in (llmws("doctor"), llmws("doctor", "--json")):
            report = done.stdout
            assert done.stderr == ""
            for secret in (client.token, "the-token-of-ada", "pass-of-ada", "proxy.example", str(home), "/ada"):
                assert secret not in report
            assert "~/data" in report
            assert "https" in report
            assert client.url in report
        assert {finding["about"] for finding in json.loads(report)} >= {
            *("llmws", "python", "packages", "tools", "machine", "proxies"),
            *("settings", "locale", "data", "service", "models", "ports", "training"),
        }
    finally:
        client.close()
        found = running(home / "data")
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)


def test_doctor_finds_what_is_wrong_and_exits_with_1(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLMWS_DATA", str(tmp_path / "file"))
    monkeypatch.setenv("LLMWS_TRAINING_ENVIRONMENT", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", str(tmp_path))
    done = llmws("doctor", "--json")
    assert done.returncode == 1
    findings = {finding["about"]: finding for finding in json.loads(done.stdout) if finding["state"] != "good"}
    assert findings["data"]["state"] == "bad"
    assert findings["training"]["remedy"]
    assert "chromium is not there" in json.dumps(json.loads(done.stdout))


def test_doctor_tells_of_a_port_that_another_program_has(workspace: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = replace(workspace.settings, port=taken.getsockname()[1])
        found = next(doctor._ports(settings))
    assert (found.state, found.text.partition(":")[2]) == ("bad", " another program has it.")
    assert "LLMWS_PORT" in found.remedy


def test_redaction_leaves_the_rest_alone() -> None:
    scrubber = Scrubber(Path("/root"), [""])
    assert scrubber.of("/root/.venv, /rootless, http://h:1/x") == "~/.venv, /rootless, http://h:1/x"
    assert Scrubber(Path("/"), []).of("/usr/bin/git") == "/usr/bin/git"
