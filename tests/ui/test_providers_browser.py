"""What a person does on the page of providers, in a real Chromium, with a vendor on loopback that knows keys."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from llmws.errors import Error
from tests.service.vendor_server import VendorServer, vendor_server

from .conftest import Workspace

# No other text in the house looks like these.
RIGHT, WRONG = "sk-right-7c21f0a9d4", "sk-wrong-0b9e83d2c1"


class ProvidersPage:
    """The page as a person meets it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator(".lw-providers")
        self.title = self.root.locator(".lw-head h2")
        self.state = self.root.locator(".lw-head .lw-state")
        self.keys = self.root.locator(".lw-key")
        self.models = self.root.locator(".lw-models tbody tr")
        self.verdict = self.root.locator(".lw-verdict")
        self.limits = self.root.locator(".lw-limit")

    def ready(self) -> ProvidersPage:
        expect(self.root).to_be_visible()
        expect(self.root.locator(".lw-skeleton")).to_have_count(0)
        return self

    def press(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).first.click()

    def go(self, tab: str) -> None:
        self.root.get_by_role("navigation").get_by_role("button", name=tab, exact=True).click()

    def fill(self, label: str, text: str) -> None:
        self.root.get_by_label(re.compile(f"^{label}\\s*(optional|选填)?$")).fill(text)

    def choose(self, vendor: str) -> None:
        self.press("Add provider")
        self.root.get_by_role("searchbox", name="Find a vendor").fill(vendor)
        self.root.locator(".lw-vendor", has_text=vendor).first.click()

    def add(self, server: VendorServer, key: str, vendor: str = "DeepSeek", name: str = "Workshop") -> None:
        self.choose(vendor)
        self.fill("API key", key)
        self.fill("Address", server.url)
        self.fill("Name", name)
        self.press("Add provider")

    def card(self, name: str) -> Locator:
        return self.root.locator(".lw-provider", has=self.page.locator("strong", has_text=name))

    def model(self, name: str) -> Locator:
        return self.models.filter(has=self.page.locator(".lw-model-name", has_text=re.compile(f"^{re.escape(name)}$")))

    def written(self) -> str:
        """All that the document holds: its text, attributes, and what stands in its fields."""
        return str(
            self.page.evaluate(
                "document.documentElement.outerHTML + [...document.querySelectorAll('input')].map(i => i.value).join()"
            )
        )


Open = Callable[..., ProvidersPage]


@pytest.fixture
def open_page(open_notebook: Callable[..., Page]) -> Open:
    return lambda host, query="", **options: ProvidersPage(open_notebook(host, "providers", query, **options)).ready()


@pytest.fixture
def vendor(workspace: Workspace) -> Iterator[VendorServer]:
    """A vendor with one price that is published; afterwards nobody has an account there, and nothing is limited."""
    with vendor_server() as server:
        server.models = ["m", "deepseek-chat", "<img src=x onerror=alert(1)>"]
        server.refusals[WRONG] = (401, "Incorrect API key provided")
        yield server
        client = workspace.client()
        for provider in client.run(client.api.providers()):
            if provider["mine"]:
                client.run(client.api.delete_provider(provider["id"]))
        for limit in client.run(client.api.limits()):
            client.run(client.api.delete_limit(limit["id"]))


def test_a_provider_is_added_tested_and_asked(open_page: Open, vendor: VendorServer) -> None:
    page = open_page("lab")
    page.add(vendor, WRONG)
    expect(page.verdict).to_contain_text("The key was refused")
    expect(page.verdict).not_to_contain_text(WRONG)
    page.fill("API key", RIGHT)
    page.press("Test")
    expect(page.verdict).to_contain_text("It answers: 3 models")
    # What was typed need not be typed again, and stands nowhere.
    assert RIGHT not in page.written()
    page.press("Add provider")
    expect(page.title).to_have_text("Workshop")
    expect(page.state).to_have_text("Reachable")
    expect(page.models).to_have_count(3)
    expect(page.model("deepseek-chat")).to_contain_text(re.compile(r"[$¥]\d+\.\d\d"))
    expect(page.model("m")).to_contain_text("unpriced")
    expect(page.model("<img src=x onerror=alert(1)>")).to_be_visible()
    page.press("Chat with m")
    chat = page.root.locator(".lw-talk")
    chat.get_by_role("textbox", name="Message").fill("Are you there?")
    chat.get_by_role("button", name="Send").click()
    expect(chat.locator(".lw-markdown")).to_have_text("Yes.")
    expect(chat.locator(".lw-figures")).to_contain_text("unpriced")
    assert vendor.asked[-1][1] == RIGHT
    page.press("Back to Workshop")
    page.press("Back")
    expect(page.card("Workshop")).to_contain_text("Reachable")


