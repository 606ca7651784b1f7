"""Which job runs where, as a pure function: state lies in the store, the loop in the service; a simulation is free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .accelerators import Accelerator

# A runner that has not asked for work for so long is not given any.
SILENT_S = 60.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job as the plan sees it; one that has `accelerators` runs on them, at `runner`, and is left there."""

    id: str
    created_at: float
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
    """Give each waiting job a free accelerator, whoever came first before the others.

    It is one of the runner that has the most left; a runner without a GPU offers its CPU, given where no GPU is free.

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
    free = [accelerator for accelerator in present if (accelerator.runner, accelerator.id) not in taken]
    begun: list[Assignment] = []
    reasons: dict[str, str] = {}
    for job in sorted((job for job in jobs if not job.accelerators), key=lambda job: job.created_at):
        if free:
            left = Counter(accelerator.runner for accelerator in free)
            best = max(free, key=lambda accelerator: (accelerator.kind == "gpu", left[accelerator.runner]))
            begun.append(Assignment(job.id, best.runner, (best.id,)))
            free.remove(best)
        elif not present:
            reasons[job.id] = "No runner is there."
        elif reasons:
            reasons[job.id] = "Waits for the jobs before it."
        else:
            reasons[job.id] = "Waits for a job that runs to end."
    return Plan(tuple(begun), reasons)
