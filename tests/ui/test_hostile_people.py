"""Hostile people of a hub, in whole pages: what they are called, what they share, and what they call it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import expect
from sqlalchemy import Connection

from llmws.messages import Message
from llmws.settings import Settings
from llmws.store import assistants, chats, grants, limits, messages, new_id, providers, usage
from llmws.store.limits import Limit
from llmws.store.usage import UsageRow
from tests.service.harness import Running, running_service
from tests.service.test_hub_identity import ADMIN, CHAT, TRAIN, Hub, serving, user

from . import hostile
from .attacked import Attacked, OpenAs, open_as, press_all, seed
from .test_hostile_browser import menu

__all__ = ["open_as"]

pytestmark = pytest.mark.long

# Nobody of the hub looks at these but Pia, who administers it.
PIA = "token-p"
TEXTS = hostile.short()
PEOPLE = hostile.packed(1_000, TEXTS)
GROUPS = hostile.short(255)[:900]


def put(connection: Connection) -> None:
    for number, name in enumerate(PEOPLE):
        chat, assistant = f"chat{number}", f"assistant{number}"
        chats.create(connection, name, chat, "echo", title=name)
        messages.append_all(connection, name, chat, [Message.user("x"), Message("assistant", finish_reason="stop")])
        grants.add(connection, "chats", chat, "person", "pia")
        assistants.create(connection, name, assistant, name=name, model="echo", description=name, system=name)
        grants.add(connection, "assistants", assistant, "person", "pia")
        about = {"vendor": "openai", "name": "theirs", "id": f"p{number}", "enabled": False}
        providers.create(connection, name, new_id(), **about)  # type: ignore[arg-type]
        grants.add(connection, "providers", f"p{number}", "person", "pia")
        limits.create(connection, Limit(new_id(), "person", name, name, "tokens", "day", hard=5.0))
    chats.create(connection, "pia", "mine", "echo", title="Mine")
    for name in hostile.packed(255, GROUPS):
        grants.add(connection, "chats", "mine", "group", name)
    rows = [UsageRow(name, "echo", "echo", "chat", "stop", groups=(name,)) for name in PEOPLE]
    usage.add_all(connection, rows)


@pytest.fixture
def hub(settings: Settings) -> Iterator[Running]:
    seed(settings, put)
    with (
        serving(Hub({PIA: user("pia", CHAT, TRAIN, ADMIN)})) as told,
        running_service(replace(settings, idle_exit_s=0.0), told.service) as running,
    ):
        yield running


@pytest.fixture
def attacked(open_as: OpenAs, hub: Running) -> Attacked:
    return open_as(hub.instance.url, PIA, "Chat", model="echo")


def test_what_others_share_is_but_text(attacked: Attacked) -> None:
    page = attacked.page
    entries = page.locator(".lw-shared-list .lw-entry-open")
    press_all(page.locator(".lw-shared-list > .lw-link"), entries)
    attacked.shows("titles of what is shared", TEXTS, ".lw-shared-list .lw-entry-title")
    attacked.shows("owners of what is shared", TEXTS, ".lw-shared-owner")
    attacked.check()
    entries.first.click()
    expect(page.locator(".lw-shared-bar")).to_be_visible()
    attacked.check()


def test_assistants_of_others_are_but_text(attacked: Attacked) -> None:
    page = attacked.page
    page.get_by_role("button", name=f"All {len(PEOPLE)} assistants").click()
    attacked.shows("names of assistants", TEXTS, ".lw-assistant strong")
    attacked.shows("descriptions and owners of assistants", TEXTS, ".lw-assistant span")
    attacked.check()
    page.locator(".lw-assistant button").first.click()
    page.get_by_role("button", name="Model: ").click()
    attacked.shows("assistants to choose from", TEXTS, ".lw-assistant-options")
    attacked.check()


def test_with_whom_one_shares_is_but_text(attacked: Attacked) -> None:
    attacked.page.locator(".lw-entry-open", has_text="Mine").first.click()
    menu(attacked, "Share")
    attacked.shows("groups that something is shared with", GROUPS, ".lw-share-list")
    attacked.check()


def test_people_are_but_text_where_they_are_counted_and_limited(open_as: OpenAs, hub: Running) -> None:
    attacked = open_as(hub.instance.url, PIA, "Providers")
    page = attacked.page
    attacked.shows("owners of providers", TEXTS, ".lw-provider-name")
    attacked.check()
    views = page.get_by_role("navigation")
    views.get_by_role("button", name="Usage", exact=True).click()
    page.locator(".lw-switch", has_text="Everyone").click()
    for by in ("person", "group"):
        page.get_by_role("combobox", name="Sum by").select_option(by)
        attacked.shows(f"usage by {by}", TEXTS, f".lw-usage[data-by={by}] .lw-usage-table th")
        attacked.check()
    views.get_by_role("button", name="Limits", exact=True).click()
    attacked.shows("people and models that are limited", TEXTS, ".lw-limit p")
    attacked.check()
