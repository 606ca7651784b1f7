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
# So many that there is a field to find one by, the first of which cannot be asked.
MODELS = [{**MODEL, "id": f"echo-{number}", "name": f"Echo {number}"} for number in range(9)]
MODELS[0]["state"] = "unavailable"
VENDOR = {"id": "deepseek", "name": "DeepSeek", "wire": "openai_chat", "base_url": "https://api.deepseek.com"}
VENDOR |= {"needs_key": False, "key_hint": "", "docs": ""}
ACCOUNTS = {"me": {"actions": ["configure"]}, "vendors": [VENDOR], "providers": [], "spend": [], "limits": []}
# What each page is told when it opens.
BEGINS: dict[str, dict[str, Any]] = {
    "chats": {"start": {"models": [MODEL], "chats": CHATS, "chat": None}},
    "compare": {"start": {"models": [MODEL], "earlier": {"items": [], "next_cursor": None}, "comparison": None}},
    "finetune": {
        "start": {"form": FORM, "environment": None, "jobs": {"items": [JOB], "next_cursor": None}, "run": RUN},
        "talk": {"widget": "talk"},
    },
    "providers": {"start": {**ACCOUNTS, "shown": None}},
}
# A kernel as far as a page sees it: it answers at once, or never, and its widgets are empty boxes.
KERNEL = """
window.views ??= [];
window.openView = async (source, answers) => {
  const heard = new Map();
  const asked = {};
  let number = 0;
  const hear = (message) => heard.get("msg:custom")({ number: ++number, ...message });
  const model = {
    get: () => "", off() {}, on: (name, listen) => heard.set(name, listen),
    send: ({ intent, view, request }) => {
      const reply = (value) => hear({ type: "reply", view, request, value });
      asked[intent] = reply;
      if (intent in answers) queueMicrotask(() => reply(answers[intent]));
    },
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
  views.push({ say: hear, asked, close: () => { close(); el.remove(); } });
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
    message = page.get_by_role("textbox", name="Message")
    message.fill("Wide")
    # One that a wide page was asked for is none, and does not lie there once it gets narrow.
    message.press("Control+k")
    expect(page.get_by_role("searchbox")).to_be_focused()
    message.focus()
    page.set_viewport_size(NARROW)
    expect(page.locator(".lw-head [aria-expanded]").first).to_be_visible()
    page.keyboard.type("r")
    expect(message).to_have_value("Wider")


def test_the_drawer_of_earlier_comparisons_lies_at_every_width(page: Page, view: Callable[[str], None]) -> None:
    view("compare")
    page.locator(".lw-head [aria-expanded]").first.press("Enter")
    expect(page.locator(".lw-side")).to_be_visible()
    assert tabbed(page) == {"lw-side"}


def test_who_left_the_form_of_a_provider_is_told_why_it_was_not_added(page: Page, view: Callable[[str], None]) -> None:
    view("providers")
    page.get_by_role("button", name="Add provider").click()
    page.get_by_role("button", name="DeepSeek").click()
    page.get_by_role("button", name="Add provider").click()
    page.get_by_role("button", name="Back").click()
    verdict = {"ok": False, "code": "wrong_key", "message": "The key was refused.", "remedy": "Check it."}
    page.evaluate("verdict => views[0].asked.add({ verdict, shown: null })", verdict)
    expect(page.locator(".lw-toast")).to_contain_text("The key was refused. Check it.")


def test_of_models_that_are_found_the_first_that_can_be_asked_is_taken(page: Page, view: Callable[[str], None]) -> None:
    view("chats")
    now = {"models": MODELS, "chats": CHATS}
    pulse = "now => { document.dispatchEvent(new Event('visibilitychange')); views[0].asked.pulse(now); }"
    page.evaluate(pulse, now)
    picker = page.get_by_role("button", name="Model: ")
    picker.click()
    field = page.get_by_role("searchbox", name="Find a model")
    field.fill("echo")
    # The field goes by what is written in it, not only by how many there are.
    page.evaluate(pulse, {**now, "models": MODELS[:3]})
    expect(page.get_by_role("option")).to_have_count(3)
    field.press("Enter")
    expect(picker).to_have_attribute("aria-label", "Model: Echo 1")


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
