"""The one look of all pages, in a real Chromium: whom it shuts out, in which language it speaks, whom it may ask.

axe-core is asked about each state that a page has, in both themes, wide and narrow; a walk by the Tab key must reach
whatever can be pressed. All that a page's policy blocked is a failure, too.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from llmws.messages import Parameters
from tests.service.harness import wait_for

from .conftest import LIMIT_MS, ROOT, Workspace, elsewhere

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = {"serious", "critical"}
WIDTHS = {"wide": 1280, "narrow": 390}
PAGES = ("chat", *(pytest.param(name, marks=pytest.mark.long) for name in ("compare", "finetune", "providers")))
ANSWER = (
    "Tides *rise* and **fall**.\n\n## Why\n\n1. The Moon\n2. The Sun\n\n"
    "| Body | Share |\n| --- | ---: |\n| Moon | 69 % |\n\n"
    "```python\ndef tide(t, amplitude=1.2, period=12.42): # a line that is longer than a telephone is wide, by far\n"
    '    return "high" if t > 0.5 else None\n```\n\n'
    "> Read [the manual](https://example.com/), or `tide(3)`.\n\n- [x] done\n"
)
# Before the page's own script: what its policy blocks from the first moment on.
WATCH = """
window.blocked = [];
addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI, sourceFile }) =>
  window.blocked.push(`${effectiveDirective} ${blockedURI} ${sourceFile}`));
"""
# What can be pressed or filled in and is on show; of a group of choices the chosen one stands for all.
PRESSABLE = """
[...document.querySelectorAll(".lw :is(a[href], button, input, textarea, select, summary)")].filter((element) =>
  !element.disabled && element.tabIndex >= 0 && element.checkVisibility({ visibilityProperty: true })
  && (element.type !== "radio" || element.checked))
"""
# The focus shows where it is: on the element, or on the field or card that stands for it.
SHOWN = """
(element) => {
  for (let one = element; one && !one.classList.contains("lw-page"); one = one.parentElement) {
    const { outlineStyle, outlineWidth } = getComputedStyle(one);
    if (outlineStyle !== "none" && parseFloat(outlineWidth) >= 2) return true;
  }
  return Boolean(element.closest(".lw-composer"));
}
"""


@dataclass
class Look:
    """A page that stays open for the tests of this module."""

    page: Page
    asked: list[str] = field(default_factory=list)
    faults: set[str] = field(default_factory=set)

    @property
    def root(self) -> Locator:
        return self.page.locator(".lw").first

    def ready(self) -> None:
        expect(self.root.locator(".lw-head")).to_be_visible()
        expect(self.root.locator(".lw-skeleton, .lw-skeleton-list")).to_have_count(0)

    def dress(self, theme: str, width: str) -> None:
        self.page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
        self.page.set_viewport_size({"width": WIDTHS[width], "height": 844})
        expect(self.root).to_have_attribute("data-theme", theme)

    def press(self, selector: str, text: str | None = None) -> None:
        self.page.locator(selector, has_text=text).first.click()

    def drawer(self) -> None:
        """Open the list at the side where it is a drawer."""
        if self.page.locator(".lw-side").is_hidden():
            self.press(".lw-head .lw-icon-button")

    def judge(self, state: str) -> None:
        """Note what axe finds serious."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        for fault in found["violations"]:
            if fault["impact"] in SERIOUS:
                where = {" ".join(map(str, node["target"])) for node in fault["nodes"]}
                self.faults |= {f"{state}: {fault['id']} at {place}" for place in where}


