"""The notebooks that come along run from top to bottom, and are committed clean."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, Workspace

NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
# The dashboards' one cell is the notebooks' first, and browsers open it in other tests.
RUN = [pytest.param(path, marks=pytest.mark.long) if "dashboards" in path.parts else path for path in NOTEBOOKS]


def run(path: Path, workspace: Workspace, *options: str) -> None:
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider", *options, str(path)]
    done = subprocess.run(command, env=workspace.environment, cwd=workspace.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.parametrize("path", RUN, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_notebook_runs(path: Path, workspace: Workspace) -> None:
    run(workspace.notebooks / path.relative_to(ROOT / "notebooks"), workspace)


@pytest.mark.long
@pytest.mark.usefixtures("real_trainer")
def test_the_welcome_teaches_a_model_where_somebody_wants_it(workspace: Workspace) -> None:
    told = (ROOT / "notebooks" / "welcome.ipynb").read_text()
    assert told.count("steps = 0") == 1
    path = workspace.notebooks / "taught.ipynb"
    path.write_text(told.replace("steps = 0", "steps = 30"))
    run(path, workspace, "--nbval-cell-timeout", "1200", "--timeout", "1500")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert cells
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in cells)
