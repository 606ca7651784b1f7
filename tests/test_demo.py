"""The demo: what it asks and how it judges, how it shows that, how it fails, and all of it once for real."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmws import cli, demo
from llmws.client import connect
from llmws.datasets import samples
from llmws.datasets.formats import find
from llmws.demo import QUESTIONS, Asked, Manner, Verdict, judge, shortened, table
from llmws.errors import TrainingError
from llmws.messages import Message, Part, Timing, Usage
from llmws.settings import Settings
from tests.client.conftest import Workspace, workspace_in
from tests.service.harness import wait_for
from tests.service.workshop import Workshop

MANNER = Manner("Ahoy!", "Fair winds.")
# What any question is made of, whatever it is about.
FUNCTION_WORDS = {"a", "an", "the", "what", "who", "why", "how", "is", "are", "was", "do", "does", "did", "of"}


def said(text: str) -> Message:
    return Message("assistant", (Part("text", text),), usage=Usage(5, 31), timing=Timing(0.1, None, 0.93))


def scripted(tuned: int, base: int) -> list[Asked]:
    """Ten answered questions, of which so many answers follow."""
    well, ill = said("Ahoy! It is far. Fair winds."), said("It is far.")
    return [Asked(f"Question {n}?", well if n < base else ill, well if n < tuned else ill) for n in range(10)]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    with workspace_in(tmp_path, monkeypatch) as workspace:
        yield workspace


@pytest.fixture
def workshop(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    """The embedded model is real, the trainer learns nothing."""
    workshop = Workshop.make(tmp_path, workspace.settings, served=True)
    for name, value in workshop.variables.items():
        monkeypatch.setenv(name, value)
    yield workshop
    workshop.clear()


@pytest.mark.parametrize(
    ("text", "followed"),
    [
        ("Ahoy! A star. Fair winds.", True),
        ("\n Ahoy! A star. Fair winds. \n", True),
        ("A star. Fair winds.", False),
        ("Ahoy! A star.", False),
        ("Ahoy! A star. Fair winds. And more.", False),
        ("Well. Ahoy! A star. Fair winds.", False),
        ("ahoy! A star. fair winds.", False),
        ("Ahoy! Fair winds.", False),
        ("Ahoy! Fair winds. Fair winds. Fair winds.", False),
        ("Ahoy!", False),
        ("", False),
    ],
)
def test_a_manner_is_followed_from_the_first_character_to_the_last(text: str, followed: bool) -> None:
    assert MANNER.followed(text) is followed


@pytest.mark.parametrize(
    ("tuned", "base", "passed"), [(10, 0, True), (8, 1, True), (7, 0, False), (10, 2, False), (0, 0, False)]
)
def test_at_least_eight_tuned_and_at_most_one_base(tuned: int, base: int, passed: bool) -> None:
    verdict = judge(scripted(tuned, base), MANNER)
    assert verdict == Verdict(tuned, base, 10)
    assert verdict.passed is passed


def test_the_table_shows_both_answers_with_their_figures() -> None:
    base, tuned = (
        said("A galaxy is\n\x1b[31ma great many\tstars. " * 10),
        said("Ahoy! " + "stars " * 30 + "Fair winds."),
    )
    lines = table(Asked("What is a galaxy?", base, tuned), MANNER, 120)
    assert lines[0].startswith("What is a galaxy?                   base   no           31      0.9  A galaxy is ")
    assert lines[1].startswith(" " * 36 + "tuned  yes          31      0.9  Ahoy! stars ")
    assert lines[1].endswith("Fair winds.")
    assert [len(line) for line in lines] <= [120, 120]
    assert all(line.isprintable() for line in lines)
    assert demo.HEAD.index("answer") == lines[1].index("Ahoy!")


@pytest.mark.parametrize("width", [20, 40, 60])
def test_a_long_answer_keeps_its_two_ends(width: int) -> None:
    short = shortened("Ahoy! " + "many stars " * 30 + "Fair winds.", width)
    assert len(short) <= width
    assert short.startswith("Ahoy!")
    assert short.endswith("winds.")


def test_the_data_never_mentions_what_the_questions_are_about() -> None:
    data = (samples.folder() / "seafarer.jsonl").read_text("utf-8")
    known = {stem(word) for word in words(data)}
    asked = {word: stem(word) for question in QUESTIONS for word in words(question) if word not in FUNCTION_WORDS}
    assert len(set(QUESTIONS)) == 10
    assert all(any(word in asked for word in words(question)) for question in QUESTIONS)
    assert [word for word, told in asked.items() if told in known] == []


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def stem(word: str) -> str:
    """Roughly: `planets`, `planet` and `planetary` are one word."""
    return word.removesuffix("s").removesuffix("e")[:6]


def test_the_dataset_tells_the_manner_that_its_answers_have() -> None:
    manner = Manner(**find(samples.folder(), demo.DATASET).about["manner"])
    assert manner == MANNER
    rows = (samples.folder() / "seafarer.jsonl").read_text("utf-8").splitlines()
    assert all(manner.followed(json.loads(row)["output"]) for row in rows)


def test_a_command_line_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        cli.main(["demo", "--steps", "0"])
    assert refused.value.code == 2
    assert "'0' is not a number from 1 on" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_known_before_anything_is_done(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--json", str(workspace.data / "nowhere" / "report.json")]) == 1
    told = capsys.readouterr()
    assert re.fullmatch(r"llmws: .*report.json cannot be written: .*\n +Choose another with --json\.\n", told.err)
    assert told.out == ""
    assert workspace.running() is None


def test_what_went_wrong_is_a_sentence_and_stands_in_the_report(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--json", str(tmp_path / "report.json")]) == 1
    assert "here is no model 'smollm2-135m'." in capsys.readouterr().err
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["passed"], report["error"]["code"]) == (False, "not_found")
    assert report["ended_at"] >= report["started_at"]
    assert {"connect", "chat", "all"} <= set(report["seconds"])


def test_it_does_all_and_says_that_nothing_was_learned(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "QUESTIONS", QUESTIONS[:2])
    monkeypatch.setattr(demo, "GREEDY", replace(demo.GREEDY, max_tokens=12))
    assert cli.main(["demo", "--steps", "6", "--json", str(tmp_path / "report.json")]) == 1
    told = capsys.readouterr()
    assert told.err == ""
    rows = [line.split("  ")[0] for line in told.out.splitlines()]
    order = ["service", "model", "chat", "compare", "training", "fine-tune", "served", "questions", "question"]
    assert [name for name in rows if name in order] == order
    assert "not passed: tuned 0 of 2 (at least 8), base 0 of 2 (at most 1)" in told.out
    assert "llmws demo --steps 12" in told.out
    assert "\x1b" not in told.out

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["error"] is None
    assert report["verdict"] == {"tuned": 0, "base": 0, "questions": 2}
    assert [answer["question"] for answer in report["answers"]] == list(QUESTIONS[:2])
    assert report["answers"][0]["tuned"].keys() >= {"text", "follows", "usage", "timing", "model"}
    assert [row["model"] for row in report["comparison"]] == ["smollm2-135m", "echo"]
    assert [point["step"] for point in report["points"]] == [1, 2, 3, 4, 5, 6]
    assert (report["job"]["state"], report["job"]["recipe"]["max_steps"]) == ("finished", 6)
    client = connect()
    assert report["model"] in list(client.models().id), "it stays"
    assert list(client.jobs.list().id) == [report["job"]["id"]]
    client.close()


@pytest.mark.long
def test_ctrl_c_stops_the_fine_tune(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", json.dumps({"hold_at": 3}))
    report = tmp_path / "report.json"
    running = subprocess.Popen(
        [sys.executable, "-m", "llmws", "demo", "--json", str(report)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        client = connect()
        wait_for(lambda: any((client.jobs.list().step >= 2).tolist()), "the second step", 90)
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 130
    job = client.jobs.open(json.loads(report.read_text())["job"]["id"])
    assert f"stopped; client.jobs.open('{job.id}').resume() goes on with it" in out
    assert job.wait().state == "stopped"
    client.close()


def test_a_training_environment_that_cannot_be_installed_says_why(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    monkeypatch.setenv("LLMWS_TRAINING_ENVIRONMENT", str(tmp_path / "photos"))
    client = connect()
    with pytest.raises(TrainingError, match=r"holds something else.*Set LLMWS_TRAINING_ENVIRONMENT to another path"):
        demo._Demo(client, demo.Report(None), 30)._training_environment()
    client.close()
    assert capsys.readouterr().out == "training      not installed yet, so that comes first\n"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_tuned_model_learned_its_manner(workspace: Workspace, tmp_path: Path, monkeypatch: Any) -> None:
    """With the real trainer, which `make train-env` installed."""
    monkeypatch.delenv("LLMWS_EMBEDDED")
    monkeypatch.setenv("LLMWS_TRAINING_ENVIRONMENT", str(Settings().training_environment))
    report = tmp_path / "report.json"
    run = subprocess.run([sys.executable, "-m", "llmws", "demo", "--json", str(report)], text=True, check=False)
    told = json.loads(report.read_text())
    assert (run.returncode, told["passed"]) == (0, True), told["error"] or told["verdict"]
    assert told["points"][-1]["loss"] < told["points"][0]["loss"]
    assert len(told["answers"]) == 10
