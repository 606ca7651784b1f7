"""What is said differently, answered again, gone on with, and which branch of it is shown."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from llmws.messages import Message
from llmws.service.history import GO_ON

from .harness import Running
from .test_edge import error

SLOW = {"tokens": ["on "], "count": 100_000, "delay_s": 0.01}


class Talk:
    """A conversation with the echo."""

    def __init__(self, service: Running, **more: Any) -> None:
        self.service = service
        self.id = service.new_chat(**more)["id"]

    def say(self, text: str, key: str | None = None, **more: Any) -> dict[str, Any]:
        """Say something and wait for the answer."""
        return self._ended(self.service.post(f"/api/chats/{self.id}/messages", {"text": text, **more}, key))

    def ask(self, message_id: str, what: str, key: str | None = None, **more: Any) -> dict[str, Any]:
        """Ask for another answer, or the rest of one, and wait for it."""
        return self._ended(self.service.post(self.path(message_id, what), more or None, key))

    def path(self, message_id: str, what: str) -> str:
        return f"/api/chats/{self.id}/messages/{message_id}/{what}"

    def shown(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.service.get(f"/api/chats/{self.id}/messages")["items"]
        return items

    def texts(self) -> list[str]:
        return [Message.from_dict(item["message"]).text for item in self.shown()]

    def _ended(self, sent: dict[str, Any]) -> dict[str, Any]:
        self.service.message(sent["generation"]["id"])
        return sent


@pytest.fixture
def talk(service: Running) -> Talk:
    return Talk(service)


def says(*tokens: str) -> dict[str, Any]:
    return {"parameters": {"extra": {"tokens": list(tokens)}}}


def test_an_edited_question_is_a_branch_and_both_stay(talk: Talk) -> None:
    first, second = talk.say("One"), talk.say("Two")
    edited = talk.say("Two, said better", replaces=second["message"]["id"])
    assert edited["message"]["parent_id"] == first["answer"]["id"]
    assert talk.texts() == ["One", "One", "Two, said better", "Two, said better"]
    both = [second["message"]["id"], edited["message"]["id"]]
    assert [item["siblings"] for item in talk.shown()] == [
        [first["message"]["id"]],
        [first["answer"]["id"]],
        both,
        [edited["answer"]["id"]],
    ]
    begun_anew = talk.say("Zero", replaces=first["message"]["id"])
    assert begun_anew["message"]["siblings"] == [first["message"]["id"], begun_anew["message"]["id"]]
    assert talk.texts() == ["Zero", "Zero"]
    talk.service.post(talk.path(both[0], "select"))
    assert talk.texts() == ["One", "One", "Two", "Two"]
    # Back where the first question went last.
    talk.service.post(talk.path(begun_anew["message"]["id"], "select"))
    assert talk.service.post(talk.path(first["message"]["id"], "select"))["id"] == talk.id
    assert talk.texts()[2] == "Two, said better"


def test_another_answer_stands_beside_the_first(talk: Talk) -> None:
    sent = talk.say("Well?", **says("Yes."))
    again = talk.ask(sent["answer"]["id"], "regenerate", **says("No."))
    assert again["message"] is None
    assert again["answer"]["siblings"] == [sent["answer"]["id"], again["answer"]["id"]]
    assert talk.texts() == ["Well?", "No."]
    # To a question: one more answer to it.
    talk.ask(sent["message"]["id"], "regenerate", **says("Perhaps."))
    assert talk.texts() == ["Well?", "Perhaps."]
    assert len(talk.shown()[1]["siblings"]) == 3
    alone = talk.service.get(f"/api/chats/{talk.id}/messages/{sent['answer']['id']}")
    assert Message.from_dict(alone["message"]).text == "Yes."
    refused = talk.service.http.post(talk.path(sent["answer"]["id"], "regenerate"), json={"model": "gpt-9"})
    assert error(refused, 404)


def test_an_answer_that_was_cut_off_goes_on_below_and_is_one_to_the_model(talk: Talk) -> None:
    sent = talk.say("Count to four.", parameters={"max_tokens": 2, "extra": {"tokens": ["one", " two", " three"]}})
    rest = talk.ask(sent["answer"]["id"], "continue", **says(" three", " four"))
    assert rest["answer"]["parent_id"] == sent["answer"]["id"]
    assert talk.texts() == ["Count to four.", "one two", " three four"]
    kept = Message.from_dict(talk.shown()[-1]["message"])
    assert kept.usage is not None
    # Echo counts words: what was asked, what was said to it, and that it shall go on.
    assert kept.usage.input_tokens == 3 + 2 + len(GO_ON.split())
    talk.say("Thanks")
    kept = Message.from_dict(talk.shown()[-1]["message"])
    assert kept.usage is not None
    assert kept.usage.input_tokens == 3 + 4 + 1
    # The rest once more: still the rest, of the same answer.
    again = talk.ask(rest["answer"]["id"], "regenerate", **says(" 3", " 4"))
    assert talk.service.kept(again["generation"]["id"]).usage.input_tokens == 5 + len(GO_ON.split())  # type: ignore[union-attr]


def test_only_what_was_cut_off_goes_on(talk: Talk) -> None:
    sent = talk.say("Well?")
    for item in (sent["answer"], sent["message"]):
        refused = talk.service.http.post(talk.path(item["id"], "continue"))
        assert "in a message" in error(refused, 422)["remedy"]
    silent = talk.say("And?", parameters={"extra": {"fail_after": 0}})
    refused = talk.service.http.post(talk.path(silent["answer"]["id"], "continue"))
    assert "Regenerate" in error(refused, 422)["remedy"]
    body = {"text": "x", "replaces": sent["answer"]["id"]}
    assert error(talk.service.http.post(f"/api/chats/{talk.id}/messages", json=body), 422)
    for what in ("regenerate", "continue", "select"):
        other = Talk(talk.service)
        error(talk.service.http.post(other.path(sent["answer"]["id"], what)), 404)


def test_while_an_answer_runs_others_wait_and_branches_may_be_looked_at(talk: Talk) -> None:
    first = talk.say("One")
    running = talk.service.send(talk.id, "Two", **SLOW)
    refusals = [
        talk.service.http.post(
            f"/api/chats/{talk.id}/messages", json={"text": "x", "replaces": first["message"]["id"]}
        ),
        talk.service.http.post(talk.path(first["answer"]["id"], "regenerate")),
        talk.service.http.post(talk.path(running["answer"]["id"], "continue")),
    ]
    for refused in refusals:
        assert "stop it" in error(refused, 409)["remedy"]
    # The branch that is shown is another's business than the answer's.
    talk.service.post(f"/api/generations/{running['generation']['id']}/cancel")
    talk.service.message(running["generation"]["id"])
    elsewhere = talk.ask(first["answer"]["id"], "regenerate", **{"parameters": {"extra": {"tokens": ["Uno"]}}})
    slow = talk.service.post(talk.path(running["answer"]["id"], "continue"), {"parameters": {"extra": SLOW}})
    told = talk.service.post(talk.path(elsewhere["answer"]["id"], "select"))
    assert told["running"] == slow["generation"]["id"]
    assert talk.texts() == ["One", "Uno"]
    error(talk.service.http.post(f"/api/chats/{talk.id}/messages", json={"text": "x"}), 409)
    talk.service.post(f"/api/generations/{slow['generation']['id']}/cancel")
    assert talk.service.message(slow["generation"]["id"]).finish_reason == "cancelled"
    # Its end moved nobody.
    assert talk.texts() == ["One", "Uno"]
    talk.service.post(talk.path(slow["answer"]["id"], "select"))
    assert [text[:3] for text in talk.texts()] == ["One", "One", "Two", "on ", "on "]


def test_a_repeated_request_finds_what_it_began_and_a_key_is_good_for_one(talk: Talk) -> None:
    first = talk.say("One", key="say")
    edited = [talk.say("Uno", key="edit", replaces=first["message"]["id"]) for _ in range(2)]
    again = [talk.ask(first["answer"]["id"], "regenerate", key="again") for _ in range(2)]
    cut = talk.say("a b c", parameters={"max_tokens": 1})
    rest = [talk.ask(cut["answer"]["id"], "continue", key="rest") for _ in range(2)]
    for once, twice in (edited, again, rest):
        assert once["generation"]["id"] == twice["generation"]["id"]
        assert once["answer"]["id"] == twice["answer"]["id"]
    assert len(again[1]["answer"]["siblings"]) == 2
    for key, path, body in [
        ("say", talk.path(first["answer"]["id"], "regenerate"), {}),
        ("again", talk.path(cut["answer"]["id"], "regenerate"), {}),
        ("edit", f"/api/chats/{talk.id}/messages", {"text": "Uno", "replaces": cut["message"]["id"]}),
        ("rest", f"/api/chats/{talk.id}/messages", {"text": "Uno"}),
    ]:
        refused = talk.service.http.post(path, json=body, headers={"Idempotency-Key": key})
        assert "new key" in error(refused, 409)["remedy"]


async def test_of_many_who_ask_at_once_one_is_answered(talk: Talk) -> None:
    first = talk.say("One")
    headers = dict(talk.service.http.headers)
    async with httpx.AsyncClient(base_url=talk.service.instance.url, headers=headers, trust_env=False) as http:
        asked = [
            http.post(talk.path(first["answer"]["id"], "regenerate"), json={"parameters": {"extra": SLOW}})
            if n % 2
            else http.post(
                f"/api/chats/{talk.id}/messages",
                json={"text": f"{n}", "replaces": first["message"]["id"], "parameters": {"extra": SLOW}},
            )
            for n in range(12)
        ]
        answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 11
    (begun,) = [answer.json() for answer in answers if answer.status_code == 202]
    talk.service.post(f"/api/generations/{begun['generation']['id']}/cancel")
    talk.service.message(begun["generation"]["id"])
    assert sum(len(item["siblings"]) for item in talk.shown()) == 3
