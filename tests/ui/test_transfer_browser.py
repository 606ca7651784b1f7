"""Export and import as a person meets them: sheets of the chat page, files through the door, a report to read."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from .conftest import Workspace

SAMPLES = Path(__file__).parents[1] / "transfer"


def menu(page: Page, entry: str) -> None:
    page.get_by_role("button", name="Conversation menu").click()
    page.get_by_role("menuitem", name=entry).click()


def save(page: Page, format: str) -> Path:
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("button", name=format).click()
    path = download.value.path()
    named = path.with_name(download.value.suggested_filename)
    path.rename(named)
    return named


@pytest.mark.long
def test_conversations_leave_and_come_back(
    open_notebook: Callable[..., Page], workspace: Workspace, tmp_path: Path
) -> None:
    title = f"Moons of {uuid.uuid4().hex[:6]}"
    chat = workspace.client().chats.create(model="echo", title=title)
    chat.send("Name them", show=False)
    page = open_notebook("voila", "chat")
    page.get_by_role("searchbox").fill(title)
    page.locator(".lw-entry-open", has_text=title).click()
    expect(page.locator(".lw-head h2")).to_have_text(title)

    menu(page, "Export")
    book = save(page, "Notebook")
    assert book.name == f"{title}.ipynb"
    assert json.loads(book.read_text())["cells"][2]["source"] == ['chat.send("Name them");']
    menu(page, "Export")
    page.get_by_label("All conversations").check()
    everything = save(page, "JSON")
    kept = json.loads(everything.read_text())["chats"]
    assert title in [told["title"] for told in kept]

    # One that nobody here has, so that it is new whatever was imported before.
    [first, *others] = json.loads((SAMPLES / "chatgpt.json").read_text("utf-8"))
    first |= {"title": f"火星 {uuid.uuid4().hex[:6]}", "conversation_id": uuid.uuid4().hex}
    others[-1]["id"] = uuid.uuid4().hex
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([first, *others]))
    broken: list[str] = []

    def break_once(route: Route) -> None:
        if not broken:
            broken.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    page.route("**/door/imports/upload*", break_once)
    page.route("**/llmws/imports/upload*", break_once)
    menu(page, "Import")
    sheet = page.get_by_role("dialog", name="Import")
    sheet.locator("input[type=file]").set_input_files(file)
    expect(sheet.get_by_role("button", name="2 refused")).to_have_attribute("aria-pressed", "true")
    assert broken
    expect(sheet.get_by_role("row")).to_have_count(3)
    expect(sheet).to_contain_text("It is no conversation of llmws, ChatGPT or Open WebUI.")
    sheet.get_by_role("button", name="2 imported").click()
    expect(sheet.get_by_role("row", name=first["title"])).to_be_visible()
    sheet.get_by_role("button", name="Import another file").click()
    sheet.locator("input[type=file]").set_input_files(file)
    expect(sheet.get_by_role("button", name="2 there already")).to_be_visible()
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    page.get_by_role("searchbox").fill(first["title"])
    page.locator(".lw-entry-open", has_text=first["title"]).click()
    expect(page.locator(".lw-log")).to_contain_text("Phobos and Deimos.")

    rubbish = tmp_path / "rubbish.json"
    rubbish.write_text("hello")
    menu(page, "Import")
    page.get_by_role("button", name="Import another file").click()
    page.locator("input[type=file]").set_input_files(rubbish)
    expect(page.get_by_role("alert")).to_contain_text("The file is not JSON")
