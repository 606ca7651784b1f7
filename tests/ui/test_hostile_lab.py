"""Hostile text in JupyterLab: our page in a notebook, the cells that it inserts, and a notebook that was exported."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from llmws.settings import Settings
from tests.service.harness import Running, running_service

from . import hostile
from .attacked import Attacked, OpenAs, open_as, tried
from .conftest import TOKEN, Workspace
from .test_hostile_browser import EVERYTHING, SOME, answer, asked, bring, conversation, find, menu, paragraphs
from .test_stream_browser import cells

__all__ = ["open_as"]

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

# What may end a fence is left out: none of them is as long as this one.
FENCE = "~" * 40
# Formulas, of which Lab makes links.
TITLE = "".join(hostile.packed(900, [text for text in EVERYTHING if "href" in text and "$" in text])[:1])
CODE = "\n".join(text for text in EVERYTHING if "\r" not in text and "\0" not in text)


@pytest.fixture
def service(settings: Settings) -> Iterator[Running]:
    with running_service(settings) as running:
        yield running


def test_in_a_notebook_all_is_text_and_no_cell_is_more_than_its_literals(
    open_as: OpenAs,
    service: Running,
) -> None:
    question = "\n".join(SOME)
    code = {"type": "text", "text": f"{FENCE}python\n{CODE}\n{FENCE}"}
    texts = ({"type": "text", "text": text} for text in paragraphs(EVERYTHING))
    model = hostile.packed(255)[0]
    bring(service, conversation("Said", asked(question), answer(*texts, code), model=model))
    service.new_chat(title="\n".join(EVERYTHING))
    attacked = open_as(service.instance.url, service.instance.token, "Chat", "lab")
    page = attacked.page
    attacked.shows("in Lab: titles", EVERYTHING, ".lw-entry-title")
    find(attacked, "Said")
    expect(page.locator(".lw-markdown")).to_have_count(len(paragraphs(EVERYTHING)) + 1)
    attacked.shows("in Lab: questions", SOME, ".lw-bubble")
    tried("in Lab: answers", EVERYTHING)
    attacked.check()

    before = cells(page)
    page.get_by_role("button", name="Insert the code as a cell below").last.click()
    assert cells(page) == [before[0], CODE, *before[1:]]
    tried("inserted as a cell", CODE.split("\n"))
    menu(attacked, "Show as code")
    page.get_by_role("dialog").get_by_role("button", name="Insert as cell").click()
    [told] = [cell for cell in cells(page) if "chat.send" in cell]
    names = {node.id for node in ast.walk(ast.parse(told)) if isinstance(node, ast.Name)}
    assert names == {"llmws", "client", "chat", "message"}
    literals = [node.value for node in ast.walk(ast.parse(told)) if isinstance(node, ast.Constant)]
    assert question in literals
    assert model in literals
    tried("shown as code, and inserted", SOME)
    attacked.check()


def test_an_exported_notebook_loads_nothing_when_it_is_opened(
    lab: str, workspace: Workspace, service: Running, new_page: Callable[..., Page], requests: list[str]
) -> None:
    """Its answers are shown by JupyterLab, which loads what Markdown names."""
    turns = []
    for text in paragraphs(EVERYTHING):
        turns += [asked(text), answer({"type": "text", "text": text})]
    bring(service, conversation(TITLE, *turns))
    [chat] = service.get("/api/chats")["items"]
    book = service.http.get("/api/exports", params={"chat": chat["id"], "format": "notebook"}).text
    file = workspace.notebooks / "hostile-export.ipynb"
    file.write_text(book)
    try:
        attacked = Attacked(new_page(bypass_csp=True), requests)
        page = attacked.page
        page.goto(f"{lab}/doc/tree/{file.name}?token={TOKEN}")
        outputs = page.locator(".jp-OutputArea-output")
        expect(outputs.first).to_be_visible()
        # Cells are drawn where they are looked at.
        for place in range(0, 101, 10):
            page.locator(".jp-WindowedPanel-outer").evaluate(
                "(box, share) => box.scrollTo(0, (box.scrollHeight * share) / 100)", place
            )
            page.evaluate("new Promise((done) => requestIdleCallback(done))")
            attacked.check(".jp-OutputArea-output,.jp-MarkdownOutput")
        tried("exported notebook: answers", EVERYTHING)
    finally:
        file.unlink()
