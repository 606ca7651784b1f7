"""Whether people can run what the hub starts for them, and none of them can change it.

A hub shares one environment: the interpreter, the packages, this program, the notebooks. A clone or a Python below a
home that only its owner may enter cannot be shared so, and one that anybody may write to is everybody's shell.
"""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import SettingsError
from ..shipped import shipped
from .state import SERVICE

_MOVE = "Put it where everybody may read and only root may write, for example below /opt"


def shared() -> list[Path]:
    """What people's servers run from."""
    package = Path(__file__).resolve().parent.parent
    return [
        Path(sys.executable),
        Path(sysconfig.get_path("stdlib")),
        Path(sys.prefix),
        Path(sysconfig.get_path("purelib")),
        package,
        shipped("notebooks"),
        shipped("datasets"),
    ]


def check(paths: Iterable[Path]) -> None:
    """See that all accounts can read `paths`, with all that lies below, and no account of the hub's can write there.

    Raises:
        SettingsError: the first that is not so, with the remedy.
    """
    seen: set[Path] = set()
    for path in paths:
        for step in _steps(path):
            if step not in seen:
                seen.add(step)
                _check(step, path, above=step != path and step.is_dir())
        for folder, folders, files in os.walk(path):
            folders[:] = [name for name in folders if name not in ("__pycache__", "node_modules")]
            for entry in (Path(folder) / name for name in (*folders, *files)):
                if entry not in seen and not entry.is_symlink() and not _is_aside(entry):
                    seen.add(entry)
                    _check(entry, path)


def _steps(path: Path) -> Iterator[Path]:
    """All that must be passed to reach `path`, links and what they lead to included."""
    path = Path.cwd() / path
    for step in (*reversed(path.parents), path):
        if step.is_symlink():
            yield from _steps(Path(os.path.normpath(step.parent.resolve() / step.readlink())))
        else:
            yield step


def _is_aside(entry: Path) -> bool:
    """Locks and stamps of installers are nobody's to run."""
    return entry.name.startswith(".") and entry.is_file()


def _check(entry: Path, wanted: Path, above: bool = False) -> None:
    found = entry.stat()
    needed = stat.S_IXOTH if above else stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(found.st_mode) else 0)
    what = wanted if entry == wanted else f"{wanted} (at {entry})"
    if found.st_mode & needed != needed:
        remedy = f"{_MOVE}, or run `chmod -R go+rX {entry}` if it holds nothing private."
        if entry in Path(sys.executable).resolve().parents:
            remedy = (
                "Make the environment with the system's Python: rm -r .venv, then make PYTHON=/usr/bin/python3 hub."
            )
        raise SettingsError(f"People's accounts cannot read {what}.", remedy=remedy)
    if found.st_mode & stat.S_IWOTH and not (above and found.st_mode & stat.S_ISVTX):
        raise SettingsError(f"Everybody may write to {what}.", remedy=f"Run `chmod -R o-w {entry}`.")
    if found.st_uid >= SERVICE or (found.st_gid >= SERVICE and found.st_mode & stat.S_IWGRP):
        raise SettingsError(
            f"{what} belongs to an account that the hub gives to people (uid {found.st_uid}).",
            remedy=f"Look who made it; then run `chown -R root:root {entry}`.",
        )
