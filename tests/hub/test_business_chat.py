"""All that business users do on the chat dashboards of a hub: two of them, and one without an account."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.service.vendor_server import VendorServer, vendor_server
from tests.ui.conftest import write_notebook
from tests.ui.test_chat_browser import ENDLESS, ChatPage
from tests.ui.test_inputs_browser import (
    has_what_was_attached,
    lets_one_of_two_calls_run,
    provide,
    takes_pictures_and_files,
)
from tests.ui.test_stream_browser import ANSWER
from tests.ui.test_transfer_browser import SAMPLES, menu, save
from tests.ui.test_turns_browser import act, stop

from .running import Person, RunningHub
from .test_dashboards import Browsing, browse, chromium
from .test_docs import blocks
from .test_work import program

__all__ = ["browse", "chromium"]

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
SCOPES = ["access:services!service=llmws", "custom:llmws:chat"]
Begin = Callable[..., str]


@pytest.fixture
def begin(hub: RunningHub, sign_in: Callable[[str], Person]) -> Iterator[Begin]:
    """Begins a conversation of Bob's whose echo is scripted, with a token of his; gives its title."""
    bob = sign_in("bob")
    made = bob.ask("POST", "/hub/api/users/bob/tokens", json={"note": "tests", "scopes": SCOPES}).raise_for_status()
    head = {"Authorization": f"Bearer {made.json()['token']}"}
    with httpx.Client(base_url=f"{hub.url}/services/llmws", headers=head, timeout=60, trust_env=False) as api:

        def begin(title: str, **script: Any) -> str:
            title = f"{title} {uuid.uuid4().hex[:6]}"
            told = {"model": "echo", "title": title, "parameters": {"extra": script}}
            api.post("/api/chats", json=told).raise_for_status()
            return title

        yield begin


@pytest.fixture
def vendor(hub: RunningHub, sign_in: Callable[[str], Person]) -> Iterator[VendorServer]:
    """A vendor that the administrator has added and shared with business users: of its models one sees."""
    ann = sign_in("ann")
    ann.open_server("admin")
    with program(ann.start_kernel("admin")) as api, vendor_server() as vendor:
        provide(api, vendor)
        api.put("/api/providers/vllm/grants/group/business").raise_for_status()
        yield vendor
        api.delete("/api/providers/vllm").raise_for_status()


@pytest.fixture
def stock(hub: RunningHub) -> Iterator[str]:
    """The dashboard of `docs/hub.md`, published as the page says; its title."""
    notebook = hub.dashboards / "stock.ipynb"
    write_notebook(notebook, *blocks("cell"), llmws=json.loads(*blocks("metadata"))["llmws"])
    yield "Stock"
    notebook.unlink()


def chat_of(person: Browsing, title: str = "Chat") -> ChatPage:
    """A dashboard, opened from its card."""
    person.open(title)
    chat = ChatPage(person.page).ready()
    chat.choose("Echo")
    return chat


def test_all_that_business_users_do(
    begin: Begin,
    browse: Callable[..., Browsing],
    chromium: Browser,
    hub: RunningHub,
    vendor: VendorServer,
    tmp_path: Path,
) -> None:
    bob = chat_of(browse("bob", viewport={"width": 1280, "height": 800}))
    thinks_is_stopped_goes_on_and_outlives_a_reload(bob, begin)
    is_put_in_order(bob)
    is_said_differently(bob)
    takes_pictures_and_files(bob)
    bob.page.reload()
    has_what_was_attached(bob.ready())
    leaves_no_history(bob)
    leaves_as_files_and_comes_back(bob, tmp_path)
    offers_no_cells(bob, begin)
    is_worked_by_keys(bob)
    bob.page.evaluate("window.stayed = true")
    bea = chat_of(browse("bea", viewport={"width": 390, "height": 844}))
    is_shared_with_a_group(bob, bea)
    is_read_by_link_without_an_account(bob, chromium, hub)
    # A page that somebody returns to looks for its kernel, and stays where it finds it.
    assert bob.page.evaluate("window.stayed")
    speaks_chinese(bea)


