"""Whether a dataset can be trained on, row by row, before any GPU is asked for.

LLaMA-Factory skips a row with a wrong role in silence, and fails late on a missing column; here each is an error that
names the line. What is checked follows its converters: https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.5/src/
llamafactory/data/converter.py. Tokens are not counted here: this module knows no tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from .formats import Entry, find
from .rows import read_rows

# The columns that a row may lack, as long as some row has them.
_OPTIONAL = ("query", "system", "tools", "history")
_MEDIA = ("images", "videos", "audios")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one row; `row` counts from 1."""

    line: int
    row: int
    message: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A dataset that may be trained on. `turns` counts the answers that are learned."""

    name: str
    formatting: str
    rows: int
    turns: int
    characters: int


def check(folder: Path, name: str, *, stage: str = "sft", limit: int = 20) -> Summary:
    """Read every row of a dataset once, in constant memory.

    Args:
        stage: what it shall be used for: ``sft``, ``pt``, ``dpo``, ``rm`` or ``kto``.
        limit: of so many broken rows the line numbers are told (in `details["problems"]`).

    Raises:
        DatasetError: for the first broken row, with file, line and remedy; also where there are no rows.
    """
    entry = find(folder, name)
    _fits(entry, stage)
    path = folder / entry.file_name
    problems: list[Problem] = []
    rows = turns = characters = 0
    missing = {key for noun in _OPTIONAL if (key := entry.column(noun))}
    for line, row in read_rows(path):
        rows += 1
        if isinstance(row, Mapping):
            missing -= row.keys()
        try:
            texts = list(_texts(entry, stage, row))
        except ValueError as problem:
            problems.append(Problem(line, rows, str(problem)))
            if len(problems) == limit:
                break
            continue
        turns += max(1, len(texts) // 2)
        characters += sum(map(len, texts))
    if problems:
        raise _refusal(path, entry, problems, more=len(problems) == limit)
    if not rows:
        raise DatasetError(f"{path.name} holds no rows.", remedy="Write at least one row into it.")
    if missing:
        raise DatasetError(
            f"No row of {path.name} has {_names(sorted(missing))}, which its entry in dataset_info.json names.",
            remedy="Name the columns that are there under 'columns'.",
            details={"path": str(path), "columns": sorted(missing)},
        )
    return Summary(name, entry.formatting, rows, turns, characters)


def _fits(entry: Entry, stage: str) -> None:
    if any(entry.column(noun) for noun in _MEDIA):
        raise DatasetError(f"The dataset {entry.name!r} has media.", remedy="Only text can be trained on here.")
    if stage in ("dpo", "rm") and not entry.ranking:
        raise DatasetError(
            f"The dataset {entry.name!r} holds no pairs of a chosen and a rejected answer.",
            remedy=f"Choose one with 'ranking' for stage {stage}, or stage sft.",
        )
    if stage == "kto" and not entry.column("kto_tag"):
        raise DatasetError(
            f"The dataset {entry.name!r} has no column that says whether an answer was good.",
            remedy="Name it as 'kto_tag', or choose stage sft.",
        )
    if stage == "sft" and entry.ranking:
        raise DatasetError(
            f"The dataset {entry.name!r} holds pairs of answers, which sft cannot use.", remedy="Choose stage dpo."
        )


def _refusal(path: Path, entry: Entry, problems: list[Problem], more: bool) -> DatasetError:
    first = problems[0]
    count = f"{len(problems) - 1} or more" if more else len(problems) - 1
    others = f" ({count} further rows are broken.)" if problems[1:] else ""
    return DatasetError(
        f"{path.name}, line {first.line} (row {first.row}): {first.message}{others}",
        remedy="Mend or remove the row."
        if entry.formatting == "alpaca"
        else "Mend the row: after an optional system message, user and assistant take turns.",
        details={
            "path": str(path),
            "line": first.line,
            "row": first.row,
            "problems": [asdict(problem) for problem in problems],
        },
    )


def _texts(entry: Entry, stage: str, row: Any) -> Iterator[str]:
    """What a row says, turn by turn; a ValueError tells what is wrong with it."""
    if not isinstance(row, Mapping):
        raise ValueError(f"this is {_kind(row)}, not an object.")
    for noun in ("system", "tools"):
        if (key := entry.column(noun)) and row.get(key) is not None:
            _string(row, key)
    if entry.formatting == "alpaca":
        yield from _alpaca(entry, stage, row)
    else:
        yield from _conversation(entry, row)
    if (key := entry.column("kto_tag")) and not isinstance(row.get(key), bool):
        raise ValueError(f"{key!r} is {_kind(row.get(key))}, not true or false.")
    if entry.ranking:
        for noun in ("chosen", "rejected"):
            yield _answer(entry, row, entry.column(noun) or noun)


def _alpaca(entry: Entry, stage: str, row: Mapping[str, Any]) -> Iterator[str]:
    if key := entry.column("history"):
        for pair in row.get(key) or []:
            if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(said, str) for said in pair)):
                raise ValueError(f"{key!r} is not a list of [question, answer] pairs.")
            yield from pair
    prompt, query = entry.column("prompt"), entry.column("query")
    if prompt is None:
        raise ValueError("its entry in dataset_info.json names no 'prompt' column.")
    asked = _string(row, prompt, empty=bool(query and row.get(query)))
    asked += f"\n{_string(row, query)}" if query and row.get(query) else ""
    yield asked
    response = entry.column("response")
    if stage == "pt" or entry.ranking:
        return
    if response is None:
        raise ValueError("its entry in dataset_info.json names no 'response' column.")
    yield _string(row, response)


def _conversation(entry: Entry, row: Mapping[str, Any]) -> Iterator[str]:
    key = entry.column("messages")
    messages = row.get(key) if key else None
    if not isinstance(messages, list) or not messages:
        raise ValueError(f"{key!r} is {_kind(messages) if messages != [] else 'empty'}, not a list of messages.")
    kinds: list[str] = []
    for number, message in enumerate(messages, 1):
        kind, text = _message(entry, message, number)
        if kind == "system" and number == 1:
            continue
        # Several tool results in a row are one turn.
        if kind == "observation" and kinds and kinds[-1] == "observation" and entry.formatting == "openai":
            continue
        kinds.append(kind)
        wanted = ("user", "observation") if len(kinds) % 2 else ("assistant", "function")
        if kind not in wanted:
            raise ValueError(f"message {number} is from {kind!r} where it is {wanted[0]}'s turn.")
        yield text
    if entry.ranking and len(kinds) % 2 == 0:
        raise ValueError("the conversation ends with an answer; 'chosen' and 'rejected' are the answers.")
    if not entry.ranking and len(kinds) % 2:
        raise ValueError("the conversation does not end with an answer.")


def _message(entry: Entry, message: Any, number: int) -> tuple[str, str]:
    """The kind (``user``, ``assistant``, …) and the text of a message."""
    if not isinstance(message, Mapping):
        raise ValueError(f"message {number} is {_kind(message)}, not an object.")
    role_key, content_key = entry.tag("role_tag") or "from", entry.tag("content_tag") or "value"
    role = message.get(role_key)
    nouns = {
        tag: noun
        for noun in ("user", "assistant", "observation", "function", "system")
        if (tag := entry.tag(f"{noun}_tag"))
    }
    if role not in nouns:
        raise ValueError(f"message {number} has {role_key!r} {role!r}, not one of {_names(nouns)}.")
    kind = nouns[role]
    if entry.formatting == "openai" and kind == "assistant" and message.get("tool_calls"):
        return "function", ""
    if not isinstance(message.get(content_key), str):
        raise ValueError(f"message {number} has {_kind(message.get(content_key))} as {content_key!r}, not a text.")
    return kind, message[content_key]


def _answer(entry: Entry, row: Mapping[str, Any], key: str) -> str:
    if entry.formatting == "alpaca":
        return _string(row, key)
    if not isinstance(row.get(key), Mapping):
        raise ValueError(f"{key!r} is {_kind(row.get(key))}, not a message.")
    return _message(entry, row[key], 1)[1]


def _string(row: Mapping[str, Any], key: str, empty: bool = False) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is {_kind(value)}, not a text.")
    if not value.strip() and not empty:
        raise ValueError(f"{key!r} is empty.")
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "missing"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)


def _names(keys: Any) -> str:
    return ", ".join(repr(key) for key in keys)
