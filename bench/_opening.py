"""How long a conversation takes to open, a long one beside a short one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _report import Row, median, spread
from _workspace import END_LIMIT_S, HOSTS, START_LIMIT_S, open_notebook
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import create_engine, select

from llmws import instance
from llmws.client import connect
from llmws.messages import Message, Part, Usage
from llmws.store import messages, tables

CELL = """
from llmws import ui

ui.Chat()
"""
SIZES = {"Twenty messages": 20, "Two thousand messages": 2000}
MOST = 1.5

# From the press on an entry of the list to the first task after the frame that shows the last message in its place.
OPEN = """([title, text]) => new Promise((done) => {
  const entry = [...document.querySelectorAll(".lw-entry-open")].find((one) => one.textContent.includes(title));
  const log = document.querySelector(".lw-log");
  const shown = new MessageChannel();
  const began = performance.now();
  shown.port1.onmessage = () => done(performance.now() - began);
  const look = () => {
    const last = [...log.querySelectorAll(".lw-slot")].at(-1);
    const above = last && last.getBoundingClientRect().top < log.getBoundingClientRect().bottom;
    const there = above && last.textContent.includes(text);
    if (there) shown.port2.postMessage(null);
    else requestAnimationFrame(look);
  };
  entry.click();
  requestAnimationFrame(look);
})"""


def fill(data: Path) -> None:
    """Put a conversation of each size into the store of the service that runs on `data`."""
    found = instance.running(data)
    assert found is not None
    client = connect(found.url, found.token)
    for title, size in SIZES.items():
        chat_id = client.chats.create(model="echo", title=title).id
        with create_engine(f"sqlite:///{data / 'llmws.db'}").begin() as connection:
            (owner,) = connection.execute(select(tables.chats.c.owner).where(tables.chats.c.id == chat_id)).one()
            messages.append_all(connection, owner, chat_id, [_message(number, size) for number in range(size)])
    client.close()


def _message(number: int, size: int) -> Message:
    if number % 2 == 0:
        return Message.user(f"Question {number // 2}: what is it, and why is it so?")
    last = " The last one." if number == size - 1 else ""
    text = (
        f"Answer {number // 2}.{last}\n\n" + "It is a paragraph with *some* words and `code` in it. " * 8 + "\n\n"
        f"- one\n- two\n- three\n\n```python\nvalue = {number}\nprint(value)\n```\n"
    )
    usage = Usage(input_tokens=60 * number, output_tokens=120)
    return Message("assistant", (Part("text", text),), model="echo", usage=usage, finish_reason="stop")


def measure(browser: Browser, urls: Mapping[str, str], host: str, times: int) -> list[Row]:
    """Open both in turns, `times` each after one that does not count."""
    context = browser.new_context(viewport={"width": 1440, "height": 1100}, locale="en-US")
    context.set_default_timeout(START_LIMIT_S * 1000)
    page = context.new_page()
    open_notebook(page, host, urls, "chat")
    expect(page.locator(".lw-entry-open")).to_have_count(len(SIZES), timeout=START_LIMIT_S * 1000)
    took: dict[str, list[float]] = {title: [] for title in SIZES}
    for _ in range(times + 1):
        for title, figures in took.items():
            figures.append(_open(page, title))
    context.close()
    short, long = (figures[1:] for figures in took.values())
    ratios = [second / first for first, second in zip(short, long, strict=True)]
    ratio = median(long) / median(short)
    name = f"{HOSTS[host]}: a conversation of"
    return [
        Row(f"{name} 20 messages opens", median(short), "ms", spread=spread(short)),
        Row(f"{name} 2,000 messages opens", median(long), "ms", spread=spread(long)),
        Row(
            f"{name} 2,000 messages over one of 20",
            ratio,
            "",
            goal=f"at most {MOST:g}",
            met=ratio <= MOST,
            spread=spread(ratios),
        ),
    ]


def _open(page: Page, title: str) -> float:
    page.get_by_role("button", name="New conversation").first.click()
    expect(page.locator(".lw-empty")).to_be_visible(timeout=END_LIMIT_S * 1000)
    told: Any = page.evaluate(OPEN, [title, "The last one."])
    return float(told)
