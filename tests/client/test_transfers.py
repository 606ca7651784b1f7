"""Conversations out of and into a real service, from a cell: each format, a notebook that replays, and reports."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

import llmws
from llmws.client import Client
from llmws.errors import InvalidRequest, NotFound, Unavailable

SAMPLES = Path(__file__).parents[1] / "transfer"


def test_a_notebook_replays_the_conversation(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = client.chats.create(model="echo", title="Sky", system="Be brief.", temperature=0.5)
    for text in ("Why is it blue?", 'Say """it"""\nin \\two\' lines. 天', "=1+1"):
        chat.send(text, show=False)
    book = nbformat.read(client.chats.export(tmp_path / "sky.ipynb", chat=chat), as_version=4)
    nbformat.validate(book)
    assert [cell.outputs[0].data["text/plain"] for cell in book.cells[2:]] == [m.text for m in chat.messages()[1::2]]
    monkeypatch.setattr(llmws, "connect", lambda: client)
    names: dict[str, object] = {}
    for cell in book.cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    again = names["chat"]
    assert isinstance(again, llmws.Chat)
    assert again.id != chat.id
    assert (again.title, again.system, again.parameters) == (chat.title, chat.system, chat.parameters)
    assert [(m.role, m.text) for m in again.messages()] == [(m.role, m.text) for m in chat.messages()]


def test_a_file_that_shrinks_is_not_waited_for(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "chats.json"
    file.write_text("[]")
    announce = client.api.create_import
    monkeypatch.setattr(client.api, "create_import", lambda name, size: announce(name, size + 1))
    with pytest.raises(InvalidRequest, match="became shorter"):
        client.chats.import_(file, show=False)
    assert client.run(client.api.imports()) == []


def test_what_cannot_be_sent_leaves_no_import_open(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> dict[str, object]:
        raise Unavailable("There is no room for this file.")

    file = tmp_path / "chats.json"
    file.write_text("[]")
    monkeypatch.setattr(client.api, "send_import", full)
    with pytest.raises(Unavailable):
        client.chats.import_(file, show=False)
    assert client.run(client.api.imports()) == []


def test_a_file_is_named_by_its_format(client: Client, tmp_path: Path) -> None:
    chat = client.chats.create(model="echo", title="Sky")
    for suffix in ("json", "md", "html", "csv", "ipynb"):
        path = client.chats.export(tmp_path / f"sky.{suffix}", chat=chat.id)
        assert "Sky" in path.read_text() or suffix == "csv"
    assert client.chats.export(tmp_path / "all.zip", format="html").read_bytes()[:2] == b"PK"
    assert len(json.loads(client.chats.export(tmp_path / "all.json").read_text())["chats"]) == 1
    with pytest.raises(InvalidRequest, match="many files"):
        client.chats.export(tmp_path / "all.html")
    with pytest.raises(InvalidRequest, match="not clear"):
        client.chats.export(tmp_path / "all.pdf")
    kept = (tmp_path / "sky.md").read_text()
    with pytest.raises(NotFound):
        client.chats.export(tmp_path / "sky.md", chat="nowhere")
    assert (tmp_path / "sky.md").read_text() == kept
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_report_tells_of_each_conversation(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = client.chats.import_(SAMPLES / "chatgpt.json")
    assert capsys.readouterr().out == "2 imported, 2 refused\n"
    assert list(report.outcome) == ["imported", "refused", "refused", "imported"]
    assert list(report.messages) == [5, 0, 0, 2]
    assert client.chats.open(report.chat_id[0]).messages()[1].reasoning.startswith("**Recalling**")
    assert client.chats.import_(SAMPLES / "chatgpt.json", show=False).outcome[0] == "present"
    broken = tmp_path / "broken.json"
    broken.write_bytes((SAMPLES / "chatgpt.json").read_bytes()[:-3])
    assert "breaks off" in client.chats.import_(broken, show=False).reason.iloc[-1]
    broken.write_text("hello")
    with pytest.raises(InvalidRequest, match=r"broken\.json could not be imported: The file is not JSON"):
        client.chats.import_(broken)
    with pytest.raises(InvalidRequest, match="no file"):
        client.chats.import_(tmp_path / "nowhere.json")
