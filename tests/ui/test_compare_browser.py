"""What a person does on the compare page, in a real Chromium: columns that answer, fail and are stopped apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from llmws.messages import Parameters

from .conftest import Workspace

# More than anybody waits for, so that whatever a test does happens in the middle of it.
ENDLESS = Parameters(extra={"delay_s": 0.05, "tokens": [f"w{number} " for number in range(5000)]})


class ComparePage:
    """The page as a person meets it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.columns = page.locator(".lw-column")
        self.chips = page.locator(".lw-chip")
        self.rows = page.locator(".lw-table tbody tr")
        self.composer = page.get_by_role("textbox", name="Message")

    def ready(self) -> ComparePage:
        expect(self.composer).to_be_visible()
        expect(self.page.locator(".lw-skeleton")).to_have_count(0)
        return self

    def choose(self, *names: str) -> None:
        """Ask these and no others."""
        while self.chips.count():
            self.chips.first.get_by_role("button").click()
        for count, name in enumerate(names, 1):
            self.page.get_by_role("button", name="Add a model").click()
            self.page.get_by_role("option", name=name).click()
            expect(self.chips).to_have_count(count)

    def ask(self, text: str) -> None:
        self.composer.fill(text)
        self.composer.press("Enter")

    def open(self, prompt: str) -> None:
        self.page.get_by_role("button", name="Show comparisons").click()
        self.page.locator(".lw-comparison-entry", has_text=prompt).first.click()

    def running(self) -> Locator:
        return self.page.locator(".lw-answer[data-running=true]")


Open = Callable[..., ComparePage]


@pytest.fixture
def open_page(open_notebook: Callable[..., Page]) -> Open:
    return lambda host, name="compare", query="", **options: ComparePage(
        open_notebook(host, name, query, **options)
    ).ready()


@pytest.fixture
def begun(workspace: Workspace) -> Callable[[str], Any]:
    """Begins a comparison of the echo with itself that does not end by itself."""

    def begin(prompt: str) -> Any:
        client = workspace.client()
        return client.run(client.api.create_comparison(["echo", "echo"], prompt, parameters=ENDLESS))

    return begin


def test_two_models_answer_side_by_side(open_page: Open) -> None:
    compare = open_page("lab")
    compare.choose("Echo", "Echo")
    compare.ask("Which of you is the echo?")
    expect(compare.columns).to_have_count(2)
    expect(compare.page.locator(".lw-figures")).to_have_count(2)
    expect(compare.columns.nth(0)).to_contain_text("Which of you is the echo?")
    expect(compare.columns.nth(1).get_by_role("heading")).to_have_text("Echo · 2")
    assert [row.split("\t")[3:] for row in compare.rows.all_inner_texts()] == [["6", "$0"]] * 2


@pytest.mark.long
def test_one_that_fails_is_no_concern_of_the_other(open_page: Open, workspace: Workspace) -> None:
    told = json.loads((workspace.notebooks / "dashboards" / "compare.ipynb").read_text())
    told["cells"][0]["source"] = 'from llmws import ui\nui.Compare(models=["echo", "gone/any"])'
    (workspace.notebooks / "dashboards" / "failing.ipynb").write_text(json.dumps(told))
    compare = open_page("voila", "failing")
    compare.ask("Is anybody there?")
    expect(compare.columns.nth(0)).to_contain_text("Is anybody there?")
    expect(compare.columns.nth(1).get_by_role("alert")).to_be_visible()
    expect(compare.running()).to_have_count(0)
    assert compare.columns.nth(0).get_by_role("alert").count() == 0


def test_one_is_stopped_and_then_all(open_page: Open, begun: Callable[[str], Any]) -> None:
    begun("To be stopped")
    compare = open_page("voila")
    compare.open("To be stopped")
    expect(compare.running()).to_have_count(2)
    compare.page.get_by_role("button", name="Stop Echo · 1").click()
    expect(compare.columns.nth(0)).to_contain_text("Stopped.")
    expect(compare.running()).to_have_count(1)
    compare.page.get_by_role("button", name="Stop all").click()
    expect(compare.columns.nth(1)).to_contain_text("Stopped.")
    expect(compare.running()).to_have_count(0)


@pytest.mark.long
def test_a_page_that_is_reloaded_finds_its_answers_again(open_page: Open, begun: Callable[[str], Any]) -> None:
    begun("To be reloaded")
    compare = open_page("voila")
    compare.open("To be reloaded")
    expect(compare.columns.nth(1)).to_contain_text("w9 ")
    compare.page.reload()
    compare.ready()
    expect(compare.page.locator(".lw-head h2")).to_have_text("To be reloaded")
    for column in compare.columns.all():
        expect(column).to_contain_text("w40 ")
        said = column.locator(".lw-markdown").inner_text().split()
        assert said == [f"w{number}" for number in range(len(said))]
    compare.page.get_by_role("button", name="Stop all").click()
    expect(compare.running()).to_have_count(0)


@pytest.mark.long
def test_columns_are_a_carousel_when_narrow(open_notebook: Callable[..., Page], begun: Callable[[str], Any]) -> None:
    asked = begun("Narrow")
    page = open_notebook("voila", "compare", "?theme=dark", viewport={"width": 390, "height": 844}, locale="zh-CN")
    page.get_by_role("button", name="显示对比列表").click()
    page.locator(".lw-comparison-entry", has_text=asked["prompt"]).click()
    expect(page.locator(".lw-column")).to_have_count(2)
    widths = page.evaluate("[...document.querySelectorAll('.lw-column')].map(c => c.getBoundingClientRect().width)")
    assert all(300 < width < 390 for width in widths)
    page.get_by_role("button", name="全部停止").click()
    expect(page.locator(".lw-answer[data-running=true]")).to_have_count(0)
