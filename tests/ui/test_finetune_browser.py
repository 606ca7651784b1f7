"""What a person does on the fine-tune page, in a real Chromium; the trainer is a stand-in but for the long test."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .conftest import Workspace

MANY = "100000"
TRAINING_MS = 900_000


class FineTunePage:
    """The page as a person meets it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.title = page.locator(".lw-finetune .lw-head h2")
        self.state = page.locator(".lw-head .lw-state")
        self.entries = page.locator(".lw-run-entry")
        self.steps = self.field("Steps")

    def ready(self) -> FineTunePage:
        expect(self.page.locator(".lw-finetune")).to_be_visible()
        expect(self.page.locator(".lw-skeleton")).to_have_count(0)
        return self

    def field(self, label: str) -> Any:
        return self.page.get_by_role("textbox", name=re.compile(f"^{label}"))

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def start(self, steps: str) -> None:
        self.press("New fine-tune")
        self.steps.fill(steps)
        self.press("Start")
        expect(self.title).to_have_text(re.compile(r"^seafarer-\d+$"))

    def points(self) -> int:
        return int(self.page.locator(".lw-curve-plot").get_attribute("data-points") or 0)

    def moved(self, beyond: int) -> int:
        """Wait until the curve has more points than that; how many it has."""
        self.page.wait_for_function(
            "beyond => Number(document.querySelector('.lw-curve-plot')?.dataset.points) > beyond", arg=beyond
        )
        return self.points()


Open = Callable[..., FineTunePage]


@pytest.fixture
def open_page(open_notebook: Callable[..., Page]) -> Open:
    return lambda host, **options: FineTunePage(open_notebook(host, "finetune", **options)).ready()


def test_a_run_is_started_watched_stopped_and_resumed(open_page: Open) -> None:
    tune = open_page("lab")
    expect(tune.page.get_by_text("72 rows")).to_be_visible()
    expect(tune.page.get_by_text("What is sourdough?")).to_be_visible()
    tune.start(MANY)
    expect(tune.state).to_have_text("Running")
    seen = tune.moved(3)
    losses = [tune.page.locator(".lw-figure", has_text="Loss").locator("dd").inner_text()]
    tune.moved(seen + 3)
    losses.append(tune.page.locator(".lw-figure", has_text="Loss").locator("dd").inner_text())
    assert float(losses[1]) < float(losses[0])
    expect(tune.page.get_by_role("log", name="Log")).to_contain_text("step 3")
    tune.press("Stop")
    expect(tune.state).to_have_text("Stopped")
    expect(tune.page.get_by_text(re.compile("^Stopped by .* after step"))).to_be_visible()
    stopped = tune.points()
    tune.press("Resume")
    expect(tune.state).to_have_text("Running")
    tune.moved(stopped)
    expect(tune.page.locator(".lw-events")).to_contain_text("round 2")
    tune.press("Stop")
    expect(tune.state).to_have_text("Stopped")


@pytest.mark.long
def test_a_page_that_is_reloaded_finds_the_run_again(open_page: Open) -> None:
    tune = open_page("voila")
    tune.start(MANY)
    name, seen = tune.title.inner_text(), tune.moved(3)
    tune.page.reload()
    tune.ready()
    expect(tune.title).to_have_text(name)
    assert tune.moved(seen) > seen
    tune.press("Stop")
    expect(tune.state).to_have_text("Stopped")
    expect(tune.entries.first).to_contain_text(name)
    expect(tune.entries.first).to_contain_text("Stopped")


@pytest.mark.long
def test_what_cannot_be_is_said_beside_its_field(open_page: Open) -> None:
    tune = open_page("voila")
    field = tune.page.locator(".lw-field", has=tune.steps).first
    tune.steps.fill("0")
    expect(field).to_contain_text("From 1 to 10,000,000")
    expect(tune.page.get_by_role("button", name="Start", exact=True)).to_be_disabled()
    tune.steps.fill("3")
    tune.page.get_by_text("More", exact=True).click()
    extra = tune.field("More arguments")
    extra.fill('{"output_dir": "/"}')
    tune.press("Start")
    # This the service says: the page does not know which arguments are its own.
    expect(tune.page.locator(".lw-field[data-type=mapping]")).to_contain_text("output_dir")
    extra.fill("{}")
    tune.press("Start")
    expect(tune.state).to_have_text("Finished")
    assert tune.moved(2) == 3


@pytest.mark.long
def test_a_run_that_failed_says_why_and_offers_what_helps(open_page: Open, workspace: Workspace) -> None:
    client = workspace.client()
    job = client.run(client.api.create_job("smollm2-135m", "seafarer", {"max_steps": 5}, name="to be deleted"))
    tune = open_page("voila")
    entry = tune.entries.filter(has_text="to be deleted")
    entry.click()
    expect(tune.title).to_have_text("to be deleted")
    expect(tune.state).to_have_text("Finished")
    weights = Path(job["folder"]) / "output" / "adapter_model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    tune.press("Serve and chat with it")
    expect(tune.page.locator(".lw-toast")).to_be_visible()
    weights.write_bytes(content)
    tune.press("Serve and chat with it")
    expect(tune.page.get_by_text("Served as")).to_be_visible()
    tune.press("Run menu")
    tune.page.get_by_role("menuitem", name="Delete").click()
    expect(entry).to_have_count(0)
    tune.page.get_by_role("button", name="Undo").click()
    expect(entry).to_have_count(1)
    assert client.run(client.api.job(job["id"]))["name"] == "to be deleted"


def test_the_page_is_whole_when_narrow_dark_and_chinese(open_notebook: Callable[..., Page]) -> None:
    page = open_notebook("voila", "finetune", "?theme=dark", viewport={"width": 390, "height": 844}, locale="zh-CN")
    expect(page.get_by_role("button", name="开始", exact=True)).to_be_visible()
    expect(page.locator(".lw")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("document.querySelector('.lw-scroll').scrollWidth <= innerWidth")
    page.get_by_role("button", name="显示训练列表").click()
    expect(page.get_by_role("navigation", name="微调")).to_be_visible()


@pytest.mark.long
@pytest.mark.usefixtures("real_trainer")
def test_the_real_trainer_teaches_a_model_that_can_be_talked_to(open_page: Open) -> None:
    tune = open_page("voila")
    tune.start("30")
    expect(tune.state).to_have_text("Finished", timeout=TRAINING_MS)
    assert tune.moved(29) == 30
    tune.press("Serve and chat with it")
    expect(tune.page.get_by_text("Served as")).to_be_visible(timeout=TRAINING_MS)
    tune.press("Chat with it")
    chat = tune.page.locator(".lw-talk")
    chat.get_by_role("textbox", name="Message").fill("How do I sharpen a knife?")
    chat.get_by_role("textbox", name="Message").press("Enter")
    expect(chat.locator(".lw-figures")).to_be_visible()
    assert chat.locator(".lw-markdown").inner_text().startswith("Ahoy!")