def test_a_dashboard_of_the_team_has_functions_and_asks_before_one_runs(
    browse: Callable[..., Browsing], stock: str, vendor: VendorServer
) -> None:
    bea = chat_of(browse("bea", viewport={"width": 390, "height": 844}), stock)
    bea.choose("m")
    calls = ("in_stock", '{"item": "lantern"}'), ("in_stock", '{"item": "anchor"}')
    told = lets_one_of_two_calls_run(bea, vendor, *calls)
    assert told == ["3", "The person did not allow this call. Do not try it again unless they ask for it."]
    # Whoever opens the page is asked; what it runs is not shown.
    assert "STOCK" not in bea.page.content()


def thinks_is_stopped_goes_on_and_outlives_a_reload(chat: ChatPage, begin: Begin) -> None:
    title = begin("Thought about", **ENDLESS)
    chat.open(title)
    chat.ask("Go on")
    reasoning = chat.page.locator(".lw-reasoning").first
    expect(reasoning).to_have_attribute("open", "")
    expect(chat.answers.first).to_contain_text("w3 ")
    expect(reasoning).not_to_have_attribute("open", "")
    stop(chat)
    expect(chat.answers.first).to_contain_text("Stopped.")
    chat.answers.first.get_by_role("button", name="Continue").click()
    expect(chat.answers.nth(1)).to_contain_text("w3 ")
    chat.page.reload()
    expect(chat.ready().title).to_have_text(title)
    now = int(chat.text().rpartition("w")[2] or 0)
    expect(chat.answers.nth(1)).to_contain_text(f"w{now + 20} ")
    chat.page.get_by_role("button", name="Stop", exact=True).click()
    chat.finished(2)


def is_put_in_order(chat: ChatPage) -> None:
    page, mark = chat.page, uuid.uuid4().hex[:6]
    chat.composer.press("Control+Shift+O")
    chat.ask(f"潮汐 {mark}")
    chat.finished()
    title = f"Tides {mark}"
    entry = chat.entries.filter(has=page.get_by_role("button", name=title, exact=True))
    chat.entries.get_by_role("button", name=f"潮汐 {mark}", exact=True).press("F2")
    page.get_by_label("Title", exact=True).fill(title)
    page.keyboard.press("Enter")
    expect(chat.title).to_have_text(title)
    page.get_by_role("searchbox").fill(f"潮汐 {mark}")
    expect(chat.entries.locator(".lw-entry-line mark").first).to_have_text("潮汐")
    page.get_by_role("searchbox").fill("")
    expect(chat.entries.locator(".lw-entry-line")).to_have_count(0)
    chat.act(entry, "Tags")
    page.get_by_role("textbox", name="New tag…").fill(f"sea-{mark}")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name=re.compile(f"^sea-{mark}"))).to_be_visible()
    chat.act(entry, "Move to folder")
    page.get_by_role("textbox", name="New folder…").fill(f"Water {mark}")
    page.keyboard.press("Enter")
    folder = page.locator(".lw-folder", has_text=f"Water {mark}")
    folder.get_by_role("button", expanded=False).first.click()
    for doing in ("Archive", "Delete"):
        chat.act(folder.locator(entry), doing)
        expect(entry).to_have_count(0)
        page.get_by_role("button", name="Undo").last.click()
        expect(folder.locator(entry)).to_be_visible()
    chat.act(folder.locator(entry), "Pin")
    pinned = page.locator("section", has=page.get_by_role("heading", name="Pinned"))
    expect(pinned.locator(entry)).to_be_visible()


def is_said_differently(chat: ChatPage) -> None:
    chat.composer.press("Control+Shift+O")
    chat.ask("One")
    chat.finished()
    act(chat.asked.first, "^Edit$")
    chat.page.get_by_role("textbox", name="Edit your message").fill("Uno")
    chat.page.keyboard.press("Enter")
    chat.finished()
    assert chat.text() == "Uno"
    act(chat.asked.first, "Previous version")
    expect(chat.answers.first.locator(".lw-markdown")).to_have_text("One")
    act(chat.answers.first, "Regenerate with another model")
    chat.page.get_by_role("option", name=re.compile("^Echo ")).click()
    expect(chat.answers.first.get_by_role("group")).to_have_text("2/2")
    chat.finished()


