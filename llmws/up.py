"""``llmws up``: a running service, a model that answers, and JupyterLab in the foreground, on one page of rows."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from .client import Client, connect
from .errors import MissingTool, ServiceError
from .settings import Settings, desktop, jupyter_search_paths
from .shipped import shipped
from .terminal import end, polite_end, row

MODEL_LIMIT_S, MEASURE_LIMIT_S = 180.0, 10.0
LAB_LIMIT_S = 120.0
LAB_PORT = 8888
_FIRST_PAGE = "welcome.ipynb"
_POLL_S = 0.1
_FAREWELL_S = 15.0


def up(settings: Settings, *, lab: bool = True, port: int = LAB_PORT, installing: bool = False) -> None:
    """Open the workspace, and stay until Ctrl-C, or until JupyterLab is shut down from its menu.

    Args:
        installing: the training environment is being installed since a moment ago.
    """
    if lab and importlib.util.find_spec("jupyterlab") is None:
        raise MissingTool("JupyterLab is not installed.", remedy="Install it with pip, or use `llmws up --no-lab`.")
    with polite_end():
        # The client's presence keeps the service for as long as we are here.
        client = connect()
        row("service", client.url)
        status = _show_model(client)
        row("training", training_line(status, installing))
        if not lab:
            threading.Event().wait()
        _lab(settings, port)


def notebooks() -> Path:
    """The folder that Lab opens: the repository's own where it is run there, else a copy that one may write to.

    Notebooks that are there already stay as they are: they may have been worked on.
    """
    here, ours = Path.cwd() / "notebooks", shipped("notebooks")
    if (here / _FIRST_PAGE).is_file():
        return here
    if ours == Path(__file__).resolve().parent.parent / "notebooks" and os.access(ours, os.W_OK):
        return ours
    copy = Path.home() / "llmws-notebooks"
    for file in ours.rglob("*"):
        target = copy / file.relative_to(ours)
        if file.is_file() and not target.exists() and ".ipynb_checkpoints" not in file.parts:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    return copy


def training_line(status: dict[str, Any], installing: bool = False) -> str:
    """How it stands with the training environment, from the service's status."""
    training = status["training"]
    if training["installed"]:
        return "ready"
    if installing:
        return "installing in the background (llmws status shows how far)"
    if training["state"] == "installing":
        return f"installing, {training['percent']:.0f} %. {training['detail']}"
    return f"{training['detail']} {training['remedy']}"


def _show_model(client: Client) -> dict[str, Any]:
    """Wait for the model that comes along, and say how soon its first token comes; the service's status then."""
    limit, measured = time.monotonic() + MODEL_LIMIT_S, None
    while True:
        status = client.run(client.api.status())
        served = [model for model in status["models"] if model["id"] != "echo"]
        first_token_s = (status.get("embedded") or {}).get("first_token_s")
        if not any(model["state"] == "starting" for model in served):
            # It is measured once, right after the model is ready.
            measured = measured or time.monotonic() + MEASURE_LIMIT_S
            embedded = any(model["provider"] == "embedded" and model["state"] == "ready" for model in served)
            if not embedded or first_token_s is not None or time.monotonic() > measured:
                break
        if time.monotonic() > limit:
            break
        time.sleep(_POLL_S)
    for model in served or status["models"]:
        row("model", _about(model, first_token_s))
    return status


def _about(model: dict[str, Any], first_token_s: float | None) -> str:
    match model["state"]:
        case "ready" if model["provider"] == "embedded" and first_token_s is not None:
            return f"{model['id']}, first token {first_token_s:.1f} s"
        case "ready":
            return model["id"]
        case "starting":
            return f"{model['id']}, still starting (llmws status shows how far)"
    return f"{model['id']}, unavailable: {model['reason']}"


def _lab(settings: Settings, port: int) -> None:
    root, token = notebooks(), secrets.token_hex(24)
    log = settings.data / "jupyterlab.log"
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", f"--LabApp.default_url=/lab/tree/{_FIRST_PAGE}"]
    command += [] if desktop() else ["--no-browser"]
    command += ["--allow-root"] if os.geteuid() == 0 else []
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        # The token goes by environment: a command line can be read by every account. In a session of its own Lab does
        # not get our Ctrl-C, to which it would ask whether that was meant.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **jupyter_search_paths(), "JUPYTER_TOKEN": token},
            start_new_session=True,
        )
    try:
        url = _lab_url(process, log)
        row("JupyterLab", f"{url}lab/tree/{_FIRST_PAGE}?token={token}")
        code = process.wait()
        if code:
            raise ServiceError(f"JupyterLab ended with exit code {code}.", remedy=f"Its log is {log}.")
    finally:
        end(process, _FAREWELL_S)


def _lab_url(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where Lab listens, which need not be the port that was asked for; it says so in a file once it does."""
    from jupyter_core.paths import jupyter_runtime_dir  # only who opens Lab needs it

    told = Path(jupyter_runtime_dir()) / f"jpserver-{process.pid}.json"
    limit = time.monotonic() + LAB_LIMIT_S
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise ServiceError(f"JupyterLab could not be started: {_last_line(log)}", remedy=f"Its log is {log}.")
        with contextlib.suppress(FileNotFoundError, ValueError):  # not yet, or not yet all of it
            return json.loads(told.read_text(encoding="utf-8"))["url"]
        time.sleep(_POLL_S)
    raise ServiceError(f"JupyterLab did not start within {LAB_LIMIT_S:.0f} s.", remedy=f"Its log is {log}.")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing."
