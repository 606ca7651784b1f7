"""Hostile text in the whole chat page: lists, what was said, what vendors, functions and files say."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from playwright.sync_api import expect

from llmws.settings import Settings
from tests.service.harness import Running, running_service, wait_for

from . import hostile
from .attacked import Attacked, OpenAs, open_as, tried

__all__ = ["open_as"]

EVERYTHING = hostile.short()
# What is looked at every day.
SOME = EVERYTHING[::4]


def joined(texts: Sequence[str], by: str, most: int) -> list[str]:
    return [by.join(texts[n : n + most]) for n in range(0, len(texts), most)]


def paragraphs(texts: Sequence[str]) -> list[str]:
    """Few at a time: a fence or a comment that is not closed takes along what follows."""
    return joined(texts, "\n\n", 5)


def test_there_are_enough() -> None:
    assert len(EVERYTHING) >= 2_000


@pytest.fixture
def service(settings: Settings) -> Iterator[Running]:
    with running_service(settings) as running:
        yield running


def conversation(title: str, *messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    rows = []
    for number, message in enumerate(messages):
        parent = str(number - 1) if number else None
        rows.append({"id": str(number), "parent_id": parent, "created_at": 1.7e9 + number, "message": message})
    told = {"id": title, "title": title, "model": "m", "system": "\n".join(EVERYTHING)}
    return {**told, "messages": rows, "head_id": str(len(rows) - 1), **more}


def answer(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "parts": list(parts), "finish_reason": "stop", **more}


def said(texts: Sequence[str] = EVERYTHING) -> dict[str, Any]:
    everything = "\n".join(texts)
    thought = {"type": "reasoning", "text": everything}
    told = [{"type": "text", "text": text} for text in paragraphs(texts)]
    return conversation("Said", asked(everything), answer(thought, *told), system=everything)


def asked(text: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"type": "text", "text": text}]}


# As a file tells it: what stands where an element, or a text, is awaited.
ELEMENT = {
    "type": "img",
    "props": {"src": "x", "onerror": "window.pwned=1", "dangerouslySetInnerHTML": {"__html": "x"}},
}
# As long as a title may be that is typed.
NAME = hostile.packed(200)[0]
KINDS = ("tool_call", "citation", "warning", "reasoning")
# Of a file's name a path is cut off.
NAMES = [text for text in hostile.short(255) if not {"/", "\\"} & set(text)]
FILES = dict(enumerate(hostile.packed(255, NAMES)))
ADDRESSES = [*re.findall(r"\((?:<)?([^()<>]{5,})(?:>)?\)", "\n".join(EVERYTHING)), *EVERYTHING][:1_200]


def told() -> dict[str, Any]:
    """What vendors, functions and files have a say in."""
    everything = "\n".join(EVERYTHING)
    files = [
        {"type": "file", "text": "x", "data": {"attachment": f"f{number}", "name": name, "media_type": name}}
        for number, name in FILES.items()
    ]
    attachments = {
        f"f{number}": {"name": name, "media_type": name, "data": base64.b64encode(str(number).encode()).decode()}
        for number, name in FILES.items()
    }
    pictures = [
        {"type": "image", "data": {"name": text, "url": f"data:{kind},{text}", "width": text}}
        for kind, text in zip(("text/html", "image/svg+xml", "image/png;base64"), EVERYTHING, strict=False)
    ]
    sources = [{"type": "citation", "data": {"url": one, "title": one}} for one in ADDRESSES]
    call = {"type": "tool_call", "data": {"id": "c", "name": everything, "arguments": everything}}
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
        answer(*odd, model=everything, error={"code": everything, "message": everything, "remedy": everything}),
        attachments=attachments,
    )


def as_file(*conversations: dict[str, Any]) -> bytes:
    return json.dumps({"format": "llmws.chats", "version": 1, "chats": conversations}).encode()


def bring(service: Running, *conversations: dict[str, Any]) -> None:
    """Import conversations as a file of our own."""
    file = as_file(*conversations)
    made = service.post("/api/imports", {"name": " ".join(EVERYTHING[3].split()), "bytes": len(file)})["id"]
    path = f"/api/imports/{made}"
    for offset in range(0, len(file), 2**20):
        piece = file[offset : offset + 2**20]
        service.http.post(f"{path}/content", params={"offset": offset}, content=piece).raise_for_status()
    wait_for(lambda: service.get(path)["state"] == "ended", "the import", limit_s=300)
    counts = service.get(path)
    assert (counts["imported"], counts["refused"], counts["error"]) == (len(conversations), 0, None), counts


# Chromium takes minutes to type as much.
PASTE = """
(box, text) => {
  box.value = text;
  box.dispatchEvent(new InputEvent("input", { bubbles: true }));
}
"""


def find(attacked: Attacked, title: str) -> None:
    attacked.page.get_by_role("searchbox").first.fill(title)
    attacked.page.locator(".lw-entry-open", has_text=title).first.click()


def menu(attacked: Attacked, item: str) -> None:
    attacked.page.get_by_role("button", name="Conversation menu").click()
    attacked.page.get_by_role("menuitem", name=item).click()


@pytest.mark.parametrize("texts", [SOME, pytest.param(EVERYTHING, marks=pytest.mark.long)], ids=["some", "all"])
def test_what_is_said_executes_nothing_and_loads_nothing(
    open_as: OpenAs, service: Running, texts: Sequence[str]
) -> None:
    bring(service, said(texts))
    for title in joined(texts, " ", 100):
        service.new_chat(title=title)
    attacked = open_as(service.instance.url, service.instance.token, "Chat", model="echo")
    attacked.shows("titles", texts, ".lw-entry-title")
    find(attacked, "Said")
    expect(attacked.page.locator(".lw-markdown")).to_have_count(len(paragraphs(texts)))
    tried("answers", texts)
    attacked.shows("questions", texts, ".lw-bubble")
    attacked.shows("reasoning", texts, ".lw-reasoning-text")
    attacked.page.get_by_role("button", name="Parameters").click()
    attacked.shows("system prompts", texts, ".lw-popover textarea")
    attacked.check()


@pytest.mark.long
def test_what_streams_in_is_found_renamed_and_shown_as_code_is_but_text(
    open_as: OpenAs,
    service: Running,
) -> None:
    text = "\n\n".join(EVERYTHING)
    # In pieces of a few characters, as a stream may cut it.
    pieces = [text[n : n + 40] for n in range(0, len(text), 40)]
    service.new_chat(title="Live", parameters={"extra": {"tokens": pieces, "reasoning": text}})
    attacked = open_as(service.instance.url, service.instance.token, "Chat", model="echo")
    page = attacked.page
    find(attacked, "Live")
    page.get_by_role("textbox", name="Message").evaluate(PASTE, text)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".lw-figures")).to_have_count(1)
    tried("answers that stream in", EVERYTHING)
    attacked.shows("questions that are sent", EVERYTHING, ".lw-bubble")
    attacked.check()
    menu(attacked, "Show as code")
    expect(page.get_by_role("dialog")).to_contain_text("chat.send")
    tried("questions as code", EVERYTHING)
    attacked.check()
    page.keyboard.press("Escape")
    # Found by what was said, with the words around it.
    page.get_by_role("searchbox").fill("pwned")
    expect(page.locator(".lw-entry-line mark").first).to_be_visible()
    attacked.check()
    menu(attacked, "Rename")
    page.get_by_label("Title").last.fill(NAME)
    page.keyboard.press("Enter")
    expect(page.locator(".lw-head h2")).to_have_text(NAME)
    attacked.check()


@pytest.mark.long
def test_what_vendors_functions_and_files_say_is_but_text(open_as: OpenAs, service: Running) -> None:
    bring(service, told())
    attacked = open_as(service.instance.url, service.instance.token, "Chat", model="echo")
    find(attacked, "Told")
    expect(attacked.page.get_by_role("alert").first).to_be_visible()
    attacked.shows("titles and addresses of sources", ADDRESSES, ".lw-citation")
    attacked.shows("warnings", EVERYTHING, ".lw-note")
    attacked.shows("names of functions", EVERYTHING, ".lw-tool header")
    attacked.shows("arguments of functions", EVERYTHING, ".lw-tool details:first-of-type pre")
    attacked.shows("results of functions", EVERYTHING, ".lw-tool details:last-of-type pre")
    attacked.shows("failures", EVERYTHING, ".lw-failure strong")
    attacked.shows("remedies", EVERYTHING, ".lw-failure p")
    attacked.shows("models that answered", EVERYTHING, ".lw-figures")
    attacked.shows("names of files", NAMES, ".lw-attached .lw-file-name")
    attacked.check()


@pytest.mark.long
def test_names_of_folders_and_tags_are_but_text(open_as: OpenAs, service: Running) -> None:
    texts = hostile.short(100)[:900]
    names = hostile.packed(100, texts)
    tags = {number: names[50 * number : 50 * number + 50] for number in range(len(names) // 50 + 1)}
    bring(
        service,
        *(
            conversation(f"In {number}", asked("x"), folder=name, tags=tags.get(number, []), system="")
            for number, name in enumerate(names)
        ),
    )
    attacked = open_as(service.instance.url, service.instance.token, "Chat", model="echo")
    attacked.shows("names of folders", texts, ".lw-folder-head")
    attacked.shows("tags", texts, ".lw-side .lw-label")
    attacked.check()
    attacked.page.get_by_role("searchbox").fill("In 1")
    expect(attacked.page.locator(".lw-entry-place").first).to_be_visible()
    attacked.page.locator(".lw-entry").first.click(button="right")
    attacked.page.get_by_role("menuitem", name="Move to folder").click()
    attacked.shows("folders to choose from", texts, ".lw-entry-menu")
    attacked.check()


@pytest.mark.long
def test_the_report_of_an_import_is_but_text(open_as: OpenAs, workspace: Any) -> None:
    """With the workspace's own service: a file takes the door, and the door leads there."""
    texts = hostile.short(200)[:900]
    titles = hostile.packed(200, texts)
    broken = [{"messages": EVERYTHING[:3], "head_id": 1, "title": title} for title in titles]
    client = workspace.client()
    attacked = open_as(client.url, client.token, "Chat")
    page = attacked.page
    menu(attacked, "Import")
    sheet = page.get_by_role("dialog", name="Import")
    file = {"name": f"{EVERYTHING[0]}.json", "mimeType": "application/json", "buffer": as_file(*broken)}
    sheet.locator("input[type=file]").set_input_files(file)
    expect(sheet.get_by_role("button", name=f"{len(titles)} refused")).to_have_attribute("aria-pressed", "true")
    expect(sheet.get_by_role("row").nth(50)).to_be_attached()
    while (more := sheet.get_by_role("button", name="More")).count():
        shown = sheet.get_by_role("row").count()
        more.click()
        expect(sheet.get_by_role("row").nth(shown)).to_be_attached()
    attacked.shows("reports of an import", texts, ".lw-import-records")
    attacked.check()
