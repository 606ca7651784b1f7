"""What holds for the sources of every page: no text becomes code, and all that is said is said in two languages."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from llmws.recipe import PRESETS, Recipe

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "llmws"
SRC = PACKAGE / "ui" / "src"
SCRIPTS = sorted(
    path for path in PACKAGE.rglob("*.js*") if path.suffix in (".js", ".jsx") and path.parent.name == "src"
)
SCRIPTS += sorted((PACKAGE / "ui" / "voila").rglob("*.js"))
MODULES = sorted(PACKAGE.rglob("*.py"))
TEMPLATES = sorted([*PACKAGE.rglob("*.html"), *PACKAGE.rglob("*.j2")])

# Whatever makes elements of a string, or runs it.
TURNS_TEXT_TO_CODE = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|createContextualFragment|DOMParser|srcdoc|dangerouslySetInnerHTML"
    r"|v-html|document\.write|javascript:|\beval\(|\bFunction\(|set(?:Timeout|Interval)\(\s*[\"'`]"
)
# In a kernel: displays that are HTML, and outputs that take it. A widget's own view is none of these.
SHOWS_TEXT_AS_HTML = {"HTML", "HTMLMath", "Markdown", "Javascript", "Latex", "SVG", "Output", "VuetifyTemplate"}
SPEAKS_HTML = {"_repr_html_", "_repr_markdown_", "_repr_javascript_", "_repr_svg_", "_repr_latex_"}
# The one sanitiser: `fragment`, which the Markdown renderer gives all that it makes.
SANITISES = {"markdown.js": ["purify.sanitize(html, list)"]}
# What is put into a template as it is: our own style sheet, and what an administrator or JupyterHub itself wrote.
TRUSTED = {"style", "announcement", "message_html", "extra_error_html"}


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_code_of_text(path: Path) -> None:
    assert TURNS_TEXT_TO_CODE.findall(text_of(path)) == []


def test_the_sanitiser_is_called_in_one_place_only() -> None:
    calls = {path.name: re.findall(r"\w+\.sanitize\([^)]*\)", text_of(path)) for path in SCRIPTS}
    assert {name: found for name, found in calls.items() if found} == SANITISES
    assert [path.name for path in SCRIPTS if 'from "dompurify"' in text_of(path)] == list(SANITISES)
    assert [path.name for path in SCRIPTS if re.search(r"marked\.parse\b", text_of(path))] == []


def shown_as_html(source: str) -> set[str]:
    """The names in `source` that would show a text as HTML, or run it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found |= {name} & SHOWS_TEXT_AS_HTML
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= {node.name} & SPEAKS_HTML
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "v-html" in node.value:
            found.add("v-html")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_shows_text_as_html(path: Path) -> None:
    assert shown_as_html(text_of(path)) == set()


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_template_escapes_what_it_is_given(path: Path) -> None:
    text = text_of(path)
    assert set(re.findall(r"\{\{\s*([^}|]*?)\s*\|\s*safe\b", text)) <= TRUSTED
    assert not re.search(r"\bon\w+=|javascript:|autoescape\s+false", text)
    # Not Jinja's to escape here: nbconvert and Voilà render with it off.
    if path.suffix == ".j2":
        told = re.findall(r"\{\{\s*((?:title|about|nb)\b[^}]*)\}\}", text)
        assert told
        assert [value for value in told if not re.search(r"\|\s*(?:e|tojson)\s*$", value.strip())] == []


@pytest.mark.parametrize(
    "source",
    [
        "element.innerHTML = text",
        "new Function(text)()",
        "eval(text)",
        "setTimeout('x()')",
        "range.createContextualFragment(t)",
        "<p dangerouslySetInnerHTML={{ __html: text }} />",
        "document.write(text)",
        "a.href = 'javascript:x'",
    ],
)
def test_what_would_run_text_in_a_page_is_noticed(source: str) -> None:
    assert TURNS_TEXT_TO_CODE.search(source)


@pytest.mark.parametrize(
    "source",
    [
        "display(HTML(text))",
        "widgets.HTML(value=text)",
        "display(IPython.display.Markdown(text))",
        "Output()",
        "class A:\n    def _repr_html_(self): ...",
        "template = '<div v-html=text>'",
    ],
)
def test_what_would_show_text_as_html_in_a_kernel_is_noticed(source: str) -> None:
    assert shown_as_html(source)


# Said by one file, and refined by another on purpose.
REFINED = {".lw", ".lw-answer > footer", ".lw-asked"}


def test_no_name_is_styled_as_two_things() -> None:
    """All pages may stand in one notebook, where the last style that was loaded would rule them all."""
    told: dict[str, set[str]] = {}
    for path in SRC.glob("*.css"):
        text = re.sub(r"/\*.*?\*/|@[\w-]+[^{;]*\{", "", text_of(path), flags=re.S)
        for selector in re.findall(r"([^{}]+)\{[^{}]*\}", text):
            for one in re.split(r",(?![^(]*\))", selector):
                told.setdefault(" ".join(one.split()).removeprefix(".lw "), set()).add(path.name)
    twice = {one: names for one, names in told.items() if len(names) > 1 and one.startswith(".lw")}
    assert {one: names for one, names in twice.items() if one not in REFINED} == {}


# What the sentences about addresses name.
EXAMPLES = {"http://.", "https://.", "http://localhost", "https://api.example.com"}


def test_no_page_names_a_foreign_host() -> None:
    addresses = {
        address
        for path in [*SCRIPTS, *SRC.glob("*.css"), *TEMPLATES]
        for address in re.findall(r"https?://[\w.-]+", text_of(path))
    }
    assert addresses <= EXAMPLES


