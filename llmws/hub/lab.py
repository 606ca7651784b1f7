"""JupyterLab as a person's own server on a hub: it puts the notebooks into the home, and is JupyterHub's own then.

``python -m llmws.hub.lab`` runs under the person's account, and only that account writes there.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from jupyterhub.singleuser import main as serve

from ..shipped import shipped

_OPTIONS = (
    # On a loopback port, everybody on this host could subscribe to what a kernel says.
    "--KernelManager.transport=ipc",
    "--ServerApp.kernel_manager_class=llmws.hub.kernels.WatchedKernels",
)
_GIVEN = ".llmws-given"


def give_notebooks(home: Path) -> Path:
    """Put each notebook that comes along into `home`'s notebooks, once.

    What is there already stays as it is, and what was deleted stays so: a list of what was given lies beside them.
    """
    ours, folder = shipped("notebooks"), home / "notebooks"
    folder.mkdir(exist_ok=True)
    list_of_given = folder / _GIVEN
    given = set(list_of_given.read_text(encoding="utf-8").splitlines()) if list_of_given.exists() else set()
    for file in sorted(ours.rglob("*")):
        name = file.relative_to(ours).as_posix()
        if name in given or not file.is_file() or any(part.startswith(".") for part in file.relative_to(ours).parts):
            continue
        target = folder / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        given.add(name)
    list_of_given.write_text("".join(f"{name}\n" for name in sorted(given)), encoding="utf-8")
    return folder


def main() -> None:
    """Serve until the hub ends it."""
    give_notebooks(Path.home())
    # The path of a socket has 107 bytes at most, fewer than the one of a home may need.
    with tempfile.TemporaryDirectory(prefix="llmws-lab-") as runtime:
        os.environ.update(JUPYTER_RUNTIME_DIR=runtime)
        serve([*_OPTIONS, *sys.argv[1:]])


if __name__ == "__main__":
    main()
