"""What stands before the first server: folders with the right owners, an environment that all can read, notebooks."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmws.errors import MissingTool, SettingsError
from llmws.hub import lab, proxy, readable, roles, spawner
from llmws.hub.state import SERVICE, State, dropped, is_isolated

from .running import passable_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where everybody may pass, as pytest's own folders are not."""
    with passable_folder() as path:
        yield path


@pytest.fixture
def tree(folder: Path) -> Path:
    """An environment as it should be."""
    for path in ("environment/bin", "environment/lib/package"):
        (folder / path).mkdir(parents=True, mode=0o755)
    for path in ("environment/bin/python", "environment/lib/package/module.py"):
        (folder / path).write_text("")
        (folder / path).chmod(0o755)
    return folder / "environment"


def needs_root() -> None:
    assert os.geteuid() == 0, "This test gives folders to accounts: run it as root."


def test_an_environment_that_all_can_read_is_right(tree: Path) -> None:
    readable.check([tree, tree / "bin" / "python"])


@pytest.mark.parametrize(
    ("path", "mode", "told"),
    [
        ("..", 0o700, "cannot read"),
        ("lib", 0o750, "cannot read"),
        ("lib/package/module.py", 0o640, "cannot read"),
        ("lib/package", 0o777, "Everybody may write"),
        ("lib/package/module.py", 0o666, "Everybody may write"),
        ("..", 0o757, "Everybody may write"),
    ],
)
def test_one_that_is_closed_or_open_to_all_is_refused(tree: Path, path: str, mode: int, told: str) -> None:
    (tree / path).resolve().chmod(mode)
    with pytest.raises(SettingsError, match=told) as refused:
        readable.check([tree])
    assert str((tree / path).resolve()) in str(refused.value)
    assert refused.value.remedy


def test_a_link_is_followed_to_where_others_cannot_go(tree: Path, folder: Path) -> None:
    (folder / "home").mkdir(mode=0o700)
    (folder / "home" / "python").write_text("")
    (tree / "bin" / "python").unlink()
    (tree / "bin" / "python").symlink_to("../../home/python")
    with pytest.raises(SettingsError, match="cannot read") as refused:
        readable.check([tree / "bin" / "python"])
    assert str(folder / "home") in str(refused.value.message)


def test_what_a_person_made_is_refused(tree: Path) -> None:
    needs_root()
    os.chown(tree / "lib" / "package" / "module.py", 200_001, 200_001)
    with pytest.raises(SettingsError, match="200001") as refused:
        readable.check([tree])
    assert "chown" in refused.value.remedy


def test_the_state_folder_is_made_and_mended(folder: Path) -> None:
    state = State(folder / "state")
    state.prepare()
    state.hub.chmod(0o755)
    state.prepare()
    assert stat.S_IMODE(state.hub.stat().st_mode) == 0o700
    assert stat.S_IMODE(state.folder.stat().st_mode) == 0o711


def test_a_state_folder_of_somebody_else_is_refused(folder: Path) -> None:
    needs_root()
    state = State(folder / "state")
    state.prepare()
    os.chown(state.service, 200_001, 200_001)
    with pytest.raises(SettingsError, match="200001") as refused:
        state.prepare()
    assert refused.value.remedy.startswith(f"Run `chown {SERVICE}:{SERVICE} {state.service}`")
    assert state.service.stat().st_uid == 200_001


def test_a_link_in_place_of_a_folder_is_refused(folder: Path) -> None:
    (folder / "state").mkdir()
    (folder / "elsewhere").mkdir()
    (folder / "state" / "homes").symlink_to(folder / "elsewhere")
    with pytest.raises(SettingsError, match="not a folder"):
        State(folder / "state").prepare()


def test_ports_and_secrets_are_kept(folder: Path) -> None:
    state = State(folder)
    state.prepare()
    ports, secret = state.ports(), state.secret("runner_token")
    assert (ports, secret) == (State(folder).ports(), State(folder).secret("runner_token"))
    assert len({ports.hub, ports.proxy, ports.service}) == 3
    assert len(secret) >= 64
    assert stat.S_IMODE((state.hub / "runner_token").stat().st_mode) == 0o600
    if is_isolated():
        assert max(ports.hub, ports.proxy, ports.service) < 1024


def test_nothing_that_is_started_gets_more_rights(folder: Path) -> None:
    if is_isolated():
        assert {"--no-new-privs", "--clear-groups"} <= set(dropped(SERVICE, ["true"]))
    assert dropped(SERVICE, ["true"])[-1] == "true"


def test_notebooks_are_given_once(tmp_path: Path) -> None:
    notebooks = lab.give_notebooks(tmp_path)
    assert (notebooks / "welcome.ipynb").exists()
    assert (notebooks / "dashboards" / "chat.ipynb").exists()
    (notebooks / "welcome.ipynb").write_text("mine")
    (notebooks / "chat.ipynb").unlink()
    lab.give_notebooks(tmp_path)
    assert (notebooks / "welcome.ipynb").read_text() == "mine"
    assert not (notebooks / "chat.ipynb").exists()


def test_a_notebook_that_was_there_before_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "welcome.ipynb").write_text("mine")
    assert (lab.give_notebooks(tmp_path) / "welcome.ipynb").read_text() == "mine"


def test_who_listens_is_known_by_account() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert spawner._listening(port) is None
        listener.listen()
        assert spawner._listening(port) == os.geteuid()


@pytest.mark.parametrize(
    ("server", "groups", "scope"),
    [
        ("", {"business"}, roles.TRAIN),
        ("", {"admins"}, roles.TRAIN),
        ("admin", {"researchers"}, roles.TRAIN),
        ("admin", {"admins"}, roles.ADMIN),
    ],
)
def test_only_the_server_of_an_administration_administers(server: str, groups: set[str], scope: str) -> None:
    scopes = roles.server_token_scopes("ada", server, groups)
    assert [name for name in scopes if name.startswith("custom:")] == [scope]


def test_a_proxy_that_cannot_be_installed_says_what_helps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(folder / "cache"))
    with pytest.raises(MissingTool, match="npm could not install") as refused:
        proxy.command(folder)
    assert "registry" in refused.value.remedy
    assert list((folder / "node").iterdir()) == []
