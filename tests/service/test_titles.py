"""Titles that a model gives, what that costs, and who may switch it off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmws.messages import Message
from llmws.service.titles import clean
from llmws.settings import Settings

from .harness import Running, running_service, wait_for
from .model_server import ModelServer, model_server


@pytest.fixture
def local(tmp_path: Path) -> Iterator[ModelServer]:
    with model_server(tmp_path / "providers.toml") as server:
        yield server


@pytest.fixture
def titled(settings: Settings, tmp_path: Path, local: ModelServer) -> Settings:
    """Conversations are with the echo, their titles by `local/m`."""
    return replace(settings, providers=tmp_path / "providers.toml", title_model="local/m")


def tell(local: ModelServer, *texts: str) -> None:
    for text in texts:
        local.say(text)
    local.finish()


def talk(service: Running, chat_id: str, text: str, **extra: Any) -> None:
    service.message(service.send(chat_id, text, **extra)["generation"]["id"])


def title(service: Running, chat_id: str) -> str:
    return str(service.get(f"/api/chats/{chat_id}")["title"])


def calls(service: Running) -> list[tuple[str, str]]:
    return [(row["purpose"], row["model"]) for row in service.get("/api/usage/calls")["items"]]


def asked_for_titles(service: Running) -> int:
    return sum(purpose == "title" for purpose, _ in calls(service))


def test_the_first_answer_is_followed_by_a_title_and_the_second_by_none(titled: Settings, local: ModelServer) -> None:
    with running_service(titled) as service:
        chat = service.new_chat()
        assert chat["automatic_title"]
        talk(service, chat["id"], "Why is the sky blue, and is it elsewhere?")
        assert title(service, chat["id"]) == "Why is the sky blue, and is it elsewhere?"
        tell(local, '"The colour', ' of the sky"\n')
        wait_for(lambda: title(service, chat["id"]) == "The colour of the sky", "the title")
        (asked,) = local.asked
        assert "user: Why is the sky blue" in asked["messages"][-1]["content"]
        assert "assistant: Why is the sky blue" in asked["messages"][-1]["content"]
        talk(service, chat["id"], "And at dusk?")
        wait_for(lambda: len(calls(service)) == 3, "all calls")
        assert calls(service) == [("chat", "echo"), ("title", "local/m"), ("chat", "echo")]
        # It is part of what the conversation came to, and where it stands in the list is no matter of it.
        told = service.get(f"/api/chats/{chat['id']}")
        rows = service.get("/api/usage/calls")["items"]
        assert told["totals"]["input_tokens"] == sum(row["input_tokens"] for row in rows)
        assert told["totals"]["output_tokens"] == sum(row["output_tokens"] for row in rows)
    assert len(local.asked) == 1


def test_a_title_that_somebody_typed_stays(titled: Settings, local: ModelServer) -> None:
    with running_service(titled) as service:
        chat, named = service.new_chat(), service.new_chat(title="Mine")
        talk(service, named["id"], "Hello")
        talk(service, chat["id"], "Hello")
        wait_for(lambda: local.asked, "the question")
        changed = service.http.patch(f"/api/chats/{chat['id']}", json={"title": "Typed meanwhile"}).json()
        assert not changed["automatic_title"]
        tell(local, "Greetings")
        wait_for(lambda: asked_for_titles(service) == 1, "the answer")
        # Whoever empties a title wants ours again.
        assert service.http.patch(f"/api/chats/{named['id']}", json={"title": ""}).json()["automatic_title"]
        talk(service, named["id"], "Hello again")
        assert {one["title"] for one in service.get("/api/chats")["items"]} == {"Typed meanwhile", "Hello again"}
    assert len(local.asked) == 1


@pytest.mark.parametrize("said", ["", "I cannot know.\n\nDo tell me more.", "word " * 40], ids=["none", "talk", "long"])
def test_where_the_model_s_is_no_good_the_first_words_do(titled: Settings, local: ModelServer, said: str) -> None:
    with running_service(titled) as service:
        chat = service.new_chat()
        talk(service, chat["id"], "Name three moons.")
        tell(local, said)
        wait_for(lambda: asked_for_titles(service) == 1, "the answer")
        assert title(service, chat["id"]) == "Name three moons."


def test_a_model_that_fails_or_hangs_disturbs_nobody(titled: Settings, local: ModelServer) -> None:
    with running_service(titled) as service:
        chat, other = service.new_chat(), service.new_chat()
        talk(service, chat["id"], "Hello")
        # Meanwhile it says nothing at all.
        talk(service, chat["id"], "And?")
        local.break_off()
        talk(service, other["id"], "Hello")
        wait_for(lambda: len(local.asked) >= 2, "the second title")
    # The service ends while it is asked, and what was asked is kept.
    with running_service(replace(titled, title_model="none")) as service:
        assert asked_for_titles(service) == 2
        assert title(service, chat["id"]) == "Hello"


def test_an_answer_that_came_to_no_end_is_no_reason_for_a_title(titled: Settings, local: ModelServer) -> None:
    with running_service(titled) as service:
        chat = service.new_chat()
        talk(service, chat["id"], "Hello", fail_after=0)
        talk(service, chat["id"], "Hello?")
        tell(local, "Greetings")
        wait_for(lambda: title(service, chat["id"]) == "Greetings", "the title")
    assert len(local.asked) == 1


def test_a_person_switches_it_off_for_themselves_and_an_administrator_for_all(
    titled: Settings, local: ModelServer
) -> None:
    with running_service(titled) as service:
        assert service.get("/api/me")["automatic_titles"] is True
        told = service.http.patch("/api/me", json={"automatic_titles": False})
        assert (told.status_code, told.json()) == (200, {"automatic_titles": False})
        assert service.get("/api/me")["automatic_titles"] is False
        talk(service, service.new_chat()["id"], "Hello")
        assert service.http.patch("/api/me", json={"automatic_titles": True}).is_success
        talk(service, service.new_chat()["id"], "Hello")
        tell(local, "Greetings")
        wait_for(lambda: asked_for_titles(service) == 1, "the title")
    for nobody in ("none", None):
        # Unless it is said, what is served here gives no titles.
        with running_service(replace(titled, title_model=nobody)) as service:
            assert (service.get("/api/me")["automatic_titles"] is None) == (nobody == "none")
            talk(service, service.new_chat()["id"], "Hello")
    assert len(local.asked) == 1


def test_a_limit_binds_it_like_any_call(titled: Settings, local: ModelServer) -> None:
    with running_service(titled) as service:
        limit = {"kind": "everyone", "name": "", "model": "local/*", "unit": "requests", "period": "minute", "hard": 1}
        service.post("/api/limits", limit)
        first, second = service.new_chat(), service.new_chat()
        talk(service, first["id"], "Hello")
        tell(local, "Greetings")
        wait_for(lambda: title(service, first["id"]) == "Greetings", "the title")
        talk(service, second["id"], "Hello")
        talk(service, second["id"], "And?")
        assert title(service, second["id"]) == "Hello"
    assert len(local.asked) == 1


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("  # **Moons of Jupiter**\n", "Moons of Jupiter"),
        ("标题：《天空的颜色》。", "天空的颜色"),
        ("“Why?”", "Why?"),
        ("C++ and `std::move`", "C++ and `std::move"),
        ("Title:", None),
        ("***", None),
        ("Sky\x1b[31m\u202eblue", "Sky [31m blue"),
    ],
)
def test_what_models_put_around_a_title_is_taken_off(said: str, title: str | None) -> None:
    message = Message("assistant", Message.user(said).parts, finish_reason="stop")
    assert clean(message) == title
