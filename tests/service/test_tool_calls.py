"""Functions that models call in a chat: offered, waited for, answered once, and not for ever."""

from __future__ import annotations

from typing import Any

import pytest

from llmws.messages import Message
from llmws.service import tool_calls

from .harness import Running
from .test_attachments import asked
from .test_edge import error
from .vendor_server import VendorServer

TOOLS = [{"name": "add", "description": "Add.", "parameters": {"type": "object", "properties": {}}}]
CALLS = [{"name": "add", "arguments": '{"a": 1}'}, {"name": "add", "arguments": "{}"}]


@pytest.fixture
def service(service_with_vendor: Running) -> Running:
    return service_with_vendor


def call(service: Running, chat: str, text: str = "Add.", **said: Any) -> Message:
    """Say something that Echo answers with two calls."""
    parameters = {"extra": {"tokens": ["Well."], "tool_calls": CALLS}}
    told = said or {"text": text}
    sent = service.post(f"/api/chats/{chat}/messages", {**told, "parameters": parameters, "tools": TOOLS})
    return service.message(sent["generation"]["id"])


RESULTS = [{"id": "call_0", "text": "3"}, {"id": "call_1", "text": "No.", "error": True}]
DENIED = [RESULTS[0], {"id": "call_1", "text": "No.", "denied": True}]


def test_an_answer_that_calls_waits_for_the_results(service: Running) -> None:
    chat = service.new_chat()["id"]
    assert call(service, chat).finish_reason == "tool_calls"
    path = f"/api/chats/{chat}/messages"
    for wrong in (RESULTS[:1], [*RESULTS, {"id": "call_2", "text": "x"}], [RESULTS[0]] * 2, [{"id": "x", "text": ""}]):
        assert "not the results" in error(service.http.post(path, json={"tool_results": wrong}), 409)["message"]
    sent = service.post(path, {"tool_results": RESULTS}, key="k")
    assert service.post(path, {"tool_results": RESULTS}, key="k")["answer"]["id"] == sent["answer"]["id"]
    assert service.message(sent["generation"]["id"]).finish_reason == "stop"
    items = service.get(path)["items"]
    assert [item["message"]["role"] for item in items] == ["user", "assistant", "tool", "assistant"]
    assert items[2]["message"]["parts"] == [
        {"type": "tool_result", "text": "3", "data": {"id": "call_0"}},
        {"type": "tool_result", "text": "No.", "data": {"id": "call_1", "is_error": True}},
    ]
    error(service.http.post(path, json={"tool_results": RESULTS}), 409)


def test_what_a_person_denied_is_kept_as_that(service: Running) -> None:
    chat = service.new_chat()["id"]
    call(service, chat)
    call(service, chat, tool_results=DENIED)
    told = service.get(f"/api/chats/{chat}/messages")["items"][2]["message"]["parts"]
    assert [part["data"] for part in told] == [{"id": "call_0"}, {"id": "call_1", "is_error": True, "denied": True}]


def test_nobody_answers_what_no_model_asked(service: Running) -> None:
    chat = service.new_chat()["id"]
    path = f"/api/chats/{chat}/messages"
    error(service.http.post(path, json={"tool_results": RESULTS}), 409)
    assert service.get(path)["items"] == []
    service.message(service.send(chat, "Hello")["generation"]["id"])
    error(service.http.post(path, json={"tool_results": RESULTS}), 409)
    assert len(service.get(path)["items"]) == 2


def test_calls_and_results_go_round_only_so_often(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_calls, "MOST_ROUNDS", 2)
    chat = service.new_chat()["id"]
    call(service, chat)
    for _ in range(2):
        call(service, chat, tool_results=RESULTS)
    told = error(service.http.post(f"/api/chats/{chat}/messages", json={"tool_results": RESULTS}), 422)
    assert (told["code"], told["message"]) == (
        "tool_loop",
        "The model called functions 2 times in a row without an answer.",
    )
    assert call(service, chat, text="Go on.").finish_reason == "tool_calls"


def test_a_vendor_is_told_of_functions_calls_and_results(service: Running, vendor: VendorServer) -> None:
    chat = service.new_chat()["id"]
    call(service, chat)
    sent = service.post(f"/api/chats/{chat}/messages", {"tool_results": RESULTS, "model": "vllm/m", "tools": TOOLS})
    assert service.message(sent["generation"]["id"]).text == "Yes."
    body = vendor.asked[-1][2]
    assert body["tools"] == [{"type": "function", "function": TOOLS[0]}]
    assert [one["tool_call_id"] for one in asked(vendor)[2:]] == ["call_0", "call_1"]
    assert [one["content"] for one in asked(vendor)[2:]] == ["3", "No."]


def test_who_goes_on_without_results_leaves_no_call_open(service: Running, vendor: VendorServer) -> None:
    chat = service.new_chat()["id"]
    call(service, chat)
    sent = service.post(f"/api/chats/{chat}/messages", {"text": "Never mind.", "model": "vllm/m"})
    service.message(sent["generation"]["id"])
    assert [one["role"] for one in asked(vendor)] == ["user", "assistant", "tool", "tool", "user"]
    assert "There is no result" in asked(vendor)[2]["content"]


def test_a_model_that_calls_nothing_is_told_of_no_functions(service: Running, vendor: VendorServer) -> None:
    path = "/api/providers/vllm/models/m/capabilities/tools"
    assert service.http.put(path, json={"value": False}).is_success
    chat = service.new_chat(model="vllm/m")["id"]
    message = call(service, chat)
    assert "tools" not in vendor.asked[-1][2]
    told = [part.text for part in message.parts if part.type == "warning"]
    assert told == ["The functions were not passed on: this model does not call any."]


@pytest.mark.parametrize(
    "tools", [[{"name": "a b"}], [{"name": ""}], [{"name": "a", "run": "x"}], [{"name": "a", "parameters": 3}], "add"]
)
def test_a_function_that_cannot_be_is_refused(service: Running, tools: Any) -> None:
    chat = service.new_chat()["id"]
    error(service.http.post(f"/api/chats/{chat}/messages", json={"text": "Hi", "tools": tools}), 422)


def test_an_answer_that_was_stopped_in_a_call_waits_for_nothing() -> None:
    parts = [{"type": "tool_call", "data": {"id": "c", "name": "add", "arguments": '{"a": '}}]
    broken = Message.from_dict({"role": "assistant", "parts": parts, "finish_reason": "cancelled"})
    assert not tool_calls.waits(broken)
    assert tool_calls.settled([broken]) == ()
