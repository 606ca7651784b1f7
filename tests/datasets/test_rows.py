"""Rows are read one by one, and a file that is not what it should be is told by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmws.datasets import rows
from llmws.datasets.rows import read_rows
from llmws.errors import DatasetError

ROWS = st.lists(
    st.dictionaries(st.text(max_size=8), st.text() | st.integers() | st.floats(allow_nan=False), max_size=4)
)


def write(folder: Path, text: str, name: str = "rows.json") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@given(told=ROWS, indent=st.sampled_from([None, 1]), chunk=st.integers(20, 200))
def test_any_array_is_read_back_wherever_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, told: list[Any], indent: int | None, chunk: int
) -> None:
    path = write(tmp_path_factory.mktemp("rows"), json.dumps(told, indent=indent, ensure_ascii=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_CHUNK", chunk)
        assert [row for _, row in read_rows(path)] == told


def test_lines_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, '[\n {"a": 1},\n\n {"a":\n 2}, {"a": 3}\n]\n')
    assert [line for line, _ in read_rows(path)] == [2, 4, 5]
    path = write(tmp_path, '{"a": 1}\n\n{"a": 2}\n', "rows.jsonl")
    assert [line for line, _ in read_rows(path)] == [1, 3]


def test_json_lines_may_be_called_json_and_have_a_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeff{"a": 1}\n{"a": 2}\n')
    assert [row["a"] for _, row in read_rows(path)] == [1, 2]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[{"a": 1},\n{"a": }]', 2),
        ('[{"a": 1},\n{"a": 2}', 2),
        ('[{"a": 1}\n{"a": 2}]', 2),
        ('[{"a": 1}]\n{"a": 2}', 2),
        ('[\n{"a": "unclosed}]', 2),
        ('[{"a": 1},\n]', 2),
        ('{"a": 1}\n{"a": 2', 2),
        pytest.param("[1,\n" + "[" * 9000 + "]" * 9000 + "]", 2, id="deep"),
        pytest.param("{}\n" + "[" * 9000, 2, id="deep line"),
        pytest.param("[1,\n" + "1" * 5000 + "]", 2, id="long number"),
    ],
)
def test_what_is_not_json_is_told_by_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(DatasetError) as refused:
        list(read_rows(write(tmp_path, text)))
    assert refused.value.details["line"] == line
    assert f"rows.json, line {line}" in refused.value.message
    assert refused.value.remedy


def test_a_fault_early_in_a_large_file_is_told_before_all_of_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, '[{"a": 1},\n{"a" 2},\n' + '{"a": 3},\n' * 300_000 + '{"a": 4}]')
    taken = iter(read_rows(path))
    next(taken)
    with pytest.raises(DatasetError, match="line 2"):
        next(taken)


def test_text_that_is_not_utf8_is_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(DatasetError, match="line 2 is not UTF-8"):
        list(read_rows(path))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There is no file"):
        list(read_rows(tmp_path / "none.json"))
    with pytest.raises(DatasetError, match=r"rows\.csv is not a \.json or \.jsonl file"):
        list(read_rows(write(tmp_path, "a,b", "rows.csv")))
