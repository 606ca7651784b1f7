"""Hostile text against the one renderer of model text, in a real Chromium without a host or its policy.

Each text by itself, whole and as it streams in; and then past Markdown and KaTeX, which leave little of most, straight
at the sanitiser behind them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from . import hostile
from .test_bundle import UI, bundled

ENTRY = """
import {{ MarkdownView }} from "{src}/markdown-view.js";
import {{ fragment }} from "{src}/markdown.js";
import {{ typesetter, typesetWith }} from "{src}/math.js";

const frames = async (count) => {{
  for (let n = 0; n < count; n++) await new Promise(requestAnimationFrame);
}};

/** Where a text may end up: in a box each, as the pages have them. */
const sinks = {{
  naive: (box, text) => {{ box.innerHTML = text; }},
  markdown: (box, text) => new MarkdownView(box).show(text, true),
  sanitiser: (box, text) => box.append(fragment(text)),
  formula: (box, text, number) => {{
    typesetter.value = () => text;
    new MarkdownView(box).show(`$x_{{${{number}}}}$`, true);
  }},
}};

const stage = () => document.querySelector(".lw");
const boxes = (texts) => {{
  stage().replaceChildren(...texts.map(() => document.createElement("div")));
  return [...stage().children];
}};

window.show = async (sink, texts, first) => {{
  boxes(texts).forEach((box, n) => sinks[sink](box, texts[n], first + n));
  await frames(sink === "naive" ? 12 : 6);
}};

window.stream = async (texts, cuts) => {{
  const views = boxes(texts).map((box) => new MarkdownView(box));
  views.forEach((view, n) => view.show(texts[n].slice(0, cuts[n]), false));
  await frames(2);
  views.forEach((view, n) => view.show(texts[n], true));
  await frames(6);
}};

window.loadTypesetter = async (module, style) => {{
  typesetWith(async () => ({{ module, style }}));
  await show("markdown", ["$x$"], 0);
  while (!typesetter.value) await frames(1);
}};

const ADDRESS = /href|src|action|^style$|^data$|poster|^background|cite|ping/;
// Whatever a form calls its fields.
const attributesOf = Object.getOwnPropertyDescriptor(Element.prototype, "attributes").get;

/** Have everything happen to every element; gives what stands there: `name`, `@attribute`, `a@href=address`. */
window.provoke = async () => {{
  const all = [...stage().querySelectorAll("*")];
  const events = new Set(["click", "mouseover", "mouseenter", "pointerover", "focus", "toggle", "error", "load"]);
  for (const one of all) for (const name of one.getAttributeNames()) if (/^on/i.test(name)) events.add(name.slice(2));
  const met = new Set();
  for (const one of all) {{
    met.add(one.localName);
    for (const {{ name, value }} of attributesOf.call(one)) {{
      met.add(`@${{name}}`);
      if (ADDRESS.test(name)) met.add(`${{one.localName}}@${{name}}=${{value.slice(0, 200)}}`);
    }}
    for (const event of events) one.dispatchEvent(new Event(event, {{ cancelable: true }}));
  }}
  await frames(2);
  await new Promise((done) => setTimeout(done));
  return [...met];
}};

