"""The hub's own pages: in two languages, in the look of all our pages, and asking nobody else for anything."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from llmws.hub import pages, speaking, words
from tests.ui.conftest import chromium as chromium  # one way to find a browser
from tests.ui.test_look_browser import AXE, SERIOUS, WIDTHS

from .running import PASSWORD, RunningHub

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


@pytest.mark.parametrize(
    ("way", "is_below"),
    [("/hub/home", True), ("/hub/login?next=%2Fhub%2F", True), ("/user/x/", False), ("https://foreign.example/", False)]
    + [(trick, False) for trick in ("", "//foreign.example/", "/\\foreign.example/", "/hub/\n/x", "hub/")],
)
def test_who_chose_a_language_is_led_back_to_a_page_of_ours_only(way: str, is_below: bool) -> None:
    assert speaking._is_below(way, "/hub/") == is_below
    assert not speaking._is_below("//foreign.example/", "/")


@pytest.mark.long
def test_a_language_that_was_chosen_stays(hub: RunningHub) -> None:
    with httpx.Client(base_url=hub.url, timeout=60, trust_env=False, headers={"Accept-Language": "en"}) as browser:
        page = browser.get("/hub/signup?a=b").text
        assert '<html lang="en">' in page
        link = re.search(r'class="hub-language" lang="zh-CN" href="([^"]+)">中文<', page)
        assert link
        done = browser.get(link[1].replace("&amp;", "&"))
        assert (done.status_code, done.headers["location"]) == (302, "/hub/signup?a=b")
        chosen = browser.get("/hub/signup").text
        assert '<html lang="zh-CN">' in chosen
        assert ">English<" in chosen
        done = browser.get("/hub/language", params={"to": "fr", "next": "https://foreign.example/"})
        assert done.headers["location"] == "/hub/"
        assert "set-cookie" not in done.headers


@pytest.mark.long
def test_axe_finds_nothing_serious_on_the_hubs_pages(chromium: Browser, hub: RunningHub) -> None:
    context = chromium.new_context(bypass_csp=True, locale="en-US")
    page, asked, faults = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))

    def judge(path: str) -> None:
        """In both themes and languages, wide and narrow."""
        for scheme, width, language in (("light", "wide", "en"), ("dark", "narrow", "zh")):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": WIDTHS[width], "height": 844})
            page.goto(f"{hub.url}/hub/language?to={language}&next={path}")
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
            faults.extend(f"{path} {scheme} {fault['id']}" for fault in found if fault["impact"] in SERIOUS)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} {width}"

    for path in ("/hub/login", "/hub/signup", "/hub/first?code=none"):
        judge(path)
    page.goto(f"{hub.url}/hub/language?to=en&next=/hub/login%3Fnext%3D/hub/home")
    page.fill("[name=username]", "ann")
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    expect(page.get_by_role("link", name="Sign out")).to_be_visible(timeout=60_000)
    for path in ("/hub/home", "/hub/accounts", "/hub/password", "/hub/nothing"):
        judge(path)
    context.close()
    assert faults == []
    assert [url for url in asked if not url.startswith((hub.url, "data:"))] == []
