"""Hostile text in the whole chat page: lists, what was said, what vendors, functions and files say.

The policy of our dashboards is switched off here, so that nothing but the pages stand in the way; that it would stop
what comes past them is another test's business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from llmws.settings import Settings
from tests.service.harness import Running, running_service, wait_for

from . import hostile
from .conftest import Workspace

WATCH = """
window.fired = [];
Object.defineProperty(window, "pwned", { set: (number) => fired.push(number) });
window.onbeforeunload = null;
"""
# All that stands in our page, after everything happened to it but what its own buttons would take for a click.
LOOK = """
async () => {
  const names = "script iframe frame object embed base meta link style video audio source use animate set template";
  const forbidden = new RegExp(`^(${names.replaceAll(" ", "|")})$`, "i");
  const own = new Set();
  const events = ["mouseover", "mouseenter", "pointerover", "focusin", "toggle", "error", "load", "animationstart"];
  for (const one of document.querySelectorAll(".lw *")) {
    if (forbidden.test(one.localName)) own.add(`<${one.localName}>`);
    for (const { name, value } of one.attributes) {
      if (/^on/i.test(name) || name === "srcdoc" || name === "srcset") own.add(`${one.localName}@${name}`);
      if (/^(href|src|action|formaction|poster|data|xlink:href)$/i.test(name)) {
        const { protocol, host } = new URL(value, location.href);
        const good = { A: /^(https?|mailto):$/, IMG: /^(data|blob|https?):$/ }[one.tagName]?.test(protocol);
        if (!good || (one.tagName === "IMG" && protocol.startsWith("http") && host !== location.host))
          own.add(`${one.localName}@${name}=${value.slice(0, 80)}`);
        if (protocol === "data:" && !/^data:image\\/(png|jpeg|gif|webp);/.test(value)) own.add(value.slice(0, 80));
      }
      if (name === "style" && /url|expression|image-set/i.test(value)) own.add(`style=${value.slice(0, 80)}`);
    }
    for (const event of events) one.dispatchEvent(new Event(event));
  }
  for (let n = 0; n < 3; n++) await new Promise(requestAnimationFrame);
  return [...own];
}
"""
EVERYTHING = hostile.short()
MOST = 100  # in one line of a list
LINES = [" ".join(EVERYTHING[n : n + MOST]) for n in range(0, len(EVERYTHING), MOST)]


def test_there_are_enough() -> None:
    assert len(EVERYTHING) >= 2_000


class Attacked:
    """A page that is being attacked, and all that happens on it."""

    def __init__(self, page: Page, asked: list[str]) -> None:
        self.page = page
        self._asked = asked
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("popup", lambda popup: self.problems.append(f"a window was opened: {popup.url}"))
        page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Any) -> None:
        self.problems.append(f"a dialog came up: {dialog.message}")
        dialog.dismiss()

    def shows(self, *texts: str) -> None:
        """Wait until these stand there, as they were written."""
        legible = [re.sub("[^!-~]", "", text) for text in texts]
        told = "texts => { const all = document.body.textContent.replace(/[^!-~]/g, ''); "
        told += "return texts.every((one) => all.includes(one)) }"
        self.page.wait_for_function(told, arg=legible)

    def check(self) -> None:
        """That nothing happened, and nothing stands there but what may."""
        assert self.page.evaluate(LOOK) == []
        assert self.page.evaluate("fired") == []
        assert self.problems == []
        assert [url for url in self._asked if hostile.FOREIGN in url or re.search(r"/x(\?|$)", url)] == []


OpenAs = Callable[..., Attacked]


@pytest.fixture
def open_as(workspace: Workspace, voila: str, new_page: Callable[..., Page], requests: list[str]) -> Iterator[OpenAs]:
    """A page of ours in a dashboard of its own, of whose token it is, without a policy."""
    files: list[Path] = []

    def open_as(service: Running, token: str, name: str, **named: Any) -> Attacked:
        file = workspace.notebooks / "dashboards" / f"hostile-{len(files)}.ipynb"
        arguments = "".join(f", {key}={value!r}" for key, value in named.items())
        client = f"llmws.connect({service.instance.url!r}, {token!r})"
        source = f"import llmws\nfrom llmws import ui\n\nui.{name}({client}{arguments})"
        cell: dict[str, Any] = {
            "cell_type": "code",
            "id": "page",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        notebook = {"cells": [{**cell, "source": source}], "metadata": {"kernelspec": kernel}}
        file.write_text(json.dumps({**notebook, "nbformat": 4, "nbformat_minor": 5}))
        files.append(file)
        page = new_page(bypass_csp=True)
        page.add_init_script(WATCH)
        attacked = Attacked(page, requests)
        page.goto(f"{voila}/voila/render/{file.name}")
        expect(page.locator(".lw-page, .lw-providers").first).to_be_visible()
        expect(page.locator(".lw-skeleton, .lw-skeleton-list")).to_have_count(0)
        return attacked

    yield open_as
    for file in files:
        file.unlink(missing_ok=True)


@pytest.fixture
def service(settings: Settings) -> Iterator[Running]:
    with running_service(settings) as running:
        yield running


def conversation(title: str, *messages: dict[str, Any]) -> dict[str, Any]:
    rows = []
    for number, message in enumerate(messages):
        parent = str(number - 1) if number else None
        rows.append({"id": str(number), "parent_id": parent, "created_at": 1.7e9 + number, "message": message})
    told = {"id": title, "title": title, "model": "m", "system": "\n".join(EVERYTHING)}
    return {**told, "messages": rows, "head_id": str(len(rows) - 1)}


def answer(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "parts": list(parts), "finish_reason": "stop", **more}


def said() -> dict[str, Any]:
    asked = {"role": "user", "parts": [{"type": "text", "text": "\n".join(EVERYTHING)}]}
    thought = {"type": "reasoning", "text": "\n".join(EVERYTHING)}
    # Few at a time: a fence or a comment that is not closed takes along what follows.
    texts = [{"type": "text", "text": "\n\n".join(EVERYTHING[n : n + 5])} for n in range(0, len(EVERYTHING), 5)]
    return conversation("Said", asked, answer(thought, *texts))


# As a file tells it: what stands where an element, or a text, is awaited.
ELEMENT = {
    "type": "img",
    "props": {"src": "x", "onerror": "window.pwned=1", "dangerouslySetInnerHTML": {"__html": "x"}},
}


def told() -> dict[str, Any]:
    """What vendors, functions and files have a say in."""
    everything = "\n".join(EVERYTHING)
    files = [{"type": "file", "text": "x", "data": {"name": text, "media_type": text}} for text in EVERYTHING[:600]]
    pictures = [
        {"type": "image", "data": {"name": text, "url": f"data:{kind},{text}", "width": text}}
        for kind, text in zip(("text/html", "image/svg+xml", "image/png;base64"), EVERYTHING, strict=False)
    ]
    addresses = [*re.findall(r"\((?:<)?([^()<>]{5,})(?:>)?\)", "\n".join(EVERYTHING)), *EVERYTHING]
    sources = [{"type": "citation", "data": {"url": one, "title": one}} for one in addresses[:800]]
    call = {
        "type": "tool_call",
        "data": {"id": "c", "name": everything, "arguments": json.dumps({everything: everything})},
    }
    odd = [
        {"type": kind, "data": dict.fromkeys(("id", "name", "title", "url", "arguments"), ELEMENT)} for kind in KINDS
    ]
    return conversation(
        "Told",
        {"role": "user", "parts": [*files, *pictures]},
        answer(
            *sources,
            {"type": "warning", "text": everything, "data": {"code": everything}},
            call,
            finish_reason="tool_calls",
        ),
        {"role": "tool", "parts": [{"type": "tool_result", "text": everything, "data": {"id": "c"}}]},
        answer(*odd, model=everything[:200], error={"code": everything, "message": everything, "remedy": everything}),
    )


KINDS = ("tool_call", "citation", "warning", "reasoning")


def bring(service: Running, *conversations: dict[str, Any], **headers: str) -> str:
    """Import conversations as a file of our own; gives the import's id."""
    chats = [*conversations, {"messages": EVERYTHING[:3], "head_id": 1, "title": LINES[0]}, EVERYTHING[:2]]
    file = json.dumps({"format": "llmws.chats", "version": 1, "chats": chats}).encode()
    named = " ".join(EVERYTHING[3].split())
    made = service.http.post("/api/imports", json={"name": named, "bytes": len(file)}, headers=headers).json()["id"]
    path = f"/api/imports/{made}"
    for offset in range(0, len(file), 2**20):
        piece = file[offset : offset + 2**20]
        service.http.post(
            f"{path}/content", params={"offset": offset}, content=piece, headers=headers
        ).raise_for_status()
    wait_for(lambda: service.http.get(path, headers=headers).json()["state"] == "ended", "the import")
    counts = service.http.get(path, headers=headers).json()
    assert (counts["imported"], counts["refused"], counts["error"]) == (len(conversations), 2, None), counts
    return str(made)


