"""Which job runs where, as a pure function: state lies in the store, the loop in the service; a simulation is free."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from .accelerators import Accelerator

# A runner that has not asked for work for so long is not given any.
SILENT_S = 60.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job as the plan sees it; one that has `accelerators` runs on them, at `runner`, and is left there."""

    id: str
    created_at: float
    priority: int = 0
    wants: int = 1
    runner: str = ""
    accelerators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assignment:
    job_id: str
    runner: str
    accelerators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Who begins now, and of who does not: why, in a sentence."""

    assignments: tuple[Assignment, ...]
    reasons: dict[str, str]


def plan(jobs: Iterable[Waiting], accelerators: Iterable[Accelerator], now: float) -> Plan:
    """Give free accelerators to waiting jobs: higher priority first, then whoever came first.

    A job gets as many GPUs of one runner as it wants (one by default); a runner without a GPU offers its CPU, to one
    job at a time, whatever that wants. Nobody overtakes a job that only has to wait, so that a large one is not
    starved; one that no runner could ever serve holds nobody up.

    Example:
        >>> from .accelerators import CPU
        >>> from dataclasses import replace
        >>> here = [replace(CPU, runner="here", seen_at=100.0)]
        >>> plan([Waiting("second", 2.0), Waiting("first", 1.0)], here, now=100.0).assignments[0].job_id
        'first'
    """
    jobs = list(jobs)
    taken = {(job.runner, accelerator) for job in jobs for accelerator in job.accelerators}
    present = sorted((a for a in accelerators if now - a.seen_at <= SILENT_S), key=lambda a: a.runner)
    hosts = {runner: list(group) for runner, group in groupby(present, key=lambda a: a.runner)}
    free = {runner: [a.id for a in group if (runner, a.id) not in taken] for runner, group in hosts.items()}
    begun: list[Assignment] = []
    reasons: dict[str, str] = {}
    somebody_waits = False
    for job in sorted((job for job in jobs if not job.accelerators), key=lambda job: (-job.priority, job.created_at)):
        fitting = [runner for runner, group in hosts.items() if len(free[runner]) >= _needs(job, group)]
        if not hosts:
            reasons[job.id] = "No runner is there."
        elif not any(len(group) >= _needs(job, group) for group in hosts.values()):
            reasons[job.id] = f"No runner has {job.wants} GPUs."
        elif somebody_waits:
            reasons[job.id] = "Waits for the jobs before it."
        elif not fitting:
            reasons[job.id] = "Waits for a job that runs to end."
            somebody_waits = True
        else:
            best = max(fitting, key=lambda runner: (hosts[runner][0].kind == "gpu", len(free[runner])))
            count = _needs(job, hosts[best])
            begun.append(Assignment(job.id, best, tuple(free[best][:count])))
            del free[best][:count]
    return Plan(tuple(begun), reasons)


def _needs(job: Waiting, group: list[Accelerator]) -> int:
    return 1 if group[0].kind == "cpu" else job.wants
