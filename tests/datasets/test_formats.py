"""What a `dataset_info.json` says is read, written, and refused where it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmws.datasets.formats import Entry, copy_to, entries, find, write_info
from llmws.datasets.validation import check
from llmws.errors import DatasetError


def test_an_entry_is_written_and_read_again(tmp_path: Path) -> None:
    columns, tags = {"messages": "messages"}, {"role_tag": "role", "content_tag": "content"}
    written = [
        Entry("plain", "plain.json", about={"licence": "CC0-1.0"}),
        Entry("talk", "talk.jsonl", "openai", columns=columns, tags=tags),
        Entry("ranked", "ranked.json", ranking=True),
    ]
    write_info(tmp_path, written)
    assert [find(tmp_path, name) for name in entries(tmp_path)] == written


@pytest.mark.parametrize(
    "info",
    [
        [],
        {"file_name": ""},
        {"file_name": "../../etc/passwd"},
        {"file_name": "/etc/passwd"},
        {"file_name": "a\0.json"},
        {"file_name": "\ud800.json"},
        {"file_name": "mine.json", "columns": ["prompt"]},
        {"file_name": "mine.json", "tags": {"role_tag": 1}},
        {"hf_hub_url": "someone/something"},
        {"script_url": "load.py", "file_name": "mine.json"},
        {"file_name": "mine.json", "formatting": "parquet"},
    ],
)
def test_an_entry_that_cannot_be_used_is_refused(info: Any) -> None:
    with pytest.raises(DatasetError):
        Entry.from_info("mine", info)


def test_named_columns_leave_no_defaults() -> None:
    entry = Entry.from_info("mine", {"file_name": "mine.json", "columns": {"prompt": "q", "response": "a"}})
    assert (entry.column("prompt"), entry.column("query")) == ("q", None)


def test_an_unknown_dataset_names_those_there_are(tmp_path: Path) -> None:
    write_info(tmp_path, [Entry("one", "one.json"), Entry("two", "two.json")])
    with pytest.raises(DatasetError, match="There are: one, two"):
        find(tmp_path, "three")


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 9000, "\x00"])
def test_a_broken_catalogue_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset_info.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset_info\.json"):
        entries(tmp_path)
    with pytest.raises(DatasetError, match=r"holds no dataset_info\.json"):
        entries(tmp_path / "elsewhere")


def test_a_copy_stands_alone_and_its_path_holds_no_space(tmp_path: Path) -> None:
    (tmp_path / "my rows.jsonl").write_text('{"instruction": "Hi", "input": "", "output": "Hello"}\n')
    write_info(tmp_path, [Entry("mine", "my rows.jsonl", about={"language": "en"}), Entry("other", "other.json")])
    copied = copy_to(tmp_path, "mine", tmp_path / "copy")
    assert (list(entries(tmp_path / "copy")), find(tmp_path / "copy", "mine")) == (["mine"], copied)
    assert copied.file_name == "data.jsonl"
    assert check(tmp_path / "copy", "mine").rows == 1
