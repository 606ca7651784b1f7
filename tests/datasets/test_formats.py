"""What a `dataset_info.json` says, is told from a file, and is written again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmws.datasets.formats import Entry, copy_to, detect, find, read_info, write_info
from llmws.datasets.validation import check
from llmws.errors import DatasetError

TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


@pytest.mark.parametrize(
    ("row", "formatting"),
    [
        ({"instruction": "Hi", "output": "Hello"}, "alpaca"),
        ({"instruction": "Hi", "input": "", "output": "Hello", "system": "s", "history": [["a", "b"]]}, "alpaca"),
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}, "sharegpt"),
        ({"messages": TALK}, "openai"),
    ],
)
def test_a_format_is_told_from_the_first_row(tmp_path: Path, row: dict[str, Any], formatting: str) -> None:
    (tmp_path / "mine.json").write_text(json.dumps([row]))
    entry = detect(tmp_path / "mine.json", about={"licence": "CC0-1.0"})
    assert entry.formatting == formatting
    write_info(tmp_path, [entry])
    assert read_info(tmp_path) == {"mine": entry}
    assert check(tmp_path, "mine").rows == 1


@pytest.mark.parametrize("rows", [[{"question": "Hi"}], ["Hi"], []])
def test_a_file_in_no_format_is_refused(tmp_path: Path, rows: list[Any]) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(rows))
    with pytest.raises(DatasetError, match="in no format that can be trained on"):
        detect(tmp_path / "mine.json")


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


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_broken_catalogue_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset_info.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset_info\.json"):
        read_info(tmp_path)
    with pytest.raises(DatasetError, match=r"holds no dataset_info\.json"):
        read_info(tmp_path / "elsewhere")


def test_a_copy_stands_alone_and_its_path_holds_no_space(tmp_path: Path) -> None:
    (tmp_path / "my rows.jsonl").write_text('{"instruction": "Hi", "input": "", "output": "Hello"}\n')
    write_info(tmp_path, [Entry("mine", "my rows.jsonl", about={"language": "en"}), Entry("other", "other.json")])
    copied = copy_to(tmp_path, "mine", tmp_path / "copy")
    assert read_info(tmp_path / "copy") == {"mine": copied}
    assert copied.file_name == "data.jsonl"
    assert check(tmp_path / "copy", "mine").rows == 1
