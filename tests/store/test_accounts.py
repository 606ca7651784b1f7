"""Accounts as they are remembered; every test runs on each kind of database."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llmws.errors import Conflict, NotFound
from llmws.store import Store, accounts
from llmws.store.accounts import Limit

LIMIT = Limit(free=3, first_s=1, most_s=60, forgive_s=600)
FIRST = 200_000


async def test_who_signed_up_waits_until_somebody_approves(store: Store) -> None:
    asked = await store.write(accounts.request, "ada", "hash")
    assert (asked.state, asked.uid, asked.approved_by) == ("waiting", None, None)
    assert await store.read(accounts.page, "waiting") == [asked]
    approved = await store.write(accounts.approve, "ada", by="grace")
    assert (approved.state, approved.approved_by, approved.password_hash) == ("active", "grace", "hash")
    assert await store.read(accounts.page, "waiting") == []
    with pytest.raises(Conflict):
        await store.write(accounts.approve, "ada", by="eve")
    assert (await store.read(accounts.get, "ada")).approved_by == "grace"


async def test_a_name_is_free_again_only_where_it_was_nobodys(store: Store) -> None:
    await store.write(accounts.request, "ada", "first")
    await store.write(accounts.refuse, "ada")
    await store.write(accounts.request, "ada", "second")
    await store.write(accounts.approve, "ada", by="grace")
    await store.write(accounts.disable, "ada")
    for take in (accounts.request, accounts.found):
        with pytest.raises(Conflict):
            await store.write(take, "ada", "third")
    with pytest.raises(Conflict):
        await store.write(accounts.refuse, "ada")
    assert (await store.read(accounts.get, "ada")).password_hash == "second"


async def test_a_number_is_handed_out_once(store: Store) -> None:
    assert [await store.write(accounts.uid, name, FIRST) for name in ("ada", "bob", "ada")] == [FIRST, FIRST + 1, FIRST]
    await store.write(accounts.disable, "bob")
    await store.write(accounts.request, "carol", "hash")
    assert await store.write(accounts.uid, "carol", FIRST) == FIRST + 2
    await store.write(accounts.refuse, "carol")
    assert (await store.read(accounts.get, "carol")).state == "disabled"
    assert await store.write(accounts.uid, "dave", FIRST) == FIRST + 3
    assert (await store.read(accounts.get, "dave")).password_hash is None


async def test_an_account_can_be_disabled_and_enabled_but_not_around_its_approval(store: Store) -> None:
    await store.write(accounts.request, "ada", "hash")
    for change in (accounts.enable, accounts.disable):
        with pytest.raises(Conflict):
            await store.write(change, "ada")
        with pytest.raises(NotFound):
            await store.write(change, "nobody")
    await store.write(accounts.approve, "ada", by="grace")
    assert (await store.write(accounts.disable, "ada")).state == "disabled"
    assert (await store.write(accounts.enable, "ada")).state == "active"


async def test_attempts_beyond_the_free_ones_wait_longer_each_time(store: Store, ticking: Callable[..., None]) -> None:
    ticking(accounts, step=0.0)
    limits = {"key": LIMIT}
    assert [(await store.write(accounts.attempt, limits)).refused_s for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
    waits, now = [], 1_000.0
    while len(waits) < 8:
        waits.append((await store.write(accounts.attempt, limits)).refused_s)
        now += waits[-1] + 0.001
        ticking(accounts, start=now, step=0.0)
        assert (await store.write(accounts.attempt, limits)).refused_s == 0.0
    assert [round(wait) for wait in waits] == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_what_is_refused_prolongs_nothing_and_what_is_long_ago_is_forgiven(
    store: Store, ticking: Callable[..., None]
) -> None:
    ticking(accounts, step=0.0)
    for _ in range(100):
        await store.write(accounts.attempt, {"key": LIMIT})
    ticking(accounts, start=1_001.5, step=0.0)
    assert (await store.write(accounts.attempt, {"key": LIMIT})).refused_s == 0.0
    ticking(accounts, start=1_001.5 + 3 * LIMIT.forgive_s, step=0.0)
    free = [(await store.write(accounts.attempt, {"key": LIMIT})).refused_s for _ in range(2)]
    assert free == [0.0, 0.0]


async def test_a_clock_that_ran_ahead_keeps_nobody_out_for_long(store: Store, ticking: Callable[..., None]) -> None:
    ticking(accounts, start=1_000_000.0, step=0.0)
    for _ in range(5):
        await store.write(accounts.attempt, {"key": LIMIT})
    ticking(accounts, start=1_000.0, step=0.0)
    assert (await store.write(accounts.attempt, {"key": LIMIT})).refused_s <= LIMIT.most_s


async def test_a_good_end_takes_its_own_attempt_back_and_no_other(store: Store, ticking: Callable[..., None]) -> None:
    ticking(accounts, step=0.0)
    own, shared = {"own": LIMIT}, {"shared": LIMIT}
    for _ in range(2):
        await store.write(accounts.attempt, shared)
    await store.write(accounts.attempt, own | shared)
    await store.write(accounts.forgive, own | shared, ["own"])
    assert [(await store.write(accounts.attempt, own)).refused_s for _ in range(3)] == [0.0, 0.0, 0.0]
    assert [(await store.write(accounts.attempt, shared)).refused_s for _ in range(2)] == [0.0, 1.0]


async def test_a_limit_that_does_not_refuse_tells_the_wait(store: Store) -> None:
    limit = Limit(free=2, first_s=0.5, most_s=5, forgive_s=600, refuses=False)
    told = [await store.write(accounts.attempt, {"key": limit}) for _ in range(8)]
    assert {admission.refused_s for admission in told} == {0.0}
    assert [admission.wait_s for admission in told] == [0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


async def test_a_code_works_once_and_not_for_ever(store: Store, ticking: Callable[..., None]) -> None:
    ticking(accounts, step=0.0)
    await store.write(accounts.offer_code, "older", 2_000.0)
    await store.write(accounts.offer_code, "newer", 2_000.0)
    assert [await store.read(accounts.is_offered, code) for code in ("older", "newer")] == [False, True]
    await store.write(accounts.use_code, "newer")
    with pytest.raises(NotFound):
        await store.write(accounts.use_code, "newer")
    await store.write(accounts.offer_code, "late", 2_000.0)
    ticking(accounts, start=2_000.0, step=0.0)
    assert not await store.read(accounts.is_offered, "late")
