"""Fine-tunes from a cell: `client.finetune` and `client.jobs` give `Job`s, which are views of what the service keeps.

A job belongs to the service, so nothing here can lose one: a cell that is interrupted only stops looking.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from ..errors import NotFound, TrainingError
from ..recipe import Recipe
from ..training_log import Point
from .listings import listed, table
from .progress import in_cell, overwrites
from .share_routes import Noun
from .sharing import Shareable

if TYPE_CHECKING:
    import pandas

    from .client import Client

_FLUSH_S = 0.1
_TIMES = ("created_at", "started_at", "ended_at")
_COLUMNS = ["id", "name", "base", "dataset", "state", "step", "total_steps", "loss", "model", *_TIMES, "reason"]
# Always there; what else a trainer told (`reward`, say) follows where it did.
_FIGURES = ["step", "loss", "eval_loss", "learning_rate", "epoch", "tokens_per_s", "elapsed_s"]
_NO_FIGURES = ("total_steps", "remaining_s", "diverged", "more")
_ENDED_WELL = ("finished", "stopped")


class Job(Shareable):
    """A fine-tune. The service keeps it; this is a view of it.

    Attributes:
        about: what the service said of it last, see ``GET /api/jobs/{id}`` on the service's page ``/docs``.

    Example:
        >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=10), name="sailor")
        >>> job.wait()
        Job('sailor', finished, step 10 of 10, loss 1, id='...')
        >>> job.recipe.max_steps
        10
    """

    _noun: ClassVar[Noun] = "models"

    def __init__(self, client: Client, about: dict[str, Any]) -> None:
        self._client = client
        self.id = str(about["id"])
        self.about = about

    @property
    def name(self) -> str:
        return str(self.about["name"])

    @property
    def base(self) -> str:
        return str(self.about["base"])

    @property
    def dataset(self) -> str:
        return str(self.about["dataset"])

    @property
    def recipe(self) -> Recipe:
        return Recipe.from_dict(self.about["recipe"])

    @property
    def state(self) -> str:
        """How it stands now: ``queued``, ``preparing``, ``running``, ``stopping``, ``finished``, ``stopped``,
        ``failed`` or ``interrupted``."""
        return str(self._look()["state"])

    @property
    def reason(self) -> str:
        """Why it stands so, as far as there is something to say: what a queued job waits for, why one failed."""
        return str(self._look()["reason"])

    @property
    def model(self) -> str | None:
        """The id under which `serve` made it a model."""
        return self._look()["model"]

    def watch(self) -> Job:
        """Show how far it is: in a notebook's cell the live page, elsewhere a line until the job has ended.

        The page does not hold up the cells that follow; `wait` does. An interrupt only stops showing.

        Example:
            >>> client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=10)).watch().about["step"]
            seafarer-...finished, step 10 of 10, loss 1.0000
            10
        """
        if in_cell(sys.stdout):
            from IPython.display import display

            from .. import ui  # pages are built upon the client, and needed only where one is looked at

            display(ui.FineTune(self._client, job=self.id))
            return self
        with contextlib.closing(self._client.loop.iterate(self._client.api.job_events(self.id))) as events:
            _write(self.name, self._folded(event for _, event in events), sys.stdout)
        self._look()
        return self

    def wait(self) -> Job:
        """Wait, in silence, until it has ended.

        Raises:
            TrainingError: it neither finished nor was stopped; the message says why.

        Example:
            >>> client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5)).wait().state
            'finished'
        """
        with contextlib.closing(self._client.loop.iterate(self._client.api.job_events(self.id))) as events:
            for _ in events:
                pass
        now = self._look()
        if now["state"] not in _ENDED_WELL:
            raise TrainingError(now["reason"] or f"The job {now['state']}.", remedy=now["remedy"], details=now)
        return self

    def points(self) -> pandas.DataFrame:
        """The curves so far.

        Returns:
            DataFrame: step, loss, eval_loss, learning_rate, epoch, tokens_per_s, elapsed_s (missing where the trainer
            did not say), and whatever else it told.

        Example:
            >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5)).wait()
            >>> list(job.points().step)
            [1, 2, 3, 4, 5]
        """
        points = self._client.run(self._client.api.job_points(self.id))["items"]
        told = [{**point, **point.get("more", {})} for point in points]
        further = dict.fromkeys(name for point in told for name in point if name not in (*_FIGURES, *_NO_FIGURES))
        return table(told, [*_FIGURES, *further])

    def log(self) -> str:
        """What the trainer printed so far.

        Example:
            >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5)).wait()
            >>> print(job.log())
            loading base...
        """
        texts, after, more = [], 0, True
        while more:
            told = self._client.run(self._client.api.job_log(self.id, after))
            texts.append(told["text"])
            after, more = told["after"], told["more"]
        return "".join(texts)

    def stop(self) -> None:
        """Have it finish its step, save and end; `resume` goes on from there. Does not wait for the end.

        Example:
            >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=1000))
            >>> job.stop()
            >>> job.wait().state
            'stopped'
        """
        self.about = self._client.run(self._client.api.stop_job(self.id))

    def resume(self) -> None:
        """Go on with a job that was stopped or failed, from its last checkpoint.

        Raises:
            Conflict: it is finished, or still stopping.

        Example:
            >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=60))
            >>> job.stop()
            >>> job.wait().resume()
            >>> job.wait().state
            'finished'
        """
        self.about = self._client.run(self._client.api.resume_job(self.id))

    def serve(self) -> str:
        """Make a model of what was learned, and return its id, usable everywhere; takes some seconds the first time.

        A job that still goes on is waited for.

        Raises:
            Conflict: the job came to nothing.
            TrainingError: it failed, or there is nothing that could be converted.

        Example:
            >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5)).wait()
            >>> model = job.serve()
            >>> client.chat("What is fog?", model=model, max_tokens=8, show=False).model == model
            True
        """
        if self._look()["ended_at"] is None:
            self.wait()
        self.about = self._client.run(self._client.api.serve_job(self.id))
        return str(self.about["model"])

    def share(self, *, person: str | None = None, group: str | None = None) -> list[str]:
        """Let a person or a group of a hub use the model that was made of it; without either, only say who may.

        Returns:
            Who may, besides its owner: ``person NAME`` and ``group NAME``.

        Raises:
            NotFound: `serve` has made no model of it yet.

        Example:
            >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5)).wait()
            >>> _ = job.serve()
            >>> job.share(group="researchers")
            ['group researchers']
            >>> job.unshare(group="researchers")
            []
        """
        return super().share(person=person, group=group)

    def unshare(self, *, person: str | None = None, group: str | None = None) -> list[str]:
        """Undo `share`; answers that are being written come to their end.

        Example:
            >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5)).wait()
            >>> _ = job.serve()
            >>> job.unshare(person="nobody")
            []
        """
        return super().unshare(person=person, group=group)

    def delete(self) -> None:
        """Take the ended job from the list; `restore` undoes it within a day. A model that was made of it stays.

        Example:
            >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5)).wait()
            >>> job.delete()
            >>> job.id in list(client.jobs.list().id)
            False
        """
        self._client.run(self._client.api.delete_job(self.id))

    def restore(self) -> None:
        """Undo `delete`.

        Example:
            >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5)).wait()
            >>> job.delete()
            >>> job.restore()
            >>> job.id in list(client.jobs.list().id)
            True
        """
        self.about = self._client.run(self._client.api.restore_job(self.id))

    @property
    def _shared(self) -> str:
        if (model := self.model) is None:
            raise NotFound("No model was made of this job yet.", remedy="Call its serve() first.")
        return model

    def _look(self) -> dict[str, Any]:
        self.about = self._client.run(self._client.api.job(self.id))
        return self.about

    def _folded(self, events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The job as it stands after each event, with `remaining_s` where the trainer said so."""
        now: dict[str, Any] = {"state": "queued", "remaining_s": None}
        for event in events:
            if event["type"] == "point":
                point = Point.from_dict(event)
                told = {name: getattr(point, name) for name in ("step", "total_steps", "loss", "remaining_s")}
                now |= {name: value for name, value in told.items() if value is not None}
            elif event["type"] == "state":
                now |= event
            yield now

    def __repr__(self) -> str:
        now = self.about
        step = f", step {now['step']} of {now['total_steps']}" if now["total_steps"] else ""
        loss = f", loss {now['loss']:.4g}" if now["loss"] is not None else ""
        return f"Job({self.name!r}, {now['state']}{step}{loss}, id={self.id!r})"