def find(attacked: Attacked, title: str) -> None:
    attacked.page.get_by_role("searchbox").first.fill(title)
    attacked.page.locator(".lw-entry-open", has_text=title).first.click()


def test_the_chat_page_executes_nothing_and_loads_nothing(open_as: OpenAs, service: Running) -> None:
    bring(service, said(), told())
    for number, title in enumerate(LINES):
        made = service.new_chat(title=f"Line {number} {title}")["id"]
        service.http.patch(f"/api/chats/{made}", json={"folder": title[:100], "tags": [title[100:180], title[200:280]]})
    attacked = open_as(service, service.instance.token, "Chat", model="echo")
    page = attacked.page
    page.get_by_role("searchbox").fill("Line 7")
    attacked.shows(LINES[7])
    attacked.check()
    # Found by what was said, with the words around it.
    page.get_by_role("searchbox").fill("pwned")
    expect(page.locator(".lw-entry").first).to_be_visible()
    attacked.check()

    find(attacked, "Said")
    expect(page.locator(".lw-markdown")).to_have_count(-(-len(EVERYTHING) // 5))
    attacked.shows(*EVERYTHING[::50])
    page.locator(".lw-reasoning summary").first.click()
    attacked.check()

    # What vendors, functions and files have a say in: sources, calls and results, failures, names.
    find(attacked, "Told")
    expect(page.get_by_role("alert").first).to_be_visible()
    expect(page.locator(".lw-citation").nth(500)).to_be_attached()
    attacked.check()