def tour_of_chat(look: Look) -> Iterator[str]:
    yield "empty"
    look.drawer()
    yield "list"
    look.press(".lw-entry-open", "Judged")
    expect(look.page.locator(".lw-figures")).to_have_count(1)
    yield "answer"
    look.press(".lw-picker")
    yield "models"
    look.page.keyboard.press("Escape")
    look.press(".lw-composer [aria-label=Parameters]")
    yield "parameters"
    look.page.keyboard.press("Escape")
    look.press(".lw-head [aria-haspopup=menu]")
    yield "menu"
    look.page.keyboard.press("Escape")
    for dialog in ("Share", "Save as assistant", "Import", "Show as code", "Keyboard shortcuts"):
        look.press(".lw-head [aria-haspopup=menu]")
        look.press("[role=menuitem]", dialog)
        expect(look.page.get_by_role("dialog")).to_be_visible()
        expect(look.page.locator(".lw-skeleton, .lw-skeleton-list")).to_have_count(0)
        yield dialog
        look.page.keyboard.press("Escape")
        expect(look.page.get_by_role("dialog")).to_have_count(0)
    look.drawer()
    look.press(".lw-entry-open", "Refused")
    expect(look.page.get_by_role("alert")).to_be_visible()
    yield "failure"
    look.drawer()
    look.press(".lw-new")


def tour_of_compare(look: Look) -> Iterator[str]:
    yield "columns or none"
    look.drawer()
    yield "list"
    look.press(".lw-comparison-entry", "Judged")
    expect(look.page.locator(".lw-column .lw-figures")).to_have_count(2)
    yield "columns"
    look.drawer()
    look.press(".lw-new")
    yield "empty"


def tour_of_finetune(look: Look) -> Iterator[str]:
    look.press(".lw-more > summary")
    yield "form"
    look.drawer()
    look.press(".lw-run-entry", "judged")
    expect(look.page.locator(".lw-output-text")).to_be_visible()
    yield "run"
    look.drawer()
    yield "list"
    look.press(".lw-new")


def tour_of_providers(look: Look) -> Iterator[str]:
    yield "cards"
    look.press(".lw-provider")
    expect(look.page.locator(".lw-about")).to_be_visible()
    yield "provider"
    look.press(".lw-head > .lw-icon-button")
    look.press(".lw-head .lw-primary")
    yield "vendors"
    look.press(".lw-vendor")
    yield "form"
    look.press(".lw-head > .lw-icon-button")
    look.press(".lw-head > .lw-icon-button")
    look.press(".lw-tabs button", "Usage")
    expect(look.page.locator(".lw-usage-plot")).to_be_visible()
    yield "usage"
    look.press(".lw-tabs button", "Limits")
    yield "limits"
    look.press(".lw-limits .lw-primary")
    yield "limit"
    look.page.keyboard.press("Escape")
    look.press(".lw-tabs button", "Providers")


TOURS: dict[str, Callable[[Look], Iterator[str]]] = {
    "chat": tour_of_chat,
    "compare": tour_of_compare,
    "finetune": tour_of_finetune,
    "providers": tour_of_providers,
}


@pytest.fixture(scope="module")
def furnished(workspace: Workspace) -> None:
    """Something to show on each page."""
    client = workspace.client()

    def begin(title: str, **extra: Any) -> str:
        chat = client.run(client.api.create_chat("echo", title=title, parameters=Parameters(extra=extra)))
        client.run(client.api.send(chat["id"], "Explain tides."))
        return str(chat["id"])

    answered = begin("Judged", tokens=[ANSWER], reasoning="The Moon first. " * 9)
    begin("Refused", fail_after=1)
    told = Parameters(extra={"tokens": [ANSWER]})
    client.run(client.api.create_comparison(["echo", "echo"], "Judged side by side?", parameters=told))
    job = client.run(client.api.create_job("smollm2-135m", "seafarer", {"max_steps": 2}, name="judged"))
    wait_for(lambda: client.run(client.api.job(job["id"]))["state"] == "finished", "the fine-tune to finish")
    wait_for(lambda: client.run(client.api.messages(answered))["items"][-1]["message"].text, "an answer")


