"""How a client finds the one service of a data folder: a lock held for life, and beside it where the service listens.

The truth is the lock (`service.lock`, flock): it ends with its process however that dies, so a `service.json` that lies
beside a free lock is stale. The service holds and publishes, clients only look; how a start that failed is told from
the one to the other (`report`, `reported`) is here too. This module must not know what the service does.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from . import locks
from .errors import DataFolderHeld, Error, MissingTool, ServiceError, SettingsError
from .terminal import clock

API_VERSION = 1
LOCK, PUBLISHED = "service.lock", "service.json"

_STOP_REMEDY = "Stop it there with `llmws stop`, or choose another folder with LLMWS_DATA."
# Neither locks nor shared memory can be relied on across hosts: https://sqlite.org/wal.html. (9p and virtiofs, which
# share a folder of the same machine with a container or virtual machine, are not meant.)
_NETWORK_FILE_SYSTEMS = frozenset({"afs", "afpfs", "beegfs", "ceph", "cifs", "davfs", "fuse.ceph", "fuse.glusterfs"})
_NETWORK_FILE_SYSTEMS |= {"fuse.rclone", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs3", "nfs4"}
_NETWORK_FILE_SYSTEMS |= {"panfs", "smb2", "smb3", "smbfs", "webdav", "wekafs"}
_SENTENCE_STARTS = ("A ", "An ", "Another ", "No ", "Something ", "The ", "There ", "This ")


@dataclass(frozen=True, slots=True)
class Instance:
    """A running service: where it listens, who it is, what it speaks. `token` is a secret, so the repr hides it.

    Example:
        >>> Instance("http://127.0.0.1:8765", "secret", "gpu7", 42, "b1", "0.1.0", 1, 0.0)
        Instance('http://127.0.0.1:8765', version 0.1.0, pid 42 on gpu7)
    """

    url: str
    token: str
    host: str
    pid: int
    boot_id: str
    version: str
    api_version: int
    started_at: float

    def __repr__(self) -> str:
        return f"Instance({self.url!r}, version {self.version}, pid {self.pid} on {self.host})"


@dataclass(slots=True)
class Hold:
    """The data folder, ours until `release` or the end of this process; made by `hold`."""

    data: Path
    _lock: int

    def publish(self, instance: Instance) -> None:
        """Tell every client of this folder where the service listens: readable by its account only."""
        aside = self.data / f"{PUBLISHED}.{os.getpid()}"
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(instance), file, indent=1)
        aside.replace(self.data / PUBLISHED)

    def release(self) -> None:
        """Stop being found and give the folder back; a second call does nothing."""
        if self._lock < 0:
            return
        (self.data / PUBLISHED).unlink(missing_ok=True)
        os.ftruncate(self._lock, 0)
        os.close(self._lock)
        self._lock = -1

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def prepare(data: Path) -> None:
    """Make the data folder, readable by its account only; a path that cannot be one is a `SettingsError`."""
    if sys.platform == "win32":
        raise MissingTool("llmws runs on Linux and macOS.", remedy="On Windows, install and start it inside WSL2.")
    remedy = "Choose a folder that you may write with LLMWS_DATA."
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise SettingsError(f"The data folder {data} is not a folder.", remedy=remedy) from None
    except OSError as problem:
        raise SettingsError(
            f"The data folder {data} cannot be made: {problem.strerror or problem}.", remedy=remedy
        ) from None
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise SettingsError(f"The data folder {data} cannot be written.", remedy=remedy)


def hold(data: Path, *, sqlite: bool = True) -> Hold:
    """Take the data folder for as long as this process lives.

    Args:
        sqlite: the database lies in the folder, too; then a network file system is refused.

    Raises:
        DataFolderHeld: another service has it; the message says on which host and since when.
        SettingsError: the path cannot be a data folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with hold(folder) as held:
        ...     held.publish(Instance("http://127.0.0.1:1", "t", socket.gethostname(), os.getpid(), "b", "0", 1, 0.0))
        ...     running(folder).url
        'http://127.0.0.1:1'
        >>> running(folder) is None
        True
    """
    prepare(data)
    if sqlite and (kind := network_file_system(data)):
        raise SettingsError(
            f"The data folder {data} lies on a network file system ({kind}), where SQLite is not safe.",
            remedy="Choose a folder on a disk of this host with LLMWS_DATA.",
        )
    try:
        lock = os.open(data / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise SettingsError(
            f"The lock of the data folder {data} cannot be opened: {problem.strerror}.",
            remedy="Choose a folder that you may write with LLMWS_DATA.",
        ) from None
    if not locks.taken(lock):
        os.close(lock)
        raise held(data)
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}).encode(), 0)
    # Left by a service that was killed; nobody may take it for ours until we publish.
    (data / PUBLISHED).unlink(missing_ok=True)
    return Hold(data, lock)


def running(data: Path) -> Instance | None:
    """The service that holds `data` and has published where it listens; None while there is none.

    Raises:
        DataFolderHeld: it runs on another host, so its address means nothing here.
        ServiceError: the folder belongs to another account.
    """
    published = data / PUBLISHED
    try:
        if not published.exists() or not is_held(data):
            return None
        told: Mapping[str, Any] = json.loads(published.read_text(encoding="utf-8"))
        instance = Instance(**{field.name: told[field.name] for field in fields(Instance)})
        owner = published.stat().st_uid
    except FileNotFoundError:
        return None
    except PermissionError:
        raise _foreign_account(data) from None
    except (ValueError, KeyError, TypeError, OSError) as problem:
        raise ServiceError(
            f"{published} cannot be read ({type(problem).__name__}).",
            remedy="Remove it, end the service that holds the folder, and try again.",
        ) from None
    if instance.host != socket.gethostname():
        raise held(data, instance)
    if os.geteuid() not in (0, owner):
        raise _foreign_account(data)
    # Its successor may hold the lock already, and not yet have taken a killed service's file away.
    return instance if _lives(instance.pid) else None


def is_held(data: Path) -> bool:
    """Whether some service, also one that is still starting, holds the folder."""
    try:
        return locks.is_held(data / LOCK)
    except PermissionError:
        raise _foreign_account(data) from None


def held(data: Path, by: Instance | None = None) -> DataFolderHeld:
    """The error that says who holds the folder, as far as that is known."""
    try:
        told = json.loads((data / LOCK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = {}
    host = by.host if by else told.get("host", "unknown")
    since = by.started_at if by else told.get("since")
    when = f" since {clock(since)}" if isinstance(since, int | float) else ""
    return DataFolderHeld(
        f"The data folder is held by a service on host {host}{when}.",
        remedy=_STOP_REMEDY,
        details={"data": str(data), "host": host, "pid": by.pid if by else told.get("pid")},
    )


def network_file_system(path: Path) -> str | None:
    """The kind of network file system that `path` lies on; None on a disk of this host."""
    import psutil  # 20 ms that only a starting service pays

    resolved = path.resolve()
    best, kind = -1, ""
    for mount in psutil.disk_partitions(all=True):
        if resolved.is_relative_to(mount.mountpoint) and len(mount.mountpoint) >= best:
            best, kind = len(mount.mountpoint), mount.fstype.lower()
    return kind if kind in _NETWORK_FILE_SYSTEMS else None


def report(error: Error) -> str:
    """An error as a terminal (and the service's log) shows it: one line, and the remedy under it.

    Example:
        >>> print(report(Error("The port 80 is taken.", remedy="Choose another.")))
        llmws: the port 80 is taken.
               Choose another.
    """
    message = error.message
    if message.startswith(_SENTENCE_STARTS):
        message = message[0].lower() + message[1:]
    return f"llmws: {message}" + (f"\n       {error.remedy}" if error.remedy else "")


def reported(log: str) -> ServiceError | None:
    """The last error that `report` wrote into `log`.

    Example:
        >>> reported("listening…\\nllmws: the port 80 is taken.\\n       Choose another.\\n").remedy
        'Choose another.'
    """
    lines = log.splitlines()
    for at in range(len(lines) - 1, -1, -1):
        if lines[at].startswith("llmws: "):
            message = lines[at].removeprefix("llmws: ")
            after = lines[at + 1] if at + 1 < len(lines) else ""
            remedy = after.strip() if after.startswith("       ") else ""
            return ServiceError(message[:1].upper() + message[1:], remedy=remedy)
    return None


def _foreign_account(data: Path) -> ServiceError:
    return ServiceError(
        f"The data folder {data} belongs to another account.", remedy="Choose one of your own with LLMWS_DATA."
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
