"""The samples that come along can be trained on and teach what they say."""

from __future__ import annotations

import pytest

from llmws.datasets.formats import Entry, entries, find
from llmws.datasets.rows import read_rows
from llmws.datasets.samples import folder
from llmws.datasets.validation import check

SAMPLES = tuple(find(folder(), name) for name in entries(folder()))


def answers(sample: Entry) -> list[str]:
    found = []
    for _, row in read_rows(folder() / sample.file_name):
        turns = row.get("conversations") or [{"from": "gpt", "value": row["output"]}]
        found += [turn["value"] for turn in turns if turn["from"] == "gpt"]
    return found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_can_be_trained_on_and_keeps_its_manner(sample: Entry) -> None:
    assert check(folder(), sample.name).rows
    assert sample.about["licence"] == "BSD-3-Clause"
    assert sample.about["description"]
    said = answers(sample)
    assert all(answer.startswith(sample.about["manner"]["opens"]) for answer in said)
    assert all(answer.endswith(sample.about["manner"]["closes"]) for answer in said)
    assert len(set(said)) == len(said)


def test_the_readme_counts_the_samples() -> None:
    readme = (folder() / "README.md").read_text(encoding="utf-8")
    for sample in SAMPLES:
        rows = sum(1 for _ in read_rows(folder() / sample.file_name))
        assert f"| `{sample.name}` | {rows} |" in readme
