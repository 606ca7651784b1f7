"""The list of conversations in a real Chromium: found by their words, put in order, put away and brought back."""

from __future__ import annotations

import re
import uuid
from typing import Any

from playwright.sync_api import Locator, expect

from llmws.client import Client
from llmws.client.chats import Chat

from .conftest import Workspace
from .test_chat_browser import ChatPage, Open, in_voila  # noqa: F401 - a fixture


def said(client: Client, title: str, *texts: str, **where: Any) -> Chat:
    """A conversation in which all this was said, and its answers."""
    chat = client.chats.create(model="echo", title=title)
    for text in texts:
        chat.send(text, show=False)
    client.run(client.api.update_chat(chat.id, **where))
    return chat


def menu_opens_and_closes(entry: Locator) -> None:
    page, button = entry.page, entry.get_by_role("button", name="Menu of")
    entry.hover()
    button.click()
    button.click()
    expect(page.get_by_role("menu")).to_have_count(0)
    button.click()
    page.get_by_role("menuitem", name="Move to folder").click()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("option").last).to_be_focused()
    page.keyboard.press("Escape")


def test_conversations_are_found_and_put_in_order(in_voila: Open, workspace: Workspace) -> None:  # noqa: F811
    client, mark = workspace.client(), uuid.uuid4().hex[:8]
    filler = [f"nothing {number} " + "and more\n\n" * 12 for number in range(4)]
    journey = said(client, f"Journey {mark}", f"我们坐船去南方看海 {mark}", *filler)
    journey.edit(f"another first {mark}", at=0, show=False)
    said(client, f"Tides {mark}", "high and low")
    chat = in_voila()
    page, search = chat.page, chat.page.get_by_role("searchbox", name="Search conversations")
    entry = lambda name: chat.entries.filter(has=page.get_by_role("button", name=f"{name} {mark}", exact=True))  # noqa: E731

    # Found by two Chinese characters, with the line that shows it; a press leads to the message.
    search.fill(f"南方 {mark}")
    expect(chat.entries).to_have_count(1)
    expect(chat.entries.locator(".lw-entry-line mark")).to_have_text(["南方", mark])
    chat.entries.locator(".lw-entry-open").click()
    expect(page.locator(".lw-slot:focus")).to_contain_text("南方看海")
    expect(page.locator(".lw-slot:focus")).to_be_in_viewport()
    search.fill(f"no{uuid.uuid4().hex}")
    expect(page.get_by_text("Try fewer, or the beginning of one.")).to_be_visible()
    search.press("Escape")
    expect(search).to_have_value("")

    # Keys go through the list; its menu tags, and puts into a folder that is new.
    expect(entry("Tides")).to_be_visible()
    search.press("ArrowDown")
    expect(page.locator(".lw-entry-open:focus")).to_have_count(1)
    entry("Tides").locator(".lw-entry-open").press("Shift+F10")
    page.get_by_role("menuitem", name="Tags").click()
    page.get_by_role("textbox", name="New tag…").fill(f"sea-{mark}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("option", name=f"sea-{mark}", selected=True)).to_be_visible()
    page.keyboard.press("Escape")
    chat.act(entry("Tides"), "Move to folder")
    page.get_by_role("textbox", name="New folder…").fill(f"Water {mark}")
    page.keyboard.press("Enter")
    expect(entry("Tides")).to_have_count(0)
    folder = page.locator(".lw-folder", has_text=f"Water {mark}")
    folder.get_by_role("button", expanded=False).first.click()
    expect(folder.locator(entry("Tides"))).to_be_visible()
    entry("Journey").locator(".lw-entry-open").drag_to(folder.locator(".lw-folder-head"))
    expect(folder.locator(".lw-folder-count")).to_have_text("2")

    # The button of a menu closes it, too; from its field the keys go through what may be chosen, both ways.
    menu_opens_and_closes(entry("Journey"))

    # Pinned it stands above all, whatever folder it is in; a tag lists its own alone.
    chat.act(entry("Journey"), "Pin")
    pinned = page.locator("section", has=page.get_by_role("heading", name="Pinned"))
    expect(pinned.locator(entry("Journey"))).to_be_visible()
    chip = page.get_by_role("button", name=re.compile(f"^sea-{mark}"))
    chip.click()
    expect(chat.entries).to_have_count(1)
    chip.click()

    # Archived it is out of the list, and comes back; a folder's name is changed, and the folder dissolved.
    chat.act(pinned.locator(entry("Journey")), "Archive")
    expect(entry("Journey")).to_have_count(0)
    expect(page.locator(".lw-entry-open:focus")).to_have_count(1)
    page.get_by_role("button", name="Archived").click()
    expect(entry("Journey")).to_be_visible()
    page.get_by_role("button", name="All conversations").click()
    page.get_by_role("button", name="Undo").last.click()
    expect(pinned.locator(entry("Journey"))).to_be_visible()
    folder.locator(".lw-entry-open").first.press("F2")
    page.get_by_label("Title", exact=True).fill(f"Oceans {mark}")
    page.keyboard.press("Enter")
    folder = page.locator(".lw-folder", has_text=f"Oceans {mark}")
    expect(folder.locator(entry("Tides"))).to_be_visible()
    folder.locator(".lw-folder-head").click(button="right")
    page.get_by_role("menuitem", name="Dissolve folder").click()
    expect(folder).to_have_count(0)
    expect(entry("Tides")).to_have_count(1)

    # The keyboard deletes, and the focus goes on.
    entry("Tides").locator(".lw-entry-open").press("Delete")
    expect(entry("Tides")).to_have_count(0)
    expect(page.locator(".lw-entry-open:focus")).to_have_count(1)
    assert client.chats.list(f"journey {mark}").pinned[0]
