"""The samples that come along can be trained on, teach what they say, and leave the demo's topics alone."""

from __future__ import annotations

import pytest

from llmws.datasets.rows import read_rows
from llmws.datasets.samples import Sample, folder, samples
from llmws.datasets.validation import check

SAMPLES = samples()
# What `make demo` asks about must not be in the data: see datasets/README.md.
ELSEWHERE = """
comet planet purr dog france paris capital bicycle prime earthquake volcano hamlet shakespeare vaccine virus spanish
inflation economy computer internet football weather ocean history war
"""


def answers(sample: Sample) -> list[str]:
    name = {"seafarer": "seafarer.jsonl", "courteous-zh": "courteous-zh.json"}[sample.name]
    found = []
    for _, row in read_rows(folder() / name):
        turns = row.get("conversations") or [{"from": "gpt", "value": row["output"]}]
        found += [turn["value"] for turn in turns if turn["from"] == "gpt"]
    return found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_can_be_trained_on_and_keeps_its_manner(sample: Sample) -> None:
    assert check(folder(), sample.name).rows == sample.rows
    assert sample.licence == "BSD-3-Clause"
    assert sample.description
    said = answers(sample)
    assert all(answer.startswith(sample.manner["opens"]) for answer in said)
    assert all(answer.endswith(sample.manner["closes"]) for answer in said)
    assert len(set(said)) == len(said)


def test_the_readme_counts_the_samples() -> None:
    readme = (folder() / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{sample.name}` | {sample.rows} |" in readme for sample in SAMPLES)


def test_seafarer_says_nothing_of_what_the_demo_asks() -> None:
    text = (folder() / "seafarer.jsonl").read_text(encoding="utf-8").lower()
    assert [word for word in ELSEWHERE.split() if word in text.replace('"', " ").replace(".", " ").split()] == []
