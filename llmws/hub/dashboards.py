"""Voilà for people who do not code: our offline template, the door, and nothing of JupyterLab.

`python -m llmws.hub.dashboards FOLDER` takes Voilà's own options. A notebook's code is never shown, a page asks no
foreign host, and kernels that nobody watches end.
"""

from __future__ import annotations

from typing import Any

from voila.app import Voila

from ..settings import Settings
from . import door


class Dashboards(Voila):
    """Voilà with the door for bytes beside its pages."""

    name = "llmws-dashboards"

    def init_handlers(self) -> list[Any]:
        return [*door.handlers(self.server_url, Settings.from_environment()), *super().init_handlers()]


main = Dashboards.launch_instance

if __name__ == "__main__":
    main()