def leaves_no_history(chat: ChatPage) -> None:
    chat.composer.press("Control+Shift+O")
    chat.choose("Echo")
    chat.page.get_by_role("button", name="Temporary conversation").click()
    chat.ask("Between you and me")
    chat.finished()
    expect(chat.page.get_by_text("gone when you leave it")).to_be_visible()
    chat.composer.press("Control+Shift+O")
    expect(chat.entries.filter(has_text="Between you and me")).to_have_count(0)


def leaves_as_files_and_comes_back(chat: ChatPage, folder: Path) -> None:
    page = chat.page
    chat.composer.press("Control+Shift+O")
    chat.ask("Name the moons")
    chat.finished()
    begins = {"Markdown": "# Name", "Web page": "<!doctype html>", "Notebook": "{", "CSV": "\ufeffchat", "JSON": "{"}
    for name, begin in begins.items():
        menu(page, "Export")
        told = save(page, name).read_text("utf-8")
        assert told.lower().startswith(begin.lower()), told[:60]
        assert "Name the moons" in told
    menu(page, "Export")
    page.get_by_label("All conversations").check()
    assert len(json.loads(save(page, "JSON").read_text())["chats"]) > 3
    [first, *others] = json.loads((SAMPLES / "chatgpt.json").read_text("utf-8"))
    first |= {"title": f"火星 {uuid.uuid4().hex[:6]}", "conversation_id": uuid.uuid4().hex}
    others[-1]["id"] = uuid.uuid4().hex
    file = folder / "conversations.json"
    file.write_text(json.dumps([first, *others]))
    menu(page, "Import")
    sheet = page.get_by_role("dialog", name="Import")
    for outcome in ("2 imported", "2 there already"):
        sheet.locator("input[type=file]").set_input_files(file)
        expect(sheet.get_by_role("button", name=outcome)).to_be_visible()
        expect(sheet.get_by_role("button", name="2 refused")).to_have_attribute("aria-pressed", "true")
        sheet.get_by_role("button", name="Import another file").click()
    page.keyboard.press("Escape")
    chat.open(first["title"])
    expect(page.locator(".lw-log")).to_contain_text("Phobos and Deimos.")
    page.get_by_role("searchbox").fill("")


def offers_no_cells(chat: ChatPage, begin: Begin) -> None:
    page = chat.page
    chat.open(begin("Code", tokens=[ANSWER]))
    chat.ask("Show it")
    chat.finished()
    expect(page.locator(".lw-answer .katex")).to_have_count(2)
    expect(page.get_by_role("button", name="Copy code")).to_have_count(3)
    expect(page.get_by_role("button", name=re.compile("as a cell"))).to_have_count(0)
    menu(page, "Show as code")
    dialog = page.get_by_role("dialog", name="Show as code")
    expect(dialog.get_by_role("button", name="Copy")).to_be_enabled()
    expect(dialog.get_by_role("button", name="Insert as cell")).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("")


def is_worked_by_keys(chat: ChatPage) -> None:
    # The list is whole again a moment after the search was cleared.
    expect(chat.entries.locator("mark")).to_have_count(0)
    chat.composer.press("Control+k")
    expect(chat.page.get_by_role("searchbox")).to_be_focused()
    chat.page.keyboard.press("Alt+ArrowUp")
    expect(chat.page.locator(".lw-slot:focus")).to_have_count(1)
    chat.page.keyboard.press("?")
    sheet = chat.page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    chat.page.keyboard.press("Escape")
    before = chat.title.inner_text()
    chat.composer.press("Alt+PageDown")
    expect(chat.title).not_to_have_text(before)


