"""The docs say what the repository is: settings, the captioned tree, the commands of make; no foreign path or host."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from llmws.providers import catalog
from llmws.settings import table

ROOT = Path(__file__).parent.parent


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listing.split("\0") if name]


def test_the_table_of_settings_is_current() -> None:
    assert table() in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"), "run `make docs`"


def test_the_table_of_vendors_is_current() -> None:
    assert catalog.table() in (ROOT / "docs" / "providers.md").read_text(encoding="utf-8"), "run `make docs`"


def test_the_readme_s_tree_names_the_folders_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = readme.split("<!-- tree -->")[1]
    named = set(re.findall(r"^\s*([\w./-]+/)\s{2,}\S", tree, flags=re.MULTILINE))
    top = {f"{path.parts[0]}/" for path in tracked() if len(path.parts) > 1}
    inside = {f"llmws/{path.parts[1]}/" for path in tracked() if path.parts[0] == "llmws" and len(path.parts) > 2}
    assert named == top | inside


def test_every_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE)) - {"workspace", "testing"}
    explained = set(re.findall(r"^([a-z][a-z-]*):.*## ", makefile, flags=re.MULTILINE))
    assert targets == explained


@pytest.mark.parametrize(
    "pattern", [r"pypi\.org|pythonhosted\.org|npmjs\.org|deb\.debian\.org", r"(?<![\w.])/(work|farm)/"]
)
def test_no_registry_host_and_no_path_of_a_machine(pattern: str) -> None:
    here = Path(__file__).relative_to(ROOT)
    found = [
        str(path)
        for path in tracked()
        if path != here and path.suffix not in {".png", ".gguf"} and (ROOT / path).is_file()
        if re.search(pattern, (ROOT / path).read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []
