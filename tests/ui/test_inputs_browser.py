"""Pictures, files and functions as a person meets them: a dashboard in Chromium, and a vendor that calls functions."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from llmws import instance
from tests.service.harness import Api
from tests.service.test_media import png
from tests.service.vendor_server import VendorServer, pictures, vendor_server

from .conftest import Workspace, write_notebook
from .test_chat_browser import ChatPage

FUNCTIONS = '''
import asyncio
from llmws import ui

def launch(ship: str, crew: int) -> dict:
    """Launch a ship."""
    with open({log!r}, "a") as log:
        log.write(f"{{ship}} {{crew}}\\n")
    return {{"launched": ship, "船员": crew}}

async def drift() -> None:
    """Drift."""
    await asyncio.sleep(3600)

ui.Chat(tools=[launch, drift], model="vllm/m")
'''


@pytest.fixture(scope="module")
def vendor(workspace: Workspace) -> Iterator[VendorServer]:
    """A vendor of the workspace: its model `m` sees, `m-large` does not."""
    found = instance.running(workspace.data)
    assert found is not None
    api = Api(found)
    with vendor_server() as vendor:
        provide(api.http, vendor)
        yield vendor
        api.http.delete("/api/providers/vllm")
        api.close()


def provide(api: httpx.Client, vendor: VendorServer) -> None:
    """Add the vendor, with more models than one looks through, and say which of them sees."""
    vendor.models += [f"m-{number}" for number in range(8)]
    api.post("/api/providers", json={"vendor": "vllm", "base_url": vendor.url}).raise_for_status()
    api.post("/api/providers/vllm/sync").raise_for_status()
    for model, sees in (("m", True), ("m-large", False)):
        path = f"/api/providers/vllm/models/{model}/capabilities/vision"
        api.put(path, json={"value": sees}).raise_for_status()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the function did."""
    return tmp_path / "launched"


@pytest.fixture
def dashboard(
    workspace: Workspace, vendor: VendorServer, open_notebook: Callable[..., Page], log: Path
) -> Iterator[Callable[..., ChatPage]]:
    """Opens a dashboard whose page offers a function."""
    notebook = workspace.notebooks / "dashboards" / "functions.ipynb"
    write_notebook(notebook, FUNCTIONS.format(log=str(log)))
    vendor.rounds, vendor.asked = [], []
    yield lambda **options: ChatPage(open_notebook("voila", "functions", **options)).ready()
    notebook.unlink()


def give(page: Page, target: Locator, event: str, name: str, type: str, body: bytes) -> None:
    """Paste or drop a file."""
    script = """([name, type, body]) => {
        const files = new DataTransfer();
        const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
        files.items.add(new File([bytes], name, { type }));
        return files;
    }"""
    files = page.evaluate_handle(script, [name, type, base64.b64encode(body).decode()])
    if event == "paste":
        target.evaluate(
            """(element, files) => {
                const event = new ClipboardEvent("paste", { clipboardData: files, bubbles: true, cancelable: true });
                element.dispatchEvent(event);
            }""",
            files,
        )
    else:
        target.dispatch_event("dragenter", {"dataTransfer": files})
        target.dispatch_event(event, {"dataTransfer": files})


def completions(vendor: VendorServer) -> list[Any]:
    """What the vendor was asked in chats; titles are asked for, too."""
    bodies = [body for path, _, body in vendor.asked if path == "/chat/completions"]
    return [body["messages"] for body in bodies if "tools" in body]


def attach_a_table(chat: ChatPage) -> Locator:
    """Choose `moons.csv` and what no model takes, which is refused and put away; the list of what is attached."""
    page = chat.page
    chips = page.get_by_role("list", name="Attachments").get_by_role("listitem")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach pictures or files").click()
    moons = {"name": "moons.csv", "mimeType": "text/csv", "buffer": b"Io,3"}
    chooser.value.set_files([moons, {"name": "report.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"}])
    expect(chips.nth(1)).to_contain_text("report.pdf is a PDF document. Copy its text into a .txt file")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    expect(page.locator(".lw-obstacle")).to_contain_text("Remove it to send the rest.")
    expect(page.get_by_role("button", name="Try report.pdf again")).to_have_count(0)
    page.get_by_role("button", name="Remove report.pdf").click()
    expect(chips).to_have_count(1)
    return chips


