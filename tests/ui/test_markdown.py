"""Markdown that grows, in a real Chromium without a host: what is streamed looks like what is stored, and is safe."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from playwright.sync_api import Browser, Page

from .test_bundle import UI, bundled

ENTRY = """
import {{ MarkdownView }} from "{src}/markdown-view.js";
import {{ typesetWith, typesetter }} from "{src}/math.js";

window.show = (pieces) => new Promise((done) => {{
  const box = document.createElement("div");
  document.querySelector(".lw").replaceChildren(box);
  const view = new MarkdownView(box);
  let text = "";
  const step = () => {{
    if (!pieces.length) {{
      view.show(text, true);
      return requestAnimationFrame(settled);
    }}
    text += pieces.shift();
    view.show(text, false);
    requestAnimationFrame(step);
  }};
  // Long text is taken in by a step a frame.
  let still = 0;
  new MutationObserver(() => {{ still = 0; }}).observe(box, {{ childList: true, subtree: true, characterData: true }});
  const settled = () => {{
    if (++still < 3) return requestAnimationFrame(settled);
    done(box.innerHTML.replace('<div class="lw-tail"></div>', ""));
  }};
  step();
}});
window.typesetting = (module, style) => typesetWith(async () => ({{ module, style }}));
window.typeset = typesetter;
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The renderer as a page has it, in a bundle of its own."""
    return bundled(tmp_path_factory.mktemp("markdown"), ENTRY)


@pytest.fixture(scope="module")
def page(chromium: Browser, script: str) -> Page:
    page = chromium.new_page()
    page.set_content("<!doctype html><div class=lw></div>")
    page.add_script_tag(content=script)
    return page


Show = Callable[..., str]


@pytest.fixture
def show(page: Page) -> Show:
    """What stands there once a text has come, in one piece or cut in some."""

    def show(text: str, cuts: list[int] | None = None) -> str:
        ends = [0, *sorted(cuts or []), len(text)]
        pieces = [text[begin:end] for begin, end in pairwise(ends)]
        return str(page.evaluate("pieces => show(pieces)", pieces))

    return show


def unspaced(html: str) -> str:
    return re.sub(r">\s+<", "><", html).strip()


def document(dice: random.Random) -> str:
    """A text of blocks that are long, or hard to cut."""
    blocks = [
        "Some *text* with `code`, a [link](https://example.org) and $x_1$.",
        "\n".join(f"- item {n} with **bold** and `code` {'x' * dice.randrange(80)}" for n in range(150)),
        "\n".join(f"{n}. numbered {n}\n     - deeper {n}" for n in range(7, 200)),
        "| a | b |\n|---|--:|\n" + "\n".join(f"| row {n} | **{n}** |" for n in range(300)),
        "```python\n" + "\n".join(f"value_{n} = {n}  # <b>" for n in range(200)) + "\n```",
        "```text\n" + "\n".join(f"line {n}" for n in range(5000)) + "\n```",
        "$$\n\\begin{aligned}\na &= b\n- c\n\n= d\n\\end{aligned}\n$$",
        "> quoted\n> on two lines",
        "\\[\nx = 1\n\\]",
    ]
    return "\n\n".join(dice.sample(blocks, 5)) + "\n"


@pytest.mark.parametrize("seed", range(6))
def test_what_is_streamed_looks_like_what_is_stored(show: Show, seed: int) -> None:
    dice = random.Random(seed)
    text = document(dice)
    cuts = [dice.randrange(len(text)) for _ in range(60)]
    assert unspaced(show(text, cuts)) == unspaced(show(text))


FORMULAS = [
    ("inline $x^2$ here", 1, 0),
    ("\\(a_1\\) and \\[b\\]", 2, 1),
    ("$$\n\\int_0^1 x\\,dx\n$$", 1, 1),
    ("text\n\\[\na\n\n= b\n\\]\nmore", 1, 1),
    ("在公式$x_1$之后，以及 $$y$$ 。", 2, 1),
    ("costs $5 and 10$ more, $HOME and $PATH, US$5", 0, 0),
    ("`$x$` and\n\n```\n$x$\n```", 0, 0),
    ("$\\frac{a$ is broken", 0, 0),
]


@pytest.fixture
def typeset(page: Page) -> Show:
    page.evaluate(
        "([module, style]) => typesetting(module, style)",
        [(UI / "static" / f"typeset.{kind}").read_text() for kind in ("js", "css")],
    )


@pytest.mark.usefixtures("typeset")
def test_formulas_are_typeset_and_money_is_not(page: Page, show: Show) -> None:
    show("$x$")
    page.wait_for_function("typeset.value !== null")
    for text, formulas, displayed in FORMULAS:
        show(text)
        found = page.locator(".katex").count(), page.locator(".katex-display").count()
        assert found == (formulas, displayed), text
    assert page.locator("math annotation").count() == 0


HOSTILE_FORMULAS = [
    r"\href{javascript:window.pwned=1}{x}",
    r"\url{javascript:window.pwned=1}",
    r"\includegraphics{https://foreign.example/pixel.png}",
    r"\htmlStyle{background:url(https://foreign.example/x.png)}{x}",
    r"\htmlData{x=1}{x}\htmlId{a}{x}\htmlClass{lw-page}{x}",
    r"\text{<img src=x onerror=window.pwned=1>}",
    r"\color{url(https://foreign.example)}x",
    r"\colorbox{red;background:url(https://foreign.example/x)}{x}",
    r"\def\a{\a\a}\a",
    r"\rule{1000000em}{1000000em}",
    r"\unicode{<script>window.pwned=1</script>}",
    "</span><script>window.pwned=1</script>",
]


@pytest.mark.usefixtures("typeset")
def test_a_hostile_formula_executes_nothing_and_loads_nothing(page: Page, show: Show) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for formula in HOSTILE_FORMULAS:
        for text in (f"${formula}$", f"$$\n{formula}\n$$", f"\\({formula}\\)"):
            show(text)
            found = page.locator(".lw *").evaluate_all(
                "all => all.flatMap(one => [one.localName, ...Array.from(one.attributes, "
                "({ name, value }) => name === 'style' ? value : name)])"
            )
            assert not re.search(r"\b(script|img|a|href|src|id|on\w+)\b|url|data-(?!typeset)", "\n".join(found)), found
    assert page.evaluate("window.pwned") is None
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == []
    size = page.locator(".lw").evaluate("element => element.scrollWidth")
    assert size < 20_000
