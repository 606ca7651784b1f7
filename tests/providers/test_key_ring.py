"""Which key is taken, and which is left alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmws.errors import ProviderError
from llmws.providers.key_ring import BALANCE_S, LONGEST_RATE_S, RATE_S, Key, KeyRing

NOW = 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def refusal(code: str, retry_after_s: float | None = None, status: int | None = None) -> ProviderError:
    details: dict[str, Any] = {"retry_after_s": retry_after_s, "status": status}
    return ProviderError(
        "No.",
        code=code,
        retryable=code == "provider_rate",
        details={name: value for name, value in details.items() if value is not None},
    )


def ring(*weights: int, clock: Callable[[], float] | None = None, chance: float = 0.0, **options: Any) -> KeyRing:
    keys = [Key(f"k{number}", f"sk-secret-{number}", weight) for number, weight in enumerate(weights or (1, 1))]
    return KeyRing("Vendor", keys, clock=clock or Clock(), chance=lambda: chance, **options)


def free(keys: KeyRing, model: str = "m") -> set[str]:
    """The keys that may be taken, found by taking all that are not yet known."""
    found: set[str] = set()
    while keys.has_free(model, but=found):
        found.add(keys.take(model, but=found).id)
    return found


def test_no_repr_shows_a_key() -> None:
    assert "secret" not in repr(ring().take("m"))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any))
def test_keys_are_taken_by_their_weights(weights: list[int]) -> None:
    total = sum(weights)
    taken = Counter(ring(*weights, chance=(step + 0.5) / total).take("m").id for step in range(total))
    assert [taken[f"k{number}"] for number in range(len(weights))] == weights


def test_a_key_without_weight_is_for_when_there_is_no_other() -> None:
    keys = ring(1, 0, chance=0.999)
    assert keys.take("m").id == "k0"
    keys.park("k0", "m", refusal("provider_auth", status=401))
    assert keys.take("m").id == "k1"


def test_a_wrong_key_is_left_alone_until_a_person_says_so() -> None:
    clock = Clock()
    told: list[tuple[str, float | None, str]] = []
    keys = ring(clock=clock, on_parked=lambda *park: told.append(park))
    assert keys.park("k0", "m", refusal("provider_auth", status=401))
    assert told == [("k0", None, "provider_auth")]
    clock.now += 10_000_000
    assert free(keys) == free(keys, "another") == {"k1"}
    keys.unpark("k0")
    assert free(keys) == {"k0", "k1"}


def test_a_forbidden_model_says_nothing_of_the_key() -> None:
    keys = ring()
    assert not keys.park("k0", "m", refusal("provider_auth", status=403))
    assert free(keys) == {"k0", "k1"}


@pytest.mark.parametrize(
    "error",
    [
        refusal("provider_balance", status=402),
        # Anthropic's limit of what may be spent: a 429 that no waiting helps.
        ProviderError("Spend limit.", code="provider_rate", retryable=False, details={"status": 429}),
    ],
)
def test_an_empty_account_is_left_alone_for_an_hour(error: ProviderError) -> None:
    clock = Clock()
    keys = ring(clock=clock)
    keys.park("k0", "m", error)
    clock.now += BALANCE_S - 1
    assert free(keys, "another") == {"k1"}
    clock.now += 1
    assert free(keys, "another") == {"k0", "k1"}


def test_a_rate_limit_is_of_one_model_and_as_long_as_the_vendor_says() -> None:
    clock = Clock()
    told: list[tuple[str, float | None, str]] = []
    keys = ring(clock=clock, on_parked=lambda *park: told.append(park))
    keys.park("k0", "m", refusal("provider_rate", 7.0))
    assert told == [("k0", NOW + 7.0, "provider_rate")]
    assert (free(keys), free(keys, "another")) == ({"k1"}, {"k0", "k1"})
    clock.now += 7
    assert free(keys) == {"k0", "k1"}


def test_a_rate_limit_without_a_time_is_longer_each_time() -> None:
    clock = Clock()
    keys = ring(clock=clock)
    pauses = []
    for _ in range(8):
        keys.park("k0", "m", refusal("provider_rate"))
        began = clock.now
        while free(keys) != {"k0", "k1"}:
            clock.now += RATE_S / 2
        pauses.append(clock.now - began)
    assert pauses[:3] == [RATE_S, 2 * RATE_S, 4 * RATE_S]
    assert pauses[-1] == LONGEST_RATE_S
    keys.worked("k0", "m")
    keys.park("k0", "m", refusal("provider_rate"))
    clock.now += RATE_S
    assert free(keys) == {"k0", "k1"}


def test_of_calls_that_were_under_way_together_one_counts() -> None:
    clock = Clock()
    keys = ring(clock=clock)
    for _ in range(100):
        keys.park("k0", "m", refusal("provider_rate"))
    clock.now += RATE_S
    assert free(keys) == {"k0", "k1"}


def test_the_last_key_is_taken_though_limited_where_nobody_said_for_how_long() -> None:
    keys = ring()
    for key_id in ("k0", "k1"):
        keys.park(key_id, "m", refusal("provider_rate"))
    assert not keys.has_free("m")
    assert keys.take("m").id in ("k0", "k1")


def test_when_all_are_limited_it_says_for_how_long() -> None:
    keys = ring()
    keys.park("k0", "m", refusal("provider_rate", 30.0))
    keys.park("k1", "m", refusal("provider_rate", 20.0))
    with pytest.raises(ProviderError) as caught:
        keys.take("m")
    assert (caught.value.code, caught.value.retryable) == ("provider_rate", True)
    assert caught.value.details == {"retry_after_s": 20.0}
    assert keys.take("another")


@pytest.mark.parametrize(("code", "wait"), [("provider_auth", None), ("provider_balance", BALANCE_S)])
def test_when_all_are_refused_no_waiting_helps(code: str, wait: float | None) -> None:
    keys = ring()
    for key_id in ("k0", "k1"):
        keys.park(key_id, "m", refusal(code))
    with pytest.raises(ProviderError) as caught:
        keys.take("m")
    assert (caught.value.code, caught.value.retryable) == (code, False)
    assert caught.value.details.get("retry_after_s") == wait
    assert "secret" not in repr(caught.value.to_dict())


def test_what_the_store_says_is_parked_stays_so_after_a_restart() -> None:
    keys = KeyRing(
        "Vendor",
        [
            Key("refused", "", parked_reason="provider_auth"),
            Key("empty", "", parked_until=NOW + 9, parked_reason="provider_balance"),
            Key("topped-up", "", parked_until=NOW - 9, parked_reason="provider_balance"),
            Key("limited", "", parked_until=NOW + 9, parked_reason="provider_rate"),
        ],
        clock=Clock(),
    )
    assert free(keys) == {"topped-up", "limited"}


def test_it_knows_when_a_key_was_last_used() -> None:
    clock = Clock()
    keys = ring(1, clock=clock)
    assert keys.last_used_at == {}
    clock.now += 5
    keys.take("m")
    assert keys.last_used_at == {"k0": NOW + 5}


REFUSALS = st.sampled_from(["provider_auth", "provider_balance", "provider_rate", "provider_overloaded"])
STEPS = st.lists(
    st.tuples(st.integers(0, 3), REFUSALS, st.none() | st.floats(0.1, 1e5), st.floats(0, 5_000)), max_size=30
)


@given(STEPS, st.floats(0, 1, exclude_max=True))
def test_no_key_is_taken_while_its_vendor_said_not_to(steps: list[Any], chance: float) -> None:
    clock = Clock()
    until = dict.fromkeys(("k0", "k1", "k2", "k3"), 0.0)
    keys = ring(1, 2, 3, 0, clock=clock, chance=chance)
    for number, code, retry_after_s, later_s in steps:
        key_id = f"k{number}"
        keys.park(key_id, "m", refusal(code, retry_after_s))
        match code:
            case "provider_auth":
                until[key_id] = math.inf
            case "provider_balance" if until[key_id] != math.inf:
                until[key_id] = clock.now + (retry_after_s or BALANCE_S)
        clock.now += later_s
        with suppress(ProviderError):
            assert until[keys.take("m").id] <= clock.now + 0.1
