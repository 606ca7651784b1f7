"""Voilà for people who do not code: our offline template, the door, and nothing of JupyterLab.

`python -m llmws.hub.dashboards FOLDER` takes Voilà's own options. A notebook's code is never shown, a page asks no
foreign host, and kernels that nobody watches end.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from voila.app import Voila

from ..settings import Settings, jupyter_search_paths
from . import door


class Dashboards(Voila):
    """Voilà with the door for bytes beside its pages."""

    name = "llmws-dashboards"

    def init_handlers(self) -> list[Any]:
        return [*door.handlers(self.server_url, Settings.from_environment()), *super().init_handlers()]


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the dashboards until the process is ended."""
    # Voilà and nbconvert look for templates by the environment alone.
    os.environ.update(jupyter_search_paths())
    Dashboards.launch_instance(argv)


if __name__ == "__main__":
    main()