@pytest.mark.long
def test_a_key_leaves_no_trace(open_page: Open, vendor: VendorServer, workspace: Workspace) -> None:
    page = open_page("lab")
    page.add(vendor, RIGHT)
    expect(page.models).to_have_count(3)
    page.fill("API key", WRONG)
    page.press("Add key")
    expect(page.keys).to_have_count(2)
    page.press("Test")
    expect(page.verdict).to_contain_text("The key was refused")
    written = page.written()
    stored = page.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    page.page.locator(".jp-Notebook .cm-content").first.click()
    page.page.keyboard.press("Control+s")
    notebooks = workspace.notebooks.glob("providers-*.ipynb")
    saved = next(path for path in notebooks)
    page.page.wait_for_function("!document.querySelector('.jp-mod-dirty')")
    assert "widget" in saved.read_text()
    files = [path for path in workspace.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    for secret in (RIGHT, WRONG):
        assert secret not in written
        assert secret not in stored
        assert [str(path) for path in files if secret.encode() in _bytes(path)] == []


@pytest.mark.long
def test_a_price_and_a_limit_are_set_met_and_seen(open_page: Open, vendor: VendorServer, workspace: Workspace) -> None:
    # A model that nothing else asks.
    vendor.models.append("limited")
    page = open_page("voila")
    page.add(vendor, RIGHT)
    page.press("Set the price of deepseek/limited: unpriced")
    page.fill("Input", "1000000")
    page.fill("Output", "0")
    page.press("Save")
    expect(page.model("limited")).to_contain_text("$1,000,000.00")
    page.press("Back")
    page.go("Limits")
    page.press("Set a limit")
    page.root.get_by_label("Counts").select_option("requests")
    page.root.get_by_label("Per", exact=True).select_option("day")
    page.fill("Models", "deepseek/limited")
    page.fill("Stop at", "2")
    page.root.get_by_role("form", name="Set a limit").get_by_role("button", name="Set a limit").click()
    expect(page.limits).to_contain_text(["2 requests a day"])
    page.press("Set the exchange rate")
    page.fill("1 USD in CNY", "7.1")
    page.press("Save")
    expect(page.root.locator(".lw-rate")).to_contain_text("1 USD is 7.1 CNY since")
    client = workspace.client()
    for _ in range(2):
        client.chat("Are you there?", model="deepseek/limited", show=False)
    with pytest.raises(Error, match="2 requests"):
        client.chat("Are you there?", model="deepseek/limited", show=False)
    page.page.reload()
    page.ready()
    expect(page.limits.first).to_contain_text("0 left")
    page.go("Usage")
    row = page.root.locator(".lw-usage-table tbody tr", has_text="deepseek/limited")
    expect(row).to_contain_text("$10.00")
    with page.page.expect_download() as download:
        page.press("Export CSV")
    # With the mark that tells Excel of UTF-8.
    lines = Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith("model,calls,input_tokens")
    assert any(line.startswith("deepseek/limited,2,") for line in lines)


@pytest.mark.long
def test_what_is_wrong_is_said_and_what_is_deleted_comes_back(open_page: Open, vendor: VendorServer) -> None:
    page = open_page("voila")
    page.choose("OpenAI-compatible")
    page.fill("Address", "http://127.0.0.1:9/v1")
    page.press("Test")
    expect(page.verdict).to_contain_text("Nobody listens at this address")
    page.press("Add it all the same")
    expect(page.state).to_have_text("Not working")
    page.press("Edit")
    page.fill("Address", vendor.url)
    page.press("Save")
    page.press("Sync models")
    expect(page.state).to_have_text("Reachable")
    page.root.locator(".lw-switch").click()
    expect(page.state).to_have_text("Off")
    page.press("Menu")
    page.root.get_by_role("menuitem", name="Delete").click()
    expect(page.root.locator(".lw-provider-cards")).to_be_visible()
    expect(page.card("OpenAI-compatible server")).to_have_count(0)
    page.press("Undo")
    expect(page.card("OpenAI-compatible server")).to_contain_text("Off")


# The rights of a laptop are an administrator's; what it lacks is others.
ON_A_HUB = """
import llmws
from llmws import ui

client = llmws.connect()
told = client.run(client.api.me())

async def me():
    return {**told, "hub": True}

client.api.me = me
ui.Providers(client)
"""


@pytest.mark.long
def test_an_administrator_shares_a_provider(
    open_notebook: Callable[..., Page], vendor: VendorServer, workspace: Workspace
) -> None:
    dashboards = workspace.notebooks / "dashboards"
    told = json.loads((dashboards / "providers.ipynb").read_text())
    told["cells"][0]["source"] = ON_A_HUB
    (dashboards / "sharing.ipynb").write_text(json.dumps(told))
    page = ProvidersPage(open_notebook("voila", "sharing")).ready()
    page.add(vendor, RIGHT)
    expect(page.models).to_have_count(3)
    page.root.get_by_role("textbox", name="Group").fill("researchers")
    page.press("Share")
    grants = page.root.locator(".lw-grants li")
    expect(grants).to_contain_text(["researchers"])
    client = workspace.client()
    [shared] = client.run(client.api.provider("deepseek"))["shared_with"]
    assert (shared["kind"], shared["grantee"]) == ("group", "researchers")
    page.press("Share with researchers no longer")
    expect(grants).to_have_count(0)
    page.press("Undo")
    expect(grants).to_have_count(1)
    page.press("Back")
    expect(page.card("Workshop")).to_contain_text("shared with researchers")


def test_all_of_it_works_by_keyboard(open_page: Open, vendor: VendorServer) -> None:
    page = open_page("voila")
    keyboard = page.page.keyboard
    page.root.get_by_role("button", name="Add provider").first.focus()
    keyboard.press("Enter")
    expect(page.root.get_by_role("searchbox")).to_be_focused()
    keyboard.type("openai-compat")
    keyboard.press("ArrowDown")
    expect(page.root.locator(".lw-vendor")).to_be_focused()
    keyboard.press("Enter")
    expect(page.root.get_by_label("Address")).to_be_focused()
    keyboard.type(vendor.url)
    keyboard.press("Enter")
    expect(page.models).to_have_count(3)
    # Escape is about what is written, and leads back from where nothing is.
    search = page.root.get_by_role("searchbox", name="Find a model")
    search.fill("deepseek")
    expect(page.models).to_have_count(1)
    search.press("Escape")
    expect(page.models).to_have_count(3)
    search.press("Escape")
    expect(page.card("OpenAI-compatible server")).to_be_visible()


@pytest.mark.long
def test_a_narrow_page_in_chinese_and_dark_fits(open_page: Open, vendor: VendorServer) -> None:
    page = open_page("voila", "?theme=dark", viewport={"width": 390, "height": 844}, locale="zh-CN")
    page.press("添加提供方")
    page.root.locator(".lw-vendor", has_text="OpenAI-compatible").click()
    page.fill("地址", vendor.url)
    page.press("添加提供方")
    expect(page.models).to_have_count(3)
    expect(page.page.locator(".lw")).to_have_attribute("data-theme", "dark")
    assert page.page.evaluate("document.querySelector('.lw-scroll').scrollWidth <= innerWidth")
    page.press("返回")
    for tab in ("用量", "限额"):
        page.go(tab)
        expect(page.root.locator(".lw-skeleton")).to_have_count(0)
        assert page.page.evaluate("document.querySelector('.lw-scroll').scrollWidth <= innerWidth")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
