"""One question to several models from a cell: a table of what each said, whatever became of the others."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from llmws.client import Client
from llmws.errors import InvalidRequest
from llmws.messages import Message, Usage
from tests.service.harness import Running, wait_for

COLUMNS = {"model", "text", "first_token_s", "tokens_per_s", "usage", "cost", "error", "repeat", "finish_reason"}
CELL = """
import llmws
client = llmws.connect()
client.compare("Talk", models=["echo", "nowhere", "echo"], repeat=4,
               extra={"tokens": ["word "], "count": 1000000, "delay_s": 0.01})
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_table_has_a_row_for_each_answer_in_the_order_asked(client: Client) -> None:
    table = client.compare("Name three moons.", models=["nowhere", "echo"], repeat=2)
    assert set(table.columns) == COLUMNS
    assert list(zip(table.model, table.repeat, strict=True)) == [
        ("nowhere", 1),
        ("nowhere", 2),
        ("echo", 1),
        ("echo", 2),
    ]
    assert list(table.text) == ["", "", "Name three moons.", "Name three moons."]
    assert table.error[0] == "There is no model 'nowhere'. See client.models() for those there are."
    assert list(table.error[2:].isna()) == [True, True]
    assert table.usage[2] == Usage(input_tokens=3, output_tokens=3)
    assert table.usage.isna()[0]
    assert table.first_token_s[2] > 0
    assert table.tokens_per_s[2] > 0
    assert list(table.cost.isna()) == [True, True, False, False], "unpriced is not free"
    assert list(table.cost[2:]) == [0.0, 0.0]
    assert list(table.finish_reason) == ["error", "error", "stop", "stop"]


def test_system_and_parameters_apply_to_all(client: Client, service: Running) -> None:
    table = client.compare("a b c", models=["echo"], system="Be brief.", temperature=0, max_tokens=2)
    assert list(table.text) == ["a b"]
    (kept,) = client.run(client.api.comparisons())["items"]
    assert (kept["system"], kept["parameters"]) == ("Be brief.", {"temperature": 0, "max_tokens": 2})
    assert [message.role for message in kept["messages"]] == ["system", "user"]


def test_a_conversation_can_be_compared_and_one_model_be_named_alone(client: Client) -> None:
    turns = [Message.user("Hi"), Message("assistant", Message.user("Hello").parts), Message.user("And Titan?")]
    assert list(client.compare(turns, models="echo").text) == ["And Titan?"]


def test_an_answer_that_breaks_off_says_why_beside_what_it_said(client: Client) -> None:
    table = client.compare("one two three", models=["echo"], extra={"fail_after": 2})
    assert table.text[0] == "one two"
    assert table.error[0] == "Echo failed, as it was told to."


def test_progress_is_one_line(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        client.compare("a b c", models=["echo", "nowhere"], extra={"delay_s": 0.2})
    assert out.getvalue().startswith("\r1 of 2 answers in ")
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().rpartition("\r")[2].startswith("2 of 2 answers in ")
    client.compare("a b c", models=["echo"], extra={"delay_s": 0.2})
    assert capsys.readouterr().out.startswith("1 of 1 answer in ")
    client.compare("a", models=["echo"], show=False)
    assert capsys.readouterr().out == ""


def test_what_cannot_be_is_refused(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="models"):
        client.compare("Hi", models=[])
    with pytest.raises(InvalidRequest, match="repeat"):
        client.compare("Hi", models=["echo"], repeat=0)
    with pytest.raises(InvalidRequest, match="no parameter temprature"):
        client.compare("Hi", models=["echo"], temprature=0)  # type: ignore[call-arg]


def test_stop_cancels_every_answer(client: Client, service: Running) -> None:
    def one() -> Any:
        return client.run(client.api.comparison(client.run(client.api.comparisons())["items"][0]["id"]))

    environment = {"LLMWS_URL": service.instance.url, "LLMWS_TOKEN": service.instance.token}
    cell = subprocess.Popen([sys.executable, "-c", CELL], env={**os.environ, **environment}, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: client.run(client.api.comparisons())["items"], "the comparison to begin")
        wait_for(lambda: any(_said(client, item) for item in one()["items"]), "the first words")
        cell.send_signal(signal.SIGINT)
        _, told = cell.communicate(timeout=30)
    finally:
        cell.kill()
    assert b"KeyboardInterrupt" in told
    ended = wait_for(lambda: (now := one())["running"] == 0 and now, "all answers to end")
    assert [item["finish_reason"] for item in ended["items"]] == ["cancelled"] * 4 + ["error"] * 4 + ["cancelled"] * 4


def _said(client: Client, item: dict[str, Any]) -> bool:
    async def first() -> str:
        async for _, event in client.api.events(item["generation_id"], after=1):
            return event.text
        return ""

    return item["generation_id"] is not None and bool(client.run(first()))


def test_a_page_finds_it_again(client: Client) -> None:
    made = client.run(client.api.create_comparison(["echo"], prompt="Hi", key="once"))
    again = client.run(client.api.create_comparison(["echo"], prompt="Hi", key="once"))
    assert again["id"] == made["id"]
    client.run(client.api.cancel_comparison(made["id"]))
    told = wait_for(
        lambda: (now := client.run(client.api.comparison(made["id"])))["running"] == 0 and now, "the answer"
    )
    assert isinstance(told["items"][0]["message"], Message)
    assert client.run(client.api.comparisons(limit=1))["next_cursor"] is None
