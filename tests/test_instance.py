"""Who holds a data folder, where they listen, and what a second one is told."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llmws import instance, locks
from llmws.errors import DataFolderHeld, Error, ServiceError, SettingsError
from llmws.instance import Instance, hold, is_held, report, reported, running

HERE = Instance("http://127.0.0.1:1", "a-secret", socket.gethostname(), os.getpid(), "boot", "0.1.0", 1, time.time())

HOLDER = """
import sys
from pathlib import Path
from llmws.instance import hold
held = hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def holder(data: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_what_is_published_is_found(data: Path) -> None:
    with hold(data) as held:
        assert running(data) is None, "it does not listen yet"
        held.publish(HERE)
        assert running(data) == HERE
    assert running(data) is None
    assert not (data / "service.json").exists()


def test_folder_and_file_are_for_the_account_only(data: Path) -> None:
    with hold(data) as held:
        held.publish(HERE)
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert stat.S_IMODE((data / "service.json").stat().st_mode) == 0o600
        assert "a-secret" not in repr(running(data))


def test_a_second_service_is_told_who_holds_the_folder(data: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(DataFolderHeld) as caught:
        hold(data)
    assert f"on host {socket.gethostname()} since " in caught.value.message
    assert "llmws stop" in caught.value.remedy
    assert caught.value.details["pid"] == holder.pid


def test_who_looks_does_not_keep_a_service_from_starting(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(data).release()
    looker = os.open(data / "service.lock", os.O_RDONLY)
    assert locks.locked(looker, shared=True)
    looks = [looker]
    monkeypatch.setattr(locks.time, "sleep", lambda _: os.close(looks.pop()))
    hold(data).release()
    assert not looks, "it waited until the look was over"


def test_a_killed_service_is_not_taken_for_a_running_one(data: Path, holder: subprocess.Popen[str]) -> None:
    (data / "service.json").write_text(json.dumps({**_fields(HERE)}))
    assert running(data) == HERE
    holder.kill()
    holder.wait()
    assert running(data) is None
    assert (data / "service.json").exists(), "it could not take it away"
    with hold(data):
        assert not (data / "service.json").exists(), "nobody may find the old one while we start"


def test_a_service_on_another_host_is_refused(data: Path) -> None:
    with hold(data) as held:
        held.publish(replace(HERE, host="gpu7"))
        with pytest.raises(DataFolderHeld, match="on host gpu7 since") as caught:
            running(data)
    assert "LLMWS_DATA" in caught.value.remedy


def test_a_network_file_system_is_no_place_for_sqlite(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "network_file_system", lambda path: "nfs4")
    with pytest.raises(SettingsError, match=r"network file system \(nfs4\).*LLMWS_DATA"):
        hold(data)
    hold(data, sqlite=False).release()


def test_a_disk_of_this_host_is_known_as_one(tmp_path: Path) -> None:
    assert instance.network_file_system(tmp_path) is None


def test_a_file_is_not_a_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SettingsError, match=r"is not a folder.*LLMWS_DATA"):
            hold(path)
        assert running(path) is None


def test_a_folder_that_cannot_be_made_names_the_setting() -> None:
    with pytest.raises(SettingsError, match=r"cannot be made: .*LLMWS_DATA"):
        hold(Path("/proc/llmws"))


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"url": 1}', "\udcff"])
def test_a_damaged_file_is_an_error_only_while_someone_holds_the_folder(data: Path, damage: str) -> None:
    with hold(data):
        (data / "service.json").write_text(damage, errors="surrogateescape")
        with pytest.raises(ServiceError, match="cannot be read"):
            running(data)
    (data / "service.json").write_text(damage, errors="surrogateescape")
    assert running(data) is None
    assert not is_held(data)


def test_an_error_survives_the_log() -> None:
    error = Error("The database was made by a newer llmws.", remedy="Upgrade.")
    log = f"INFO starting\n{report(Error('An older one.'))}\n{report(error)}\nINFO bye\n"
    told = reported(log)
    assert told is not None
    assert (told.message, told.remedy) == (error.message, error.remedy)
    assert reported("Traceback (most recent call last):\n") is None


def _fields(found: Instance) -> dict[str, object]:
    return {name: getattr(found, name) for name in Instance.__slots__}
