"""Several keys of one provider: which to take, and which to leave alone for a while because its vendor refused it.

Nothing here knows where keys are kept: whoever keeps them gives them, and is told when one is parked.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import ProviderError

# An account without balance is asked again after so long: somebody may have topped it up.
BALANCE_S = 3_600.0
# A key whose vendor limits the rate without a word for how long.
RATE_S, LONGEST_RATE_S = 60.0, 900.0
# Clocks and sleeps are not exact; a key that is free by then is free.
_NEARLY_S = 0.05
# People may name models as they like; what each of them met must not fill the memory.
MOST_KNOWN = 10_000

# Told the key's id, when it may be taken again (None: when a person says so), and the code of what its vendor said.
OnParked = Callable[[str, float | None, str], None]


@dataclass(frozen=True, slots=True)
class Key:
    """A key and how often it is taken beside others; `value` is in no repr.

    `parked_until` and `parked_reason` are as the store has them: a key is parked where there is a reason, and without
    a time it stays so until a person takes it up again.

    Example:
        >>> Key("k1", "sk-secret", weight=2)
        Key(id='k1', weight=2, parked_until=None, parked_reason=None)
    """

    id: str
    value: str = field(repr=False)
    weight: int = 1
    parked_until: float | None = None
    parked_reason: str | None = None


class _Park(NamedTuple):
    until: float | None
    reason: str
    # The vendor said for how long. Where it did not, the key is only the last to be taken.
    told: bool = True
    in_a_row: int = 1


class KeyRing:
    """The keys of one provider; lives as long as the provider is kept.

    A refused key (``provider_auth``) and an empty account (``provider_balance``) park a key whole; a rate limit parks
    it for the model that was asked, since vendors count each apart.

    Args:
        name: what people call the provider.
        on_parked: told of each key that is parked.
        clock: seconds since the epoch.
        chance: a number from 0 up to 1, another each time.

    Example:
        >>> ring = KeyRing("DeepSeek", [Key("a", "sk-a"), Key("b", "sk-b")])
        >>> ring.park("a", "deepseek-chat", ProviderError("Wrong key.", code="provider_auth"))
        True
        >>> ring.take("deepseek-chat").id
        'b'
    """

    def __init__(
        self,
        name: str,
        keys: Sequence[Key],
        on_parked: OnParked = lambda key_id, until, reason: None,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.last_used_at: dict[str, float] = {}
        self._keys = tuple(keys)
        self._on_parked = on_parked
        self._clock = clock
        self._chance = chance
        self._parked: dict[str, _Park] = {}
        self._limited: dict[tuple[str, str], _Park] = {}
        for key in keys:
            # A rate limit is short and of one model: not worth what it would cost all of them after a restart.
            if key.parked_reason is not None and key.parked_reason != "provider_rate":
                self._parked[key.id] = _Park(key.parked_until, key.parked_reason)

    def take(self, model: str, but: Collection[str] = ()) -> Key:
        """A key for `model`, none of the ids in `but`: by weight among those that are free.

        Raises:
            ProviderError: all are parked; ``retry_after_s`` in its details says for how long, where that is known.
        """
        now = self._clock()
        parks = {key: self._park_of(key, model, now) for key in self._keys if key.id not in but}
        free = [key for key, park in parks.items() if park is None]
        free = free or [key for key, park in parks.items() if park is not None and not park.told]
        if not free:
            raise self._none_free(list(filter(None, parks.values())), now)
        key = self._by_weight(free)
        self.last_used_at[key.id] = now
        return key

    def has_free(self, model: str, but: Collection[str] = ()) -> bool:
        """Whether `take` would find a key that nothing speaks against."""
        now = self._clock()
        return any(key.id not in but and self._park_of(key, model, now) is None for key in self._keys)

    def park(self, key_id: str, model: str, error: ProviderError) -> bool:
        """Leave a key alone as `error` demands, met when `model` was asked; whether it does demand that.

        A 403 is a matter of the model or the place as often as of the key, so it parks nothing.
        """
        told_s = error.details.get("retry_after_s")
        if error.code == "provider_rate" and error.retryable:
            park = self._limit(key_id, model, told_s)
        elif error.code in ("provider_rate", "provider_balance"):
            park = self._keep(key_id, _Park(self._clock() + (told_s or BALANCE_S), "provider_balance"))
        elif error.code == "provider_auth" and error.details.get("status") != 403:
            park = self._keep(key_id, _Park(None, error.code))
        else:
            return False
        self._on_parked(key_id, park.until, park.reason)
        return True

    def unpark(self, key_id: str) -> None:
        """A person says that the key is good again."""
        self._parked.pop(key_id, None)
        for limited in [each for each in self._limited if each[0] == key_id]:
            self.worked(*limited)

    def worked(self, key_id: str, model: str) -> None:
        """The key was accepted for `model`."""
        self._limited.pop((key_id, model), None)

    def _keep(self, key_id: str, park: _Park) -> _Park:
        # Calls that were under way may meet less than what is known.
        known = self._parked.get(key_id)
        if known is None or known.until is not None:
            known = self._parked[key_id] = park
        return known

    def _limit(self, key_id: str, model: str, told_s: float | None) -> _Park:
        """Park a key for one model; without a word of the vendor twice as long each time."""
        in_a_row = 1
        if (last := self._limited.pop((key_id, model), None)) is not None:
            # Of calls that were under way together one counts.
            in_a_row = last.in_a_row + (last.until is None or last.until <= self._clock())
        pause_s = min(LONGEST_RATE_S, RATE_S * 2 ** min(in_a_row - 1, 10)) if told_s is None else told_s
        if len(self._limited) >= MOST_KNOWN:
            self._limited.pop(next(iter(self._limited)))
        park = _Park(self._clock() + pause_s, "provider_rate", told_s is not None, in_a_row)
        self._limited[key_id, model] = park
        return park

    def _park_of(self, key: Key, model: str, now: float) -> _Park | None:
        for park in (self._parked.get(key.id), self._limited.get((key.id, model))):
            if park is not None and (park.until is None or park.until > now + _NEARLY_S):
                return park
        return None

    def _by_weight(self, keys: Sequence[Key]) -> Key:
        if len(keys) == 1:
            return keys[0]
        left = self._chance() * sum(max(key.weight, 0) for key in keys)
        for key in keys:
            left -= max(key.weight, 0)
            if left < 0:
                return key
        return keys[-1]

    def _none_free(self, parks: Sequence[_Park], now: float) -> ProviderError:
        timed = [park for park in parks if park.until is not None]
        if not timed:
            return ProviderError(
                f"{self.name} has refused every key it was given.",
                remedy="Correct or test the keys in its settings.",
                code="provider_auth",
            )
        first = min(timed, key=lambda park: park.until or 0.0)
        wait_s = max(0.0, (first.until or now) - now)
        limited = first.reason == "provider_rate"
        return ProviderError(
            f"{self.name} limits how often it may be asked." if limited else f"No key of {self.name} has balance left.",
            remedy=f"Wait {wait_s:.0f} s, then ask again." if limited else "Top it up, or choose another model.",
            code=first.reason,
            retryable=limited,
            details={"retry_after_s": round(wait_s, 1)},
        )
