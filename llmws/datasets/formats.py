"""What a dataset is: a file and its entry in LLaMA-Factory's `dataset_info.json`, in three formats.

    alpaca     {"instruction": …, "input": …, "output": …}
    sharegpt   {"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}]}
    openai     {"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}]}

as a JSON array or as JSON lines. LLaMA-Factory ignores keys of an entry that it does not know, so ours (description,
licence, manner) stand in the same file. How it reads an entry: https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.5/
src/llamafactory/data/parser.py. This module must not know jobs or the service.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from ..errors import DatasetError
from .rows import SUFFIXES, broken

INFO = "dataset_info.json"
Formatting = Literal["alpaca", "sharegpt", "openai"]

_COLUMNS = {"prompt": "instruction", "query": "input", "response": "output", "messages": "conversations"}
_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
_KNOWN = {"file_name", "formatting", "ranking", "columns", "tags"}
_ELSEWHERE = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")


@dataclass(frozen=True, slots=True)
class Entry:
    """One dataset of a `dataset_info.json`.

    Args:
        columns, tags: as they stand in the file; empty means LLaMA-Factory's defaults. Where any is named, the others
            are absent, not default: that is how LLaMA-Factory reads them.
        about: what else the entry says, for people (description, licence, language, manner).

    Example:
        >>> Entry.from_info("notes", {"file_name": "notes.json"}).column("prompt")
        'instruction'
    """

    name: str
    file_name: str
    formatting: Formatting = "alpaca"
    ranking: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def column(self, noun: str) -> str | None:
        """The rows' key for `prompt`, `query`, `response`, `messages`, `system`, …; None where there is none."""
        return (self.columns or _COLUMNS).get(noun)

    def tag(self, noun: str) -> str | None:
        return (self.tags or _TAGS).get(noun)

    def to_info(self) -> dict[str, Any]:
        """The entry as it stands in `dataset_info.json`, without its name."""
        told: dict[str, Any] = {"file_name": self.file_name}
        if self.formatting != "alpaca":
            told["formatting"] = self.formatting
        if self.ranking:
            told["ranking"] = True
        if self.columns:
            told["columns"] = dict(self.columns)
        if self.tags:
            told["tags"] = dict(self.tags)
        return {**told, **self.about}

    @classmethod
    def from_info(cls, name: str, value: Any) -> Entry:
        """Read an entry; one that does not name a file beside it is a `DatasetError`."""
        if not isinstance(value, Mapping):
            raise DatasetError(f"The entry {name!r} of {INFO} is not an object.", remedy='Write {"file_name": "…"}.')
        if any(key in value for key in _ELSEWHERE):
            raise DatasetError(
                f"The dataset {name!r} does not lie here but on a hub.", remedy="Download it, and name its file."
            )
        file_name = value.get("file_name")
        if not isinstance(file_name, str) or not _can_be_named(file_name):
            raise DatasetError(f"The dataset {name!r} names no file.", remedy=f"Give it a 'file_name' in {INFO}.")
        path = PurePosixPath(file_name)
        if path.is_absolute() or ".." in path.parts:
            raise DatasetError(
                f"The dataset {name!r} names a file outside its folder.", remedy=f"Put the file beside {INFO}."
            )
        formatting = value.get("formatting", "alpaca")
        if formatting not in get_args(Formatting):
            raise DatasetError(
                f"The dataset {name!r} has the unknown formatting {formatting!r}.",
                remedy=f"Use one of {', '.join(get_args(Formatting))}.",
            )
        about = {key: item for key, item in value.items() if key not in _KNOWN}
        columns, tags = (_texts(name, noun, value.get(noun, {})) for noun in ("columns", "tags"))
        return cls(name, file_name, formatting, bool(value.get("ranking", False)), columns, tags, about)


def _can_be_named(file: str) -> bool:
    """Whether a file system can have such a name: neither an empty one, nor a NUL or half a character in it."""
    return bool(file) and "\0" not in file and not any("\ud800" <= letter <= "\udfff" for letter in file)


def _texts(name: str, noun: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in value.values()):
        raise DatasetError(
            f"The {noun!r} of the dataset {name!r} are not an object of texts.", remedy="Mend it in a text editor."
        )
    return dict(value)


def entries(folder: Path) -> Mapping[str, Any]:
    """What `dataset_info.json` says of each dataset, as it stands there: one that is wrong hides no other."""
    path = folder / INFO
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{folder} holds no {INFO}.", remedy="Choose a folder of datasets.") from None
    except json.JSONDecodeError as problem:
        raise broken(path, problem.lineno, f"this is not JSON ({problem.msg}).", f"Mend {path}.") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise DatasetError(f"{path} cannot be read: {problem}.", remedy="Mend it in a text editor.") from None
    if not isinstance(told, Mapping):
        raise DatasetError(f"{path} is not an object.", remedy='Write {"name": {"file_name": "…"}}.')
    return told


def write_info(folder: Path, written: Iterable[Entry]) -> Path:
    """Write `dataset_info.json` for these entries, whole or not at all."""
    told = {entry.name: entry.to_info() for entry in written}
    path, aside = folder / INFO, folder / f".{INFO}.{os.getpid()}"
    aside.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)
    return path


def find(folder: Path, name: str) -> Entry:
    """The dataset `name` of a folder; an unknown one is a `DatasetError` that names those there are."""
    told = entries(folder)
    if name not in told:
        raise DatasetError(f"There is no dataset {name!r}.", remedy=f"There are: {', '.join(told) or 'none'}.")
    return Entry.from_info(name, told[name])


def copy_to(folder: Path, name: str, destination: Path) -> Entry:
    """Copy one dataset, with an entry of its own, so that what a job trains on cannot change beneath it.

    The copy is named `data.json` or `data.jsonl`, because LLaMA-Factory's launcher cuts its arguments at spaces.
    """
    entry = find(folder, name)
    source = folder / entry.file_name
    suffix = source.suffix.lower()
    if suffix not in SUFFIXES:
        raise DatasetError(
            f"{source.name} is not a {' or '.join(SUFFIXES)} file.", remedy="Convert it to JSON lines first."
        )
    destination.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, destination / f"data{suffix}")
    except FileNotFoundError:
        raise DatasetError(
            f"The file {source} of the dataset {name!r} is missing.", remedy=f"Put it there, or mend {folder / INFO}."
        ) from None
    copied = Entry(name, f"data{suffix}", entry.formatting, entry.ranking, entry.columns, entry.tags, entry.about)
    write_info(destination, [copied])
    return copied
