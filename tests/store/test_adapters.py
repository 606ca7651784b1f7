from __future__ import annotations

import pytest

from llmws.errors import Conflict, NotFound
from llmws.store import Store, adapters, jobs, new_id


async def test_a_model_id_is_given_once(store: Store) -> None:
    await store.write(adapters.add, "ada", "seafarer-1", "b", None, "/1.gguf")
    await store.write(adapters.add, "eve", "seafarer-1-2", "b", None, "/2.gguf", "model")
    assert await store.read(adapters.free_id, "seafarer-1") == "seafarer-1-3"
    assert await store.read(adapters.free_id, "seafarer-2") == "seafarer-2"
    assert await store.read(adapters.free_id, "echo", ("echo",)) == "echo-2"
    assert [one.kind for one in await store.read(adapters.served)] == ["adapter", "model"]


async def test_adapters_are_added_listed_and_removed(store: Store) -> None:
    job = await store.write(jobs.create, "ada", new_id(), name="j", base="b", dataset="d", recipe={})
    tuned = await store.write(adapters.add, "ada", "seafarer", "smollm2-135m", job.id, "/runs/1/adapter.gguf")
    other = await store.write(adapters.add, "eve", "pirate", "smollm2-135m", None, "/runs/2/adapter.gguf")
    assert await store.write(adapters.add, "ada", "seafarer", "smollm2-135m", job.id, tuned.path) == tuned
    assert await store.read(adapters.list, "ada") == [tuned]
    assert await store.read(adapters.served) == [tuned, other]
    with pytest.raises(Conflict, match="'pirate'"):
        await store.write(adapters.add, "ada", "pirate", "smollm2-135m", None, "/elsewhere")
    with pytest.raises(NotFound):
        await store.write(adapters.remove, "ada", "pirate")
    await store.write(jobs.remove, job.id)
    assert (await store.read(adapters.get, "ada", "seafarer")).job_id is None
    await store.write(adapters.remove, "ada", "seafarer")
    with pytest.raises(NotFound):
        await store.read(adapters.get, "ada", "seafarer")
