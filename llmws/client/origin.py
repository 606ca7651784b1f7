"""Which notebook and cell a question comes from, for the record of what was used; outside of a kernel there is none."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import quote

from ..settings import notebook

_LONGEST = {"X-Llmws-Notebook": 4096, "X-Llmws-Cell": 255}


def of_page() -> dict[str, str]:
    """The notebook as a request header: a page's question belongs to no cell."""
    return _headers({"X-Llmws-Notebook": notebook()})


def of_cell() -> dict[str, str]:
    """Notebook and running cell as request headers; only where the cell's own code runs does the kernel know it."""
    return _headers({"X-Llmws-Notebook": notebook(), "X-Llmws-Cell": _cell()})


def _headers(values: dict[str, str | None]) -> dict[str, str]:
    # Headers are ASCII, and names of notebooks are not. What the service would refuse as too long is left out.
    quoted = {name: quote(value, safe="/:") for name, value in values.items() if value}
    return {name: value for name, value in quoted.items() if len(value) <= _LONGEST[name]}


def _cell() -> str | None:
    """The id that JupyterLab gives the running cell; other front ends give none.

    JupyterLab sends it in the metadata of an execute request:
    https://github.com/jupyterlab/jupyterlab/blob/main/packages/cells/src/widget.ts
    """
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None
    try:
        parent = kernel.get_parent("shell")
    except (AttributeError, LookupError):
        return None
    cell = (parent or {}).get("metadata", {}).get("cellId")
    return cell if isinstance(cell, str) else None
