"""What a person types in a cell: ask, read along, stop, keep a conversation."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmws.client import Client, origin
from llmws.errors import Conflict, InvalidRequest, NotFound, ProviderError
from llmws.messages import Message, Parameters
from llmws.store import Store, usage
from tests.service.harness import Running, wait_for

ENDLESS = {"tokens": ["word "], "count": 1_000_000, "delay_s": 0.005}

# A cell that is interrupted once its answer has begun; it says which generation that was.
CELL = """
import sys
import llmws
client = llmws.connect()
begun = client.api.generate
async def generate(*args, **more):
    generation = await begun(*args, **more)
    print(generation["id"], file=sys.stderr, flush=True)
    return generation
client.api.generate = generate
client.chat("Talk", model="echo", extra={"tokens": ["word "], "count": 1000000, "delay_s": %s})
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_answer_is_written_and_returned(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    message = client.chat("Why is the sky blue?", model="echo")
    assert capsys.readouterr().out == "Why is the sky blue?\n"
    assert message.text == "Why is the sky blue?"
    assert message.finish_reason == "stop"
    assert message.usage is not None
    assert (message.cost, message.currency) == (0.0, "USD"), "the echo is free, which is not the same as unpriced"


def test_it_is_written_while_it_comes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[str] = []

    class Cell(io.StringIO):
        def write(self, text: str) -> int:
            if text == "word ":
                states.append(client.run(client.api.generation(running()))["state"])
            return super().write(text)

    begun: list[str] = []
    generate = client.api.generate

    async def noted(*args: Any, **more: Any) -> dict[str, Any]:
        generation = await generate(*args, **more)
        begun.append(generation["id"])
        return generation

    def running() -> str:
        return begun[0]

    monkeypatch.setattr(client.api, "generate", noted)
    monkeypatch.setattr(sys, "stdout", Cell())
    client.chat("Talk", model="echo", extra={**ENDLESS, "count": 40, "delay_s": 0.02})
    assert states[0] == "running"


def test_without_show_nothing_is_written(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    client.chat("Quiet, please", model="echo", show=False)
    assert capsys.readouterr().out == ""


def test_reasoning_is_labelled_in_a_file(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    message = client.chat("Blue.", model="echo", extra={"reasoning": "Short waves scatter."})
    assert capsys.readouterr().out == "[reasoning]\nShort waves scatter.\n[answer]\nBlue.\n"
    assert (message.reasoning, message.text) == ("Short waves scatter.", "Blue.")


def test_reasoning_is_quiet_on_a_terminal(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    client.chat("Blue.", model="echo", extra={"reasoning": "Hm."})
    assert out.getvalue() == "\x1b[90mHm.\x1b[0m\n\nBlue.\n"


def test_a_model_cannot_steer_the_terminal(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    message = client.chat("\x1b]52;c;aGk=\x07 \x9b2J\r\x00one\n\ttwo", model="echo")
    assert out.getvalue() == "]52;c;aGk= 2Jone\n\ttwo\n"
    assert "\x1b" in message.text, "what was said is kept as it was"


def test_parameters_are_keywords(client: Client) -> None:
    assert client.chat("x", model="echo", show=False, extra={"tokens": ["a", "b"]}).text == "ab"
    given = Parameters(seed=3, extra={"tokens": ["c"]})
    assert client.chat("x", model="echo", show=False, parameters=given, temperature=0).text == "c"


def test_a_parameter_that_does_not_exist_is_named(client: Client) -> None:
    with pytest.raises(InvalidRequest, match=r"no parameter temprature.*temperature, top_p"):
        client.chat("x", model="echo", temprature=0)  # type: ignore[call-arg]


def test_a_value_that_cannot_be_is_named(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="temperature"):
        client.chat("x", model="echo", temperature="hot")  # type: ignore[arg-type]


def test_a_model_that_does_not_exist_is_named(client: Client) -> None:
    with pytest.raises(NotFound, match=r"no model 'gpt-9'.*client\.models"):
        client.chat("x", model="gpt-9")


def test_messages_so_far_can_be_given(client: Client) -> None:
    so_far = [Message.user("One"), Message("assistant", Message.user("Two").parts), Message.user("Three")]
    assert client.chat(so_far, model="echo", system="Be brief.", show=False).text == "Three"


def test_no_messages_are_no_question(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="nothing to answer"):
        client.chat([], model="echo")


def test_a_provider_that_refuses_is_an_error_that_says_so(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    for after in (0, 2):
        with pytest.raises(ProviderError) as caught:
            client.chat("x", model="echo", extra={"tokens": ["a "] * 5, "fail_after": after})
        assert caught.value.code == "provider_overloaded"
    assert capsys.readouterr().out == "a a \n", "what came before is not lost"


@pytest.mark.parametrize("delay_s", [0.005, 1000])
def test_the_stop_button_cancels_the_answer_in_the_service(service: Running, delay_s: float) -> None:
    cell = subprocess.Popen(
        [sys.executable, "-c", CELL % delay_s],
        env={**os.environ, "LLMWS_URL": service.instance.url, "LLMWS_TOKEN": service.instance.token},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert cell.stderr is not None
    assert cell.stdout is not None
    generation = cell.stderr.readline().strip()
    if delay_s < 1:
        assert cell.stdout.read(5) == "word "
    cell.send_signal(signal.SIGINT)
    _, told = cell.communicate(timeout=30)
    assert told.rstrip().endswith("KeyboardInterrupt")
    wait_for(lambda: service.get(f"/api/generations/{generation}")["state"] == "ended", "the generation to end")
    assert service.get(f"/api/generations/{generation}")["finish_reason"] == "cancelled"


def test_leaving_a_stream_cancels_it(client: Client) -> None:
    chat = client.chats.create(model="echo")
    for event in chat.stream("Talk", extra=ENDLESS):
        if event.type == "text":
            break
    wait_for(lambda: chat.messages()[-1].finish_reason, "the answer to end")
    assert chat.messages()[-1].finish_reason == "cancelled"
    assert chat.messages()[-1].text.startswith("word ")


def test_a_conversation_is_kept(client: Client) -> None:
    chat = client.chats.create(model="echo", system="Be brief.", temperature=0.5)
    chat.send("Why is the sky blue?", show=False)
    assert chat.title == "Why is the sky blue?", "the first question names it"
    chat.send("And at dusk?", show=False)
    again = client.chats.open(chat.id)
    assert (again.system, again.parameters) == ("Be brief.", Parameters(temperature=0.5))
    assert [(message.role, message.text) for message in again.messages()] == [
        ("user", "Why is the sky blue?"),
        ("assistant", "Why is the sky blue?"),
        ("user", "And at dusk?"),
        ("assistant", "And at dusk?"),
    ]


def test_long_conversations_and_lists_come_whole(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmws.client.listings._PAGE", 2)
    chats = [client.chats.create(model="echo", title=f"Chat {number}") for number in range(5)]
    for number in range(3):
        chats[0].send(str(number), show=False)
    assert [message.text for message in chats[0].messages()] == ["0", "0", "1", "1", "2", "2"]
    listed = client.chats.list()
    assert list(listed.title) == ["Chat 0", "Chat 4", "Chat 3", "Chat 2", "Chat 1"]
    assert len(client.chats.list(limit=3)) == 3
    assert list(client.chats.list(query="4").title) == ["Chat 4"]
    assert str(listed.updated_at.dtype).endswith("UTC]")


def test_tags_that_another_page_gave_stay(client: Client) -> None:
    here = client.chats.create(model="echo")
    there = client.chats.open(here.id)
    there.tag("blue")
    here.tag("air")
    assert here.tags == ("air", "blue")
    there.untag("blue")
    assert there.tags == ("air",)


def test_an_empty_list_has_its_columns(client: Client) -> None:
    listed = client.chats.list()
    where, when = ["folder", "tags", "pinned", "archived"], ["created_at", "updated_at", "running"]
    assert list(listed.columns) == ["id", "title", "model", *where, *when]
    assert list(client.chats.list("nothing").columns) == [*listed.columns, "match"]
    assert len(listed) == 0


def test_a_second_question_waits_for_the_first_answer(client: Client) -> None:
    chat = client.chats.create(model="echo")
    stream = chat.stream("Talk", extra=ENDLESS)
    next(stream)
    with pytest.raises(Conflict) as caught:
        chat.send("And?", show=False)
    assert caught.value.remedy
    stream.close()


def test_models_are_a_table(client: Client) -> None:
    models = client.models()
    assert list(models.columns)[:10] == [
        *("id", "provider", "context", "vision", "tools", "reasoning"),
        *("input_price", "output_price", "currency", "checked_at"),
    ]
    assert "echo" in set(models.id)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel knows while JupyterLab runs a cell."""
    kernel = SimpleNamespace(get_parent=lambda channel: {"metadata": {"cellId": "cell-7"}})
    shell = SimpleNamespace(kernel=kernel)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ada/Übung 天空.ipynb")


def test_what_was_used_is_recorded_with_notebook_and_cell(client: Client, service: Running, cell: None) -> None:
    client.chat("Hello", model="echo", show=False)
    chat = client.chats.create(model="echo")
    chat.send("Hello", show=False)
    client.run(client.api.send(chat.id, "From a page"))
    wait_for(lambda: chat.messages()[-1].finish_reason, "the answer to the page")
    data = Path(client.run(client.api.status())["service"]["data"])
    recorded = _usage(f"sqlite:///{data / 'llmws.db'}", client)
    notebook = "/home/ada/Übung 天空.ipynb"
    assert recorded == [(notebook, "cell-7"), (notebook, "cell-7"), (notebook, None)]


def test_a_path_that_is_too_long_for_a_header_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "天" * 1000)
    assert origin.of_cell() == {}


def _usage(database: str, client: Client) -> list[tuple[str | None, str | None]]:
    account = client.run(client.api.status())["service"]["account"]
    store = Store.open(database)
    try:
        rows, _ = client.run(store.read(usage.page, account, 100, None))
        return [(row.notebook, row.cell) for row in reversed(rows)]
    finally:
        store.close()
