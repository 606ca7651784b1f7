"""What a conversation came to, and how full its model's context is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmws.messages import Message, Usage
from llmws.service import figures
from llmws.settings import Settings
from llmws.store import Store, chats, messages, new_id

from .harness import Running, running_service
from .model_server import ModelServer, model_server


@pytest.fixture
def local(tmp_path: Path) -> Iterator[ModelServer]:
    with model_server(tmp_path / "providers.toml") as server:
        server.context = 400
        yield server


@pytest.fixture
def service(settings: Settings, tmp_path: Path, local: ModelServer) -> Iterator[Running]:
    with running_service(replace(settings, providers=tmp_path / "providers.toml")) as running:
        running.get("/api/models")
        yield running


def told(service: Running, chat_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    told = service.get(f"/api/chats/{chat_id}")
    return told["totals"], told["context"]


def talk(service: Running, chat_id: str, text: str, **more: Any) -> dict[str, Any]:
    sent: dict[str, Any] = service.post(f"/api/chats/{chat_id}/messages", {"text": text, **more})
    service.message(sent["generation"]["id"])
    return sent


def test_a_conversation_tells_what_all_its_branches_came_to(service: Running) -> None:
    chat = service.new_chat(system="Be brief.")
    totals, context = told(service, chat["id"])
    assert totals == {"input_tokens": 0, "output_tokens": 0, "costs": [], "unpriced": 0, "estimated": 0}
    assert (context["limit"], context["source"]) == (1_000_000, "estimate")
    assert context["used"] > 0
    sent = talk(service, chat["id"], "one two")
    totals, context = told(service, chat["id"])
    # Echo counts words; it is priced, as what is served here.
    assert (totals["input_tokens"], totals["output_tokens"]) == (4, 2)
    assert totals["costs"] == [{"currency": "USD", "cost": 0.0}]
    assert context == {"used": 6, "limit": 1_000_000, "source": "provider", "dropped": 0}
    extra = {"tokens": ["three"], "reasoning": "hm hm hm"}
    edited = talk(service, chat["id"], "one", replaces=sent["message"]["id"], parameters={"extra": extra})
    totals, context = told(service, chat["id"])
    assert (totals["input_tokens"], totals["output_tokens"]) == (4 + 3, 2 + 4)
    # What was thought is not read again.
    assert context["used"] == 3 + 1
    service.post(f"/api/chats/{chat['id']}/messages/{sent['message']['id']}/select")
    assert told(service, chat["id"])[1]["used"] == 6
    # What failed takes no room.
    service.post(f"/api/chats/{chat['id']}/messages/{edited['message']['id']}/select")
    talk(service, chat["id"], "again", parameters={"extra": {"fail_after": 0}})
    _, context = told(service, chat["id"])
    assert context["source"] == "estimate"
    assert 4 < context["used"] < 20


def test_an_unpriced_call_counts_as_one_and_what_was_left_out_is_told(service: Running, local: ModelServer) -> None:
    chat = service.new_chat(model="local/m", title="Long")
    for n in range(4):
        local.say(f"{n} " + "word " * 60)
        local.finish()
        talk(service, chat["id"], "word " * 60)
    totals, context = told(service, chat["id"])
    assert (totals["costs"], totals["unpriced"], totals["estimated"]) == ([], 4, 4)
    assert context["limit"] == 400
    assert context["used"] <= 400
    assert context["dropped"] == 6


async def test_a_long_conversation_is_not_read_for_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'llmws.db'}")
    chat = await store.write(chats.create, "ada", new_id(), "echo")

    async def filling() -> figures.Filling:
        return await store.read(figures.filling, await store.read(chats.get, "ada", chat.id))

    for n in range(30):
        await store.write(messages.append, "ada", new_id(), Message.user(f"{n}"), chat_id=chat.id)
    # Imported: nobody told what they took, so all of them are weighed.
    assert (await filling()).used > 100
    answer = replace(Message.user("Yes."), role="assistant", usage=Usage(500, 20, 5))
    await store.write(messages.append, "ada", new_id(), answer, chat_id=chat.id)
    monkeypatch.delattr(messages, "path")
    assert (await filling()).used == 515
    store.close()
