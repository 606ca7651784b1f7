from __future__ import annotations

from typing import Any

import pytest

from llmws.errors import Conflict, NotFound
from llmws.store import Store, capabilities, grants, model_lists, new_id, provider_keys, providers
from llmws.store.model_lists import ModelList
from llmws.store.providers import Provider


async def add(store: Store, owner: str, creation_id: str | None = None, **more: Any) -> Provider:
    more = {"vendor": "deepseek", "name": "DeepSeek", **more}
    return await store.write(providers.create, owner, creation_id or new_id(), **more)


async def test_providers_are_added_changed_and_found(store: Store) -> None:
    made = await add(store, "ada", only=["deepseek-*"], fallbacks=["echo"], base_url="https://example.org/v1")
    assert (made.id, made.only, made.fallbacks, made.enabled) == ("deepseek", ("deepseek-*",), ("echo",), True)
    assert await store.read(providers.get, "ada", "deepseek") == made
    with pytest.raises(NotFound, match="'deepseek'"):
        await store.read(providers.get, "eve", "deepseek")
    changed = await store.write(providers.update, made.id, base_url=None, enabled=False, only=[])
    assert (changed.base_url, changed.enabled, changed.only) == (None, False, ())
    assert changed.updated_at > made.updated_at
    with pytest.raises(TypeError, match="owner"):
        await store.write(providers.update, made.id, owner="eve")
    assert await store.read(providers.all_of_them) == [changed]


async def test_a_provider_s_id_is_given_once(store: Store) -> None:
    ids = [(await add(store, owner)).id for owner in ("ada", "eve", "ada")]
    assert ids == ["deepseek", "deepseek-2", "deepseek-3"]
    assert (await add(store, "ada", vendor="acme", taken={"acme"})).id == "acme-2"
    assert (await add(store, "ada", id="mine")).id == "mine"
    with pytest.raises(Conflict, match="'mine'"):
        await add(store, "eve", id="mine")
    with pytest.raises(Conflict, match="'file'"):
        await add(store, "eve", id="file", taken={"file"})


async def test_a_repeated_request_adds_one_provider_and_one_key(store: Store) -> None:
    creation_id, key_id = new_id(), new_id()
    assert await add(store, "ada", creation_id) == await add(store, "ada", creation_id)
    first = await store.write(provider_keys.add, "deepseek", key_id, "c1")
    assert await store.write(provider_keys.add, "deepseek", key_id, "c2") == first
    assert await store.read(provider_keys.of, "deepseek") == [first]
    # Which added nothing to another provider, and must not seem to have.
    await add(store, "ada", new_id())
    with pytest.raises(Conflict, match="elsewhere"):
        await store.write(provider_keys.add, "deepseek-2", key_id, "c1")


async def test_keys_are_added_parked_used_and_removed(store: Store) -> None:
    await add(store, "ada")
    first = await store.write(provider_keys.add, "deepseek", new_id(), "c1")
    second = await store.write(provider_keys.add, "deepseek", new_id(), "c2", "team", 3)
    assert [(key.label, key.weight) for key in (first, second)] == [("key 1", 1), ("team", 3)]
    parked = await store.write(
        provider_keys.update, "deepseek", first.id, parked_until=9.0, parked_reason="provider_rate"
    )
    assert (parked.parked_until, parked.parked_reason) == (9.0, "provider_rate")
    await store.write(provider_keys.used, {second.id: 7.0, new_id(): 8.0})
    await store.write(provider_keys.reencrypt, {first.id: "d1"})
    known = await store.read(provider_keys.of, "deepseek")
    assert [(key.ciphertext, key.last_used_at, key.parked_until) for key in known] == [
        ("d1", None, 9.0),
        ("c2", 7.0, None),
    ]
    with pytest.raises(NotFound, match="no such key"):
        await store.write(provider_keys.update, "other", first.id, label="x")
    with pytest.raises(TypeError, match="ciphertext"):
        await store.write(provider_keys.update, "deepseek", first.id, ciphertext="x")
    await store.write(provider_keys.remove, "deepseek", first.id)
    assert [key.label for key in await store.read(provider_keys.of, "deepseek")] == ["team"]


async def test_a_list_replaces_the_one_before(store: Store) -> None:
    for listed_at in (1.0, 2.0):
        await store.write(model_lists.put, ModelList("deepseek", ({"id": f"m{listed_at:.0f}"},), listed_at))
    assert await store.read(model_lists.all_of_them) == [ModelList("deepseek", ({"id": "m2"},), 2.0)]


async def test_each_source_says_one_thing_of_a_capability(store: Store) -> None:
    await store.write(capabilities.put, "deepseek", "m", "tools", False, "probe")
    probed = await store.write(capabilities.put, "deepseek", "m", "tools", True, "probe")
    corrected = await store.write(capabilities.put, "deepseek", "m", "context", 128_000, "person")
    known = await store.read(capabilities.all_of_them)
    assert sorted(known, key=lambda one: one.name) == [corrected, probed]
    await store.write(capabilities.remove, "deepseek", "m", "tools", "probe")
    assert await store.read(capabilities.all_of_them) == [corrected]


async def test_a_provider_that_is_removed_leaves_nothing(store: Store) -> None:
    for name in ("deepseek", "deepseek-2"):
        await add(store, "ada")
        await store.write(provider_keys.add, name, new_id(), "c")
        await store.write(model_lists.put, ModelList(name, (), 1.0))
        await store.write(capabilities.put, name, "m", "tools", True, "probe")
        await store.write(grants.add, providers.NOUN, name, "group", "researchers")
        await store.write(grants.add, providers.MODEL_NOUN, f"{name}/m", "person", "eve")
    await store.write(providers.remove, "deepseek")
    assert [one.id for one in await store.read(providers.all_of_them)] == ["deepseek-2"]
    assert [one.provider_id for one in await store.read(provider_keys.all_of_them)] == ["deepseek-2"]
    assert [one.provider_id for one in await store.read(model_lists.all_of_them)] == ["deepseek-2"]
    assert [one.provider_id for one in await store.read(capabilities.all_of_them)] == ["deepseek-2"]
    assert [one.thing_id for one in await store.read(grants.all_of, providers.NOUN)] == ["deepseek-2"]
    assert [one.thing_id for one in await store.read(grants.all_of, providers.MODEL_NOUN)] == ["deepseek-2/m"]
