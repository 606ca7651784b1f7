"""A page of ours under attack: what it does is watched, and what it holds is looked through.

The policy of our dashboards is switched off here, so that nothing but the pages stand in the way; that it would stop
what comes past them is another test's business.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import playwright.sync_api
import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import Connection

from llmws.settings import Settings
from llmws.store import Store
from tests.tally import TRIED

from . import hostile
from .conftest import TOKEN, Workspace, end_kernels

ENOUGH = 500
WATCH = """
window.fired = [];
Object.defineProperty(window, "pwned", { set: (number) => fired.push(number) });
for (const name of ["alert", "confirm", "prompt"]) window[name] = () => fired.push(name);
window.onbeforeunload = null;
"""
# All that stands below what `roots` match, after everything happened to it but what our own buttons take for a click;
# in the whole document nothing listens by an attribute.
LOOK = """
async (roots) => {
  const names = "script iframe frame object embed base meta link style video audio source use animate set template";
  const forbidden = new RegExp(`^(${names.replaceAll(" ", "|")})$`, "i");
  const found = new Set();
  const events = ["mouseover", "mouseenter", "pointerover", "focusin", "toggle", "error", "load", "animationstart"];
  // Whatever a form calls its fields.
  const attributesOf = Object.getOwnPropertyDescriptor(Element.prototype, "attributes").get;
  for (const one of document.querySelectorAll("*"))
    for (const { name } of attributesOf.call(one)) if (/^on/i.test(name)) found.add(`${one.localName}@${name}`);
  for (const one of document.querySelectorAll(roots.split(",").map((root) => `${root} *`).join(","))) {
    if (forbidden.test(one.localName)) found.add(`<${one.localName}>`);
    for (const { name, value } of attributesOf.call(one)) {
      if (name === "srcdoc" || name === "srcset") found.add(`${one.localName}@${name}`);
      if (/^(href|src|action|formaction|poster|data|xlink:href)$/i.test(name)) {
        // What is no address leads nowhere.
        const { protocol, host } = URL.parse(value, location.href) ?? { protocol: "https:", host: location.host };
        const good = { A: /^(https?|mailto):$/, IMG: /^(data|blob|https?):$/ }[one.tagName]?.test(protocol);
        if (!good || (one.tagName === "IMG" && protocol.startsWith("http") && host !== location.host))
          found.add(`${one.localName}@${name}=${value.slice(0, 80)}`);
        if (protocol === "data:" && !/^data:image\\/(png|jpeg|gif|webp);/.test(value)) found.add(value.slice(0, 80));
      }
      if (name === "style" && /url|expression|image-set/i.test(value)) found.add(`style=${value.slice(0, 80)}`);
    }
    for (const event of events) one.dispatchEvent(new Event(event));
  }
  for (let n = 0; n < 3; n++) await new Promise(requestAnimationFrame);
  return [...found];
}
"""
MISSING = """
([texts, where]) => {
  const all = [...document.querySelectorAll(where)].map((one) => one.value || one.textContent).join(" ");
  const legible = all.replace(/[^!-~]/g, "");
  return texts.filter((text) => !legible.includes(text));
}
"""


def legible(texts: Iterable[str]) -> list[str]:
    """What of texts is left on any page, each once: no space, nothing that cannot be seen."""
    return list(dict.fromkeys(re.sub("[^!-~]", "", text) for text in texts))


def tried(sink: str, texts: Iterable[str]) -> None:
    """Count the texts that were tried here; few are no attack."""
    number = len(legible(texts))
    TRIED[sink] += number
    assert number >= ENOUGH, sink


class Attacked:
    """A page that is being attacked, and all that happens on it."""

    def __init__(self, page: Page, asked: list[str]) -> None:
        self.page = page
        self._asked = asked
        self.problems: list[str] = []
        page.add_init_script(WATCH)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("popup", lambda popup: self.problems.append(f"a window was opened: {popup.url}"))
        page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Any) -> None:
        if dialog.type == "beforeunload":  # a notebook's own
            dialog.accept()
            return
        self.problems.append(f"a dialog came up: {dialog.message}")
        dialog.dismiss()

    def shows(self, sink: str, texts: Iterable[str], where: str = "body") -> None:
        """Wait until these stand there, letter by letter: what was tried was tried."""
        wanted = legible(texts)
        try:
            self.page.wait_for_function(f"told => ({MISSING})(told).length === 0", arg=[wanted, where], polling=300)
        except playwright.sync_api.TimeoutError:
            missing = self.page.evaluate(MISSING, [wanted, where])
            raise AssertionError(f"{sink}: {len(missing)} texts are not there, as {missing[:5]}") from None
        tried(sink, wanted)

    def check(self, roots: str = ".lw") -> None:
        """That nothing happened, and nothing stands there but what may."""
        stands = self.page.evaluate(LOOK, roots)
        fired = self.page.evaluate("fired")
        asked = [url for url in self._asked if hostile.FOREIGN in url or re.search(r"/x(\?|$)", url)]
        assert [stands, fired, asked, self.problems] == [[], [], [], []], (stands, fired, asked, self.problems)


def notebook(source: str, title: str) -> str:
    """A notebook of one cell, as JSON."""
    cell = {"cell_type": "code", "id": "page", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
    about = {
        "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
        "title": title,
        "llmws": {"title": title, "title_zh": title},
    }
    return json.dumps({"cells": [cell], "metadata": about, "nbformat": 4, "nbformat_minor": 5})


def press_all(button: Locator, rows: Locator) -> None:
    """Have all rows shown, of a list that is longer than what is shown at first."""
    expect(button).to_be_attached()
    while button.count():
        shown = rows.count()
        button.click()
        expect(rows.nth(shown)).to_be_attached()


def seed(settings: Settings, put: Callable[[Connection], None]) -> None:
    """Write to the store before a service has it."""
    settings.data.mkdir(parents=True, exist_ok=True)
    store = Store.open(settings.database_url)
    with ThreadPoolExecutor(1) as thread:  # playwright has a loop in this one
        thread.submit(asyncio.run, store.write(put)).result()
    store.close()


OpenAs = Callable[..., Attacked]


@pytest.fixture
def open_as(
    request: pytest.FixtureRequest, workspace: Workspace, new_page: Callable[..., Page], requests: list[str]
) -> Iterator[OpenAs]:
    """A page of ours in a dashboard, or a notebook, of its own, of whose token it is, without a policy."""
    files: list[Path] = []
    labs: list[str] = []

    def open_as(url: str, token: str, name: str, host: str = "voila", **named: Any) -> Attacked:
        address = request.getfixturevalue(host)
        folder = workspace.notebooks / ("dashboards" if host == "voila" else "")
        file = folder / f"hostile-{len(files)}-<img src=x onerror=alert(1)>.ipynb"
        arguments = "".join(f", {key}={value!r}" for key, value in named.items())
        source = f"import llmws\nfrom llmws import ui\n\nui.{name}(llmws.connect({url!r}, {token!r}){arguments})"
        file.write_text(notebook(source, " ".join(hostile.short())))
        files.append(file)
        attacked = Attacked(new_page(bypass_csp=True), requests)
        if host == "voila":
            attacked.page.goto(f"{address}/voila/render/{quote(file.name)}")
        else:
            labs.append(address)
            attacked.page.goto(f"{address}/doc/tree/{quote(file.name)}?token={TOKEN}")
            expect(attacked.page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
            attacked.page.locator(".jp-Notebook .cm-content").first.click()
            attacked.page.keyboard.press("Shift+Enter")
        expect(attacked.page.locator(".lw-page, .lw-providers").first).to_be_visible()
        expect(attacked.page.locator(".lw-skeleton, .lw-skeleton-list")).to_have_count(0)
        return attacked

    yield open_as
    for address in labs:
        end_kernels(address)
    for file in files:
        file.unlink(missing_ok=True)