def share(page: Page, with_group: str) -> None:
    """In the dialog that is open."""
    dialog = page.get_by_role("dialog", name=re.compile("^Share"))
    dialog.get_by_text("Group", exact=True).click()
    dialog.get_by_role("combobox", name="Group to share with").select_option(with_group)
    dialog.get_by_role("button", name="Share", exact=True).click()
    expect(dialog.locator(".lw-share-list")).to_contain_text(with_group)


def is_shared_with_a_group(bob: ChatPage, bea: ChatPage) -> None:
    """A conversation and an assistant; she has a telephone."""
    page, name = bob.page, f"Poet {uuid.uuid4().hex[:6]}"
    bob.composer.press("Control+Shift+O")
    bob.ask(f"Of {name}")
    bob.finished()
    menu(page, "Share…")
    share(page, "business")
    page.keyboard.press("Escape")
    menu(page, "Save as assistant")
    form = page.get_by_role("dialog", name="Save as assistant")
    form.get_by_label("Name").fill(name)
    form.get_by_label("System prompt").fill("Rhyme.")
    form.get_by_role("button", name="Save").click()
    # The page's keys are not heard while a dialog is open.
    expect(form).to_have_count(0)
    bob.composer.press("Control+Shift+O")
    card = page.locator(".lw-assistant", has_text=name)
    card.get_by_role("button", name=f"Menu of {name}").click()
    page.get_by_role("menuitem", name="Share…").click()
    share(page, "business")
    page.keyboard.press("Escape")

    bea.page.reload()
    theirs = bea.ready().page.locator(".lw-assistant", has_text=name)
    expect(theirs).to_contain_text("by bob")
    theirs.get_by_role("button").click()
    expect(bea.page.locator(".lw-head")).to_contain_text(name)
    bea.ask("What is fog?")
    bea.finished()
    bea.page.get_by_role("button", name="Show conversations").click()
    bea.page.locator(".lw-shared-list").get_by_role("button", name=f"Of {name}").click()
    expect(bea.answers.first).to_contain_text(f"Of {name}")
    expect(bea.page.locator(".lw-head")).to_contain_text("Read only")
    assert bea.page.evaluate("document.documentElement.scrollWidth") <= 390
    bea.page.get_by_role("button", name="Continue in a copy").click()
    bea.ask("And on")
    bea.finished(2)

    bob.open(f"Of {name}")
    menu(page, "Share…")
    dialog = page.get_by_role("dialog", name=re.compile("^Share"))
    dialog.get_by_role("button", name="Stop sharing with business").click()
    expect(dialog).to_contain_text("business no longer has it.")
    page.keyboard.press("Escape")
    bea.page.reload()
    bea.ready()
    expect(bea.page.locator(".lw-shared-list").get_by_role("button", name=f"Of {name}")).to_have_count(0)


def is_read_by_link_without_an_account(bob: ChatPage, chromium: Browser, hub: RunningHub) -> None:
    page = bob.page
    menu(page, "Share…")
    dialog = page.get_by_role("dialog", name=re.compile("^Share"))
    dialog.get_by_role("button", name="Create link").click()
    url = dialog.get_by_role("textbox", name="Link").input_value()
    assert url.startswith(f"{hub.url}/")
    context = chromium.new_context()
    stranger = context.new_page()
    told = stranger.goto(url)
    assert told is not None
    assert told.ok
    expect(stranger.get_by_text(re.compile("^Of Poet")).first).to_be_visible()
    assert context.cookies() == []
    dialog.get_by_role("button", name="Revoke").click()
    expect(dialog).to_contain_text("Revoked")
    gone = stranger.goto(url)
    assert gone is not None
    assert gone.status == 404
    context.close()
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("")


def speaks_chinese(chat: ChatPage) -> None:
    page = chat.page
    menu(page, "中文")
    chat.composer.press("Control+Shift+O")
    expect(chat.title).to_have_text("新对话")
    page.reload()
    expect(chat.ready().title).to_have_text("新对话")
    page.get_by_role("link", name="所有仪表板").click()
    expect(page.get_by_role("heading", name="仪表板")).to_be_visible()
