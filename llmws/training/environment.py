"""The environment in which LLaMA-Factory trains: made beside the workspace's own, from a lock of its own.

Apart, because what LLaMA-Factory wants and what the workspace wants do not age together, and because 1.4 GB should not
stand between a newcomer and a first chat: `install` runs in the background while the workspace is used. Whoever wants
to know how far it is reads the record that the installing process writes into the environment's folder; a lock in the
same folder tells whether that process lives. llmws never imports what is in there.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import psutil

from ..errors import Error, SettingsError, TrainingError
from ..locks import is_held, locked
from ..settings import Settings
from ..shipped import shipped

# Not in the lock: on its own, it is the CUDA build on a machine with a GPU, and a CPU build where a find-links folder
# offers one; `requirements-train.in` says the same.
TORCH = "torch==2.13.0"

# For the training process's PYTHONPATH: a torchaudio that is only there to be imported.
STUBS = Path(__file__).parent / "stubs"

_RECORD, _LOCK, _LOG = "llmws-environment.json", "llmws-install.lock", "llmws-install.log"
_HOME = Path(__file__).resolve().parents[2]

# What is written to disk, measured with uv and a cold cache; only for percentages and for the check of free space.
_PACKAGES_BYTES, _TORCH_CPU_BYTES, _TORCH_CUDA_BYTES = 620_000_000, 700_000_000, 6_500_000_000
_SPARE = 1.2

# pip's settings, by the names that uv gives them.
_UV_NAMES = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
    "PIP_DEFAULT_TIMEOUT": "UV_HTTP_TIMEOUT",
    "PIP_CERT": "SSL_CERT_FILE",
    "PIP_PROXY": "ALL_PROXY",
}

_CHECK = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
import llamafactory.hparams
cuda = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
print(json.dumps({"torch": torch.__version__, "accelerators": cuda + ["mps"] * torch.backends.mps.is_available()}))
"""

Report = Callable[["EnvironmentStatus"], None]


@dataclass(frozen=True, slots=True)
class EnvironmentStatus:
    """How it stands with the training environment.

    Args:
        detail: a sentence for people.
        remedy: what helps, where it is missing or failed.
        percent: of the installation, 0 to 100.
        size_bytes: the disk it takes, once it is ready.
        torch: torch's version, such as ``2.13.0+cpu``.
        accelerators: names of the GPUs that torch found when the environment was made.
    """

    state: Literal["missing", "installing", "ready", "failed"]
    detail: str
    remedy: str = ""
    step: str = ""
    percent: float = 0.0
    started_at: float | None = None
    updated_at: float | None = None
    size_bytes: int | None = None
    torch: str | None = None
    accelerators: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def python(settings: Settings) -> Path:
    """The environment's Python, whether or not it is there yet."""
    return settings.training_environment / "bin" / "python"


def command(settings: Settings) -> Path:
    """LLaMA-Factory's command in the environment, whether or not it is there yet."""
    return settings.training_environment / "bin" / "llamafactory-cli"


def status(settings: Settings) -> EnvironmentStatus:
    """How it stands with the environment, read from its folder; fast, and it starts nothing."""
    folder = settings.training_environment
    told = _read(folder)
    if told is None:
        if command(settings).exists():
            return EnvironmentStatus("ready", f"{folder} was there already.", percent=100.0)
        return _missing("The training environment is not installed.")
    if told.state == "ready":
        if not python(settings).exists():
            return _missing(f"The Python of {folder} is gone.")
        if _digest_of(folder) != _digest():
            return _missing("The training environment was made for another version of llmws.")
    if told.state == "installing" and not is_held(folder / _LOCK):
        return replace(
            told,
            state="failed",
            detail=f"The installation was broken off at {told.percent:.0f} %.",
            remedy="`make train-env` goes on with it.",
        )
    return told


