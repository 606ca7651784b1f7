"""A row that cannot be trained on is an error with its line, in each format, and never skipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmws.datasets.formats import Entry, write_info
from llmws.datasets.validation import check
from llmws.errors import DatasetError

GOOD = {
    "alpaca": {"instruction": "Hi", "input": "", "output": "Hello"},
    "sharegpt": {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
    "openai": {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
}

# What the docs tell to write beside OpenAI's messages.
JOBS = Path(__file__).parents[2] / "docs" / "jobs.md"
DOCUMENTED = json.loads(JOBS.read_text(encoding="utf-8").split("```json")[1].partition("```")[0])["talks"]
ENTRIES = {
    "alpaca": Entry("mine", "mine.jsonl"),
    "sharegpt": Entry("mine", "mine.jsonl", "sharegpt", columns={"messages": "conversations"}),
    "openai": Entry.from_info("mine", {**DOCUMENTED, "file_name": "mine.jsonl"}),
}


def talk(*turns: tuple[str, Any]) -> dict[str, Any]:
    return {"conversations": [{"from": who, "value": what} for who, what in turns]}


def put(folder: Path, formatting: str, *more: Any) -> None:
    """A dataset `mine` whose first row, on line 1, is good."""
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (GOOD[formatting], *more)))
    write_info(folder, [ENTRIES[formatting]])


@pytest.mark.parametrize(
    ("formatting", "row", "message"),
    [
        ("alpaca", "Hi", "this is a text, not an object."),
        ("alpaca", {"instruction": "Hi", "input": ""}, "'output' is missing, not a text."),
        ("alpaca", {"instruction": "Hi", "output": 3}, "'output' is a number, not a text."),
        ("alpaca", {"instruction": "Hi", "output": " "}, "'output' is empty."),
        ("alpaca", {"instruction": "", "input": "", "output": "b"}, "'instruction' is empty."),
        ("alpaca", {"instruction": "a", "input": ["b"], "output": "b"}, "'input' is a list, not a text."),
        ("sharegpt", {"conversations": []}, "'conversations' is empty, not a list of messages."),
        ("sharegpt", talk(("gpt", "a"), ("human", "b")), "message 1 is from 'assistant' where it is user's turn."),
        ("sharegpt", talk(("human", "a"), ("human", "b")), "message 2 is from 'user' where it is assistant's turn."),
        ("sharegpt", talk(("human", "a")), "the conversation does not end with an answer."),
        ("sharegpt", talk(("human", "a"), ("gpt", None)), "message 2 has missing as 'value', not a text."),
        (
            "sharegpt",
            talk(("user", "a"), ("gpt", "b")),
            "message 1 has 'from' 'user', not one of 'human', 'gpt', 'observation', 'function_call', 'system'.",
        ),
        ("openai", {"messages": ["Hi"]}, "message 1 is a text, not an object."),
    ],
)
def test_a_broken_row_is_named_with_its_line(tmp_path: Path, formatting: str, row: Any, message: str) -> None:
    put(tmp_path, formatting, row)
    with pytest.raises(DatasetError) as refused:
        check(tmp_path, "mine")
    assert refused.value.message == f"mine.jsonl, line 2 (row 2): {message}"
    assert refused.value.remedy
    assert refused.value.details["line"] == 2


def test_system_tools_and_several_tool_results_are_fine(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    results = [{"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}]
    system, user, answer = {"role": "system", "content": "s"}, *GOOD["openai"]["messages"]
    put(tmp_path, "openai", {"messages": [system, user, call, *results, answer]})
    assert check(tmp_path, "mine").rows == 2


def test_all_broken_rows_are_told_up_to_a_limit(tmp_path: Path) -> None:
    put(tmp_path, "alpaca", *[{"instruction": "a"}] * 30)
    with pytest.raises(DatasetError) as refused:
        check(tmp_path, "mine", limit=5)
    assert [problem["line"] for problem in refused.value.details["problems"]] == [2, 3, 4, 5, 6]
    assert "(4 or more further rows are broken.)" in refused.value.message


def test_a_column_that_no_row_has_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps([{"instruction": "a", "output": "b"}]))
    write_info(tmp_path, [Entry("mine", "mine.json")])
    with pytest.raises(DatasetError, match=r"No row of mine\.json has 'input'"):
        check(tmp_path, "mine")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("[]")
    write_info(tmp_path, [Entry("mine", "mine.json")])
    with pytest.raises(DatasetError, match="holds no rows"):
        check(tmp_path, "mine")


@pytest.mark.parametrize(
    ("stage", "row", "fits"),
    [
        ("pt", {"text": "A page."}, True),
        ("dpo", {"instruction": "a", "chosen": "b", "rejected": "c"}, True),
        ("dpo", {"instruction": "a", "output": "b"}, False),
        ("sft", {"instruction": "a", "chosen": "b", "rejected": "c"}, False),
        ("kto", {"instruction": "a", "output": "b", "kto_tag": True}, True),
        ("kto", {"instruction": "a", "output": "b", "kto_tag": "yes"}, False),
        ("kto", {"instruction": "a", "output": "b"}, False),
    ],
)
def test_a_dataset_has_to_fit_its_stage(tmp_path: Path, stage: str, row: dict[str, Any], fits: bool) -> None:
    (tmp_path / "mine.json").write_text(json.dumps([row]))
    nouns = {"text": "prompt", "instruction": "prompt", "output": "response"}
    columns = {nouns.get(key, key): key for key in row}
    write_info(tmp_path, [Entry("mine", "mine.json", ranking="chosen" in row, columns=columns)])
    if fits:
        assert check(tmp_path, "mine", stage=stage).rows == 1
    else:
        with pytest.raises(DatasetError):
            check(tmp_path, "mine", stage=stage)
