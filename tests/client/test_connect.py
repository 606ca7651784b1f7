"""Finding the service, starting it once, finding it again: with real processes on a data folder of the test's own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import llmws
from llmws import instance as instances
from llmws.client import Client, connect, finding
from llmws.errors import DataFolderHeld, NotFound, ServiceError, SettingsError, VersionMismatch
from llmws.instance import Instance, is_held
from tests.service.harness import Running, wait_for

from .conftest import Workspace
from .stand_in import stand_in

ASK = """
import llmws
print(llmws.connect().chat("Hello", model="echo", show=False).text)
"""


def test_the_first_connect_starts_a_service_and_the_next_find_it(connected: Client, workspace: Workspace) -> None:
    found = workspace.running()
    assert found is not None
    assert (connected.url, connected.token) == (found.url, found.token)
    assert connect() is connected
    assert workspace.starts() == 1
    assert os.getsid(found.pid) == found.pid, "in a session of its own, Ctrl-C and a kernel's end are not meant for it"


def test_kernels_that_start_at_once_start_one_service(workspace: Workspace) -> None:
    kernels = [
        subprocess.Popen([sys.executable, "-c", ASK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = [kernel.communicate(timeout=60) for kernel in kernels]
    assert answers == [("Hello\n", "")] * 4
    assert workspace.starts() == 1
    assert "is held by" not in (workspace.data / "service.log").read_text(), "nobody started one in vain"


def test_a_client_finds_the_service_that_came_after_a_killed_one(connected: Client, workspace: Workspace) -> None:
    before = workspace.kill()
    assert connected.chat("Still there?", model="echo", show=False).text == "Still there?"
    after = workspace.running()
    assert after is not None
    assert after.boot_id != before.boot_id
    assert connected.token == after.token != before.token


def test_an_answer_outlives_the_service_that_was_giving_it(connected: Client, workspace: Workspace) -> None:
    chat = connected.chats.create(model="echo")
    script = {"tokens": ["word "], "count": 100_000, "delay_s": 0.01}
    texts = 0
    for event in chat.stream("Talk", extra=script):
        texts += event.type == "text"
        if texts == 60:
            workspace.kill()
            texts += 1
    assert event.finish_reason == "interrupted"
    kept = chat.messages()[-1]
    assert kept.finish_reason == "interrupted"
    assert kept.text.startswith("word word word")
    assert chat.send("And now?", show=False).text == "And now?"


def test_a_service_that_was_stopped_stays_so_until_someone_asks_for_it(
    connected: Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmws.client.absence.STOPPED_LIMIT_S", 0.1)
    connected.run(connected.api.shutdown())
    wait_for(lambda: not is_held(workspace.data), "the service to end")
    with pytest.raises(ServiceError, match="was stopped"):
        connected.chats.list()
    assert workspace.running() is None
    assert connected.chat("Good morning", model="echo", show=False).text == "Good morning"
    assert workspace.running() is not None


def test_a_stranger_where_a_stopped_service_was_does_not_keep_it_from_being_started(
    connected: Client, workspace: Workspace
) -> None:
    connected.run(connected.api.shutdown())
    wait_for(lambda: not is_held(workspace.data), "the service to end")
    refusal = {"error": {"code": "not_authenticated", "message": "The token is not the service's."}}
    with stand_in(lambda asked: asked.json(refusal, 401)) as other:
        connected.api.address = other.api.address
        with pytest.raises(ServiceError, match="was stopped"):
            connected.chats.list()
        assert connected.chat("Good morning", model="echo", show=False).text == "Good morning"


def test_a_given_address_starts_nothing(service: Running, workspace: Workspace) -> None:
    client = connect(service.instance.url, service.instance.token)
    assert client.chat("Hello", model="echo", show=False).text == "Hello"
    assert not (workspace.data / "service.log").exists()
    client.close()


def test_settings_give_the_address(service: Running, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMWS_URL", service.instance.url + "/")
    monkeypatch.setenv("LLMWS_TOKEN", service.instance.token)
    client = connect()
    assert client.url == service.instance.url
    with pytest.raises(NotFound):
        client.chats.open("f" * 32)
    client.close()


@pytest.mark.parametrize("address", ["localhost:8765", "ftp://localhost", "http://", "http://127.0.0.1:99999"])
def test_what_is_no_address_is_refused(workspace: Workspace, address: str) -> None:
    with pytest.raises(SettingsError, match="is not the address of a service"):
        connect(address)


def test_an_address_where_nobody_is_says_so(workspace: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServiceError, match=f"no service at {address} .refused.*LLMWS_URL"):
            connect(address)


def test_what_the_service_said_when_it_could_not_start_is_raised(workspace: Workspace) -> None:
    workspace.data.mkdir()
    (workspace.data / "llmws.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(ServiceError) as caught:
        connect()
    assert "llmws.db" in str(caught.value)
    assert caught.value.remedy
    assert not is_held(workspace.data)


def test_a_chosen_port_that_is_taken_is_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("LLMWS_PORT", str(port))
        with pytest.raises(ServiceError, match=rf"[Pp]ort {port} is taken.*LLMWS_PORT"):
            connect()


def test_a_data_folder_that_is_a_file_is_named(workspace: Workspace) -> None:
    workspace.data.write_text("not a folder")
    with pytest.raises(SettingsError, match=r"is not a folder.*LLMWS_DATA"):
        connect()


def test_a_service_of_another_host_is_not_asked(workspace: Workspace) -> None:
    with instances.hold(workspace.data) as held:
        held.publish(_someone(host="gpu7"))
        with pytest.raises(DataFolderHeld, match="on host gpu7"):
            connect()


def test_an_older_client_is_told_to_upgrade(workspace: Workspace) -> None:
    with instances.hold(workspace.data) as held:
        held.publish(_someone(version="9.0.0", api_version=instances.API_VERSION + 1))
        with pytest.raises(VersionMismatch, match=r"9\.0\.0.*Upgrade llmws"):
            connect()


def test_a_newer_client_replaces_an_older_service_that_nobody_uses(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect()
    older = workspace.running()
    assert older is not None
    client.close()
    wait_for(lambda: _clients(older) == 0, "the service to see that its client left")
    monkeypatch.setattr(finding, "__version__", "99.0.0")
    client = connect()
    newer = workspace.running()
    assert newer is not None
    assert newer.boot_id != older.boot_id
    client.close()


def test_a_newer_client_leaves_an_older_service_alone_that_is_used(
    connected: Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = workspace.running()
    assert older is not None
    wait_for(lambda: _clients(older) == 1, "the service to see its client")
    monkeypatch.setattr(finding, "__version__", "99.0.0")
    assert connect() is connected
    assert workspace.running() == older


def test_a_service_that_hangs_is_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with instances.hold(workspace.data) as held:
        held.publish(_someone())
        with pytest.raises(ServiceError, match=rf"process {os.getpid()}.*does not answer.*llmws stop"):
            connect()


def test_the_service_does_not_run_what_lies_in_the_working_folder(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fastapi", "logging", "secrets"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    client = connect()
    assert client.run(client.api.status())["service"]["version"] == llmws.__version__
    client.close()


def test_the_presence_of_a_client_keeps_the_service_and_its_end_lets_it_go(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMWS_IDLE_EXIT_S", "3")
    kernel = subprocess.Popen(
        [sys.executable, "-c", "import llmws; llmws.connect(); print('here', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert kernel.stdout is not None
    assert kernel.stdout.readline() == "here\n"
    found = workspace.running()
    assert found is not None
    wait_for(lambda: _clients(found) == 1, "the service to see its client")
    kernel.send_signal(signal.SIGKILL)
    kernel.communicate()
    wait_for(lambda: not is_held(workspace.data), "the service to end by itself")
    assert not (workspace.data / "service.json").exists()


def _clients(found: Instance) -> int:
    """How many clients the service counts."""
    import httpx

    answer = httpx.get(
        f"{found.url}/api/status", headers={"Authorization": f"Bearer {found.token}"}, trust_env=False, timeout=10
    )
    return int(json.loads(answer.text)["clients"])


def _someone(**changes: object) -> Instance:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    here = Instance(url, "t", socket.gethostname(), os.getpid(), "b", llmws.__version__, instances.API_VERSION, 0.0)
    return replace(here, **changes)  # type: ignore[arg-type]