def install(settings: Settings, report: Report | None = None) -> EnvironmentStatus:
    """Make the environment, or go on with one that was broken off; returns when it is ready, at once if it is.

    Only one process installs: where another is at it, this one waits and reports its progress.

    Raises:
        SettingsError: the folder holds something else.
        TrainingError: no network, no disk space; the next call goes on from what was downloaded.
    """
    report = report or (lambda now: None)
    folder = settings.training_environment
    if (now := status(settings)).state == "ready":
        return now
    _refuse_other_content(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _held(settings, report) as lock:
        if (now := status(settings)).state == "ready":
            return now
        installer = _Installer(settings, report, lock)
        try:
            return installer.run()
        except (Error, OSError) as problem:
            raise installer.failed(problem) from problem


def install_in_background(settings: Settings) -> None:
    """Start `install` in a process of its own, which outlives this one; `status` tells how far it is."""
    subprocess.Popen(
        [sys.executable, "-m", __spec__.name, "install", "--quiet", "--folder", str(settings.training_environment)],
        cwd=_HOME,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def uv_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with pip's settings under uv's names, for uv reads none of pip's.

    Example:
        >>> uv_environment({"PIP_FIND_LINKS": "/a /b"})["UV_FIND_LINKS"]
        '/a,/b'
    """
    passed = dict(environment)
    for pip_name, uv_name in _UV_NAMES.items():
        if value := environment.get(pip_name, "").strip():
            passed.setdefault(uv_name, ",".join(value.split()) if uv_name == "UV_FIND_LINKS" else value)
    return passed


class _Installer:
    """One run of the installation, by the process that holds the lock."""

    def __init__(self, settings: Settings, report: Report, lock: IO[bytes]) -> None:
        self._settings = settings
        self._folder = settings.training_environment
        self._report = report
        self._lock = lock
        self._uv = _find_uv()
        self._written = 0
        self._total = _PACKAGES_BYTES + _TORCH_CPU_BYTES
        now = time.time()
        self._now = EnvironmentStatus("installing", "", step="environment", started_at=now, updated_at=now)

    def run(self) -> EnvironmentStatus:
        before = _read(self._folder)
        self._tell("environment", "Making the environment.")
        if before is None or before.state != "ready":
            self._clear()
        self._make_environment()
        self._check_space()
        self._fetch(
            "packages",
            _PACKAGES_BYTES,
            *("--no-deps", "--require-hashes", "-r", str(shipped("requirements-train.lock"))),
        )
        self._fetch("torch", self._total - _PACKAGES_BYTES, TORCH)
        self._tell("check", "Trying it out.", percent=95.0)
        found = self._check()
        return self._save(
            EnvironmentStatus(
                "ready",
                f"LLaMA-Factory with torch {found['torch']}.",
                percent=100.0,
                started_at=self._now.started_at,
                size_bytes=_size(self._folder),
                torch=found["torch"],
                accelerators=tuple(found["accelerators"]),
            )
        )

    def failed(self, problem: Error | OSError) -> Error:
        """Record why it failed; the error to raise."""
        error = problem if isinstance(problem, Error) else _explain(problem, self._folder)
        with contextlib.suppress(OSError):  # the disk may be what is full
            self._save(replace(self._now, state="failed", detail=error.message, remedy=error.remedy))
        return error

    def _clear(self) -> None:
        """Begin anew: uv was perhaps killed in the middle of a package. What it downloaded is in its cache."""
        for name in ("lib", "lib64", "bin", "include", "share", "pyvenv.cfg"):
            path = self._folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _make_environment(self) -> None:
        options = ["--without-pip"] if self._uv else []
        self._run([sys.executable, "-m", "venv", *options, str(self._folder)])

    def _check_space(self) -> None:
        if self._uv:
            planned = self._run(self._command("--dry-run", TORCH))
            if "nvidia-" in planned:
                self._total = _PACKAGES_BYTES + _TORCH_CUDA_BYTES
        needed, free = self._total * _SPARE, shutil.disk_usage(self._folder).free
        if free < needed:
            raise TrainingError(
                f"The training environment needs {needed / 1e9:.1f} GB; {self._folder} has {free / 1e9:.1f} GB left.",
                remedy="Make room, or choose another place with LLMWS_TRAINING_ENVIRONMENT.",
                code="disk_full",
            )

    def _fetch(self, step: str, expected: int, *what: str) -> None:
        done = self._written
        self._tell(step, f"Downloading and unpacking {step}.")

        def follow(written: int) -> None:
            self._written = max(self._written, done + min(written, expected))
            percent = 95.0 * self._written / self._total
            megabytes = f"{self._written / 1e6:,.0f} of about {self._total / 1e6:,.0f} MB"
            self._tell(step, f"Downloading and unpacking {step}: {megabytes}.", percent=percent)

        self._run(self._command(*what), follow)
        self._written = done + expected

    def _command(self, *what: str) -> list[str]:
        if self._uv:
            return [str(self._uv), "pip", "install", "--python", str(python(self._settings)), *what]
        return [str(python(self._settings)), "-m", "pip", "install", *what]

    def _check(self) -> dict[str, Any]:
        told = self._run([str(python(self._settings)), "-I", "-c", _CHECK, str(STUBS)])
        return dict(json.loads(told.strip().splitlines()[-1]))

    def _run(self, command: list[str], follow: Callable[[int], None] | None = None) -> str:
        """Run `command`; what it printed. It inherits the lock, so that no second installer begins beside an orphan."""
        log = self._folder / _LOG
        began = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=uv_environment(dict(os.environ)) | {"HF_HUB_OFFLINE": "1", "UV_NO_PROGRESS": "1"},
                pass_fds=[self._lock.fileno()],
            )
            try:
                while process.poll() is None:
                    if follow:
                        follow(_written_by(process.pid))
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(0.5)
            except BaseException:
                process.kill()
                process.wait()
                raise
        with log.open("rb") as output:
            output.seek(began)
            told = output.read().decode(errors="replace")
        if process.returncode:
            raise _explain_output(told, self._folder / _LOG)
        return told

    def _tell(self, step: str, detail: str, percent: float | None = None) -> None:
        percent = self._now.percent if percent is None else max(self._now.percent, percent)
        self._save(replace(self._now, step=step, detail=detail, percent=percent))

    def _save(self, now: EnvironmentStatus) -> EnvironmentStatus:
        self._now = replace(now, updated_at=time.time())
        aside = self._folder / f"{_RECORD}.new"
        aside.write_text(json.dumps({**self._now.to_dict(), "lock": _digest()}, indent=1), encoding="utf-8")
        aside.replace(self._folder / _RECORD)
        self._report(self._now)
        return self._now


def _missing(detail: str) -> EnvironmentStatus:
    return EnvironmentStatus("missing", detail, remedy="Install it with `make train-env` or `llmws train-env`.")


def _record(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / _RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _read(folder: Path) -> EnvironmentStatus | None:
    told = _record(folder)
    told.pop("lock", None)
    try:
        return EnvironmentStatus(**{**told, "accelerators": tuple(told["accelerators"])})
    except (KeyError, TypeError):
        return None


def _digest_of(folder: Path) -> str:
    return str(_record(folder).get("lock", ""))


def _digest() -> str:
    """What the environment is made from; another digest means that it must be brought up to date."""
    return hashlib.sha256(shipped("requirements-train.lock").read_bytes() + TORCH.encode()).hexdigest()


def _refuse_other_content(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is not a folder.", remedy="Set LLMWS_TRAINING_ENVIRONMENT to another path.")
    if folder.is_dir() and _read(folder) is None and any(path.name not in (_LOCK, _LOG) for path in folder.iterdir()):
        raise SettingsError(
            f"{folder} holds something else than llmws's training environment.",
            remedy="Set LLMWS_TRAINING_ENVIRONMENT to another path, or remove that folder.",
        )


def _find_uv() -> Path | None:
    beside = Path(sys.executable).with_name("uv")
    if beside.exists():
        return beside
    found = shutil.which("uv")
    return Path(found) if found else None


@contextlib.contextmanager
def _held(settings: Settings, report: Report) -> Iterator[IO[bytes]]:
    """The installer's lock, once it is free; until then the progress of who holds it is reported."""
    with (settings.training_environment / _LOCK).open("ab") as lock:
        while not locked(lock.fileno()):
            report(status(settings))
            time.sleep(0.5)
        yield lock


def _written_by(pid: int) -> int:
    """Bytes that a process has written; 0 where the system does not tell (macOS)."""
    try:
        return int(psutil.Process(pid).io_counters().write_chars)
    except (AttributeError, psutil.Error):
        return 0


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def _explain(problem: OSError, folder: Path) -> Error:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "Make room, or choose another place with LLMWS_TRAINING_ENVIRONMENT."
        return TrainingError(f"The disk of {folder} is full.", remedy=remedy, code="disk_full")
    return SettingsError(
        f"The training environment cannot be made in {folder}: {problem.strerror or problem}.",
        remedy="Choose a folder that you may write with LLMWS_TRAINING_ENVIRONMENT.",
    )


def _explain_output(told: str, log: Path) -> Error:
    """The error that `told`, the output of uv, pip or Python, amounts to."""
    if "No space left on device" in told or "os error 28" in told:
        return _explain(OSError(errno.ENOSPC, ""), log.parent)
    lines = [line.strip(" ×│├╰─▶") for line in told.splitlines() if line.strip()]
    reason = next((line for line in lines if line.lower().startswith(("error", "caused by", "no solution"))), "")
    reason = (reason or (lines[-1] if lines else "it printed nothing")).removeprefix("error: ").rstrip(".")
    return TrainingError(
        f"The training environment could not be installed: {reason}.",
        remedy=f"Check the network, or set PIP_INDEX_URL to your index; then `make train-env` goes on. Log: {log}.",
        code="training_environment",
    )


def _print(now: EnvironmentStatus) -> None:
    if sys.stdout.isatty():
        print(f"\r\x1b[K{now.percent:3.0f} %  {now.detail}", end="\n" if now.state == "ready" else "", flush=True)
    else:
        print(f"{now.percent:3.0f} %  {now.detail}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """``python -m llmws.training.environment install|status``."""
    parser = argparse.ArgumentParser(prog="llmws.training.environment", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["install", "status"])
    parser.add_argument("--folder", type=Path, help="the environment's folder")
    parser.add_argument("--quiet", action="store_true", help="print nothing, and let others go first")
    options = parser.parse_args(arguments)
    settings = Settings.from_environment()
    if options.folder:
        settings = replace(settings, training_environment=options.folder)
    if options.what == "status":
        print(json.dumps(status(settings).to_dict(), indent=1))
        return 0
    if options.quiet:
        os.nice(10)
    try:
        now = install(settings, None if options.quiet else _print)
    except Error as problem:
        print(f"{problem.message}\n{problem.remedy}", file=sys.stderr)
        return 1
    if not options.quiet:
        print(f"{settings.training_environment}: {now.detail}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