class Jobs:
    """The fine-tunes of the person who is connected: ``client.jobs``.

    Example:
        >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5)).wait()
        >>> client.jobs.list().state[0]
        'finished'
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self, base: str, dataset: str, recipe: Recipe | Mapping[str, Any] | None = None, name: str | None = None
    ) -> Job:
        """Begin one; the same as `Client.finetune`.

        Example:
            >>> client.jobs.create("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5), name="first try").name
            'first try'
        """
        asked = recipe.to_dict() if isinstance(recipe, Recipe) else recipe
        return Job(self._client, self._client.run(self._client.api.create_job(base, dataset, asked, name)))

    def open(self, id: str) -> Job:
        """The job with this id; a `NotFound` where there is none.

        Example:
            >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5))
            >>> client.jobs.open(job.id).name == job.name
            True
        """
        return Job(self._client, self._client.run(self._client.api.job(id)))

    def list(self, limit: int | None = None) -> pandas.DataFrame:
        """The fine-tunes, the newest first.

        Returns:
            DataFrame: id, name, base, dataset, state, step, total_steps, loss (the last), model (the id it is served
            under, or None), created_at, started_at, ended_at (with time zone), reason.

        Example:
            >>> job = client.finetune("smollm2-135m", "seafarer", llmws.Recipe(max_steps=5))
            >>> client.jobs.list(limit=1).id[0] == job.id
            True
        """
        return table(self._client.run(listed(self._client.api.jobs, limit)), _COLUMNS, _TIMES)


def _write(name: str, states: Iterator[dict[str, Any]], out: TextIO) -> None:
    """One line that is written over as the job goes on, not with each of its steps; in a file one for each state."""
    live, shown, shown_at, now = overwrites(out), "", 0.0, {}
    told: tuple[str, str] | None = None
    try:
        for now in states:
            changed = told != (told := (now["state"], now.get("reason", "")))
            line = _line(name, now)
            if live and (changed or time.monotonic() - shown_at > _FLUSH_S):
                out.write(f"\r{line.ljust(len(shown))}")
                out.flush()
                shown, shown_at = line, time.monotonic()
            elif not live and changed:
                out.write(f"{line}\n")
    finally:
        if live and now:
            out.write(f"\r{_line(name, now).ljust(len(shown))}\n")
        out.flush()


def _line(name: str, now: Mapping[str, Any]) -> str:
    """How a job stands, in a line.

    Example:
        >>> _line("seafarer-1", {"state": "running", "step": 12, "total_steps": 30, "loss": 1.5, "remaining_s": 70})
        'seafarer-1  running, step 12 of 30, loss 1.5000, 1:10 left'
    """
    parts = [str(now["state"])]
    if now.get("step") is not None:
        parts.append(f"step {now['step']}" + (f" of {now['total_steps']}" if now.get("total_steps") else ""))
    if now.get("loss") is not None:
        parts.append(f"loss {now['loss']:.4f}")
    if now["state"] == "running" and now.get("remaining_s"):
        minutes, seconds = divmod(round(now["remaining_s"]), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    why = " ".join(filter(None, [now.get("reason"), now.get("remedy")]))
    return f"{name}  {', '.join(parts)}" + (f". {why}" if why else "")
