"""The training environment as people meet it: missing, on its way, broken off, ready.

The installer is the real one. In the fast tests uv is a script that plays what is asked of it, so that nothing is
downloaded; the long test makes the real environment in a folder of its own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from llmws.errors import SettingsError, TrainingError
from llmws.settings import Settings
from llmws.shipped import shipped
from llmws.training import environment

PACKAGE_HOME = Path(environment.__file__).parents[2]

# Plans torch, installs the lock, installs torch; then the environment's Python is one that only answers the check.
_UV = """#!/bin/sh
cd {home}
echo "$@" >> asked
env | grep -E '^(UV_|SSL_CERT_FILE|ALL_PROXY)' > environment
case "$*" in
*--dry-run*) cat plan ;;
*requirements-train.lock*) . ./packages ;;
*torch==*)
    rm env/bin/python*
    cp answer env/bin/python
    touch env/bin/llamafactory-cli ;;
esac
"""
_ANSWER = """#!/bin/sh
echo 'a warning that torch prints'
echo '{"torch": "2.13.0+cpu", "accelerators": ["A100"]}'
"""
_INSTALL = """
import sys
from pathlib import Path
from llmws.training import environment
environment._find_uv = lambda: Path(sys.argv[1])
sys.exit(environment.main(["install", "--folder", sys.argv[2]]))
"""


class Machine:
    """A place for an environment, and a scripted uv."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "env"
        self.settings = Settings(data=home / "data", training_environment=self.folder)
        self.uv = self.script("uv", _UV.format(home=home))
        self.script("answer", _ANSWER)
        self.script("plan", " + torch==2.13.0+cpu\n")
        self.script("packages", "echo installed\n")

    def script(self, name: str, text: str) -> Path:
        path = self.home / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def hold_packages(self) -> None:
        """The installation of the packages begins, leaves something half done, and waits for `go_on`."""
        self.script("packages", "touch begun env/lib/half; until [ -e go ]; do sleep 0.02; done; rm go\n")

    def go_on(self) -> None:
        (self.home / "go").touch()

    def times_installed(self) -> int:
        asked = (self.home / "asked").read_text().splitlines()
        return sum("requirements-train.lock" in line for line in asked)

    def status(self) -> environment.EnvironmentStatus:
        return environment.status(self.settings)

    def install(self) -> environment.EnvironmentStatus:
        return environment.install(self.settings)

    def until(self, condition: Callable[[], object], limit_s: float = 60.0) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, f"still {self.status()}"
            time.sleep(0.02)

    def installer(self) -> subprocess.Popen[str]:
        """Another process that installs."""
        command = [sys.executable, "-c", _INSTALL, str(self.uv), str(self.folder)]
        return subprocess.Popen(command, cwd=PACKAGE_HOME, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setattr(environment, "_find_uv", lambda: machine.uv)
    return machine


def test_what_needs_it_says_how_to_get_it(machine: Machine) -> None:
    now = machine.status()
    assert (now.state, now.detail) == ("missing", "The training environment is not installed.")
    assert "make train-env" in now.remedy


def test_it_is_installed_step_by_step_and_only_once(machine: Machine) -> None:
    seen: list[environment.EnvironmentStatus] = []
    now = environment.install(machine.settings, seen.append)
    assert (now.state, now.torch, now.accelerators, now.percent) == ("ready", "2.13.0+cpu", ("A100",), 100.0)
    assert now.size_bytes
    assert now == machine.status() == machine.install()
    assert machine.times_installed() == 1
    steps = [told.step for told in seen if told.state == "installing"]
    assert list(dict.fromkeys(steps)) == ["environment", "packages", "torch", "check"]
    assert [told.percent for told in seen] == sorted(told.percent for told in seen)
    assert json.loads(json.dumps(now.to_dict()))["state"] == "ready"


def test_others_see_how_far_it_is(machine: Machine) -> None:
    machine.hold_packages()
    installer = machine.installer()
    machine.until(lambda: (machine.home / "begun").exists() and machine.status().step == "packages")
    now = machine.status()
    assert now.state == "installing"
    assert now.started_at <= now.updated_at <= time.time()
    machine.go_on()
    output, _ = installer.communicate()
    assert installer.returncode == 0
    assert output.splitlines()[-1] == f"{machine.folder}: LLaMA-Factory with torch 2.13.0+cpu."
    assert machine.status().state == "ready"


def test_a_second_installer_waits_for_the_first(machine: Machine) -> None:
    machine.hold_packages()
    first = machine.installer()
    machine.until(lambda: (machine.home / "begun").exists())
    second = machine.installer()
    line = second.stdout.readline()
    assert "%" in line
    machine.go_on()
    for installer in (first, second):
        installer.communicate()
        assert installer.returncode == 0
    assert machine.times_installed() == 1


def test_one_that_was_killed_is_taken_up_again(machine: Machine) -> None:
    machine.hold_packages()
    with machine.installer() as installer:
        machine.until(lambda: (machine.home / "begun").exists())
        installer.kill()
    # What it started still works in the folder, so nobody else may.
    assert machine.status().state == "installing"
    machine.go_on()
    machine.until(lambda: machine.status().state == "failed")
    assert "broken off" in machine.status().detail
    assert "make train-env" in machine.status().remedy
    machine.script("packages", "echo installed\n")
    assert machine.install().state == "ready"
    assert not (machine.folder / "lib" / "half").exists()


def test_without_a_network_it_says_so_and_goes_on_later(machine: Machine) -> None:
    machine.script(
        "packages", "echo 'error: Request failed after 3 retries' >&2; echo '  Caused by: dns' >&2; exit 2\n"
    )
    with pytest.raises(
        TrainingError, match=r"Request failed after 3 retries\. Check the network, or set PIP_INDEX_URL"
    ):
        machine.install()
    assert machine.status().state == "failed"
    assert "Request failed" in machine.status().detail
    assert "PIP_INDEX_URL" in machine.status().remedy
    machine.script("packages", "echo installed\n")
    assert machine.install().state == "ready"


def test_one_that_does_not_work_is_not_called_ready(machine: Machine) -> None:
    machine.script("answer", "#!/bin/sh\necho 'ImportError: libcudart.so.13: no such file' >&2\nexit 1\n")
    with pytest.raises(TrainingError, match=r"libcudart\.so\.13"):
        machine.install()
    assert machine.status().state == "failed"


@pytest.mark.parametrize(("plan", "needs"), [("torch==2.13.0+cpu", "1.6 GB"), ("nvidia-cublas==13.1", "8.5 GB")])
def test_a_disk_that_is_too_small_is_noticed_first(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, plan: str, needs: str
) -> None:
    machine.script("plan", f" + {plan}\n")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: usage(10**9, 0, 10**9))
    with pytest.raises(TrainingError, match=rf"needs {needs}; .* has 1\.0 GB left\. Make room") as refused:
        machine.install()
    assert refused.value.code == "disk_full"
    assert machine.times_installed() == 0


