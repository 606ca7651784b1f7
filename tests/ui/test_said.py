"""What Python says is said in Chinese, too: each sentence in the code has its line, and no line is left over."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from llmws.datasets.rows import broken
from llmws.errors import LimitReached
from llmws.providers.failures import Failures
from llmws.service.allowances import Allowance, Calendar, Demand
from llmws.store.limits import Limit

from .test_bundle import node
from .test_look import MODULES, PACKAGE, ROOT, SRC, catalogues, text_of

PYTHON_SAYS = ("service-strings.js", "training-strings.js", "vendor-strings.js")

# Modules whose sentences are on no page, and where those are.
SILENT = {
    "in a terminal": "addresses cli demo doctor instance settings terminal up __main__ service/__main__"
    " providers/catalog store/databases store/postgresql store/schema store/sqlite",
    "in a log": "training/checkpoints training/reports",
    "on the hub's own pages, see hub/words.py": "hub/* store/accounts",
    "before programs, in the words of a vendor or of a description": "service/gateway/* service/docs service/events"
    " service/identity service/refusals",
    "before who writes code": "client/[!aj]* client/a[!bp]* client/jobs training/stubs/*/* providers/echo ui/as_code",
    "before a model": "service/titles",
    "in an exported file": "transfer/markdown transfer/notebook transfer/web_page",
}
# What looks like a sentence, and is read by a model, a database, a log or nobody.
NOBODY = re.compile(
    r"Say (?:yes|hello)\.|Continue exactly where|Takes down a number|Call the tool|The left and the right half"
    r"|A farmer has|A tool was called|VACUUM INTO|Run fine-tunes on this host|weights\.py takes|# |\^> |.*\(\?P<"
    # A file of vendors that is wrong; a file of weights and what the system says of it.
    r"|Add it\.|\{\}, \[\{\}\]: |\{\}: \{\}\."
)
# What is given to these is no sentence of ours on a page; the pages say the fields and presets of a recipe themselves.
UNSHOWN_CALLS = re.compile(r"(?i)^(?:\w+\.)?log\.\w+$|^(?:Field|Query|Path|Body|_asked|Preset)$")
# What is said along with an answer, and the end of its sentence.
WARNINGS = {"dropped": "", "changed": "."}
SENTENCE = re.compile(r"[^\s:…].* .*[.?…]$", re.DOTALL)
# Holes for what has to be known, too.
OF_OURS = re.compile(r"\{(?:action|kind|limit|sentence|state|what)\}")
HOLE = re.compile(r"\{\w*\}")

Skeleton = tuple[str, ...]


def shown() -> list[Path]:
    """The modules that a page may hear."""
    silent = [f"{one}.py" for one in " ".join(SILENT.values()).split()]
    return [path for path in MODULES if not any(path.relative_to(ROOT).match(f"llmws/{one}") for one in silent)]


def skeleton(text: str) -> Skeleton:
    """What stands between the holes."""
    return tuple(HOLE.split(text))


class Reader(ast.NodeVisitor):
    """Collects the sentences of a module, each in all its forms; what is put into one is a hole."""

    def __init__(self, tree: ast.Module) -> None:
        self.sentences: set[str] = set()
        self._constants = dict(_assigned(tree.body))
        self._locals: dict[str, ast.expr] = {}
        self.visit(tree)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outside = self._locals
        self._locals = dict(_assigned(each for each in ast.walk(node) if isinstance(each, ast.stmt)))
        for each in node.body:
            self.visit(each)
        self._locals = outside

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - that is its name

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # else a docstring
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = ast.unparse(node.func)
        if called in WARNINGS:  # with a part of a sentence: (parameter, why)
            self.sentences |= {f"{form}{WARNINGS[called]}" for form in self._forms(node.args[1])} - {"{}", "{}."}
        if not UNSHOWN_CALLS.search(called):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        self._note(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._note(node)

    def _note(self, node: ast.expr) -> None:
        self.sentences |= {form for form in self._forms(node) if SENTENCE.match(form) and not NOBODY.match(form)}

    def _forms(self, node: ast.expr | None) -> Iterator[str]:
        match node:
            case ast.Constant(str(text)):
                yield text
            case ast.JoinedStr(pieces):
                for each in itertools.product(*(tuple(self._forms(piece)) for piece in pieces)):
                    yield "".join(each)
            case ast.FormattedValue(ast.Name() | ast.IfExp() as value):
                yield from self._forms(value)
            case ast.Name(name):
                told = self._locals.get(name) or self._constants.get(name)
                yield from self._forms(told if isinstance(told, ast.Constant | ast.IfExp) else None)
            case ast.IfExp():
                yield from self._forms(node.body)
                yield from self._forms(node.orelse)
            case _:
                yield "{}"


def _assigned(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for each in body:
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
            yield each.targets[0].id, each.value


@cache
def read(path: Path) -> frozenset[str]:
    return frozenset(Reader(ast.parse(text_of(path))).sentences)


@cache
def samples() -> tuple[str, ...]:
    """What is said of the datasets that come along."""
    known = json.loads(text_of(ROOT / "datasets" / "dataset_info.json"))
    return tuple(entry["description"] for entry in known.values())


@cache
def translated() -> dict[Skeleton, str]:
    return {skeleton(english): english for name in PYTHON_SAYS for english in catalogues()[name].sentences}


def is_translated(said: str) -> bool:
    """Whether a text is known, whole or sentence by sentence."""
    if skeleton(said) in translated():
        return True
    sentences = [one for one in re.split(r"(?<=[.}]) (?=[A-Z])", said) if one != "{}"]
    return all(skeleton(one) in translated() for one in sentences)


@pytest.mark.parametrize("path", shown(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_what_python_says_is_said_in_chinese_with_the_same_holes(path: Path) -> None:
    assert sorted(said for said in read(path) if not is_translated(said)) == []


def test_the_samples_are_described_in_chinese() -> None:
    assert samples()
    assert [said for said in samples() if not is_translated(said)] == []


def test_no_translation_is_left_over() -> None:
    said = {skeleton(each) for path in shown() for each in read(path)} | set(map(skeleton, samples()))
    strings = "\n".join(
        each.value.lower()
        for path in shown()
        for each in ast.walk(ast.parse(text_of(path)))
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )
    # What is no sentence by itself is put together of what stands in the code.
    left = [english for pieces, english in translated().items() if pieces not in said]
    assert [one for one in left if not all(piece.strip(" .:").lower() in strings for piece in skeleton(one))] == []
    assert len(left) < len(said) / 4


def test_a_new_sentence_and_a_new_hole_are_noticed() -> None:
    tree = ast.parse("""
