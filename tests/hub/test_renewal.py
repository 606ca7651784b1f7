"""A page that stays open for days: what a browser holds ends and is renewed beneath it, here within seconds.

Needs what `test_hub.py` needs, and a browser.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.ui.conftest import chromium as chromium  # one way to find a browser

from .running import PASSWORD, Person, RunningHub, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
SignIn = Callable[[str], Person]
LIMIT_MS = 60_000
# Longer than a server waits before it asks the hub again whose page is open, and not by much.
LIFETIME_S = 40
HASTY = f"""
c.JupyterHub.oauth_token_expires_in = {LIFETIME_S}
c.JupyterHub.activity_resolution = 1
c.Spawner.args = ["--HubOAuth.cache_max_age=2"]
"""


@pytest.fixture(scope="module")
def hub(hub: RunningHub) -> Iterator[RunningHub]:
    """The hub of the other tests, where a browser's tokens live for seconds and not for a day."""
    config = hub.state.hub / "config.py"
    before = config.read_text()
    hub.stop()
    config.write_text(before + HASTY)
    hub.start()
    # Servers outlive their hub: those that other tests left would ask it as seldom as ever.
    for name in ("bea", "bob", "rita", "rolf"):
        with closing(Person(hub, name)) as person:
            person.stop_server()
    yield hub
    hub.stop()
    config.write_text(before)
    hub.start()


@pytest.fixture
def browse(chromium: Browser, hub: RunningHub) -> Iterator[Callable[[str], BrowserContext]]:
    """A browser in which somebody has signed in."""
    contexts = []

    def enter(name: str) -> BrowserContext:
        contexts.append(chromium.new_context(viewport={"width": 1200, "height": 800}, locale="en-US"))
        contexts[-1].set_default_timeout(LIMIT_MS)
        page = contexts[-1].new_page()
        page.goto(f"{hub.url}/hub/login")
        page.fill("input[name=username]", name)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url(re.compile(f"/user/{name}/|/hub/(home|spawn)"))
        page.close()
        return contexts[-1]

    yield enter
    for context in contexts:
        context.close()


def tokens(hub: RunningHub, name: str) -> list[tuple[float, float]]:
    """When each token that a browser of a person holds was made, and when it ends."""
    asked = """
        SELECT unixepoch(api_tokens.created), unixepoch(expires_at) FROM api_tokens JOIN users ON users.id = user_id
        WHERE name = ? AND session_id != '' ORDER BY api_tokens.created
    """
    file = (hub.state.hub / "jupyterhub.sqlite").as_uri()
    with closing(sqlite3.connect(f"{file}?mode=ro", uri=True)) as connection:
        return list(connection.execute(asked, [name]))


def composer(page: Page) -> Any:
    return page.get_by_role("textbox", name="Message")


def ask(page: Page, text: str) -> None:
    composer(page).fill(text)
    expect(page.get_by_role("button", name="Send")).to_be_enabled(timeout=LIMIT_MS)
    composer(page).press("Enter")


def say(page: Page, text: str) -> None:
    ask(page, text)
    expect(page.locator(".lw-answer").last).to_contain_text(text, timeout=LIMIT_MS)


def choose_echo(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Model: ")).click()
    page.get_by_role("option", name=re.compile("^Echo ")).click()


def chat_of(hub: RunningHub, context: BrowserContext, name: str) -> Page:
    """A page with a conversation: a dashboard, or a notebook in JupyterLab."""
    page = context.new_page()
    if name == "bob":
        page.goto(f"{hub.url}/hub/spawn/bob?next=/user/bob/voila/render/chat.ipynb")
    else:
        page.goto(f"{hub.url}/hub/spawn/{name}?next=/user/{name}/lab/tree/chat.ipynb")
        expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=LIMIT_MS)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name=re.compile("^Run All Cells")).click()
    expect(composer(page)).to_be_visible(timeout=LIMIT_MS)
    choose_echo(page)
    return page


def test_open_pages_go_on_while_what_their_browser_holds_would_have_ended(
    hub: RunningHub, browse: Callable[[str], BrowserContext], sign_in: SignIn
) -> None:
    idle = sign_in("rolf")
    idle.open_server()
    opened = {}
    for name in ("bob", "rita"):
        context = browse(name)
        opened[name] = (context, chat_of(hub, context, name))
        say(opened[name][1], "Before the night")
    began = time.time()
    held = {name: tokens(hub, name)[-1][0] for name in opened}

    def is_renewed(name: str) -> bool:
        """The token that was there is still the one, and should have ended long ago."""
        return any(made == held[name] and ends > made + 2 * LIFETIME_S for made, ends in tokens(hub, name))

    # Nobody touches anything meanwhile.
    for name in opened:
        wait_for(lambda name=name: is_renewed(name) and time.time() > began + 2 * LIFETIME_S, limit_s=240)
    assert all(ends < time.time() for _, ends in tokens(hub, "rolf"))
    assert idle.ask("GET", "/user/rolf/api/kernels").status_code == 403

    # All ways to the kernels break off while people ask. They are found again with what the browsers hold.
    proxy = hub.part("configurable-http-proxy")
    assert proxy is not None
    proxy.kill()
    for _, page in opened.values():
        ask(page, "In the dark")
    wait_for(lambda: hub.part("configurable-http-proxy") not in (None, proxy))

    for name, (context, page) in opened.items():
        expect(page.locator(".lw-answer").last).to_contain_text("In the dark", timeout=LIMIT_MS)
        say(page, "After the night")
        expect(page.locator(".lw-asked")).to_contain_text(["Before the night", "In the dark", "After the night"])
        expect(page.locator(".lw-answer")).to_have_count(3)
        # What the browser holds still opens the server, without a way over the hub.
        path = f"/user/{name}/{'lab' if name == 'rita' else ''}"
        assert context.request.get(f"{hub.url}{path}", max_redirects=0).status == 200
        context.close()


def test_a_page_whose_sign_in_ended_opens_itself_anew(hub: RunningHub, browse: Callable[[str], BrowserContext]) -> None:
    """The token of the page has gone, the hub still knows the browser: one navigation and nothing to type again."""
    context = browse("bob")
    page = chat_of(hub, context, "bob")
    say(page, "Before the night")
    composer(page).fill("What I was about to s")
    context.clear_cookies(name="jupyterhub-user-bob")
    with page.expect_navigation(timeout=LIMIT_MS):
        # Somebody comes back to the page, again and again.
        page.evaluate("setInterval(() => dispatchEvent(new Event('focus')), 1000)")
    expect(composer(page)).to_have_value("What I was about to s", timeout=LIMIT_MS)
    expect(page.locator(".lw-answer").last).to_contain_text("Before the night", timeout=LIMIT_MS)
    say(page, "After the night")


def test_a_kernel_s_socket_ends_with_the_sign_in(hub: RunningHub, sign_in: SignIn) -> None:
    bea = sign_in("bea")
    elsewhere = tokens(hub, "bea")
    bea.open_server()
    kernel = bea.open_dashboard()
    bea.get("/hub/logout")
    kernel.socket.settimeout(75)
    while kernel.socket.connected and kernel.socket.recv():
        pass
    assert tokens(hub, "bea") == elsewhere
