from __future__ import annotations

import time
from typing import Any

import pytest

from llmws.errors import Conflict, NotFound
from llmws.store import Store, jobs, new_id
from llmws.store.jobs import Job, JobEvent


async def create(store: Store, owner: str = "ada", id: str | None = None, name: str | None = "sea") -> Job:
    asked: dict[str, Any] = {"base": "smollm2-135m", "dataset": "seafarer", "recipe": {"method": "lora"}}
    return await store.write(jobs.create, owner, id or new_id(), name=name, **asked)


async def test_a_job_is_queued_claimed_and_ended(store: Store) -> None:
    job = await create(store)
    assert (job.state, job.intent, job.attempts, job.recipe) == ("queued", "run", 0, {"method": "lora"})
    assert await store.read(jobs.live) == [job]
    claimed = await store.write(
        jobs.update, "ada", job.id, when="queued", state="running", runner="gpu7", accelerators=("cuda:0",), attempts=1
    )
    assert (claimed.state, claimed.accelerators, claimed.runner) == ("running", ("cuda:0",), "gpu7")
    assert await store.read(jobs.live) == await store.read(jobs.of_runner, "gpu7") == [claimed]
    assert await store.read(jobs.of_runner, "gpu8") == []
    await store.write(jobs.update, "ada", job.id, when={"running"}, state="finished", ended_at=2.0)
    assert await store.read(jobs.live) == await store.read(jobs.of_runner, "gpu7") == []
    removed = await store.write(jobs.update, "ada", job.id, intent="delete")
    assert await store.read(jobs.of_runner, "gpu7") == [removed]


async def test_only_one_of_two_runners_gets_a_job(store: Store) -> None:
    job = await create(store)
    await store.write(jobs.update, "ada", job.id, when="queued", state="running", runner="first")
    with pytest.raises(Conflict, match="running") as refused:
        await store.write(jobs.update, "ada", job.id, when="queued", state="running", runner="second")
    assert refused.value.details == {"state": "running"}
    assert (await store.read(jobs.get, "ada", job.id)).runner == "first"


async def test_a_job_without_a_name_gets_the_next_one_that_is_free(store: Store) -> None:
    await create(store, name="seafarer-1")
    second = await create(store, name=None)
    await store.write(jobs.delete, "ada", second.id)
    assert [second.name, (await create(store, name=None)).name] == ["seafarer-2", "seafarer-3"]
    assert (await create(store, "eve", name=None)).name == "seafarer-1"


async def test_a_deleted_job_is_hidden_until_it_is_restored(store: Store) -> None:
    job = await create(store)
    await store.write(jobs.delete, "ada", job.id)
    with pytest.raises(NotFound):
        await store.read(jobs.get, "ada", job.id)
    assert (await store.read(jobs.page, "ada"))[0] == []
    assert (await store.read(jobs.anybodys, job.id)).id == job.id
    assert [one.id for one in await store.read(jobs.deleted, before=time.time() + 1)] == [job.id]
    assert await store.read(jobs.deleted, before=time.time() - 60) == []
    with pytest.raises(NotFound):
        await store.write(jobs.restore, "eve", job.id)
    assert await store.write(jobs.restore, "ada", job.id) == job
    await store.write(jobs.update, "ada", job.id, intent="delete")
    with pytest.raises(NotFound):
        await store.write(jobs.restore, "ada", job.id)


async def test_events_posted_again_are_kept_once_and_numbered_on(store: Store) -> None:
    job = await create(store)
    first = [JobEvent("state", "running"), *(JobEvent("point", str(step), {"loss": 1 / step}) for step in (1, 2))]
    assert [event.seq for event in await store.write(jobs.add_events, job.id, first)] == [1, 2, 3]
    again = [*first[1:], JobEvent("output", "1", {"text": "…"}), JobEvent("point", "3"), JobEvent("point", "3")]
    new = await store.write(jobs.add_events, job.id, again)
    assert [(event.seq, event.type, event.key) for event in new] == [(4, "output", "1"), (5, "point", "3")]
    kept = await store.read(jobs.events, "ada", job.id)
    assert [event.seq for event in kept] == [1, 2, 3, 4, 5]
    assert kept[1].body == {"loss": 1.0}
    assert await store.read(jobs.events, "ada", job.id, after=3, limit=1) == new[:1]
    assert [event.key for event in await store.read(jobs.events, "ada", job.id, type="point")] == ["1", "2", "3"]
    assert await store.read(jobs.last_event, job.id, "output") == new[0]
    assert await store.read(jobs.last_event, (await create(store)).id, "output") is None
    many = [JobEvent("output", str(line), {"text": "x"}) for line in range(1500)]
    assert len(await store.write(jobs.add_events, job.id, many)) == 1499


async def test_jobs_number_their_events_apart(store: Store) -> None:
    for job in (await create(store), await create(store)):
        assert (await store.write(jobs.add_events, job.id, [JobEvent("point", "1")]))[0].seq == 1


async def test_a_repeated_request_queues_once(store: Store) -> None:
    job_id = new_id()
    assert await create(store, id=job_id) == await create(store, id=job_id)
    assert len((await store.read(jobs.page, "ada"))[0]) == 1


async def test_jobs_are_paged_newest_first(store: Store) -> None:
    made = [(await create(store, name=str(number))).id for number in range(5)]
    first, cursor = await store.read(jobs.page, "ada", limit=3)
    await store.write(jobs.update, "ada", made[0], reason="an old one changes")
    rest, end = await store.read(jobs.page, "ada", limit=3, cursor=cursor)
    assert [job.id for job in [*first, *rest]] == made[::-1]
    assert end is None


async def test_a_removed_job_takes_its_events_along(store: Store) -> None:
    job = await create(store)
    await store.write(jobs.add_events, job.id, [JobEvent("point", "1")])
    await store.write(jobs.remove, job.id)
    again = await create(store, id=job.id)
    assert await store.read(jobs.events, "ada", again.id) == []


async def test_others_find_nothing(store: Store) -> None:
    job = await create(store)
    for attempt in (
        store.read(jobs.get, "eve", job.id),
        store.read(jobs.events, "eve", job.id),
        store.write(jobs.update, "eve", job.id, intent="delete"),
        store.write(jobs.delete, "eve", job.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await store.read(jobs.page, "eve"))[0] == []
    assert await store.read(jobs.get, "ada", job.id) == job


async def test_only_what_may_change_does(store: Store) -> None:
    job = await create(store)
    forbidden: dict[str, Any] = {"recipe": {}}
    with pytest.raises(TypeError, match="recipe"):
        await store.write(jobs.update, "ada", job.id, **forbidden)
