"""The examples of docs/gateway.md run as they are written, where the library they show is here."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from .harness import Running

PAGE = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text(encoding="utf-8")


class Example(NamedTuple):
    section: str
    said: str
    code: str

    @property
    def is_tested(self) -> bool:
        return "Not tested" not in self.said


def examples() -> list[Example]:
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    found = [(section, re.search(r"```python\n(.*?)```", section, flags=re.DOTALL)) for section in sections]
    return [Example(section.split("\n")[0], section, code[1]) for section, code in found if code is not None]


@pytest.mark.parametrize("example", [pytest.param(it, id=it.section) for it in examples() if it.is_tested])
def test_an_example_runs_as_written(
    example: Example, service: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLMWS_URL", service.instance.url)
    monkeypatch.setenv("LLMWS_TOKEN", service.instance.token)
    exec(compile(example.code, example.section, "exec"), {})
    assert set(capsys.readouterr().out.split()) == {"Hello"}


def test_what_is_said_to_be_untested_is_so_for_a_reason() -> None:
    for example in examples():
        tree = ast.parse(example.code)
        imported = [node.module.split(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
        missing = [name for name in imported if find_spec(name) is None]
        assert bool(missing) != example.is_tested or not imported, example.section
