"""Has Python keep what it compiles: people's accounts may not write beside the packages, and every start of a server
would compile it again. ``python -m llmws.hub.compiling`` does it once, as root, what those servers begin with first.
"""

from __future__ import annotations

import compileall
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

# What a server of either kind, and a kernel with a page of ours, load before anybody sees something of them.
FIRST = ("llmws.hub.locked", "llmws.hub.lab", "ipykernel.kernelapp", "llmws.ui")


def main() -> None:
    """Compile all, by the order in which it is waited for."""
    sys.dont_write_bytecode = False
    for name in FIRST:
        import_module(name)
    for folder in (sysconfig.get_path("purelib"), str(Path(__file__).resolve().parent.parent)):
        compileall.compile_dir(folder, quiet=2)


if __name__ == "__main__":
    main()
