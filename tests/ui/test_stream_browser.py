"""Long conversations and answers, and what a person does with an answer, in JupyterLab and in Voilà."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import create_engine, select

from llmws.messages import Message, Part
from llmws.store import messages as kept
from llmws.store import tables

from .conftest import Workspace
from .test_chat_browser import ChatPage, Open, dashboard, in_lab, in_voila, one_page, prepared

__all__ = ["dashboard", "in_lab", "in_voila", "one_page", "prepared"]

ANSWER = "For $x_1 > 0$:\n\n$$\ny = \\sqrt{x}\n$$\n\n```python\nprint('二')\n```\n\n```sh\nls\n```\n\n```go\nx\n```\n"


def cells(page: Page) -> list[str]:
    """The source of each cell of the notebook that Lab shows."""
    found = page.evaluate(
        "[...jupyterapp.shell.currentWidget.content.model.cells].map((cell) => cell.sharedModel.getSource())"
    )
    return list(found)


@pytest.mark.long
def test_code_becomes_a_cell_below_the_page_in_lab(in_lab: Open, prepared: Callable[..., str]) -> None:
    chat = in_lab()
    chat.open(prepared("Cells", tokens=[ANSWER]))
    chat.ask("Show it")
    chat.finished()
    expect(chat.page.locator(".lw-answer .katex")).to_have_count(2)
    before = cells(chat.page)
    insert = chat.page.get_by_role("button", name="Insert the code as a cell below")
    expect(insert).to_have_count(2)
    insert.first.click()
    expect(insert.first).to_have_text("Inserted")
    insert.nth(1).click()
    assert cells(chat.page) == [before[0], "%%bash\nls", "print('二')", *before[1:]]


@pytest.mark.long
def test_in_voila_there_is_no_notebook_to_insert_into(in_voila: Open, prepared: Callable[..., str]) -> None:
    chat = in_voila()
    chat.open(prepared("No cells", tokens=[ANSWER]))
    chat.ask("Show it")
    chat.finished()
    expect(chat.page.locator(".lw-answer .katex")).to_have_count(2)
    expect(chat.page.get_by_role("button", name="Copy code")).to_have_count(3)
    expect(chat.page.get_by_role("button", name="Insert the code as a cell below")).to_have_count(0)


def test_an_answer_without_words_says_so(dashboard: ChatPage, prepared: Callable[..., str]) -> None:
    dashboard.open(prepared("Without words", tokens=[], reasoning="Nothing to say."))
    dashboard.ask("Well?")
    dashboard.finished()
    expect(dashboard.answers.locator(".lw-note")).to_contain_text("The model ended without an answer.")


LONG = "Answer {n}.\n\n" + "A paragraph with some *words* in it. " * 8 + "\n\n```python\nvalue = {n}\n```\n"
MESSAGES = 400


@pytest.fixture
def long_chat(workspace: Workspace, prepared: Callable[..., str]) -> str:
    """The title of a long conversation, put into the store as an import would; its next answer does not end."""
    title = prepared("A long one", delay_s=0.02, count=5000, tokens=["A line of its own.\n\n"])
    client = workspace.client()
    chat = client.loop.run(client.api.chats(query=title))["items"][0]
    said = []
    for n in range(MESSAGES // 2):
        answer = Message("assistant", (Part("text", LONG.format(n=n)),), finish_reason="stop")
        said += [Message.user(f"Question {n}"), answer]
    with create_engine(f"sqlite:///{workspace.data / 'llmws.db'}").begin() as connection:
        (owner,) = connection.execute(select(tables.chats.c.owner).where(tables.chats.c.id == chat["id"])).one()
        kept.append_all(connection, owner, chat["id"], said)
    return title


# Scrolls by so much, and tells how far what is read then moves by itself, and whether that is the first message.
PLACE = """() => new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(() => {
  shown(document.querySelector(".lw-log").scrollTop);
})))"""
READ = """async (by) => {
  const log = document.querySelector(".lw-log");
  // What a frame shows is known once its observers of size were heard, of which the youngest is the last.
  const frame = () => new Promise((shown) => requestAnimationFrame(() => {
    const last = new ResizeObserver(() => shown(last.disconnect()));
    last.observe(log);
  }));
  log.scrollTop += by;
  await frame();
  const { top, bottom } = log.getBoundingClientRect();
  const seen = (slot) => {
    const place = slot.getBoundingClientRect();
    return slot.childElementCount && place.bottom > top + 1 && place.top < bottom;
  };
  let read;
  while (!(read = [...document.querySelectorAll(".lw-slot")].find(seen))) await frame();
  const before = read.getBoundingClientRect().top;
  let moved = 0;
  for (let count = 0; count < 12; count++) {
    await frame();
    moved = Math.max(moved, Math.abs(read.getBoundingClientRect().top - before));
  }
  return [moved, log.scrollHeight - log.scrollTop - log.clientHeight];
}"""
FAR = 1_000_000


@pytest.mark.long
@pytest.mark.parametrize("native", [True, False], ids=["held by the browser", "held by the page"])
def test_what_is_read_stays_where_it_is(in_voila: Open, long_chat: str, native: bool) -> None:
    chat = in_voila()
    page = chat.page
    if not native:
        page.add_init_script("CSS.supports = () => false")
        page.reload()
        chat.ready()
        page.add_style_tag(content=".lw-log { overflow-anchor: none }")
    chat.open(long_chat)
    expect(page.get_by_text(f"Answer {MESSAGES // 2 - 1}.")).to_be_in_viewport()
    slots, earlier = page.locator(".lw-slot"), page.locator(".lw-earlier")
    assert slots.count() < 60
    assert page.locator(".lw-answer").count() < 20

    # Backwards, while older messages come and are drawn; then by leaps to the very top, where they come above.
    while slots.count() < 120:
        assert page.evaluate(READ, -700)[0] < 1
    while earlier.count():
        assert page.evaluate(READ, -FAR)[0] < 1
    while not page.get_by_text("Question 0", exact=True).count():
        assert page.evaluate(READ, -FAR)[0] < 1
    assert slots.count() == MESSAGES
    assert page.locator(".lw-slot[data-far=true]").count() > 10

    # The end is followed, until a person moves by as little as a key does, and again when they come back.
    page.get_by_role("button", name="Jump to latest").click()
    expect(page.get_by_text(f"Answer {MESSAGES // 2 - 1}.")).to_be_in_viewport()
    chat.ask("Go on")
    lines = chat.answers.last.locator(".lw-markdown p")
    expect(lines.nth(40)).to_be_attached()
    assert page.evaluate(READ, 0)[1] < 1
    page.locator(".lw-log").press("ArrowUp")
    expect(page.get_by_role("button", name="Jump to latest")).to_be_visible()
    # A browser lets a key's movement run out over some frames.
    place = None
    while place != (place := page.evaluate(PLACE)):
        pass
    said = lines.count()
    while lines.count() < said + 40:
        assert page.evaluate(READ, 0)[0] < 1
    assert page.evaluate(READ, FAR)[1] < 1
    page.get_by_role("button", name="Stop").click()
    # The figures come with the end.
    expect(chat.answers.last.locator(".lw-figures")).to_have_count(1)
    assert page.evaluate(READ, 0)[1] < 1


def test_the_keys_do_what_their_sheet_says(in_voila: Open, long_chat: str) -> None:
    chat = in_voila(permissions=["clipboard-read", "clipboard-write"])
    page = chat.page
    chat.open(long_chat)
    newest = f"Answer {MESSAGES // 2 - 1}."
    expect(page.get_by_text(newest)).to_be_in_viewport()
    chat.composer.press("Control+k")
    expect(page.get_by_role("searchbox")).to_be_focused()
    chat.composer.press("Alt+ArrowUp")
    expect(page.locator(".lw-slot:focus")).to_contain_text(newest)
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator(".lw-slot:focus")).to_contain_text(f"Question {MESSAGES // 2 - 1}")
    page.keyboard.press("Alt+ArrowDown")
    expect(page.locator(".lw-slot:focus")).to_contain_text(newest)
    page.keyboard.press("Control+Shift+y")
    expect(page.get_by_text("The last answer is copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith(newest)
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet.locator("dt")).to_have_count(11)
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    chat.composer.press("Control+/")
    expect(sheet).to_be_visible()
    page.keyboard.press("Escape")
    expect(chat.composer).to_be_focused()
    # The list stands there already, so that Escape has nothing to close, and would stop an answer.
    page.get_by_role("searchbox").press("Escape")
    expect(page.get_by_role("searchbox")).to_be_focused()
    chat.composer.fill("What is this?")
    assert chat.composer.input_value() == "What is this?"
    # On a Mac it is the other key.
    page.add_init_script("Object.defineProperty(navigator, 'platform', { get: () => 'MacIntel' })")
    page.reload()
    chat.ready().composer.press("Control+/")
    chat.composer.press("Meta+k")
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(sheet).to_have_count(0)
    chat.composer.press("Meta+/")
    expect(sheet).to_contain_text("⌘")


@pytest.mark.long
def test_the_lines_for_what_was_asked_run_in_a_cell(in_lab: Open, prepared: Callable[..., str]) -> None:
    chat = in_lab()
    page = chat.page
    chat.open(prepared("As code"))
    chat.ask("Say \"it\": 'now'\\")
    chat.finished()
    page.get_by_role("button", name="Conversation menu").click()
    page.get_by_role("menuitem", name="Show as code").click()
    dialog = page.get_by_role("dialog", name="Show as code")
    expect(dialog.locator(".hljs-keyword").first).to_have_text("import")
    dialog.get_by_role("button", name="Insert as cell").click()
    expect(dialog.get_by_role("status")).to_have_text("Inserted")
    page.keyboard.press("Escape")
    page.locator(".jp-Notebook .jp-CodeCell").nth(1).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-Notebook .jp-CodeCell").nth(1).locator(".jp-OutputArea-output")
    # What the echo says to the cell, and what the cell comes to.
    expect(output.first).to_have_text("Say \"it\": 'now'\\")
    expect(output.nth(1)).to_contain_text("'Say \"it\": \\'now\\'\\\\'")
