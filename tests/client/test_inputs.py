"""Pictures, files and functions in a cell."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llmws.client import Client
from llmws.client.tools import ToolCall
from llmws.errors import InvalidRequest
from llmws.messages import Message
from tests.service.harness import Running
from tests.service.test_media import png
from tests.service.vendor_server import VendorServer, vendor_server


@pytest.fixture
def vendor(service: Running) -> Iterator[VendorServer]:
    """A vendor whose model is `vllm/m`."""
    with vendor_server() as vendor:
        service.post("/api/providers", {"vendor": "vllm", "base_url": vendor.url})
        service.post("/api/providers/vllm/sync")
        yield vendor


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def last_asked(vendor: VendorServer) -> list[dict[str, object]]:
    return list(vendor.asked[-1][2]["messages"])


def test_pictures_and_files_go_along(client: Client, vendor: VendorServer, tmp_path: Path) -> None:
    (tmp_path / "moons.csv").write_text("Io,3")
    picture = tmp_path / "a.png"
    picture.write_bytes(png())
    attachments = [picture, str(tmp_path / "moons.csv"), ("b.txt", b"b"), b"c"]
    once = client.chat("What is this?", model="vllm/m", attachments=attachments, show=False)
    kept = client.chats.create(model="vllm/m")
    again = kept.send("What is this?", attachments=attachments, show=False)
    assert once.text == again.text == "3 × 2, #ff0000"
    first, second = (body["messages"] for path, _, body in vendor.asked if path == "/chat/completions")
    assert first == second
    [image, *files, text] = first[0]["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert [part["text"].split("\n")[:2] for part in files] == [
        ['<file name="moons.csv">', "Io,3"],
        ['<file name="b.txt">', "b"],
        ['<file name="attachment">', "c"],
    ]
    assert text["text"] == "What is this?"
    [question, _] = kept.messages()
    assert [part.type for part in question.parts] == ["image", "file", "file", "file", "text"]


def test_what_cannot_go_along_says_why(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        client.chat("?", model="echo", attachments=[tmp_path / "nowhere.png"])
    with pytest.raises(InvalidRequest, match="is a PDF document"):
        client.chat("?", model="echo", attachments=[("a.pdf", b"%PDF-1.7")])
    with pytest.raises(InvalidRequest, match="echo cannot see pictures"):
        client.chat("?", model="echo", attachments=[png()])


@pytest.mark.parametrize("kept", [True, False])
def test_a_function_runs_once_it_is_approved(
    client: Client, vendor: VendorServer, kept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[ToolCall] = []

    def approve(call: ToolCall) -> bool:
        asked.append(call)
        return call.arguments["b"] != 4

    vendor.rounds = [[("add", '{"a": 1, "b": 2}'), ("add", '{"a": 3, "b": 4}'), ("subtract", "{}")]]
    talk = client.chats.create(model="vllm/m") if kept else None
    if talk is not None:
        message = talk.send("Add.", tools=[add], approve=approve)
    else:
        message = client.chat("Add.", model="vllm/m", tools=[add], approve=approve)
    assert message.text == "Yes."
    assert [repr(call) for call in asked] == ["add(a=1, b=2)", "add(a=3, b=4)"]
    results = [told["content"] for told in last_asked(vendor) if told["role"] == "tool"]
    assert results[0] == "3"
    assert "did not allow" in str(results[1])
    assert "no function 'subtract'" in str(results[2])
    assert "add(a=1, b=2)\n→ 3\n" in capsys.readouterr().out
    if talk is not None:
        assert [one.role for one in talk.messages()] == ["user", "assistant", "tool", "assistant"]


def test_what_is_streamed_takes_files_and_calls_functions_like_what_is_sent(
    client: Client, vendor: VendorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    vendor.rounds = [[("add", '{"a": 1, "b": 2}')]]
    talk = client.chats.create(model="vllm/m")
    events = list(talk.stream("Add.", attachments=[("moons.csv", b"Io,3")], tools=[add], approve=True))
    assert [event.finish_reason for event in events if event.type == "end"] == ["tool_calls", "stop"]
    assert "".join(event.text for event in events if event.type == "text").endswith("Yes.")
    question, *_, result = last_asked(vendor)
    assert "Io,3" in str(question["content"])
    assert (result["role"], result["content"]) == ("tool", "3")
    assert [one.role for one in talk.messages()] == ["user", "assistant", "tool", "assistant"]
    assert capsys.readouterr().out == ""


def test_another_answer_and_the_rest_of_one_may_call_functions_too(client: Client, vendor: VendorServer) -> None:
    def calls(*given: tuple[str, str]) -> dict[str, Any]:
        vendor.rounds = [list(given)]
        return {"model": "vllm/m", "tools": [add], "approve": True, "show": False}

    talk = client.chats.create(model="echo")
    talk.send("one two three", max_tokens=2, show=False)
    for again in (talk.resume, talk.regenerate, partial(talk.edit, "Add.")):
        assert again(**calls(("add", '{"a": 1, "b": 2}'))).text == "Yes."
        assert last_asked(vendor)[-1]["content"] == "3"
        assert [one.role for one in talk.messages()][-2:] == ["tool", "assistant"]


def test_the_model_that_is_asked_again_is_told_what_its_calls_came_to(client: Client, vendor: VendorServer) -> None:
    talk = client.chats.create(model="echo")
    talk.send("Add.", model="vllm/m", show=False)
    vendor.rounds = [[("add", '{"a": 1, "b": 2}')]]
    assert talk.regenerate(tools=[add], approve=True, show=False).model == "vllm/m"


def test_the_person_at_the_cell_is_asked(client: Client, vendor: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[str] = []

    def say(question: str) -> str:
        questions.append(question)
        return "a"

    monkeypatch.setattr("builtins.input", say)
    vendor.rounds = [[("add", '{"a": 1, "b": 2}'), ("add", '{"a": 3, "b": 4}')]]
    client.chat("Add.", model="vllm/m", tools=[add], show=False)
    assert questions == ["The model wants to call add(a=1, b=2). Allow? [y]es, [a]lways add, [n]o: "]
    assert [told["content"] for told in last_asked(vendor)[2:]] == ["3", "7"]

    def nobody(question: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    vendor.rounds = [[("add", '{"a": 1, "b": 2}')]]
    with pytest.raises(InvalidRequest, match="nobody can be asked") as refused:
        client.chat("Add.", model="vllm/m", tools=[add], show=False)
    assert "approve=True" in refused.value.remedy


def test_a_model_that_calls_for_ever_is_stopped(client: Client) -> None:
    calls = {"tool_calls": [{"name": "add", "arguments": '{"a": 1, "b": 2}'}], "tokens": ["Again."]}
    runs: list[ToolCall] = []

    def approve(call: ToolCall) -> bool:
        runs.append(call)
        return True

    message: Message = client.chat("Go.", model="echo", tools=[add], approve=approve, show=False, extra=calls)
    assert (message.finish_reason, len(runs)) == ("tool_calls", 25)
