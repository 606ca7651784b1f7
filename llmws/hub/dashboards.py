"""Voilà for people who do not code: our offline template, the door, and nothing of JupyterLab.

`python -m llmws.hub.dashboards FOLDER` takes Voilà's own options. A notebook's code is never shown, a page asks no
foreign host, and kernels that nobody watches end.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from jupyter_server.utils import url_path_join
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler

from ..settings import Settings, jupyter_search_paths
from . import door
from .front_end import OneScript


class LeftPage(VoilaShutdownKernelHandler):
    """Ends the kernel of a page that was left.

    Voilà sets no ``_xsrf`` cookie for its own page to send along, and so refuses each of these and keeps all kernels.
    A foreign page cannot ask either: `prepare` checks the request's origin, and a kernel's id is nothing to guess.
    """

    def check_xsrf_cookie(self) -> None:
        pass


class Dashboards(OneScript):
    """Voilà with the door for bytes beside its pages."""

    name = "llmws-dashboards"

    def init_handlers(self) -> list[Any]:
        ours = door.handlers(self.server_url, Settings.from_environment())
        ours.append((url_path_join(self.server_url, "/voila/api/shutdown/(.*)"), LeftPage, {}))
        return [*ours, *super().init_handlers()]


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the dashboards until the process is ended."""
    # Voilà and nbconvert look for templates by the environment alone.
    os.environ.update(jupyter_search_paths())
    Dashboards.launch_instance(argv)


if __name__ == "__main__":
    main()