def test_a_disk_that_fills_up_is_named(machine: Machine) -> None:
    machine.script("packages", "echo 'error: failed to write: No space left on device (os error 28)' >&2; exit 2\n")
    with pytest.raises(TrainingError, match=r"is full\. Make room"):
        machine.install()


def test_a_folder_that_holds_something_else_is_left_alone(machine: Machine) -> None:
    machine.folder.mkdir()
    (machine.folder / "thesis.tex").write_text("years of work")
    with pytest.raises(SettingsError, match="holds something else"):
        machine.install()
    (machine.home / "file").touch()
    with pytest.raises(SettingsError, match="is not a folder"):
        environment.install(Settings(training_environment=machine.home / "file"))
    assert [path.name for path in machine.folder.iterdir()] == ["thesis.tex"]


def test_an_environment_of_ones_own_is_used_as_it_is(machine: Machine) -> None:
    (machine.folder / "bin").mkdir(parents=True)
    (machine.folder / "bin" / "llamafactory-cli").touch()
    assert machine.status().state == "ready"
    assert machine.install().detail == f"{machine.folder} was there already."


def test_one_made_for_another_version_is_brought_up_to_date(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.install()
    kept = machine.folder / "lib" / "kept"
    kept.touch()
    monkeypatch.setattr(environment, "TORCH", "torch==2.14.0")
    assert machine.status().state == "missing"
    assert "another version" in machine.status().detail
    assert machine.install().state == "ready"
    assert kept.exists()
    assert machine.times_installed() == 2


def test_one_whose_python_is_gone_is_missing(machine: Machine) -> None:
    machine.install()
    environment.python(machine.settings).unlink()
    assert machine.status().state == "missing"


def test_a_companys_index_reaches_uv_under_its_own_names(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "SSL_CERT_FILE", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.test/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.test https://b.test")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    monkeypatch.setenv("PIP_CERT", "/company.pem")
    monkeypatch.setenv("PIP_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("UV_INDEX", "https://mine.test")
    machine.install()
    told = (machine.home / "environment").read_text().splitlines()
    assert {
        "UV_DEFAULT_INDEX=https://index.test/simple",
        "UV_INDEX=https://mine.test",
        "UV_FIND_LINKS=/wheels,/more",
        "SSL_CERT_FILE=/company.pem",
        "ALL_PROXY=http://proxy.test:3128",
    } <= set(told)


def test_the_lock_is_pinned_and_hashed_and_names_no_index() -> None:
    lock = shipped("requirements-train.lock").read_text()
    entries = re.findall(r"^([a-z0-9-]+)==.*\\\n    --hash=sha256:", lock, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^\S", lock, re.MULTILINE))
    assert {"llamafactory", "swanlab", "swanboard", "bitsandbytes", "gguf", "tokenizers"} <= set(entries)
    assert "://" not in lock
    heavy = {"torch", "torchvision", "torchaudio", "gradio", "triton", "cuda-toolkit", "av", "modelscope"}
    assert not heavy & set(entries)
    assert [name for name in entries if name.startswith("nvidia-")] == ["nvidia-ml-py"]
    assert environment.TORCH in Path(PACKAGE_HOME, "requirements-train.in").read_text().splitlines()


def test_torchaudio_is_there_to_be_imported_and_no_more() -> None:
    code = "import torchaudio; torchaudio.load('x.wav')"
    ended = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(environment.STUBS)}, capture_output=True, text=True
    )
    assert "install the real torchaudio" in ended.stderr.splitlines()[-1]


@pytest.mark.long
def test_the_real_one_is_made_killed_half_way_and_made_again(tmp_path: Path) -> None:
    settings = Settings(training_environment=tmp_path / "env")
    command = [sys.executable, "-m", "llmws.training.environment", "install", "--folder", str(tmp_path / "env")]
    installer = subprocess.Popen(command, cwd=PACKAGE_HOME, stdout=subprocess.PIPE, text=True, start_new_session=True)
    for line in installer.stdout:
        if "unpacking packages" in line:
            os.killpg(installer.pid, signal.SIGKILL)
    installer.communicate()
    assert environment.status(settings).state == "failed"
    now = environment.install(settings)
    assert now.torch.startswith("2.13.0")
    version = [environment.command(settings), "version"]
    told = subprocess.run(
        version, env={**os.environ, "PYTHONPATH": str(environment.STUBS)}, capture_output=True, text=True
    )
    assert "0.9.5" in told.stdout
