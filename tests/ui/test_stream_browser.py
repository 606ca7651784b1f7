"""Long conversations and answers, and what a person does with an answer, in JupyterLab and in Voilà."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from .test_chat_browser import Open, in_lab, in_voila, prepared

__all__ = ["in_lab", "in_voila", "prepared"]

ANSWER = "For $x_1 > 0$:\n\n$$\ny = \\sqrt{x}\n$$\n\n```python\nprint('二')\n```\n\n```sh\nls\n```\n\n```go\nx\n```\n"


def cells(page: Page) -> list[str]:
    """The source of each cell of the notebook that Lab shows."""
    found = page.evaluate(
        "[...jupyterapp.shell.currentWidget.content.model.cells].map((cell) => cell.sharedModel.getSource())"
    )
    return list(found)


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


def test_in_voila_there_is_no_notebook_to_insert_into(in_voila: Open, prepared: Callable[..., str]) -> None:
    chat = in_voila()
    chat.open(prepared("No cells", tokens=[ANSWER]))
    chat.ask("Show it")
    chat.finished()
    expect(chat.page.locator(".lw-answer .katex")).to_have_count(2)
    expect(chat.page.get_by_role("button", name="Copy code")).to_have_count(3)
    expect(chat.page.get_by_role("button", name="Insert the code as a cell below")).to_have_count(0)
