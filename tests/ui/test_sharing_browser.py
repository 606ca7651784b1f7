"""Two people of a hub, each with their page: one shares a conversation and an assistant, the other uses them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from llmws.settings import Settings
from tests.service.harness import Running, running_service
from tests.service.test_hub_identity import CHAT, Hub, serving, user

from .conftest import Workspace
from .test_look_browser import AXE, SERIOUS

SOURCE = """import llmws
from llmws import ui

ui.Chat(llmws.connect({url!r}, {token!r}), model='echo', assistant={assistant!r})"""


@pytest.fixture
def hub(settings: Settings) -> Iterator[Running]:
    people = {"token-o": user("olga", CHAT, groups=["lab"]), "token-p": user("pia", CHAT, groups=["lab"])}
    with serving(Hub(people)) as told, running_service(replace(settings, idle_exit_s=0.0), told.service) as running:
        yield running


OpenAs = Callable[..., Page]


@pytest.fixture
def open_as(workspace: Workspace, voila: str, new_page: Callable[..., Page], hub: Running) -> Iterator[OpenAs]:
    """The chat page of a person, by their token."""
    files: list[Path] = []

    def open_as(token: str, assistant: str = "", **options: object) -> Page:
        file = workspace.notebooks / "dashboards" / f"sharing-{token}.ipynb"
        cell = {"cell_type": "code", "id": "chat", "metadata": {}, "outputs": [], "execution_count": None}
        cell["source"] = SOURCE.format(url=hub.instance.url, token=token, assistant=assistant)
        kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        file.write_text(json.dumps(notebook))
        files.append(file)
        page = new_page(**options)
        page.goto(f"{voila}/voila/render/{file.name}")
        expect(page.get_by_role("textbox", name="Message")).to_be_visible()
        return page

    yield open_as
    for file in files:
        file.unlink(missing_ok=True)


def say(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Message").fill(text)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".lw-answer .lw-figures").last).to_be_visible()


def attach(hub: Running, token: str, name: str) -> None:
    """Say something with a file in somebody's one conversation, as another page of theirs would."""
    head = {"Authorization": f"Bearer {token}"}
    file = hub.http.post("/api/attachments", params={"name": name}, content=b"# Io", headers=head).json()["id"]
    chat = hub.http.get("/api/chats", headers=head).json()["items"][0]["id"]
    said = {"parts": [{"type": "file", "data": {"attachment": file}}, {"type": "text", "text": "Read this."}]}
    sent = hub.http.post(f"/api/chats/{chat}/messages", json=said, headers=head).raise_for_status().json()
    hub.http.get(f"/api/generations/{sent['generation']['id']}/events", headers=head).raise_for_status()


def menu(page: Page, item: str) -> None:
    page.get_by_role("button", name="Conversation menu").click()
    page.get_by_role("menuitem", name=item).click()


def judge(page: Page) -> None:
    """Let axe say what is wrong with what is shown, in both themes."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        expect(page.locator(".lw").first).to_have_attribute("data-theme", scheme)
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
        faults = [
            (fault["id"], node["target"]) for fault in found if fault["impact"] in SERIOUS for node in fault["nodes"]
        ]
        assert faults == []


def link_opens_until_it_is_revoked(page: Page, hub: Running) -> None:
    """In the dialog that is open."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Good for").select_option(label="7 days")
    dialog.get_by_role("button", name="Create link").click()
    url = dialog.get_by_role("textbox", name="Link").input_value()
    address = httpx.URL(hub.instance.url).copy_with(path=httpx.URL(url).path)
    assert "Name three moons." in httpx.get(address, trust_env=False).text
    judge(page)
    dialog.get_by_role("button", name="Revoke").click()
    expect(dialog).to_contain_text("Revoked")
    assert httpx.get(address, trust_env=False).status_code == 404
    dialog.get_by_role("button", name="Undo").last.click()
    expect(dialog.get_by_role("button", name="Revoke")).to_be_visible()
    assert httpx.get(address, trust_env=False).status_code == 200


