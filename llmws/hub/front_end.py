"""Voilà's front end as one script.

Voilà serves JupyterLab's modules as they were split for a browser that keeps them: a page that opens asks for 56 files
(2.6 MB), through a server of one thread and, on a hub, a proxy. All of them are named in ``voila.js`` and needed before
anything happens, so here one file of that name holds them all. Webpack takes chunks that stand in front of its runtime
as loaded; what a later version of Voilà names otherwise is asked for by itself, as before.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from voila.app import Voila

_ENTRY = "voila.js"
# A formula that stands nowhere has MathJax loaded, another 16 files that are run while the page connects to its kernel.
# The first formula that stands somewhere does so by itself ("remove this hack", says voila's src/plugins/outputs).
_LOAD_MATHJAX = 'null===(i=t.latexTypesetter)||void 0===i||i.typeset(document.createElement("div")),'
# A widget that is drawn while the page still reads the kernel's is looked for every 100 ms, for two seconds. One that
# comes in the last of them is not looked for any more, but said not to be there, for good: "model not found"
# (`get_model` and `renderModel` of @jupyter-widgets). So each is drawn once all are read.
_DRAW = "s.renderModel(i).catch("
_DRAW_ONCE_READ = (
    "(async()=>{const m=await s._manager?.promise;"
    "m&&!m.restoredStatus&&await new Promise(read=>m.restored.connect(read));"
    "await s.renderModel(i)})().catch("
)


def in_one(folders: Iterable[str]) -> str:
    """The script of the first of `folders` that has it, behind all that it asks for; nothing where none has it."""
    folder = next((Path(one) for one in folders if (Path(one) / _ENTRY).is_file()), None)
    if folder is None:
        return ""
    entry = (folder / _ENTRY).read_text(encoding="utf-8")
    named = dict.fromkeys(f"{number}.{_ENTRY}" for number in re.findall(r"\.e\((\d+)\)", entry))
    chunks = [(folder / name).read_text(encoding="utf-8") for name in named if (folder / name).is_file()]
    return "\n".join([*chunks, entry]).replace(_LOAD_MATHJAX, "").replace(_DRAW, _DRAW_ONCE_READ)


class OneScript(Voila):
    """Voilà whose pages ask for its front end once. The file stands in front of Voilà's own, at the same address."""

    static_paths: list[str]

    def setup_template_dirs(self) -> None:
        super().setup_template_dirs()
        script = in_one(self.static_paths)
        if script:
            self._front = tempfile.TemporaryDirectory(prefix="llmws-front-end-")  # goes with this process
            (Path(self._front.name) / _ENTRY).write_text(script, encoding="utf-8")
            self.static_paths = [self._front.name, *self.static_paths]
