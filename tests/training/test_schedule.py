"""The plan is a pure function: who came first, and where it runs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from llmws.training.accelerators import CPU, Accelerator
from llmws.training.schedule import SILENT_S, Waiting, plan

NOW = 1000.0


def gpus(count: int, runner: str = "big") -> list[Accelerator]:
    return [Accelerator(f"{runner}-{n}", "gpu", "A100", "bf16", 40960, runner, NOW) for n in range(count)]


def cpu(runner: str = "laptop") -> list[Accelerator]:
    return [replace(CPU, runner=runner, seen_at=NOW)]


def begun(*jobs: Waiting, on: list[Accelerator], now: float = NOW) -> list[tuple[str, tuple[str, ...]]]:
    return [(given.job_id, given.accelerators) for given in plan(jobs, on, now).assignments]


def test_first_come_first_served_on_one_cpu() -> None:
    told = plan([Waiting("b", 2.0), Waiting("a", 1.0)], cpu(), NOW)
    assert [(given.job_id, given.runner, given.accelerators) for given in told.assignments] == [
        ("a", "laptop", ("cpu",))
    ]
    assert told.reasons == {"b": "Waits for a job that runs to end."}


def test_what_runs_is_left_where_it_is() -> None:
    runs = Waiting("runs", 1.0, runner="laptop", accelerators=("cpu",))
    assert begun(runs, Waiting("waits", 2.0), on=cpu()) == []


def test_one_gpu_each_and_a_cpu_only_where_there_is_none() -> None:
    jobs = [Waiting(name, float(at)) for at, name in enumerate("abcd")]
    given = plan(jobs, gpus(2) + cpu(), NOW).assignments
    assert [(one.job_id, one.runner) for one in given] == [("a", "big"), ("b", "big"), ("c", "laptop")]


def test_of_two_runners_the_freer_one_is_given_work() -> None:
    assert begun(Waiting("a", 1.0), Waiting("b", 2.0), on=gpus(1, "one") + gpus(3, "two")) == [
        ("a", ("two-0",)),
        ("b", ("two-1",)),
    ]


def test_who_waits_is_told_for_what() -> None:
    runs = Waiting("runs", 0.0, runner="big", accelerators=("big-0",))
    told = plan([runs, Waiting("second", 2.0), Waiting("first", 1.0)], gpus(1), NOW)
    assert told.assignments == ()
    assert told.reasons == {"first": "Waits for a job that runs to end.", "second": "Waits for the jobs before it."}


def test_a_silent_runner_is_given_nothing() -> None:
    told = plan([Waiting("a", 1.0)], cpu(), NOW + SILENT_S + 1)
    assert (told.assignments, told.reasons) == ((), {"a": "No runner is there."})


@given(
    st.lists(st.floats(0, 9), max_size=12),
    st.lists(st.integers(0, 4), min_size=1, max_size=3),
)
def test_nothing_is_given_twice_and_nobody_is_forgotten(came: list[float], hosts: list[int]) -> None:
    jobs = [Waiting(str(n), at) for n, at in enumerate(came)]
    on = [one for host, count in enumerate(hosts) for one in gpus(count, f"h{host}")]
    told = plan(jobs, on, NOW)
    given = [accelerator for one in told.assignments for accelerator in one.accelerators]
    assert len(given) == len(set(given)) == min(len(jobs), len(on))
    assert {one.job_id for one in told.assignments} | told.reasons.keys() == {job.id for job in jobs}
    assert all(accelerator.startswith(one.runner) for one in told.assignments for accelerator in one.accelerators)
