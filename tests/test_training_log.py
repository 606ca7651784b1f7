"""Lines of a trainer's log become points, whatever state the file is in."""

from __future__ import annotations

import json

import pytest

from llmws.training_log import Point, merge, overlay, parse

LINE = {
    "current_steps": 1,
    "total_steps": 30,
    "loss": 4.33,
    "lr": 0.0,
    "epoch": 0.067,
    "percentage": 3.33,
    "elapsed_time": "0:00:28",
    "remaining_time": "1 day, 2:14:00",
    "vram_allocated": 3.2,
}


def test_a_line_becomes_a_point() -> None:
    point = parse(json.dumps(LINE))
    assert point == Point(
        1, 30, 4.33, None, 0.0, 0.067, elapsed_s=28.0, remaining_s=94440.0, more={"vram_allocated": 3.2}
    )


def test_every_beginning_of_a_line_is_tolerated() -> None:
    line = json.dumps(LINE)
    assert all(parse(line[:end]) is None for end in range(len(line)))


@pytest.mark.parametrize("line", ["", "null", "[]", "{}", '{"loss": 1}', '{"current_steps": "1"}', "Traceback"])
def test_what_is_no_point_is_none(line: str) -> None:
    assert parse(line) is None


def test_the_last_line_has_no_loss() -> None:
    point = parse('{"current_steps": 30, "total_steps": 30, "epoch": 2.0, "elapsed_time": "0:01:00"}')
    assert point is not None
    assert (point.loss, point.step) == (None, 30)


@pytest.mark.parametrize("loss", ["NaN", "Infinity"])
def test_a_loss_that_is_no_number_is_told_apart(loss: str) -> None:
    point = parse(f'{{"current_steps": 3, "loss": {loss}}}')
    assert point is not None
    assert (point.loss, point.diverged) == (None, True)
    json.dumps(point.to_dict(), allow_nan=False)


def test_an_evaluation_joins_its_step() -> None:
    joined = overlay(Point(10, loss=2.0, more={"a": 1.0}), Point(10, eval_loss=2.1, more={"b": 2.0}))
    assert joined == Point(10, loss=2.0, eval_loss=2.1, more={"a": 1.0, "b": 2.0})


def test_a_resumed_log_has_each_step_once() -> None:
    points = [Point(step, loss=float(step)) for step in (1, 2, 3, 4)] + [
        Point(3, loss=0.3),
        Point(4, loss=0.4),
        Point(5),
    ]
    assert [(point.step, point.loss) for point in merge(points)] == [(1, 1.0), (2, 2.0), (3, 0.3), (4, 0.4), (5, None)]


def test_a_point_travels_as_json_and_zero_is_not_nothing() -> None:
    point = parse(json.dumps(LINE))
    assert point is not None
    assert point.to_dict()["learning_rate"] == 0.0
    assert Point.from_dict(json.loads(json.dumps(point.to_dict())) | {"of_a_newer_version": 1}) == point