def make_poet_for_the_group(page: Page) -> None:
    """Make an assistant of what is set, and share it."""
    page.get_by_role("button", name="New conversation").click()
    menu(page, "Save as assistant")
    form = page.get_by_role("dialog", name="Save as assistant")
    form.get_by_label("Name").fill("Poet")
    form.get_by_label("What it is good for").fill("Answers in verse.")
    form.get_by_label("System prompt").fill("Rhyme.")
    judge(page)
    form.get_by_role("button", name="Save").click()
    card = page.locator(".lw-assistant", has_text="Poet")
    card.get_by_role("button", name="Menu of Poet").click()
    page.get_by_role("menuitem", name="Share…").click()
    dialog = page.get_by_role("dialog", name="Share “Poet”")
    dialog.get_by_text("Group", exact=True).click()
    dialog.get_by_role("button", name="Share", exact=True).click()
    expect(dialog.locator(".lw-share-list")).to_contain_text("lab")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


@pytest.mark.long
def test_two_people_share_a_conversation_and_an_assistant(open_as: OpenAs, hub: Running) -> None:
    olga, pia = open_as("token-o"), open_as("token-p")
    say(olga, "Name three moons.")
    attach(hub, "token-o", "moons.md")

    # Given to a person: she reads it, and goes on in a copy.
    menu(olga, "Share…")
    dialog = olga.get_by_role("dialog", name="Share “Name three moons.”")
    dialog.get_by_role("textbox", name="Person to share with").fill("pia")
    olga.keyboard.press("Enter")
    expect(dialog.locator(".lw-share-list")).to_contain_text("pia")
    pia.reload()
    shared = pia.locator(".lw-shared-list")
    expect(shared).to_contain_text("olga")
    shared.get_by_role("button", name="Name three moons.").click()
    expect(pia.locator(".lw-answer").first).to_contain_text("Name three moons.")
    expect(pia.get_by_role("textbox", name="Message")).to_have_count(0)
    expect(pia.locator(".lw-head")).to_contain_text("Read only")
    expect(pia.locator(".lw-asked")).to_contain_text(["Name three moons.", "moons.md"])
    judge(pia)
    pia.get_by_role("button", name="Continue in a copy").click()
    say(pia, "And a fourth.")
    expect(pia.locator(".lw-answer")).to_have_count(3)
    head = {"Authorization": "Bearer token-o"}
    [own] = hub.http.get("/api/chats", headers=head).json()["items"]
    assert len(hub.http.get(f"/api/chats/{own['id']}/messages", headers=head).json()["items"]) == 4

    # Taken back, given again, and taken back.
    dialog.get_by_role("button", name="Stop sharing with pia").click()
    dialog.get_by_role("button", name="Undo").click()
    dialog.get_by_role("button", name="Stop sharing with pia").click()
    expect(dialog).to_contain_text("pia no longer has it.")
    pia.get_by_role("textbox", name="Message").fill("Begun.")
    shared.get_by_role("button", name="Name three moons.").click()
    expect(pia.locator(".lw-toast[data-bad=true]")).to_contain_text("There is no such shared chat.")
    expect(shared).to_have_count(0)
    expect(pia.get_by_role("textbox", name="Message")).to_have_value("Begun.")
    pia.get_by_role("textbox", name="Message").fill("")

    # By link, which a browser without an account opens.
    link_opens_until_it_is_revoked(olga, hub)
    olga.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    # An assistant, made of what is set, shared with the group, begun with by the other.
    make_poet_for_the_group(olga)
    pia = open_as("token-p", assistant="Poet")
    card = pia.locator(".lw-assistant", has_text="Poet")
    expect(card).to_contain_text("by olga")
    expect(card.get_by_role("button", pressed=True)).to_be_visible()
    judge(pia)
    card.get_by_role("button").click()
    expect(card.get_by_role("button", pressed=False)).to_be_visible()
    card.get_by_role("button").click()
    say(pia, "What is fog?")
    begun = hub.http.get("/api/chats", headers={"Authorization": "Bearer token-p"}).json()["items"][0]
    assert (begun["system"], bool(begun["assistant_id"])) == ("Rhyme.", True)
