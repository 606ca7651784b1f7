"""What the pages do in a browser that no server has a part in: their Python half is a few lines of script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from .test_bundle import UI

# Any address will do: nothing is asked there.
PAGE = "http://127.0.0.1/lab"
WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 390, "height": 800}
CHATS: dict[str, Any] = {"items": [], "next_cursor": None, "folders": [], "tags": []}
MODEL = {"id": "echo", "name": "Echo", "provider": "echo", "state": "ready"}
JOB: dict[str, Any] = {"id": "j", "name": "seafarer-1", "model": "seafarer-1", "state": "finished", "recipe": {}}
JOB |= {"created_at": 1.0, "ended_at": 2.0}
RUN: dict[str, Any] = {"job": JOB, "figures": {}, "history": [], "points": [], "log": "", "serving": False}
FORM: dict[str, Any] = {"datasets": [], "bases": [], "fields": [], "presets": [{"name": "quick", "recipe": {}}]}
# What each page is told when it opens.
BEGINS: dict[str, dict[str, Any]] = {
    "chats": {"start": {"models": [MODEL], "chats": CHATS, "chat": None}},
    "compare": {"start": {"models": [MODEL], "earlier": {"items": [], "next_cursor": None}, "comparison": None}},
    "finetune": {
        "start": {"form": FORM, "environment": None, "jobs": {"items": [JOB], "next_cursor": None}, "run": RUN},
        "talk": {"widget": "talk"},
    },
}
# A kernel as far as a page sees it: it answers at once, or never, and its widgets are empty boxes.
KERNEL = """
window.views ??= [];
window.openView = async (source, answers) => {
  const heard = new Map();
  let number = 0;
  const hear = (message) => heard.get("msg:custom")({ number: ++number, ...message });
  const model = {
    get: () => "", off() {}, on: (name, listen) => heard.set(name, listen),
    send: ({ intent, view, request }) =>
      intent in answers && queueMicrotask(() => hear({ type: "reply", view, request, value: answers[intent] })),
    widget_manager: {
      get_model: async () => null,
      create_view: async () => ({ el: document.createElement("p"), remove() {} }),
    },
  };
  const { default: page } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const el = document.createElement("div");
  el.style.height = "700px";
  document.body.append(el);
  const close = page.render({ model, el });
  views.push({ say: hear, close: () => { close(); el.remove(); } });
};
"""


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    mistakes: list[str] = []
    page = chromium.new_page(locale="en-US", reduced_motion="reduce", viewport=WIDE)
    page.route("**", lambda route: route.fulfill(body="<!doctype html><body>", content_type="text/html"))
    page.on("pageerror", lambda mistake: mistakes.append(str(mistake)))
    page.goto(PAGE)
    yield page
    page.close()
    assert mistakes == []


@pytest.fixture
def view(page: Page) -> Callable[[str], None]:
    """Opens another view of a page, below the ones that stand there."""

    def open_view(name: str) -> None:
        page.add_script_tag(content=KERNEL)
        page.add_style_tag(content=(UI / "static" / f"{name}.css").read_text(encoding="utf-8"))
        source = (UI / "static" / f"{name}.js").read_text(encoding="utf-8")
        page.evaluate("([source, answers]) => openView(source, answers)", [source, BEGINS[name]])
        expect(page.locator(".lw-head").last).to_be_visible()

    return open_view


def tabbed(page: Page) -> set[str]:
    """The parts of the page that the Tab key comes through."""
    part = "document.activeElement.closest('.lw-side, .lw-talk, .lw-main')?.className ?? 'none'"
    found = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        found.add(page.evaluate(part))
    return found - {"none"}


def refuse(page: Page) -> None:
    page.evaluate('views[0].say({ type: "refused", error: { code: "x", message: "That did not work." } })')


def test_a_notice_goes_from_nobody_who_is_at_it(page: Page, view: Callable[[str], None]) -> None:
    page.clock.install()
    view("chats")
    notice = page.locator(".lw-toast")
    refuse(page)
    notice.hover()
    page.clock.run_for(20_000)
    expect(notice).to_be_visible()
    page.mouse.move(0, 0)
    page.clock.run_for(20_000)
    expect(notice).to_have_count(0)
    refuse(page)
    notice.get_by_role("button").focus()
    page.clock.run_for(40_000)
    expect(notice).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.clock.run_for(20_000)
    expect(notice).to_have_count(0)


@pytest.mark.parametrize("name", ["chats", "compare", "finetune"])
def test_what_lies_beneath_an_open_drawer_is_out_of_reach(page: Page, view: Callable[[str], None], name: str) -> None:
    page.set_viewport_size(NARROW)
    view(name)
    opener = page.locator(".lw-head [aria-expanded]").first
    opener.press("Enter")
    expect(page.locator(".lw-side")).to_be_visible()
    assert tabbed(page) == {"lw-side"}
    page.keyboard.press("Escape")
    expect(page.locator(".lw-side")).to_be_hidden()
    expect(opener).to_be_focused()
    assert "lw-main" in tabbed(page)


def test_a_drawer_leaves_its_notices_to_be_pressed_and_ends_where_the_page_gets_wide(
    page: Page, view: Callable[[str], None]
) -> None:
    page.set_viewport_size(NARROW)
    view("chats")
    page.locator(".lw-head [aria-expanded]").first.click()
    refuse(page)
    page.locator(".lw-toast button").click()
    expect(page.locator(".lw-toast")).to_have_count(0)
    page.set_viewport_size(WIDE)
    page.get_by_role("textbox", name="Message").fill("Wide")


def test_what_lies_beneath_a_chat_with_a_tuned_model_is_out_of_reach(page: Page, view: Callable[[str], None]) -> None:
    view("finetune")
    page.get_by_role("button", name="Chat with it").press("Enter")
    expect(page.locator(".lw-talk")).to_be_visible()
    assert tabbed(page) == {"lw-talk"}
    page.locator(".lw-talk > .lw-head button").press("Enter")
    expect(page.get_by_role("button", name="Chat with it")).to_be_focused()


def test_what_is_being_written_waits_for_the_view_that_comes_next(page: Page, view: Callable[[str], None]) -> None:
    view("chats")
    view("chats")
    boxes = page.locator(".lw-composer textarea")
    boxes.first.fill("Half a question")
    boxes.last.fill("Another")
    page.evaluate("views[0].close()")
    expect(boxes).to_have_value("Another")
    view("compare")
    expect(boxes.last).to_have_value("")
    view("chats")
    expect(boxes.last).to_have_value("Half a question")