def refuse(name, size):
    how = " twice" if size else ""
    raise NotFound(f"There is no {name!r} here{how}.", remedy="Make one." if size else f"Take {size:,} away.")
""")
    forms = Reader(tree).sentences
    assert forms == {"There is no {} here.", "There is no {} here twice.", "Make one.", "Take {} away."}
    assert not any(map(is_translated, forms))
    assert is_translated("{} wants a key.")
    assert not is_translated("{} of {} wants a key.")


def chinese(*texts: str) -> list[str | None]:
    """What the bundle makes of `texts`."""
    script = f"""
        import {{ translate }} from {json.dumps((SRC / "chinese.js").as_uri())};
        console.log(JSON.stringify({json.dumps(texts)}.map((text) => translate(text))));
    """
    command = [node(), "--input-type=module", "-e", script]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert isinstance(told, list)
    return told


def test_every_sentence_is_found_again_with_what_stands_in_its_holes() -> None:
    """None is taken for another one, however much both leave open."""
    whole = {
        english: meant
        for name in PYTHON_SAYS
        for english, meant in catalogues()[name].sentences.values()
        if english[-1] in ".?…" and not english[0].islower() and not OF_OURS.search(english)
    }
    own, wanted = ([re.sub(r"\{(\w+)\}", r"x\1", each) for each in side] for side in (whole, whole.values()))
    told = chinese(*own)
    assert [pair for pair in zip(own, told, wanted, strict=True) if pair[1] != pair[2]] == []


def test_errors_are_said_in_chinese() -> None:
    limit = Limit("1", "person", "*", "echo/*", "requests", "day", hard=20)
    with pytest.raises(LimitReached) as reached:
        Allowance(limit, "ada", Calendar("day", 0.0, 20)).check(Demand(1, 1), 0.0)
    server = Failures("DeepSeek", "https://api.deepseek.com/v1", "sk-1234567")
    wrong_key = server.refused(401, {}, '{"error": {"message": "No such key. Go away."}}', "deepseek-chat")
    row = broken(Path("rows.json"), 7, "a comma is missing before 'x'.", "Remove it.")
    told = {
        str(reached.value): "这将超出您的限额（echo/* 每天 20 次请求）：已用 20 次请求，此次调用可能需要 1 次请求。"
        "限额将于 1970-01-02T00:00:00+00:00 重置。请届时重试，或请管理员提高限额。",
        str(wrong_key): "DeepSeek 不接受该密钥：“No such key. Go away”。请检查 DeepSeek 的密钥及其权限。",
        str(row): "rows.json 第 7 行：“x” 之前缺少逗号。请将其删除。",
        f"{wrong_key.message} gpt-5 answers instead of deepseek-chat.": (
            "DeepSeek 不接受该密钥：“No such key. Go away”。改由 gpt-5 代替 deepseek-chat 回答。"
        ),
    }
    assert dict(zip(told, chinese(*told), strict=True)) == told


def test_what_a_stranger_said_is_left_as_it_is() -> None:
    strange = [
        "You used 3 of 4.",
        "failed",
        "This is a test",
        "x is a PDF.",
        "",
        ". . . .",
        "((((",
        "\\1",
        "{name} wants",
    ]
    strange += ["x" * 5000, "a is empty. " * 200]
    assert chinese(*strange) == [None] * len(strange)