// A good link leads away from this page; a bad one would not.
window.addEventListener("click", (event) => {{
  if (/^(https?|mailto):/.test(event.target.href ?? "")) event.preventDefault();
}}, true);
window.fired = [];
Object.defineProperty(window, "pwned", {{ set: (number) => fired.push(number) }});
"""


def names(text: str) -> set[str]:
    return set(text.split())


OURS = names("div button")
MARKDOWN = names(
    "p br hr h1 h2 h3 h4 h5 h6 blockquote pre ul ol li table thead tbody tr th td img"
    " a code span strong em del b i u s mark sub sup kbd"
)
FORMULA = names(
    "math semantics mrow mi mo mn mtext ms mspace msup msub msubsup mfrac msqrt mroot mtable mtr mtd mstyle mover"
    " munder munderover mpadded mphantom menclose svg path line span"
)
ATTRIBUTES = names("href title alt src align start class target rel type aria-label data-typeset")
FORMULA_ATTRIBUTES = names(
    "mathvariant stretchy fence separator lspace rspace width height depth voffset minsize maxsize display"
    " displaystyle scriptlevel linethickness accent accentunder movablelimits symmetric notation form columnalign"
    " columnspacing columnlines rowspacing rowlines rowalign mathcolor mathbackground encoding class style viewBox"
    " preserveAspectRatio d x1 x2 y1 y2 stroke-width xmlns"
)
SAFE = re.compile(
    r"a@href=(https?://|mailto:)|img@src=data:image/(png|jpeg|gif|webp);base64,|[a-z]+@style=(?!.*(url|image|expression|fixed))",
    re.IGNORECASE,
)
SPOILS = re.compile(r"about:|blob:|\b(id|name)=(createElement|body|head|location|children|querySelector)")
BATCH = 250


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    return bundled(tmp_path_factory.mktemp("hostile"), ENTRY)


class Stage:
    """A page with nothing but the renderer, and all that happens on it."""

    def __init__(self, page: Page, script: str) -> None:
        self.page = page
        self.asked: list[str] = []
        self.problems: list[str] = []
        page.route("**/*", self._answer)
        page.on("dialog", self._dismiss)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("popup", lambda popup: self.problems.append(f"a window was opened: {popup.url}"))
        page.goto("http://stage.example/")
        page.add_script_tag(content=script)
        self.asked.clear()

    def _answer(self, route: Route) -> None:
        self.asked.append(route.request.url)
        if route.request.url == "http://stage.example/":
            route.fulfill(body="<!doctype html><div class=lw></div>", content_type="text/html")
        elif route.request.is_navigation_request():
            route.fulfill(status=204)  # the page stays
        else:
            route.abort()

    def _dismiss(self, dialog: Any) -> None:
        self.problems.append(f"a dialog came up: {dialog.message}")
        dialog.dismiss()

    def show(self, sink: str, texts: list[str], first: int) -> set[str]:
        self.page.evaluate("([sink, texts, first]) => show(sink, texts, first)", [sink, texts, first])
        return set(self.page.evaluate("provoke()"))

    def stream(self, texts: list[str], dice: random.Random) -> set[str]:
        cuts = [dice.randrange(len(text)) for text in texts]
        self.page.evaluate("([texts, cuts]) => stream(texts, cuts)", [texts, cuts])
        return set(self.page.evaluate("provoke()"))

    def fired(self) -> set[int]:
        return set(self.page.evaluate("fired"))

    def check(self, met: set[str], elements: set[str], attributes: set[str]) -> None:
        """That nothing happened, and that nothing stands there but what may."""
        assert self.fired() == set()
        assert self.asked == []
        assert self.problems == []
        assert {one for one in met if "@" not in one} <= elements
        assert {one[1:] for one in met if one[0] == "@"} <= attributes
        assert [one for one in met if "=" in one and not SAFE.match(one)] == []


@pytest.fixture
def stage(chromium: Browser, script: str) -> Iterator[Stage]:
    page = chromium.new_page()
    yield Stage(page, script)
    page.close()


def batches(size: int = BATCH) -> Iterator[tuple[int, list[str]]]:
    texts = hostile.payloads()
    assert len(set(texts)) == len(texts) >= 2_000
    for first in range(0, len(texts), size):
        yield first, list(texts[first : first + size])


@pytest.mark.long
def test_the_attacks_are_real(stage: Stage) -> None:
    """On a page without a renderer they do what they say, and it is seen."""
    for first, texts in batches():
        # What leads the page away, or takes the place of the document's own, spoils it for those after it.
        stage.show("naive", [text for text in texts if not SPOILS.search(text)], first)
    fetched = {url for url in stage.asked if hostile.FOREIGN in url}
    print(f"{len(stage.fired())} ran a script, {len(fetched)} addresses were asked")
    assert len(stage.fired()) >= 500
    assert len(fetched) >= 50


@pytest.mark.long
def test_rendered_text_executes_nothing_and_loads_nothing(stage: Stage) -> None:
    scripts = [(UI / "static" / f"typeset.{kind}").read_text() for kind in ("js", "css")]
    stage.page.evaluate("([module, style]) => loadTypesetter(module, style)", scripts)
    stage.asked = [url for url in stage.asked if not url.startswith(("blob:", "data:"))]
    dice, count = random.Random(5), 0
    for first, texts in batches():
        for met in (stage.show("markdown", texts, first), stage.stream(texts, dice)):
            stage.check(met, OURS | MARKDOWN | FORMULA, ATTRIBUTES | FORMULA_ATTRIBUTES | {"aria-hidden", "tabindex"})
        count += len(texts)
    print(f"{count} texts, whole and cut in two")


@pytest.mark.parametrize(
    ("sink", "elements", "attributes"),
    [
        ("sanitiser", OURS | MARKDOWN, ATTRIBUTES),
        ("formula", FORMULA | {"p", "div"}, {*FORMULA_ATTRIBUTES, "data-typeset", "aria-hidden", "aria-label"}),
    ],
)
def test_the_sanitiser_alone_lets_nothing_through(
    stage: Stage, sink: str, elements: set[str], attributes: set[str]
) -> None:
    for first, texts in batches():
        stage.check(stage.show(sink, texts, first), elements, attributes)


def test_markup_is_text_wherever_it_stands(stage: Stage) -> None:
    for before in ("<kbd>", "<code>", "<pre>", "<script>", "<b>", "x <kbd>", "| <kbd>", "- <kbd>", "> x\n> <kbd>"):
        for markup in ("<img src=https://foreign.example/ x=`1`>", "<h1 x=<y>", "<a href=https://foreign.example/<>x"):
            stage.show("markdown", [f"{before}{markup}"], 0)
            assert stage.page.locator(".lw").locator("img, h1, a[href$='<']").count() == 0
            shown = stage.page.locator(".lw").text_content() or ""
            assert markup.partition(" ")[0] in shown, (before, markup, shown)