def turn_to_one_that_sees(chat: ChatPage) -> None:
    """Choose a model that is blind, hear why it cannot be asked, and take the one that the page offers."""
    picker = chat.page.get_by_role("button", name=re.compile("^Model: "))
    picker.click()
    found = chat.page.get_by_role("searchbox", name="Find a model")
    found.fill("none of these")
    expect(chat.page.get_by_text("No model has this name.")).to_be_visible()
    found.fill("LARGE")
    found.press("Enter")
    expect(picker).to_have_attribute("aria-label", "Model: m-large")
    obstacle = chat.page.locator(".lw-obstacle")
    expect(obstacle).to_contain_text("m-large cannot see pictures.")
    expect(chat.page.get_by_role("button", name="Send")).to_be_disabled()
    obstacle.get_by_role("button", name="Use m").click()
    expect(obstacle).to_have_count(0)


def takes_pictures_and_files(chat: ChatPage) -> None:
    """In a new conversation; the model says what it saw."""
    page = chat.page
    chat.composer.press("Control+Shift+O")
    chips = attach_a_table(chat)
    give(page, chat.composer, "paste", "small.png", "image/png", png(30, 20))
    expect(chips).to_have_count(2)
    give(page, page.locator(".lw-main"), "drop", "other.png", "image/png", png(20, 30))
    expect(chips).to_have_count(3)
    expect(page.locator(".lw-file[data-state=ready]")).to_have_count(3)
    turn_to_one_that_sees(chat)
    chat.ask("What is this?")
    chat.finished()
    expect(chat.answers.first.locator(".lw-markdown")).to_have_text("30 × 20, #ff0000; 20 × 30, #ff0000")


def has_what_was_attached(chat: ChatPage) -> None:
    """Pictures are shown, and large by keyboard; a file is saved under its name."""
    page = chat.page
    expect(page.get_by_role("img", name="Picture small.png")).to_have_js_property("naturalWidth", 30)
    page.get_by_role("button", name="Show small.png large").press("Enter")
    expect(page.get_by_role("dialog", name="small.png")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name="moons.csv").click()
    assert (download.value.suggested_filename, download.value.path().read_bytes()) == ("moons.csv", b"Io,3")


def lets_one_of_two_calls_run(chat: ChatPage, vendor: VendorServer, *calls: tuple[str, str]) -> list[str]:
    """Allow the first call and deny the second, in a new conversation; what the model was told of them."""
    chat.composer.press("Control+Shift+O")
    vendor.rounds = [list(calls)]
    cards = chat.page.locator(".lw-tool")
    chat.ask("Do both.")
    expect(cards).to_have_count(2)
    cards.first.get_by_role("button", name="Allow", exact=True).click()
    expect(cards.first).to_have_attribute("data-state", "done")
    cards.nth(1).get_by_role("button", name="Deny").click()
    expect(chat.page.locator(".lw-answer", has_text="Yes.")).to_be_visible()
    return [told["content"] for told in completions(vendor)[-1] if told["role"] == "tool"]


