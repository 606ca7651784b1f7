"""Code in a person's account: what a kernel, or whoever took one over, reaches beyond its home and its token."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmws.hub.state import CULLER, FIRST_PERSON, PROXY, SERVICE, TRAINER

from ..running import ROOT, command_of
from .scene import Attempts, Scene

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

# Its text is run in the account that attacks.
SPY = Path(__file__).parent / "spy.py"


def _told(scene: Scene, spy: str) -> dict[str, Any]:
    hub, state = scene.hub, scene.hub.state
    whose = [name for name in scene.tokens if name != spy]
    homes = {name: state.home(name.partition("/")[0], "/" in name) for name in scene.tokens}
    mine = homes[spy].stat().st_uid
    parts = [hub.part(word) for word in ("llmws.service", "configurable-http-proxy", "jupyterhub_idle_culler")]
    parts += [hub.part("llmws", "runner"), hub.part("jupyterhub", "-f"), psutil.Process(hub.process.pid)]  # type: ignore[union-attr]
    others = [process.pid for part in parts if part is not None for process in (part, *part.children(recursive=True))]
    uids = {home.stat().st_uid for name, home in homes.items() if name != spy}
    others += [process.pid for uid in uids for process in hub.processes(uid)]
    packages = Path(next(path for path in sys.path if path.endswith("site-packages")))
    ports = state.ports()
    return {
        "home": str(homes[spy]),
        "folders": [str(folder) for folder in (state.hub, state.service, state.runner, state.runs)]
        + [
            str(homes[name] / below) for name in whose for below in ("", "notebooks", "private", ".ipython", ".jupyter")
        ],
        "files": [str(homes[name] / "private" / "mark.txt") for name in whose]
        + [str(state.hub / name) for name in ("jupyterhub.sqlite", "accounts.db", "cookie_secret", "runner_token")]
        + [str(state.hub / name) for name in ("crypt_key", "hub.log", "ports.json", "config.py", "lock", "proxy.pid")]
        + [str(state.server_log(name.partition("/")[0], name.partition("/")[2])) for name in scene.tokens]
        + [str(state.service / name) for name in ("llmws.db", "service.json", "ticket.key", "lock")]
        + ["/etc/shadow", "/root/.bashrc", "/root/.ssh/authorized_keys", "/proc/kcore", "/dev/mem", "/dev/kmsg"],
        "unwritable": [
            *map(
                str,
                (ROOT, ROOT / "llmws", ROOT / "llmws" / "hub", ROOT / "notebooks", ROOT / "notebooks" / "dashboards"),
            ),
            *map(str, (ROOT / "hub_config", ROOT / "datasets", ROOT / "llmws" / "ui" / "static", hub.python.parent)),
            *map(
                str, (packages, packages / "jupyterhub", packages / "ipykernel", Path(sys.prefix) / "share" / "jupyter")
            ),
            *map(str, (state.folder, state.node, state.folder / "homes", state.folder / "administrators")),
            *("/", "/etc", "/usr/local/bin", "/usr/bin", "/usr/local/share", "/opt", "/root", "/var/spool/cron"),
            *("/usr/local/etc", "/etc/profile.d", "/etc/ld.so.conf.d", "/proc/sys/kernel", "/sys/fs/cgroup"),
        ],
        "unwritable_files": [
            *map(str, (ROOT / "llmws" / "__init__.py", ROOT / "notebooks" / "dashboards" / "chat.ipynb", hub.python)),
            *map(str, (packages / "jupyterhub" / "__init__.py", packages / "ipykernel" / "__init__.py")),
            *("/etc/passwd", "/etc/hosts", "/etc/ld.so.preload", "/proc/sys/kernel/core_pattern", "/etc/environment"),
            *("/proc/sysrq-trigger", "/proc/sys/kernel/yama/ptrace_scope", "/proc/self/oom_score_adj_of_nobody"),
        ],
        "processes": sorted({pid for pid in others if _owner_of(pid) not in (None, mine)}),
        "uids": [0, SERVICE, TRAINER, PROXY, CULLER, FIRST_PERSON - 1, *sorted(uids - {mine})],
        "ports": {"hub": ports.hub, "proxy": ports.proxy, "service": ports.service, "front": hub.port},
        "servers": {f"/user/{name}/": scene.ports[name] for name in whose},
        "things": scene.things,
        "marks": [scene.marks[name] for name in whose if name != spy],
    }


def _owner_of(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None  # it has ended meanwhile


@pytest.mark.parametrize("spy", ["rolf", "bob", "ann"])
def test_code_of_one_person_reaches_nothing_of_others(scene: Scene, attempts: Attempts, spy: str) -> None:
    told = {**_told(scene, spy), "token": scene.tokens[spy]}
    if spy == "bob":
        found = _run_as_bob(scene, told)
    else:
        kernel = scene.kernels.get(spy) or scene.people[spy].start_kernel()
        found = kernel.run(_attack(told))
    for what, success in json.loads(found.strip().splitlines()[-1]):
        attempts.add(f"{spy}: {what}", success)
    assert attempts.tried > 300
    # Whatever it wrote where it should not have, is looked for from outside, too.
    planted = [path for folder in told["folders"] + told["unwritable"] for path in Path(folder).glob("planted*")]
    attempts.add(f"{spy}: left something elsewhere", planted)


def _attack(told: dict[str, Any]) -> str:
    return f"{SPY.read_text()}\nmain(json.loads({json.dumps(told)!r}))"


def _run_as_bob(scene: Scene, told: dict[str, Any]) -> str:
    """As if somebody executed code in a kernel of a dashboard: with its account, its environment, its folder."""
    uid = scene.hub.uid("bob")
    kernel = next(process for process in scene.hub.processes(uid) if "ipykernel_launcher" in command_of(process))
    options = ["--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--no-new-privs"]
    done = subprocess.run(
        ["setpriv", *options, "--", str(scene.hub.python), "-s", "-P", "-"],
        input=_attack(told),
        capture_output=True,
        text=True,
        env=kernel.environ(),
        cwd=kernel.cwd(),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_server_or_kernel_has_a_way_to_more_rights(scene: Scene, attempts: Attempts) -> None:
    """As the kernel of the system tells it, of each process that runs for a person."""
    for whose in scene.tokens:
        name, _, server = whose.partition("/")
        uid = scene.hub.state.home(name, bool(server)).stat().st_uid
        for process in scene.hub.processes(uid):
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                limits = Path(f"/proc/{process.pid}/limits").read_text()
                handles = [entry.readlink() for entry in Path(f"/proc/{process.pid}/fd").iterdir()]
                environment = " ".join(process.environ().values())
            except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
                continue  # it has ended meanwhile
            status = {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}
            attempts.add(f"{whose} {process.pid} may gain rights", status["NoNewPrivs"] != ["1"])
            attempts.add(f"{whose} {process.pid} dumps its memory", not re.search(r"core file size +0 +0 ", limits))
            for set_of_rights in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                attempts.add(f"{whose} {process.pid} has {set_of_rights}", int(status[set_of_rights][0], 16))
            attempts.add(f"{whose} {process.pid} is another, too", set(status["Uid"] + status["Gid"]) - {str(uid)})
            attempts.add(f"{whose} {process.pid} is in groups", set(status["Groups"]) - {str(uid)})
            own_log = scene.hub.state.server_log(name, server)
            inherited = [
                handle for handle in handles if handle.is_relative_to(scene.hub.state.hub) and handle != own_log
            ]
            attempts.add(f"{whose} {process.pid} was handed files of the hub", inherited)
            secrets = [value for value in scene.secrets if value != scene.tokens[whose]]
            attempts.add(f"{whose} {process.pid} knows secrets", [value for value in secrets if value in environment])


def test_no_secret_stands_in_a_command_line_or_a_log(scene: Scene, attempts: Attempts) -> None:
    secrets = scene.secrets
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
        except psutil.Error:
            continue
        attempts.add(f"the command line of {process.pid}", any(secret in words for secret in secrets))
    state = scene.hub.state
    for log in (state.log, *(state.hub / "servers").iterdir(), scene.hub.output):
        attempts.add(f"the log {log.name}", any(secret in log.read_text() for secret in secrets))
    readable = [state.node, state.folder]
    for folder in readable:
        for file in folder.iterdir():
            if file.is_file():
                attempts.add(f"the file {file.name}", any(secret in file.read_text("latin-1") for secret in secrets))
