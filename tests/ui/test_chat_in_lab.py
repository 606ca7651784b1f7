"""All that a person does on the chat page, driven inside JupyterLab, whose keys, panels and files are around it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.service.harness import Running
from tests.service.vendor_server import VendorServer

from .conftest import Workspace, write_notebook
from .test_chat_browser import ENDLESS, ChatPage, prepared
from .test_inputs_browser import (
    FUNCTIONS,
    has_what_was_attached,
    lets_one_of_two_calls_run,
    log,
    takes_pictures_and_files,
    vendor,
)
from .test_library_browser import said
from .test_sharing_browser import SOURCE, hub
from .test_stream_browser import ANSWER, cells
from .test_transfer_browser import SAMPLES, menu, save
from .test_turns_browser import act, stop

__all__ = ["hub", "log", "prepared", "vendor"]

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
Prepare = Callable[..., str]
# Each of these does something to a notebook in command mode.
COMMANDS = "abddxmyzcv"


@pytest.fixture
def in_lab(workspace: Workspace, open_notebook: Callable[..., Page]) -> Iterator[Callable[..., ChatPage]]:
    """Opens a notebook of one cell in Lab."""
    written: list[Path] = []

    def open_it(source: str, **options: object) -> ChatPage:
        notebook = workspace.notebooks / f"lab-{uuid.uuid4().hex[:6]}.ipynb"
        write_notebook(notebook, source)
        written.append(notebook)
        return ChatPage(open_notebook("lab", notebook.stem, **options)).ready()

    yield open_it
    for notebook in written:
        notebook.unlink()


def entry(chat: ChatPage, title: str) -> Locator:
    return chat.entries.filter(has=chat.page.get_by_role("button", name=title, exact=True))


def run(page: Page, command: str, **values: object) -> None:
    """Let Lab do one of its commands."""
    page.evaluate("([command, values]) => jupyterapp.commands.execute(command, values)", [command, values])


def test_all_that_the_page_does_is_done_in_a_notebook(
    in_lab: Callable[..., ChatPage],
    prepared: Prepare,
    vendor: VendorServer,
    log: Path,
    workspace: Workspace,
    tmp_path: Path,
) -> None:
    chat = in_lab(FUNCTIONS.format(log=str(log)), viewport={"width": 1440, "height": 900})
    before = cells(chat.page)
    thinks_is_stopped_and_goes_on(chat, prepared)
    is_put_in_order(chat, workspace)
    is_said_differently_and_answered_by_another(chat, prepared)
    takes_pictures_and_files(chat)
    has_what_was_attached(chat)
    calls = ("launch", '{"ship": "Argo", "crew": 50}'), ("launch", '{"ship": "Titanic", "crew": 1}')
    lets_one_of_two_calls_run(chat, vendor, *calls)
    assert log.read_text() == "Argo 50\n"
    leaves_no_history(chat)
    leaves_as_files_and_comes_back(chat, workspace, tmp_path)
    assert cells(chat.page) == before
    begins_with_an_assistant_and_is_shown_as_code(chat)
    assert len(cells(chat.page)) == len(before) + 1
    is_worked_by_keys(chat, prepared)
    speaks_chinese(chat)
    assert len(cells(chat.page)) == len(before) + 1


def thinks_is_stopped_and_goes_on(chat: ChatPage, prepared: Prepare) -> None:
    chat.open(prepared("Thought about", **ENDLESS))
    chat.ask("Go on")
    reasoning = chat.page.locator(".lw-reasoning").first
    expect(reasoning).to_have_attribute("open", "")
    expect(reasoning).to_contain_text("I only count.")
    expect(chat.answers.first).to_contain_text("w3 ")
    expect(reasoning).not_to_have_attribute("open", "")
    expect(reasoning.locator("summary")).to_contain_text("Thought for")
    stop(chat)
    expect(chat.answers.first).to_contain_text("Stopped.")
    chat.answers.first.get_by_role("button", name="Continue").click()
    expect(chat.answers.nth(1)).to_contain_text("w3 ")
    chat.page.get_by_role("button", name="Stop", exact=True).click()
    chat.finished(2)
    filling = chat.page.get_by_role("button", name=re.compile("^Context .* full$"))
    filling.click()
    expect(chat.page.get_by_role("dialog", name="This conversation so far")).to_be_visible()
    chat.page.keyboard.press("Escape")


def is_put_in_order(chat: ChatPage, workspace: Workspace) -> None:
    client, page, mark = workspace.client(), chat.page, uuid.uuid4().hex[:6]
    said(client, f"Tides {mark}", f"潮汐 {mark}")
    search = page.get_by_role("searchbox")
    search.fill("")
    page.keyboard.type(f"潮汐 {mark}")
    expect(chat.entries.locator(".lw-entry-line mark")).to_have_text(["潮汐", mark])
    chat.entries.locator(".lw-entry-open").click()
    expect(page.locator(".lw-slot:focus")).to_contain_text("潮汐")
    search.fill("")
    expect(chat.entries.locator(".lw-entry-line")).to_have_count(0)
    entry(chat, f"Tides {mark}").locator(".lw-entry-open").press("F2")
    page.get_by_label("Title", exact=True).fill(f"{mark} ")
    page.keyboard.type(COMMANDS)
    page.keyboard.press("Enter")
    title = f"{mark} {COMMANDS}"
    expect(chat.title).to_have_text(title)
    chat.act(entry(chat, title), "Tags")
    page.get_by_role("textbox", name="New tag…").press_sequentially(COMMANDS)
    page.keyboard.press("Enter")
    expect(page.get_by_role("option", name=COMMANDS, selected=True)).to_be_visible()
    page.keyboard.press("Escape")
    chat.act(entry(chat, title), "Pin")
    expect(page.locator("section", has=page.get_by_role("heading", name="Pinned"))).to_contain_text(title)
    chat.act(entry(chat, title), "Move to folder")
    page.get_by_role("textbox", name="New folder…").press_sequentially(f"dd{mark}")
    page.keyboard.press("Enter")
    folder = page.locator(".lw-folder", has_text=f"dd{mark}")
    folder.get_by_role("button", expanded=False).first.press("ArrowRight")
    expect(folder.locator(entry(chat, title))).to_be_visible()
    for doing in ("Archive", "Delete"):
        chat.act(folder.locator(entry(chat, title)), doing)
        expect(entry(chat, title)).to_have_count(0)
        page.get_by_role("button", name="Undo").last.click()
        expect(folder.locator(entry(chat, title))).to_be_visible()
    kept = client.chats.list(title)
    assert (kept.folder[0], list(kept.tags[0]), bool(kept.pinned[0])) == (f"dd{mark}", [COMMANDS], True)


def is_said_differently_and_answered_by_another(chat: ChatPage, prepared: Prepare) -> None:
    chat.open(prepared("Said differently"))
    chat.ask("One")
    chat.finished()
    act(chat.asked.first, "^Edit$")
    box = chat.page.get_by_role("textbox", name="Edit your message")
    box.fill("")
    box.press_sequentially(COMMANDS)
    box.press("Enter")
    chat.finished()
    assert chat.text() == COMMANDS
    act(chat.asked.first, "Previous version")
    expect(chat.answers.first).to_contain_text("One")
    act(chat.answers.first, "Regenerate with another model")
    chat.page.get_by_role("option", name="m", exact=False).filter(has_text=re.compile("^m(?!-)")).first.click()
    expect(chat.answers.first.get_by_role("group")).to_have_text("2/2")
    expect(chat.answers.first.locator(".lw-markdown")).to_have_text("Yes.")
    act(chat.answers.first, "Previous version")
    expect(chat.answers.first.locator(".lw-markdown")).to_have_text("One")


def leaves_no_history(chat: ChatPage) -> None:
    page = chat.page
    chat.composer.press("Control+Shift+O")
    chat.choose("Echo")
    page.get_by_role("button", name="Temporary conversation").click()
    chat.ask("Between you and me")
    chat.finished()
    expect(page.get_by_text("gone when you leave it")).to_be_visible()
    menu(page, "Show as code")
    expect(page.get_by_role("dialog", name="Show as code")).to_contain_text("temporary=True")
    page.keyboard.press("Escape")
    chat.composer.press("Control+Shift+O")
    expect(entry(chat, "Between you and me")).to_have_count(0)


def leaves_as_files_and_comes_back(chat: ChatPage, workspace: Workspace, tmp_path: Path) -> None:
    page, title = chat.page, f"Moons {uuid.uuid4().hex[:6]}"
    said(workspace.client(), title, "Name them")
    chat.open(title)
    begins = {"Markdown": "# Moons", "Web page": "<!doctype html>", "Notebook": "{", "CSV": "\ufeffchat", "JSON": "{"}
    for name, begin in begins.items():
        menu(page, "Export")
        told = save(page, name).read_text("utf-8")
        assert told.lower().startswith(begin.lower()), told[:60]
        assert "Name them" in told
    [first, *_] = json.loads((SAMPLES / "chatgpt.json").read_text("utf-8"))
    first |= {"title": f"Phobos {uuid.uuid4().hex[:6]}", "conversation_id": uuid.uuid4().hex}
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([first, {"title": "Broken"}]))
    menu(page, "Import")
    sheet = page.get_by_role("dialog", name="Import")
    sheet.locator("input[type=file]").set_input_files(file)
    expect(sheet.get_by_role("button", name="1 refused")).to_have_attribute("aria-pressed", "true")
    expect(sheet.get_by_role("button", name="1 imported")).to_be_visible()
    page.keyboard.press("Escape")
    chat.open(first["title"])
    expect(page.locator(".lw-log")).to_contain_text("Phobos and Deimos.")
    menu(page, "Share…")
    expect(page.get_by_role("dialog")).to_contain_text("Sharing needs a hub")
    page.keyboard.press("Escape")


def begins_with_an_assistant_and_is_shown_as_code(chat: ChatPage) -> None:
    page, name = chat.page, f"Poet {uuid.uuid4().hex[:6]}"
    chat.composer.press("Control+Shift+O")
    chat.choose("Echo")
    menu(page, "Save as assistant")
    form = page.get_by_role("dialog", name="Save as assistant")
    form.get_by_label("Name").press_sequentially(name)
    form.get_by_label("System prompt").press_sequentially(COMMANDS)
    form.get_by_role("button", name="Save").click()
    page.locator(".lw-assistant", has_text=name).get_by_role("button").first.click()
    expect(page.locator(".lw-head")).to_contain_text(name)
    chat.ask("What is fog?")
    chat.finished()
    expect(page.locator(".lw-head")).to_contain_text(name)
    menu(page, "Show as code")
    dialog = page.get_by_role("dialog", name="Show as code")
    expect(dialog).to_contain_text(f'client.chats.create(assistant="{name}")')
    dialog.get_by_role("button", name="Insert as cell").click()
    expect(dialog.get_by_role("status")).to_have_text("Inserted")
    page.keyboard.press("Escape")
    inserted = page.locator(".jp-Notebook .jp-CodeCell").nth(1)
    inserted.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(inserted.locator(".jp-OutputArea-output").first).to_have_text("What is fog?")


def is_worked_by_keys(chat: ChatPage, prepared: Prepare) -> None:
    page = chat.page
    chat.open(prepared("Keys", tokens=[ANSWER]))
    chat.ask("Show it")
    chat.finished()
    expect(page.get_by_role("button", name="Insert the code as a cell below")).to_have_count(2)
    page.get_by_role("searchbox").fill("")
    expect(chat.entries.locator("mark")).to_have_count(0)
    # In the log, in a dialog and in a menu no key is a command to the notebook.
    page.locator(".lw-log").click()
    page.keyboard.type(COMMANDS)
    page.keyboard.press("Shift+Enter")
    chat.composer.press("Control+k")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator(".lw-slot:focus")).to_contain_text("For")
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator(".lw-slot:focus")).to_contain_text("Show it")
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    page.keyboard.type(COMMANDS)
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    page.get_by_role("button", name="Conversation menu").click()
    page.keyboard.type(COMMANDS)
    page.keyboard.press("Escape")
    before = chat.title.inner_text()
    chat.composer.press("Alt+PageDown")
    expect(chat.title).not_to_have_text(before)
    chat.composer.press("Control+Shift+Y")
    chat.composer.press("Control+/")
    expect(sheet).to_be_visible()
    page.keyboard.press("Escape")
    expect(chat.composer).to_be_focused()


def speaks_chinese(chat: ChatPage) -> None:
    page = chat.page
    menu(page, "中文")
    chat.composer.press("Control+Shift+O")
    expect(chat.title).to_have_text("新对话")
    page.get_by_role("button", name="对话菜单").click()
    page.get_by_role("menuitem", name="English").click()
    chat.composer.press("Control+Shift+O")
    expect(chat.title).to_have_text("New conversation")


def test_what_is_saved_holds_no_conversation_and_says_when_its_kernel_is_gone(
    in_lab: Callable[..., ChatPage],
    workspace: Workspace,
    prepared: Prepare,
) -> None:
    chat = in_lab("from llmws import ui\n\nui.Chat()", viewport={"width": 1440, "height": 900})
    page, secret = chat.page, uuid.uuid4().hex
    chat.open(prepared("Kept", tokens=[f"answer-{secret}"]))
    chat.ask(f"question-{secret}")
    chat.finished()
    run(page, "@jupyter-widgets/jupyterlab-manager:saveWidgetState")
    page.wait_for_function("jupyterapp.commands.isToggled('@jupyter-widgets/jupyterlab-manager:saveWidgetState')")
    run(page, "docmanager:save")
    [name] = page.evaluate("[jupyterapp.shell.currentWidget.context.path]")
    kept = (workspace.notebooks / name).read_text()
    [state] = [one["state"] for one in json.loads(kept)["metadata"]["widgets"].values()]
    assert any("language" in one["state"] or "_esm" in one["state"] for one in state.values())
    assert secret not in kept
    assert workspace.client().token not in kept
    assert "Kept" not in kept

    # Opened with another kernel it says so, until its cell is run; so where that is restarted.
    gone = page.get_by_text("run the cell again")
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.reload()
    expect(gone).to_be_visible()
    run(page, "notebook:run-all-cells")
    expect(gone).to_have_count(0)
    chat.ready()
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    chat.ask("Anybody?")
    expect(gone).to_be_visible()
    run(page, "@jupyter-widgets/jupyterlab-manager:saveWidgetState")


def test_a_notebook_on_a_hub_shares_with_people_and_groups(
    in_lab: Callable[..., ChatPage],
    hub: Running,
) -> None:
    source = SOURCE.format(url=hub.instance.url, token="token-o", assistant="")
    olga = in_lab(source, viewport={"width": 1440, "height": 900})
    page = olga.page
    olga.ask("Name three moons.")
    olga.finished()
    menu(page, "Share…")
    dialog = page.get_by_role("dialog", name="Share “Name three moons.”")
    person = dialog.get_by_role("textbox", name="Person to share with")
    person.press_sequentially("pia")
    person.press("Enter")
    expect(dialog.locator(".lw-share-list")).to_contain_text("pia")
    dialog.get_by_text("Group", exact=True).click()
    dialog.get_by_role("button", name="Share", exact=True).click()
    expect(dialog.locator(".lw-share-list")).to_contain_text("lab")
    dialog.get_by_role("button", name="Create link").click()
    url = httpx.URL(dialog.get_by_role("textbox", name="Link").input_value())
    address = httpx.URL(hub.instance.url).copy_with(path=url.path)
    assert "Name three moons." in httpx.get(address, trust_env=False).text
    dialog.get_by_role("button", name="Revoke").click()
    expect(dialog).to_contain_text("Revoked")
    assert httpx.get(address, trust_env=False).status_code == 404
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    pia = {"Authorization": "Bearer token-p"}
    [shared] = hub.http.get("/api/shared", headers=pia).json()["items"]
    assert shared["title"] == "Name three moons."

    # What others share with her is read in her notebook, too.
    theirs = hub.http.post("/api/chats", json={"model": "echo", "title": "Of Pia"}, headers=pia).json()["id"]
    sent = hub.http.post(f"/api/chats/{theirs}/messages", json={"text": "Read me"}, headers=pia).raise_for_status()
    hub.http.get(f"/api/generations/{sent.json()['generation']['id']}/events", headers=pia).raise_for_status()
    hub.http.put(f"/api/chats/{theirs}/grants/person/olga", headers=pia).raise_for_status()
    page.locator(".lw-shared-list").get_by_role("button", name="Of Pia").click()
    expect(olga.answers.first).to_contain_text("Read me")
    page.get_by_role("button", name="Continue in a copy").click()
    olga.ask("And on")
    expect(olga.answers).to_have_count(2)
