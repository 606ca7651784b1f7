"""The samples that come along can be trained on and teach what they say."""

from __future__ import annotations

import pytest

from llmws.datasets.rows import read_rows
from llmws.datasets.samples import Sample, folder, samples
from llmws.datasets.validation import check

SAMPLES = samples()


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
