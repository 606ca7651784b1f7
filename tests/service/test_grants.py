"""A tuned model is its owner's, until they share it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llmws.service import hub_identity
from llmws.settings import Settings
from llmws.store import Store, adapters, grants
from tests.serving.gguf_files import write_adapter

from .harness import Running, running_service, wait_for
from .test_hub_identity import CHAT, TRAIN, Hub, by, serving, user
from .workshop import BASE

ASKED = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}


@pytest.fixture
def hub() -> Iterator[Hub]:
    people = {
        "r": user("rosa", CHAT, TRAIN),
        "o": user("otto", CHAT, TRAIN, groups=["researchers"]),
        "b": user("bob", CHAT),
    }
    with serving(Hub(people)) as running:
        yield running


@pytest.fixture
def service(settings: Settings, hub: Hub, tmp_path: Path) -> Iterator[Running]:
    """With a model that rosa tuned."""
    settings = replace(settings, idle_exit_s=0.0, embedded=True)
    settings.data.mkdir()
    store = Store.open(settings.database_url)
    asyncio.run(store.write(adapters.add, "rosa", "sailor", BASE, None, str(write_adapter(tmp_path / "a.gguf"))))
    store.close()
    with running_service(settings, hub.service) as running:
        yield running


def may_ask(service: Running, token: str) -> bool:
    listed = "sailor" in {one["id"] for one in service.http.get("/api/models", headers=by(token)).json()["items"]}
    answered = service.http.post("/v1/chat/completions", json={"model": "sailor", **ASKED}, headers=by(token))
    assert answered.status_code == (200 if listed else 404), answered.text
    return listed


def test_it_is_shared_with_a_person_with_a_group_and_no_longer(service: Running, hub: Hub) -> None:
    def change(method: str, path: str, token: str = "r") -> int:
        return service.http.request(method, f"/api/models/sailor/grants{path}", headers=by(token)).status_code

    wait_for(lambda: may_ask(service, "r"), "the model to be served")
    assert not may_ask(service, "o")
    assert not may_ask(service, "b")
    assert change("PUT", "/person/bob") == change("PUT", "/person/bob") == 200
    assert change("PUT", "/group/researchers") == 200
    assert may_ask(service, "b")
    assert may_ask(service, "o")
    told = service.http.get("/api/models/sailor/grants", headers=by("r")).json()["items"]
    assert [(grant["kind"], grant["grantee"]) for grant in told] == [("person", "bob"), ("group", "researchers")]
    # Who may use it may not share it, nor learn with whom it is shared.
    assert [change("GET", "", "o"), change("PUT", "/person/eve", "o"), change("DELETE", "/person/bob", "o")] == [
        404
    ] * 3
    assert change("GET", "", "b") == 403
    assert change("PUT", "/everybody/x") == 422
    assert change("DELETE", "/person/bob") == change("DELETE", "/person/bob") == 204
    assert not may_ask(service, "b")
    assert may_ask(service, "o")


def test_who_leaves_a_group_loses_what_it_was_given(
    service: Running, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_identity, "FRESH_S", 0.0)
    assert service.http.put("/api/models/sailor/grants/group/researchers", headers=by("r")).status_code == 200
    assert may_ask(service, "o")
    hub.people["o"]["groups"] = []
    assert not may_ask(service, "o")


async def test_a_model_that_is_gone_leaves_no_grants(settings: Settings) -> None:
    settings.data.mkdir()
    store = Store.open(settings.database_url)
    await store.write(adapters.add, "ada", "sailor", BASE, None, "/a.gguf")
    given = await store.write(grants.add, adapters.NOUN, "sailor", "person", "bob")
    assert await store.read(grants.all_of, adapters.NOUN) == [given]
    await store.write(adapters.remove, "ada", "sailor")
    assert await store.read(grants.all_of, adapters.NOUN) == []
    store.close()