# Languages


@dataclass(frozen=True)
class Catalogue:
    """The sentences of a file."""

    path: Path
    sentences: dict[str, tuple[str, str]]


BASE = "strings.js"
# Names, units and what is written alike in Chinese.
ALIKE = {"CSV", "JSON", "Markdown", "HTML", "USD", "CNY", "API", "OK"}
# An address, or the keys of a shortcut.
NO_SENTENCE = re.compile(r"https?:\S+|(?:(?:Ctrl|Shift|Alt)\+)+\w+")
CHINESE = re.compile("[\u4e00-\u9fff]")


@cache
def catalogues() -> dict[str, Catalogue]:
    found = {}
    for path in sorted(SRC.glob("*strings.js")):
        # What Python says has no other key than its English.
        told = re.findall(r"^  (?:(\w+): )?\[(.*?)\],$", text_of(path), re.M | re.S)
        sentences = {}
        for key, pair in told:
            both = [json.loads(each) for each in re.findall(r'"(?:[^"\\]|\\.)*"', pair)]
            assert len(both) == 2, f"{path.name}: {key or pair} is not said in two languages"
            sentences[key or both[0]] = (both[0], both[1])
        assert len(sentences) == len(told), f"{path.name} says something twice"
        found[path.name] = Catalogue(path, sentences)
    assert sum(len(one.sentences) for one in found.values()) > 250
    return found


SENTENCES = [(name, key, *both) for name, one in catalogues().items() for key, both in one.sentences.items()]


def test_no_key_stands_in_two_catalogues() -> None:
    keys = [(key, key == english) for _, key, english, _ in SENTENCES]
    assert sorted({key for key in keys if keys.count(key) > 1}) == []


def words(sentence: str) -> set[str]:
    return set(re.findall(r"[A-Za-z]+", re.sub(r"\{\w+\}", "", sentence)))


def test_every_sentence_is_translated() -> None:
    untranslated = [
        key
        for _, key, english, chinese in SENTENCES
        if not CHINESE.search(chinese) and key != "language" and not words(chinese) <= ALIKE
    ]
    assert untranslated == []
    assert [key for _, key, english, _ in SENTENCES if CHINESE.search(english) and key != "language"] == []


def test_both_languages_fill_in_the_same() -> None:
    def differs(english: str, chinese: str) -> bool:
        return set(re.findall(r"\{(\w+)[|}]", english)) != set(re.findall(r"\{(\w+)[|}]", chinese))

    assert [key for _, key, english, chinese in SENTENCES if differs(english, chinese)] == []


def test_a_whole_sentence_is_one_in_both_languages() -> None:
    """One that ends with a full stop, a question mark or dots does so in Chinese, with Chinese punctuation."""
    ends = {".": "。", "?": "？", "!": "！", "…": "…"}
    wrong = [
        key for _, key, english, chinese in SENTENCES if (end := ends.get(english[-1:])) and not chinese.endswith(end)
    ]
    assert wrong == []


def speaks(path: Path) -> set[str]:
    """The keys that are known where this file says something."""
    own = set(re.findall(r'from "\./([\w-]*strings\.js)"', text_of(path)))
    own |= {path.name} & catalogues().keys()
    return {key for name in own | {BASE} for key in catalogues()[name].sentences}


@pytest.mark.parametrize("path", [p for p in SCRIPTS if "strings.js" in text_of(p)], ids=lambda path: path.name)
def test_what_a_file_says_is_in_its_catalogue(path: Path) -> None:
    text, known = text_of(path), speaks(path)
    assert set(re.findall(r'\bt\("(\w+)"', text)) - known == set()
    prefixes = set(re.findall(r"\bt\(`(\w+_)\$\{", text))
    assert [prefix for prefix in prefixes if not any(key.startswith(prefix) for key in known)] == []


def test_no_sentence_is_left_over() -> None:
    code = "\n".join(text_of(path) for path in SCRIPTS if not path.name.endswith("strings.js"))
    written = set(re.findall(r'"([a-z]+(?:_[a-z0-9]+)*)"', code))
    every = "\n".join(text_of(path) for path in SCRIPTS)
    composed = tuple(f"{prefix}_" for prefix in re.findall(r"t\(`(\w+)_\$\{", every))
    keys = {key for _, key, english, _ in SENTENCES if key != english}  # the others: see test_said.py
    titles = {key for key in keys if key.endswith("_title") and key.removesuffix("_title") in keys}
    assert {key for key in keys - written - titles if not key.startswith(composed)} == set()


@pytest.mark.parametrize("path", sorted(SRC.glob("*.jsx")), ids=lambda path: path.name)
def test_no_sentence_stands_in_the_code(path: Path) -> None:
    """Text between tags, and names and hints of elements, come from a catalogue."""
    text = re.sub(r"/\*.*?\*/|^\s*//.*$", "", text_of(path), flags=re.S | re.M)
    between = re.findall(r"<[a-z][^<>{}=]*>\s*([A-Za-z][^<>{}=;()]*[a-z])\s*</", text)
    named = re.findall(r'\b(?:aria-label|title|placeholder|alt)="([^"]*[A-Za-z][^"]*)"', text)
    said = [one for one in (*between, *named) if not NO_SENTENCE.fullmatch(one)]
    assert said == []


def test_every_field_and_preset_of_a_recipe_has_a_chinese_name() -> None:
    named = set(re.findall(r'^  "?([a-z_ ]+)"?: \["[^"]+", "[^"]+"\],$', text_of(SRC / "recipe.js"), re.M))
    assert named == {field["name"] for field in Recipe.schema()} | {preset.name for preset in PRESETS}
