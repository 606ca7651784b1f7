"""Importing llmws has no effects, loads nothing heavy, and is quicker than importing ipywidgets."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["sqlalchemy", "pandas", "plotly", "torch", "fastapi", "uvicorn", "httpx", "asyncio", "IPython", "ipywidgets"]


def _python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.parametrize(("first", "heavy"), [("import llmws", HEAVY), ("llmws.connect", HEAVY[:6])])
def test_import_loads_nothing_heavy(first: str, heavy: list[str]) -> None:
    loaded = json.loads(_python(f"import json, sys, llmws; {first}; print(json.dumps(list(sys.modules)))"))
    assert [name for name in heavy if name in loaded] == []


def test_import_starts_no_thread() -> None:
    assert _python("import threading, llmws; llmws.connect; print(threading.active_count())") == "1\n"


def test_import_is_cheaper_than_ipywidgets() -> None:
    """In modules, which unlike seconds are the same on every run; `bench/` has the seconds."""
    count = "import sys; before = len(sys.modules); import {}; print(len(sys.modules) - before)"
    assert int(_python(count.format("llmws"))) < int(_python(count.format("ipywidgets"))) / 2


def test_public_names_are_listed_and_there() -> None:
    program = "import llmws; print(all(hasattr(llmws, n) and n in dir(llmws) for n in [*llmws.__all__, 'ui']))"
    assert _python(program) == "True\n"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    program = "import llmws\ntry: llmws.conect\nexcept AttributeError as problem: print(problem)"
    assert _python(program) == "module 'llmws' has no attribute 'conect'\n"
