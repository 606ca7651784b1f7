"""The import rules of docs/architecture.md: layers look down only, without cycles and without hidden imports."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "llmws"

PURE = {
    "errors",
    "settings",
    "http",
    "outbound",
    "addresses",
    "messages",
    "recipe",
    "redaction",
    "training_log",
    "instance",
    "locks",
    "shipped",
    "terminal",
}
MIDDLE = {"datasets", "evaluation", "prompts", "providers", "serving", "store", "training", "transfer"}
# What a layer may import besides itself and what is pure. `cli` opens everything, and is opened by nothing.
MAY_IMPORT: dict[str, set[str]] = {
    **{noun: set() for noun in MIDDLE},
    "training": {"datasets", "serving"},
    "service": MIDDLE,
    "client": set(),
    "doctor": {"client", "training", "serving"},
    "up": {"client", "training"},
    "demo": {"client"},
    "magics": {"client"},
    "ui": {"client"},
    "hub": {"store"},
    "cli": MIDDLE | {"client", "service", "doctor", "up", "demo", "hub"},
    "__init__": {"client"},
    "__main__": {"cli"},
}
# The lazy doors: the only imports of our own that may stand inside a function.
LAZY_DOORS = {"__init__", "cli"}
# A third, for one thing: `Job.watch()` shows in a cell the page that is built upon the client.
SHOWN = {"client/jobs.py": "ui"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path, tree: ast.AST) -> list[tuple[str, int]]:
    """The layers of ours that a module imports, with the line."""
    package = ["llmws", *path.relative_to(PACKAGE).parts[:-1]]
    found = []
    for node in ast.walk(tree):
        names: list[list[str]] = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = base + (node.module.split(".") if node.module else [])
            names = [[*module, alias.name] if len(module) == 1 else module for alias in node.names]
        found += [(name[1], node.lineno) for name in names if name[0] == "llmws" and len(name) > 1]
    return found


def broken_rules(path: Path, source: str) -> list[str]:
    tree = ast.parse(source)
    here = layer(path)
    where = path.relative_to(PACKAGE.parent)
    allowed = {here} | PURE | MAY_IMPORT.get(here, set())
    shown = SHOWN.get(str(path.relative_to(PACKAGE)))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = [(name, line) for function in functions for name, line in imports(path, function)]
    late_doors = {(name, line) for name, line in late if name == shown}
    broken = [
        f"{where}:{line} imports {name}"
        for name, line in imports(path, tree)
        if (name, line) not in late_doors
        and name not in allowed
        and name != "__version__"
        and not (here in PURE and name in PURE)
    ]
    if here not in LAZY_DOORS:
        broken += [f"{where}:{line} hides an import of {name}" for name, line in late if name != shown]
    return broken


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_layers_look_down_only(path: Path) -> None:
    assert layer(path) in PURE | set(MAY_IMPORT), f"say in this test what {layer(path)} may import"
    assert broken_rules(path, path.read_text(encoding="utf-8")) == []


def test_layers_have_no_cycle() -> None:
    edges = {
        layer(path): {name for name, _ in imports(path, ast.parse(path.read_text(encoding="utf-8")))}
        - {layer(path), SHOWN.get(str(path.relative_to(PACKAGE)))}
        for path in modules()
        if layer(path) not in LAZY_DOORS
    }
    TopologicalSorter(edges).prepare()


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("client/chats.py", "from ..store import chats"),
        ("client/chats.py", "import llmws.service.app"),
        ("client/jobs.py", "from .. import ui"),
        ("client/chats.py", "def f():\n    from .. import ui"),
        ("service/chats.py", "from .. import ui"),
        ("store/chats.py", "from ..providers.base import Provider"),
        ("messages.py", "from .client import connect"),
        ("ui/chats.py", "def f():\n    from ..client import connect"),
    ],
)
def test_a_broken_rule_is_found(module: str, line: str) -> None:
    assert broken_rules(PACKAGE / module, line)


def test_only_settings_reads_the_environment() -> None:
    reading = {"environ", "getenv"}
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        if path.name != "settings.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in reading and getattr(node.value, "id", "") == "os"
    ]
    # A child process gets an environment, or a library that looks nowhere else: there, and only there, it is copied.
    copies = [
        offender
        for offender in offenders
        if any(form in source_line(offender) for form in ("**os.environ", "dict(os.environ", "os.environ.update("))
    ]
    assert [offender for offender in offenders if offender not in copies] == []


def source_line(where: str) -> str:
    path, _, line = where.partition(":")
    return (ROOT / path).read_text(encoding="utf-8").splitlines()[int(line) - 1]


def test_modules_and_functions_stay_small() -> None:
    long = []
    for path in [*modules(), *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "bench").rglob("*.py"))]:
        source = path.read_text(encoding="utf-8")
        if source.count("\n") > 600:
            long.append(f"{path.relative_to(ROOT)}: {source.count(chr(10))} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 80:
                long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert long == []