@pytest.fixture(scope="module")
def looks(chromium: Browser, voila: str, furnished: None) -> Iterator[Callable[[str], Look]]:
    """The dashboard of a name, opened when it is first asked for; whatever happens, nothing is asked elsewhere."""
    opened: dict[str, Look] = {}
    context = chromium.new_context(locale="en-US", reduced_motion="reduce")
    context.set_default_timeout(LIMIT_MS)
    context.add_init_script(WATCH)

    def look(name: str) -> Look:
        if name not in opened:
            one = opened[name] = Look(context.new_page())
            one.page.on("request", lambda request: one.asked.append(request.url))
            one.page.goto(f"{voila}/voila/render/{name}.ipynb")
        opened[name].ready()
        return opened[name]

    yield look
    for one in opened.values():
        one.page.goto("about:blank")
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious_in_any_state(looks: Callable[[str], Look], name: str) -> None:
    look = looks(name)
    for theme, width in (("light", "wide"), ("dark", "narrow")):
        look.dress(theme, width)
        for state in TOURS[name](look):
            look.judge(f"{theme} {width} {state}")
            assert look.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{width} {state}"
    assert look.faults == set()
    assert look.page.evaluate("window.blocked") == []
    assert elsewhere(look.asked) == []


@pytest.mark.parametrize("name", PAGES)
def test_the_tab_key_reaches_all_that_can_be_pressed(looks: Callable[[str], Look], name: str) -> None:
    look = looks(name)
    look.dress("light", "wide")
    keyboard, page = look.page.keyboard, look.page
    page.evaluate("document.activeElement.blur(); window.reached = new Set()")
    wanted = page.evaluate(f"{PRESSABLE}.length")
    assert wanted > 5
    for _ in range(3 * wanted + 20):
        keyboard.press("Tab")
        page.evaluate("reached.add(document.activeElement)")
        assert page.evaluate(f"document.activeElement === document.body || ({SHOWN})(document.activeElement)"), (
            page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        )
        if page.evaluate(f"{PRESSABLE}.every((element) => reached.has(element))"):
            break
    missed = f"{PRESSABLE}.filter((element) => !reached.has(element)).map((element) => element.outerHTML.slice(0, 160))"
    assert page.evaluate(missed) == []


def test_a_low_page_shows_what_opens_whole_and_what_is_found_from_its_top(looks: Callable[[str], Look]) -> None:
    look = looks("chat")
    look.dress("light", "wide")
    page = look.page
    page.set_viewport_size({"width": 1280, "height": 280})
    look.press(".lw-entry-open", "Judged")
    page.locator(".lw-answer .lw-models button").last.click()
    models, log = page.locator(".lw-models .lw-popover"), page.locator(".lw-log")
    expect(models).to_be_visible()
    ends = "element => [element.getBoundingClientRect().top, element.getBoundingClientRect().bottom]"
    (first, last), (top, bottom) = models.evaluate(ends), log.evaluate(ends)
    assert top <= first
    assert last <= bottom
    page.keyboard.press("Escape")

    page.set_viewport_size({"width": 1280, "height": 220})
    page.locator(".lw-side-list").evaluate("list => list.scrollTo(0, 1000)")
    assert page.locator(".lw-side-list").evaluate("list => list.scrollTop") > 0
    page.get_by_role("searchbox").fill("tides")
    found = page.locator(".lw-entry", has=page.locator(".lw-entry-line")).first
    expect(found).to_be_visible()
    assert page.locator(".lw-side-list").evaluate("list => list.scrollTop") == 0
    # Nothing that is read moves under the pointer.
    line = found.locator(".lw-entry-line")
    expect(line).not_to_contain_text("**")
    before = line.bounding_box()
    found.hover()
    expect(found.locator(".lw-entry-actions button")).to_be_visible()
    assert line.bounding_box() == before
    page.get_by_role("searchbox").fill("")
    expect(page.locator(".lw-entry-line")).to_have_count(0)


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_the_language_is_switched_on_the_page_and_remembered(looks: Callable[[str], Look], name: str) -> None:
    look = looks(name)
    look.dress("light", "wide")
    expect(look.root).to_have_attribute("lang", "en")
    look.press(".lw-head [aria-haspopup=menu]")
    look.press("[role=menuitem]", "中文")
    expect(look.root).to_have_attribute("lang", "zh-CN")
    expect(look.root).to_contain_text(re.compile("[一-鿿]"))
    if name == PAGES[0]:
        look.page.reload()
        look.ready()
        expect(look.root).to_have_attribute("lang", "zh-CN")
        assert look.page.evaluate("document.documentElement.lang") == "zh-CN"
    look.judge("Chinese")
    assert look.faults == set()
    look.press(".lw-head [aria-haspopup=menu]")
    look.press("[role=menuitem]", "English")
    expect(look.root).to_have_attribute("lang", "en")