@pytest.mark.long
def test_pictures_and_files_go_along(dashboard: Callable[..., ChatPage], vendor: VendorServer) -> None:
    chat = dashboard()
    page, chips = chat.page, attach_a_table(chat)

    # A picture of 3000 pixels, pasted while the way there is broken, goes at the second try, and smaller.
    broken = re.compile(r"/attachments/upload\?")
    page.route(broken, lambda route: route.abort())
    give(page, chat.composer, "paste", "large.png", "image/png", png(3000, 30))
    expect(chips.nth(1)).to_contain_text("large.png could not be attached. The connection broke off.")
    expect(page.locator(".lw-obstacle")).to_contain_text("Try it again, or remove it.")
    page.unroute(broken)
    page.get_by_role("button", name="Try large.png again").click()
    expect(chips.nth(1)).to_have_attribute("data-state", "ready")
    give(page, page.locator(".lw-main"), "drop", "small.png", "image/png", png(30, 20))
    expect(chips).to_have_count(3)
    expect(page.locator(".lw-drop")).to_have_count(0)

    turn_to_one_that_sees(chat)
    chat.ask("What is this?")
    chat.finished()
    [[asked]] = completions(vendor)
    [file, *_, text] = asked["content"]
    assert (file["text"], text["text"]) == ('<file name="moons.csv">\nIo,3\n</file>\n\n', "What is this?")
    large, small = pictures(asked)
    assert int.from_bytes(large[16:20]) == 2048
    assert small == png(30, 20)

    # Read back by ticket.
    page.reload()
    has_what_was_attached(chat.ready())


def test_a_function_runs_when_a_person_lets_it(
    dashboard: Callable[..., ChatPage], vendor: VendorServer, log: Path
) -> None:
    chat = dashboard(viewport={"width": 390, "height": 844}, locale="zh-CN", color_scheme="dark")
    page, cards = chat.page, chat.page.locator(".lw-tool")
    vendor.rounds = [[("launch", '{"ship": "<img src=x onerror=alert(1)>", "crew": 3}'), ("launch", '{"crew": "x"}')]]
    chat.ask("启航")
    expect(cards).to_have_count(2)
    expect(cards.first).to_contain_text('"ship": "<img src=x onerror=alert(1)>"')
    assert not log.exists()
    page.reload()
    chat.ready()
    expect(cards.first.get_by_role("button", name="允许", exact=True)).to_be_visible()
    cards.nth(1).get_by_role("button", name="允许", exact=True).press("Enter")
    expect(cards.nth(1)).to_have_attribute("data-state", "failed")
    expect(cards.nth(1)).to_contain_text("ship: Missing required argument")
    assert not log.exists()
    cards.first.get_by_role("button", name="在本对话中始终允许").click()
    expect(cards.first).to_have_attribute("data-state", "done")
    expect(page.locator(".lw-answer", has_text="Yes.")).to_be_visible()
    assert log.read_text() == "<img src=x onerror=alert(1)> 3\n"
    results = [told["content"] for told in completions(vendor)[-1] if told["role"] == "tool"]
    assert results[0] == '{"launched": "<img src=x onerror=alert(1)>", "船员": 3}'
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    vendor.rounds = [[("launch", '{"ship": "Argo", "crew": 50}')]]
    chat.ask("再来一次")
    expect(cards).to_have_count(3)
    expect(page.locator(".lw-answer", has_text="Yes.")).to_have_count(2)
    assert log.read_text().splitlines()[1:] == ["Argo 50"]

    vendor.rounds = [[("drift", "{}")]]
    chat.ask("漂流")
    cards.nth(3).get_by_role("button", name="允许", exact=True).click()
    cards.nth(3).get_by_role("button", name="停止").click()
    expect(cards.nth(3)).to_have_attribute("data-state", "failed")
    expect(page.locator(".lw-answer", has_text="Yes.")).to_have_count(3)
    assert completions(vendor)[-1][-1]["content"] == "The person stopped this call."

    vendor.rounds = [[("drift", "{}")]]
    chat.ask("再漂流")
    cards.nth(4).get_by_role("button", name="拒绝").click()
    expect(page.locator(".lw-answer", has_text="Yes.")).to_have_count(4)

    page.reload()
    chat.ready()
    expect(cards).to_have_count(5)
    # What the model is told of it, in English, is no news to who denied it.
    expect(cards.nth(4).get_by_role("status")).to_have_text("已拒绝")
    expect(cards.nth(4)).not_to_contain_text("did not allow")
    expect(page.locator(".lw-tool[data-state=waiting]")).to_have_count(0)
