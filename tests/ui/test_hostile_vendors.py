"""Hostile vendors, in whole pages: what they call their models, what they say when they refuse, and what came of it."""

from __future__ import annotations

import json
import os
import pwd
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import Connection

from llmws.messages import Message, Parameters
from llmws.settings import Settings
from llmws.store import comparisons, new_id, providers, usage
from llmws.store.comparisons import Comparison, Item
from llmws.store.usage import UsageRow
from tests.service.harness import Running, running_service
from tests.service.vendor_server import VendorServer, vendor_server

from . import hostile
from .attacked import OpenAs, open_as, press_all, seed

__all__ = ["open_as"]

pytestmark = pytest.mark.long

ME = pwd.getpwuid(os.getuid()).pw_name
# An id of a model is one line, of what can be seen.
MODELS = [text for text in hostile.short(180) if text.isprintable() and text == " ".join(text.split())][:1_000]
NAMES = hostile.short(100)[:600]
# A sentence loses its full stop.
SENTENCES = [text.rstrip(".") for text in hostile.short(400)]
EVERYTHING = "\n".join(hostile.short())


class HostileVendor(VendorServer):
    """Below `/N/v1` it refuses with the sentence number N."""

    def answer(self, path: str, key: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        if (refused := re.match(r"/(\d+)/v1/", path)) is None:
            return super().answer(path, key, body)
        told = {"error": {"message": SENTENCES[int(refused[1])]}}
        return 400, {"Content-Type": "application/json"}, json.dumps(told).encode()


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with vendor_server(HostileVendor) as server:
        server.models = ["m", *MODELS]
        yield server


@pytest.fixture
def service(settings: Settings, vendor: VendorServer) -> Iterator[Running]:
    def put(connection: Connection) -> None:
        origin = vendor.url.removesuffix("/v1")
        for number, name in enumerate(NAMES):
            address = f"{origin}/{number}/v1"
            providers.create(connection, ME, new_id(), vendor="vllm", name=name, id=f"p{number}", base_url=address)
        providers.create(connection, ME, new_id(), vendor="vllm", name="Models", id="hostile", base_url=vendor.url)
        about = {"outcome": "stop", "error": "x"}
        usage.add_all(
            connection, [UsageRow(ME, provider=text, model=text, purpose=text[:64], **about) for text in MODELS]
        )
        asked = (Message.user(EVERYTHING),)
        items = [Item(text, 1, error={"code": text, "message": text, "remedy": text}) for text in MODELS]
        compared = Comparison("compared", ME, asked, tuple(MODELS), 1, Parameters(), 1.7e9)
        comparisons.create(connection, compared, items)

    seed(settings, put)
    with running_service(settings) as running:
        running.post("/api/providers/hostile/sync")
        yield running


def test_names_of_models_and_providers_and_refusals_are_but_text(open_as: OpenAs, service: Running) -> None:
    attacked = open_as(service.instance.url, service.instance.token, "Providers")
    page = attacked.page
    attacked.shows("names of providers", NAMES, ".lw-provider-name")
    expect(page.locator(".lw-provider-problem").first).to_be_visible()
    attacked.check()
    page.locator(".lw-provider", has=page.locator("strong", has_text=re.compile("^Models$"))).click()
    rows = page.locator(".lw-models tbody tr")
    expect(rows.first).to_be_visible()
    press_all(page.get_by_role("button", name=re.compile("^Show more")), rows)
    attacked.shows("models of a provider", MODELS, ".lw-models th")
    attacked.check()


def test_what_was_used_is_but_text(open_as: OpenAs, service: Running) -> None:
    attacked = open_as(service.instance.url, service.instance.token, "Providers")
    page = attacked.page
    page.get_by_role("navigation").get_by_role("button", name="Usage", exact=True).click()
    attacked.shows("usage by model", MODELS, ".lw-usage-table th")
    attacked.check()
    choose = page.get_by_role("combobox", name="Sum by")
    choose.select_option("provider")
    attacked.shows("usage by provider", MODELS, ".lw-usage[data-by=provider] .lw-usage-table th")
    attacked.check()
    choose.select_option("purpose")
    attacked.shows("usage by purpose", {text[:64] for text in MODELS}, ".lw-usage[data-by=purpose] .lw-usage-table th")
    attacked.check()


def test_models_to_choose_from_are_but_text(open_as: OpenAs, service: Running) -> None:
    attacked = open_as(service.instance.url, service.instance.token, "Chat")
    attacked.page.get_by_role("button", name=re.compile("^Model: ")).click()
    attacked.shows("models to choose from", MODELS, ".lw-option-text")
    attacked.check()


def test_a_comparison_is_but_text(open_as: OpenAs, service: Running) -> None:
    attacked = open_as(
        service.instance.url, service.instance.token, "Compare", comparison="compared", models=MODELS[:600]
    )
    page = attacked.page
    attacked.shows("columns of a comparison", MODELS, ".lw-column h3")
    attacked.shows("failures in a comparison", MODELS, ".lw-column .lw-failure strong")
    attacked.shows("models in its figures", MODELS, ".lw-table tbody th")
    attacked.shows("models that are asked", MODELS[:600], ".lw-composer .lw-chip")
    attacked.shows("what was compared", hostile.short(), ".lw-head h2")
    attacked.check()
    page.get_by_role("button", name="Show comparisons").click()
    attacked.shows("models of earlier comparisons", MODELS, ".lw-comparison-entry small")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add a model").click()
    attacked.shows("models to compare", MODELS, ".lw-option-text")
    attacked.check()


def told(service: Running, sentence: str) -> Message:
    """What an answer says that failed with this sentence."""
    chat = service.new_chat(model=f"p{SENTENCES.index(sentence)}/m")["id"]
    return service.message(service.send(chat, "x")["generation"]["id"])


def test_a_vendors_sentence_is_told_as_it_is(service: Running) -> None:
    """So that what is shown of it is what it said: nothing on the way makes it harmless."""
    for sentence in SENTENCES[: len(NAMES) : 50]:
        error = told(service, sentence).error or {}
        assert " ".join(sentence.split()) in error["message"]
