"""The hub's own pages: in two languages, in the look of all our pages, and asking nobody else for anything."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmws.hub import pages, words

ROOT = Path(__file__).parents[2]
HUB = ROOT / "llmws" / "hub"
TEMPLATES = sorted(pages.TEMPLATES.glob("*.html"))
# Those that keep JupyterHub's scripts.
SCRIPTED = {"page.html", "spawn_pending.html"}
ERRORS = {"Conflict", "InvalidRequest", "NotFound", "NotAuthenticated", "Unavailable"}
SAYING = ["accounts.py", "first.py", "sign_in.py", "administration.py", "rules.py", "authenticator.py", "pages.py"]


def said_in_templates() -> set[str]:
    calls = re.compile(r"""say\((?P<quote>["'])(?P<text>.+?)(?P=quote)\)""")
    fields = re.compile(r'new_password_field\(say, "(.+?)",|act(?:_with_group)?\("\w+", account\.name, "(\w+)"')
    texts = [template.read_text(encoding="utf-8") for template in TEMPLATES]
    found = {match["text"] for text in texts for match in calls.finditer(text)}
    return found | {next(filter(None, match.groups())) for text in texts for match in fields.finditer(text)}


def said_by_errors() -> set[str]:
    """The sentences and remedies of the errors that a person may be shown."""
    found: set[str] = set()
    for file in [*(HUB / name for name in SAYING), ROOT / "llmws" / "store" / "accounts.py"]:
        calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        for call in calls:
            if getattr(call.func, "id", "") in ERRORS:
                values = [*call.args, *(keyword.value for keyword in call.keywords)]
                found |= {value.value for value in values if isinstance(value, ast.Constant)}
    return found


@pytest.mark.parametrize("sentence", sorted(said_in_templates() | said_by_errors()))
def test_every_sentence_is_said_in_chinese_too(sentence: str) -> None:
    assert sentence in words.CHINESE


def test_no_translation_is_left_over() -> None:
    sources = [file.read_text(encoding="utf-8") for file in [*HUB.glob("*.py"), *TEMPLATES] if file.name != "words.py"]
    sources.append((ROOT / "llmws" / "store" / "accounts.py").read_text(encoding="utf-8"))
    whole = "\n".join(sources)
    left = [sentence for sentence in words.CHINESE if sentence not in whole]
    assert left == ["Login form invalid or expired. Try again."], "all but what JupyterHub itself says"


def test_the_colours_are_those_of_all_our_pages() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "look", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_page_asks_no_other_host_and_runs_no_script_of_its_own(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"https?://|//[a-z]+\.|@import|\son[a-z]+=|javascript:", text)
    assert ("<script" in text) <= (template.name in SCRIPTED)
    forms = text.count('method="post"')
    assert text.count("xsrf_field(xsrf)") + text.count('name="_xsrf"') >= forms
    assert text.count("<form") == forms


@pytest.mark.parametrize("style", sorted((HUB / "static").glob("*.css")), ids=lambda path: path.name)
def test_a_style_asks_nobody(style: Path) -> None:
    assert not re.search(r"url\(|@import|https?:", style.read_text(encoding="utf-8"))
    if style.name == "look.css":
        assert not re.search(r"#[0-9a-f]{3,8}\b|rgb|hsl", style.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("zh-CN,zh;q=0.9", "zh"), ("ZH", "zh"), ("en-US,zh;q=0.5", "en"), ("de,fr", "en"), ("", "en"), (",;=\x00", "en")],
)
def test_the_language_is_the_browsers(accepted: str, language: str) -> None:
    assert words.language(accepted) == language