def test_a_dashboard_runs_no_script_of_a_page_and_asks_no_other_host(looks: Callable[[str], Look]) -> None:
    page = looks("providers").page
    asked = """async () => {
        const refused = [];
        await fetch("https://foreign.example/").catch(() => refused.push("fetch"));
        await fetch("http://localhost:1/").catch(() => refused.push("fetch of another port"));
        new WebSocket("wss://foreign.example/").onerror = () => {};
        new EventSource("https://foreign.example/events");
        navigator.sendBeacon("https://foreign.example/beacon", "x");
        const add = (name, attributes) =>
            document.body.append(Object.assign(document.createElement(name), attributes));
        add("img", { src: "https://foreign.example/pixel.png" });
        add("script", { src: "https://foreign.example/script.js" });
        add("script", { textContent: "window.ran = 'inline'" });
        add("link", { rel: "stylesheet", href: "https://foreign.example/style.css" });
        add("iframe", { src: "https://foreign.example/" });
        add("object", { data: "https://foreign.example/" });
        const image = document.createElement("img");
        image.setAttribute("onerror", "window.ran = 'handler'");
        image.src = "data:,";
        document.body.append(image);
        const text = document.createElement("script");
        const evaluates = "try { new Function('window.ran = 1')() } catch { window.held = true }";
        text.src = URL.createObjectURL(new Blob([evaluates]));
        document.body.append(text);
        await new Promise((done) => (text.onload = done));
        return refused;
    }"""
    assert page.evaluate(asked) == ["fetch", "fetch of another port"]
    page.wait_for_function("window.held && blocked.length >= 12")
    assert page.evaluate("window.ran") is None
    directives = {line.split()[0] for line in page.evaluate("blocked")}
    assert directives >= {"connect-src", "img-src", "script-src-elem", "script-src-attr", "style-src-elem", "frame-src"}
    page.evaluate("window.blocked = []")


@pytest.mark.long
def test_axe_finds_nothing_serious_in_jupyterlab(
    open_notebook: Callable[..., Page], workspace: Workspace, furnished: None
) -> None:
    """All four pages in one notebook, in Lab's light and dark theme."""
    name = f"all-{uuid.uuid4().hex[:6]}"
    notebook = json.loads((workspace.notebooks / "chat.ipynb").read_text())
    shows = "from IPython.display import display\nfrom llmws import ui\n"
    shows += "display(ui.Chat(), ui.Compare(), ui.FineTune(), ui.Providers())"
    notebook["cells"] = [
        {"cell_type": "code", "id": "all", "metadata": {}, "outputs": [], "execution_count": None, "source": shows}
    ]
    (workspace.notebooks / f"{name}.ipynb").write_text(json.dumps(notebook))
    look = Look(open_notebook("lab", name))
    expect(look.page.locator(".lw .lw-head")).to_have_count(len(PAGES))
    expect(look.page.locator(".lw-skeleton, .lw-skeleton-list")).to_have_count(0)
    look.page.emulate_media(reduced_motion="reduce")
    look.page.evaluate(AXE.read_text(encoding="utf-8"))
    for theme in ("Light", "Dark"):
        look.page.evaluate(f"jupyterapp.commands.execute('apputils:change-theme', {{ theme: 'JupyterLab {theme}' }})")
        expect(look.page.locator(f".lw[data-theme={theme.lower()}]")).to_have_count(len(PAGES))
        found = look.page.evaluate("axe.run({ include: [['.lw']] }, { resultTypes: ['violations'] })")["violations"]
        assert [fault["id"] for fault in found if fault["impact"] in SERIOUS] == []
    (workspace.notebooks / f"{name}.ipynb").unlink()
