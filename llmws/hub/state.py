"""The state folder of a hub: every path in it, and under whose account each thing runs.

Accounts are numbers without an entry in `/etc/passwd`: nobody can sign in to the machine with one, and none is shared
with another program. Service, trainers and proxy have one each, and each person has one; what administers runs under
another than the same person's everyday work, since processes of one account can read each other's memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SettingsError

SERVICE, TRAINER, PROXY, CULLER = 199_000, 199_001, 199_002, 199_003
FIRST_PERSON = 200_000
# Added to a person's own: far above what `Accounts.uid` will ever hand out.
ADMINISTRATOR = 1_000_000_000
_ROOT = 0


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports by which the parts of a hub reach each other."""

    hub: int
    proxy: int
    service: int


@dataclass(frozen=True, slots=True)
class State:
    """The paths below `folder`.

    Example:
        >>> State(Path("/var/lib/llmws")).home("ada").as_posix()
        '/var/lib/llmws/homes/ada'
    """

    folder: Path

    @property
    def hub(self) -> Path:
        """What the hub alone may read: accounts, sessions, keys."""
        return self.folder / "hub"

    @property
    def log(self) -> Path:
        return self.hub / "hub.log"

    @property
    def service(self) -> Path:
        return self.folder / "service"

    @property
    def runner(self) -> Path:
        return self.folder / "runner"

    @property
    def runs(self) -> Path:
        return self.runner / "runs"

    @property
    def node(self) -> Path:
        return self.folder / "node"

    def home(self, name: str, administrating: bool = False) -> Path:
        """Of a person, or of their administration: an everyday kernel must not write what that one reads."""
        return self.folder / ("administrators" if administrating else "homes") / name

    def server_log(self, name: str, server: str) -> Path:
        return self.hub / "servers" / f"{name}{'.' if server else ''}{server}.log"

    def secret(self, name: str) -> str:
        """A random secret of the hub, made at its first use and kept since."""
        path = self.hub / name
        with contextlib.suppress(FileNotFoundError):
            if secret := path.read_text(encoding="ascii"):
                return secret
        _write(path, secrets.token_hex(32))
        return path.read_text(encoding="ascii")

    def ports(self) -> Ports:
        """The ports, chosen once and kept: a person's server that outlives the hub knows those of its start.

        Where the hub is root they are privileged ones. Else anybody's kernel could listen there while a part restarts,
        and be sent the tokens of all others.
        """
        path = self.hub / "ports.json"
        if not path.exists():
            with contextlib.ExitStack() as held:
                found = [held.enter_context(_free_port()) for _ in range(3)]
                hub, proxy, service = (listener.getsockname()[1] for listener in found)
            _write(path, json.dumps({"hub": hub, "proxy": proxy, "service": service}))
        return Ports(**json.loads(path.read_text(encoding="ascii")))

    def prepare(self) -> None:
        """Make the folders that are missing; modes are mended, an owner that is not the right one is refused.

        Raises:
            SettingsError: a folder belongs to somebody else, or is a link.
        """
        isolated = is_isolated()
        for path, mode, uid, gid in (
            (self.folder, 0o711, _ROOT, _ROOT),
            (self.hub, 0o700, _ROOT, _ROOT),
            (self.hub / "servers", 0o700, _ROOT, _ROOT),
            (self.service, 0o700, SERVICE, SERVICE),
            (self.runner, 0o2750, TRAINER, SERVICE),
            (self.runs, 0o2750, TRAINER, SERVICE),
            (self.folder / "homes", 0o711, _ROOT, _ROOT),
            (self.folder / "administrators", 0o711, _ROOT, _ROOT),
            (self.node, 0o755, _ROOT, _ROOT),
        ):
            own(path, mode, uid if isolated else os.geteuid(), gid if isolated else os.getegid())


def is_isolated() -> bool:
    """Whether people, service and trainers get accounts of their own, which only root can give."""
    return os.geteuid() == _ROOT and sys.platform == "linux"


def own(path: Path, mode: int, uid: int, gid: int) -> None:
    """Make the folder `path` of `uid`'s, or see that it is.

    Raises:
        SettingsError: it is somebody else's.
    """
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
        os.chown(path, uid, gid)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise SettingsError(f"{path} is not a folder.", remedy="Move it away, or choose another LLMWS_HUB_STATE.")
    if found.st_uid != uid or found.st_gid != gid:
        raise SettingsError(
            f"{path} belongs to account {found.st_uid}, and should to {uid}.",
            remedy=f"Run `chown {uid}:{gid} {path}` if that is right, or choose another LLMWS_HUB_STATE.",
        )
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode, follow_symlinks=True)


def dropped(uid: int, command: Sequence[str], *, low_ports: bool = False) -> list[str]:
    """`command` under the account `uid`, which it cannot leave, and ended where its parent ends.

    Args:
        low_ports: it may listen on ports below 1024.

    Example:
        >>> dropped(199000, ["true"])[:3] if is_isolated() else ["setpriv", "--reuid", "199000"]
        ['setpriv', '--reuid', '199000']
    """
    if not is_isolated():
        return list(command)
    options = ["--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--no-new-privs", "--pdeathsig", "TERM"]
    left = "-all,+net_bind_service" if low_ports else "-all"
    options += ["--inh-caps", left, "--bounding-set", left, *(["--ambient-caps", left] if low_ports else [])]
    return ["setpriv", *options, "--", *command]


def confined(command: Sequence[str]) -> list[str]:
    """`command` under the account that it is started under, and without a way to any other.

    Example:
        >>> confined(["true"])[-1]
        'true'
    """
    return ["setpriv", "--no-new-privs", "--inh-caps", "-all", "--", *command]


def ended_with_parent(command: Sequence[str]) -> list[str]:
    """`command`, told to end when the process that started it does, however that ends."""
    return ["setpriv", "--pdeathsig", "TERM", "--", *command] if sys.platform == "linux" else list(command)


@contextlib.contextmanager
def _free_port() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        if not is_isolated():
            listener.bind(("127.0.0.1", 0))
        else:
            for _ in range(1000):
                with contextlib.suppress(OSError):
                    listener.bind(("127.0.0.1", 600 + secrets.randbelow(424)))
                    break
            else:
                raise SettingsError("No port below 1024 is free.", remedy="End what listens there.")
        yield listener


def _write(path: Path, text: str) -> None:
    """Write what only the hub may read, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="ascii") as file:
        file.write(text)
    Path(file.name).replace(path)
