"""The list of models: never late, never empty because one provider is dead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmws.errors import SettingsError
from llmws.service import sources as service_sources
from llmws.settings import Settings

from .harness import Running, running_service, wait_for
from .model_server import ModelServer, model_server
from .test_edge import error


@pytest.fixture
def local(tmp_path: Path) -> Iterator[ModelServer]:
    with model_server(tmp_path / "providers.toml") as server:
        yield server


@pytest.fixture
def with_local(settings: Settings, tmp_path: Path) -> Settings:
    return replace(settings, providers=tmp_path / "providers.toml")


def listed(service: Running) -> dict[str, dict[str, Any]]:
    return {model["id"]: model for model in service.get("/api/models")["items"]}


def test_the_echo_is_always_there(service: Running) -> None:
    echo = listed(service)["echo"]
    assert (echo["provider"], echo["state"], echo["base"]) == ("echo", "ready", None)
    assert (echo["input_price"], echo["output_price"], echo["currency"]) == (0.0, 0.0, "USD")


def test_a_provider_s_models_are_listed_with_what_it_says(with_local: Settings, local: ModelServer) -> None:
    local.context = 2048
    with running_service(with_local) as service:
        model = listed(service)["local/m"]
        assert (model["provider"], model["context"], model["state"]) == ("local", 2048, "ready")
        assert (model["input_price"], model["currency"]) == (None, None)
        assert model["checked_at"] > 0


def test_a_hanging_provider_does_not_delay_the_list(with_local: Settings, local: ModelServer) -> None:
    local.listing.clear()
    with running_service(with_local) as service:
        assert list(listed(service)) == ["echo"]
        local.listing.set()
        wait_for(lambda: "local/m" in listed(service), "the provider's list")


def test_the_last_good_list_stays_with_the_reason(
    with_local: Settings, local: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_service(with_local) as service:
        wait_for(lambda: "local/m" in listed(service), "the provider's list")
        checked_at = listed(service)["local/m"]["checked_at"]
        monkeypatch.setattr(service_sources, "FRESH_S", 0.0)
        monkeypatch.setattr(local, "models", lambda: {"error": {"message": "out of order"}})
        wait_for(lambda: listed(service)["local/m"]["state"] == "unavailable", "the failure to be noticed")
        model = listed(service)["local/m"]
        assert model["reason"]
        assert model["checked_at"] == checked_at
        assert listed(service)["echo"]["state"] == "ready"


def test_a_model_that_is_not_listed_is_left_to_its_provider(with_local: Settings, local: ModelServer) -> None:
    local.refusal = (404, {"error": {"message": "The model `x` does not exist"}})
    with running_service(with_local) as service:
        body = {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}], "model": "local/x"}
        message = service.message(service.post("/api/generations", body)["id"])
        assert message.error is not None
        assert message.error["code"] == "provider_not_found"
        assert local.asked[-1]["model"] == "x"
        error(service.http.post("/api/generations", json={**body, "model": "other/x"}), 404)
        error(service.http.post("/api/generations", json={**body, "model": "local/"}), 404)


def test_a_provider_that_wants_a_key_says_so(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text('[acme]\nname = "Acme"\nwire = "openai_chat"\nbase_url = "http://127.0.0.1:9/v1"\n')
    with running_service(replace(settings, providers=file)) as service:
        told = error(service.http.post("/api/chats", json={"model": "acme/m"}), 502)
        assert "key" in told["message"]


@pytest.mark.parametrize("text", ["[[", "[acme]\n", '[acme]\nname = "A"\nwire = "openai_chat"\n', None])
def test_a_providers_file_that_is_wrong_is_named(settings: Settings, tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "providers.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError) as raised, running_service(replace(settings, providers=file)):
        pass
    assert "providers.toml" in raised.value.message
    assert raised.value.remedy


def test_a_missing_embedded_model_is_listed_with_the_reason(settings: Settings, tmp_path: Path) -> None:
    wrong = replace(settings, embedded=True, embedded_model=tmp_path / "no.gguf")
    with running_service(wrong) as service:
        model = listed(service)["smollm2-135m"]
        assert model["state"] == "unavailable"
        assert "no.gguf" in model["reason"]
        body = {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}], "model": "smollm2-135m"}
        message = service.message(service.post("/api/generations", body)["id"])
        assert message.error is not None
        assert "no.gguf" in message.error["message"]


def test_the_embedded_model_answers(settings: Settings) -> None:
    """Also when it is asked before it has started, and by the name that it is listed under."""
    with running_service(replace(settings, embedded=True)) as service:
        parameters = {"max_tokens": 8, "temperature": 0.0}
        chat = service.new_chat(model="smollm2-135m", parameters=parameters)
        sent = service.post(f"/api/chats/{chat['id']}/messages", {"text": "What is the capital of France?"})
        message = service.message(sent["generation"]["id"])
        assert (message.finish_reason, message.error) == ("length", None)
        assert message.text
        assert message.usage is not None
        assert message.usage.source == "provider"
        assert listed(service)["smollm2-135m"]["state"] == "ready"


def test_a_long_conversation_is_cut_to_the_model_s_context(with_local: Settings, local: ModelServer) -> None:
    local.context = 200
    with running_service(with_local) as service:
        wait_for(lambda: "local/m" in listed(service), "the provider's list")
        chat = service.new_chat(model="local/m", system="Be brief.")
        for n in range(4):
            local.say(f"answer {n}")
            local.finish()
            sent = service.post(f"/api/chats/{chat['id']}/messages", {"text": f"question {n} " + "word " * 60})
            message = service.message(sent["generation"]["id"])
    asked = [[row["content"].split(" word")[0] for row in body["messages"]] for body in local.asked]
    assert asked[0] == ["Be brief.", "question 0"]
    assert asked[-1][0] == "Be brief."
    assert asked[-1][-1].startswith("question 3")
    assert len(asked[-1]) < 8
    [warning] = [part for part in message.parts if part.type == "warning"]
    assert warning.data["code"] == "history_cut"
    assert "200 tokens" in warning.text
