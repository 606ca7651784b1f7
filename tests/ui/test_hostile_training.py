"""Hostile text in the whole fine-tune page: datasets that somebody made, and what a trainer says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from llmws.recipe import Recipe
from llmws.settings import Settings
from llmws.store import jobs
from llmws.store.jobs import JobEvent
from llmws.ui.runs import LOG_CHARACTERS
from tests.service.harness import Running, running_service
from tests.service.test_hub_identity import CHAT, TRAIN, Hub, serving, user
from tests.service.workshop import BASE, Workshop

from . import hostile
from .attacked import OpenAs, open_as, press_all, seed

__all__ = ["open_as"]

pytestmark = pytest.mark.long

PIA = "token-p"
TEXTS = hostile.short()
NAMES = hostile.short(255)[:900]
# A terminal writes over what stands before a carriage return.
LINES = [text for text in hostile.short(100) if "\r" not in text and "\x1b" not in text]
LOG = "\n".join(LINES)[:LOG_CHARACTERS].rpartition("\n")[0]
# Of a path the last part is told.
FILES = [text for text in hostile.short(200) if not {"/", "\0"} & set(text)]


def put(connection: Connection) -> None:
    for number, name in enumerate(hostile.packed(255, NAMES)):
        jobs.create(connection, "pia", f"job{number}", base=name, dataset=name, recipe=Recipe().to_dict(), name=name)
    everything = "\n".join(TEXTS)
    jobs.create(
        connection, "pia", "shown", base=everything, dataset=everything, recipe=Recipe().to_dict(), name="Shown"
    )
    output = {"offset": 0, "end": len(LOG), "text": LOG}
    why = {"state": "failed", "reason": everything, "remedy": everything, "ended_at": time.time()}
    failed = JobEvent("state", "1", {**why, "at": time.time(), "attempts": 1, "round": 1})
    jobs.add_events(connection, "shown", [JobEvent("output", "0", output), failed, JobEvent("state", "2", failed.body)])
    jobs.update(connection, "pia", "shown", **why)


def put_datasets(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # A long text of a row is cut.
    rows = [{"instruction": text, "output": text} for text in hostile.packed(480, TEXTS)[:3]]
    (folder / "rows.json").write_text(json.dumps(rows))
    told = {
        name: {"file_name": name, "description": name, "language": name, "manner": {name: name, "opens": name}}
        for name in hostile.packed(200, FILES)
    }
    (folder / "dataset_info.json").write_text(json.dumps({**told, "rows": {"file_name": "rows.json"}}))


@pytest.fixture
def hub(settings: Settings, tmp_path: Path) -> Iterator[Running]:
    workshop = Workshop.make(tmp_path, settings)
    seed(settings, put)
    put_datasets(settings.data / "datasets")
    with (
        serving(Hub({PIA: user("pia", CHAT, TRAIN)})) as told,
        running_service(replace(workshop.settings, idle_exit_s=0.0, runner_token="runs"), told.service) as running,
    ):
        yield running


def test_datasets_and_runs_are_but_text(open_as: OpenAs, hub: Running) -> None:
    attacked = open_as(hub.instance.url, PIA, "FineTune", base=BASE)
    page = attacked.page
    attacked.shows("names of datasets", FILES, ".lw-pick strong")
    attacked.shows("languages of datasets", FILES, ".lw-pick small")
    attacked.shows("descriptions of datasets", FILES, ".lw-pick-text")
    attacked.shows("manners of datasets", FILES, ".lw-tags")
    attacked.shows("names of files that are missing", FILES, ".lw-pick .lw-bad")
    attacked.check()
    press_all(page.locator(".lw-side-list > .lw-link"), page.locator(".lw-run-entry"))
    attacked.shows("names of runs", NAMES, ".lw-run-entry")
    attacked.check()
    page.locator(".lw-run-entry", has_text="Shown").first.click()
    attacked.shows("lines of a log", LOG.split("\n"), ".lw-output-text")
    attacked.shows("reasons of a run", TEXTS, ".lw-notice strong")
    attacked.shows("remedies of a run", TEXTS, ".lw-notice p")
    attacked.shows("its dataset and base", TEXTS, ".lw-about dd")
    attacked.check()
