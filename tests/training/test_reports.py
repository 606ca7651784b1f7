"""Reports tell what grew in a run folder, once, in bearable pieces, and the end last."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from llmws.training import reports
from llmws.training.reports import Follower
from llmws.training.run_dir import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path, "5f3a")
    made.output.mkdir(parents=True)
    made.write(made.job, {"order": {"round": 2}})
    made.write(made.attempts, [{"started_at": 1.0, "from_step": 0}])
    return made


def log(run: RunDir, *steps: int, **more: float) -> None:
    with run.trainer_log.open("a") as file:
        for step in steps:
            file.write(json.dumps({"current_steps": step, "total_steps": 9, **more}) + "\n")


def say(run: RunDir, text: str) -> None:
    with run.output_log.open("a") as file:
        file.write(text)


def test_what_grew_is_told_once(run: RunDir) -> None:
    follower = Follower(run)
    log(run, 1, 2, loss=3.0)
    say(run, "one\nhal")
    told = follower.report()
    assert told is not None
    assert (told["round"], told["state"]) == (2, "running")
    assert [point["step"] for point in told["points"]] == [1, 2]
    assert told["output"] == {"offset": 0, "end": 4, "text": "one\n"}
    assert follower.report() is None
    say(run, "f\n")
    again = follower.report()
    assert again is not None
    assert again["output"] == {"offset": 4, "end": 9, "text": "half\n"}


def test_an_evaluation_completes_the_step_that_was_told_before(run: RunDir) -> None:
    follower = Follower(run)
    log(run, 1, loss=3.0)
    follower.report()
    log(run, 1, eval_loss=3.5)
    told = follower.report()
    assert told is not None
    assert told["points"] == [{"step": 1, "total_steps": 9, "loss": 3.0, "eval_loss": 3.5}]


def test_a_log_that_began_anew_is_read_anew(run: RunDir) -> None:
    follower = Follower(run)
    log(run, 1, 2, 3)
    follower.report()
    run.trainer_log.rename(run.folder / "old.jsonl")
    log(run, 1)
    told = follower.report()
    assert told is not None
    assert [point["step"] for point in told["points"]] == [1]


def test_the_end_comes_with_the_last_point_and_the_last_output(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "_POINTS", 4)
    monkeypatch.setattr(reports, "_CHUNK", 8)
    log(run, *range(1, 10), loss=1.0)
    say(run, "ein Gruß an alle, ohne Ende")
    run.write(run.exit, {"state": "finished", "step": 9})
    follower = Follower(run)
    assert follower.greeting()["state"] == "running"
    told = list(iter(follower.report, None))
    assert [point["step"] for one in told for point in one["points"]] == list(range(1, 10))
    assert [one["state"] for one in told[:-1]] == ["running"] * (len(told) - 1)
    assert (told[-1]["state"], told[-1]["step"]) == ("finished", 9)
    outputs = [one["output"] for one in told if one["output"]]
    assert all(before["end"] == after["offset"] for before, after in pairwise(outputs))
    assert outputs[-1]["end"] == run.output_log.stat().st_size


def test_a_flood_is_left_in_the_file(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "_BACKLOG", 1000)
    monkeypatch.setattr(reports, "_CHUNK", 100)
    say(run, "x" * 99 + "\n")
    follower = Follower(run)
    follower.report()
    say(run, ("y" * 99 + "\n") * 50)
    told = follower.report()
    assert told is not None
    assert (told["output"]["offset"], told["output"]["end"]) == (5000, 5100)
    assert told["output"]["text"].startswith("… 4,900 bytes are in output.log only …\n")


def test_what_did_not_arrive_is_told_again(run: RunDir) -> None:
    follower = Follower(run)
    log(run, 1)
    say(run, "one\n")
    first = follower.report()
    follower.forget(0)
    assert follower.report() == first
