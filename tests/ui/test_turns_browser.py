"""What a person does with what was said already: edit, regenerate, continue, go between versions."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from llmws.client import Client
from llmws.errors import NotFound

from .conftest import Workspace
from .test_chat_browser import ENDLESS, ChatPage, Open, in_lab, in_voila, prepared

__all__ = ["in_lab", "in_voila", "prepared"]


def act(message: Locator, name: str) -> None:
    """Point at a message, and press what shows itself."""
    message.hover()
    message.get_by_role("button", name=re.compile(name)).click()


def said(chat: ChatPage, *texts: str) -> None:
    """Wait until this is what the page shows."""
    shown = chat.page.locator(".lw-bubble, .lw-answer .lw-markdown")
    expect(shown).to_have_text([re.compile(rf"^\s*{text}\s*$") for text in texts])


def stop(chat: ChatPage) -> None:
    chat.composer.press("Escape")
    expect(chat.page.locator(".lw-answer[data-running=true]")).to_have_count(0)


def test_what_was_said_is_edited_and_answered_again_and_every_version_stays(
    in_lab: Open, prepared: Callable[..., str]
) -> None:
    title, page = prepared("Branches"), in_lab().page
    roots = page.locator(".lw")
    expect(roots).to_have_count(1)
    page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 0")
    page.evaluate("jupyterapp.commands.execute('notebook:create-output-view')")
    expect(roots).to_have_count(2)
    # Two tabs of one kernel.
    chat, other = ChatPage(roots.nth(0)), ChatPage(roots.nth(1))  # type: ignore[arg-type]
    for one in (chat, other):
        one.open(title)
    chat.ask("One")
    chat.finished(1)
    chat.ask("Two")
    for one in (chat, other):
        one.finished(2)
        said(one, "One", "One", "Two", "Two")

    # Edited in place, by keys alone: Escape lets it be, Enter says it anew, but not while an input method composes.
    edit = chat.asked.first.get_by_role("button", name="Edit")
    edit.press("Enter")
    box = roots.nth(0).get_by_role("textbox", name="Edit your message")
    expect(box).to_have_value("One")
    box.fill("Uno?")
    box.press("Escape")
    said(chat, "One", "One", "Two", "Two")
    expect(edit).to_be_focused()
    edit.press("Enter")
    box.fill("Uno")
    box.evaluate(
        "(box) => box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, isComposing: true}))"
    )
    expect(box).to_have_value("Uno")
    box.press("Enter")
    for one in (chat, other):
        said(one, "Uno", "Uno")

    # Between the versions, with the arrow under the pointer and in the focus; the other tab follows.
    versions = chat.asked.first.get_by_role("group")
    expect(versions).to_have_text("2/2")
    before = versions.get_by_role("button", name="Previous version")
    place = before.bounding_box()
    before.click()
    for one in (chat, other):
        said(one, "One", "One", "Two", "Two")
    expect(versions).to_have_text("1/2")
    expect(before).to_be_focused()
    assert before.bounding_box() == place
    versions.get_by_role("button", name="Next version").press("Enter")
    said(chat, "Uno", "Uno")

    # Another answer, of another model.
    act(chat.answers.first, "Regenerate with another model")
    roots.nth(0).get_by_role("option", name="Echo").click()
    chat.finished(1)
    expect(chat.answers.first.get_by_role("group")).to_have_text("2/2")
    act(chat.answers.first, r"^Regenerate \(echo\)$")
    for one in (chat, other):
        expect(one.answers.first.get_by_role("group")).to_have_text("3/3")
        said(one, "Uno", "Uno")


@pytest.mark.long
def test_what_was_stopped_goes_on_and_the_figures_tell_what_all_came_to(
    in_voila: Open, prepared: Callable[..., str]
) -> None:
    chat = in_voila(viewport={"width": 390, "height": 800}, has_touch=True)
    chat.page.get_by_role("button", name="Conversations").click()
    chat.open(prepared("Cut off", **ENDLESS))
    chat.page.keyboard.press("Escape")
    chat.ask("Go on")
    expect(chat.answers.first).to_contain_text("w3 ")
    # Nothing can be asked meanwhile; what was stopped goes on below.
    expect(chat.asked.first.get_by_role("button", name="Edit")).to_be_disabled()
    stop(chat)
    chat.answers.first.get_by_role("button", name="Continue").click()
    expect(chat.answers.nth(1)).to_contain_text("w3 ")
    stop(chat)
    expect(chat.answers).to_have_count(2)
    expect(chat.answers.first.get_by_role("button", name="Continue")).to_have_count(0)
    filling = chat.page.get_by_role("button", name=re.compile("^Context .* full$"))
    filling.click()
    told = chat.page.get_by_role("dialog", name="This conversation so far")
    expect(told).to_contain_text(re.compile(r"of 1M tokens"))
    expect(told).to_contain_text(re.compile(r"Tokens written\s*≈\d"))
    assert chat.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    chat.page.keyboard.press("Escape")
    expect(filling).to_be_focused()

    # It goes on while another branch is looked at, and is found again.
    page = chat.page
    act(chat.asked.first, "Edit")
    page.get_by_role("textbox", name="Edit your message").press("Enter")
    expect(chat.answers.first).to_contain_text("w3 ")
    act(chat.asked.first, "Previous version")
    expect(page.get_by_text("An answer is being written on another branch.")).to_be_visible()
    expect(chat.answers).to_have_count(2)
    page.get_by_role("button", name="Show it").click()
    expect(chat.page.locator(".lw-answer[data-running=true]")).to_have_count(1)
    act(chat.asked.first, "Previous version")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("An answer is being written on another branch.")).to_have_count(0)
    expect(chat.answers).to_have_count(2)


@pytest.mark.long
def test_a_temporary_conversation_is_marked_in_no_list_and_gone_when_it_is_left(
    in_voila: Open, workspace: Workspace
) -> None:
    chat, client = in_voila(), workspace.client()
    chat.choose("Echo")
    entries = chat.entries.count()
    toggle = chat.page.get_by_role("button", name="Temporary conversation")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    chat.ask("Between you and me")
    chat.finished(1)
    mark = chat.page.get_by_text("gone when you leave it")
    expect(mark).to_be_visible()
    chat.page.reload()
    said(chat.ready(), "Between you and me", "Between you and me")
    expect(mark).to_be_visible()
    assert chat.entries.count() == entries
    assert "Between you and me" not in list(client.chats.list().title)
    held = chat.page.evaluate("Object.values(sessionStorage)")
    kept = next(one for one in held if re.fullmatch("[0-9a-f]{32}", one))
    assert client.chats.open(kept).temporary
    chat.composer.press("Control+Shift+O")
    expect(mark).to_have_count(0)
    expect(toggle).to_have_attribute("aria-pressed", "false")
    wait_until_gone(client, kept)

    # Whether a model names the others is said in the menu.
    chat.page.get_by_role("button", name="Conversation menu").click()
    chat.page.get_by_role("menuitem", name="Turn off automatic titles").click()
    chat.page.get_by_role("button", name="Conversation menu").click()
    expect(chat.page.get_by_role("menuitem", name="Turn on automatic titles")).to_be_visible()
    assert not client.chats.automatic_titles()
    client.chats.automatic_titles(True)


def wait_until_gone(client: Client, chat_id: str) -> None:
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        try:
            client.chats.open(chat_id)
        except NotFound:
            return
    raise AssertionError("it is still there")
