"""The ledger: what a call costs, whether it may be, and what all calls came to.

Everything that a call asks of it is answered from memory: prices, limits, and what was used so far, read once when the
service starts. What is held back for running calls is in memory only; a service that was killed finds the calls that
ran as interrupted generations, and settles them when it starts.

Rows are kept many at a time: while some are being committed those that end meanwhile gather, and go together with the
next commit, which so takes as long for hundreds as for one. While they keep coming, each commit waits `GATHER_S` for
them; a row that comes alone waits for nobody.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

from ..errors import Forbidden, StoreError
from ..messages import Message, StreamEvent, Usage
from ..providers.prices import Price
from ..store import Store
from ..store import generations as kept_generations
from ..store import usage as kept
from ..store.generations import Generation
from ..store.usage import UsageRow
from .allowances import Demand
from .here import here
from .identity import Person
from .limits import Limits
from .metering import Bill, Call, Hold, Receipt, estimate_messages, usage_row
from .prices import Prices

LOG = logging.getLogger("llmws.service")

# What one commit takes; more would make those who wait for it wait long.
_MOST_AT_ONCE = 1000
# A transaction costs as much as ten rows: the fewer, the more is left for streams.
GATHER_S = 0.005
# How long rows wait that could not be kept: the disk is full, the database away.
PAUSE_S = 5.0
# How long an answer is taken to get where nobody said: most are shorter.
UNSAID_TOKENS = 4096


# What a generation used that was broken off: of which, what was said before it, and what it had said.
Interrupted = Callable[["Ledger", Generation, Sequence[Message], Message], UsageRow]


class Ledger:
    """One for the service; `start` it before it is asked."""

    def __init__(self, store: Store, prices: Prices) -> None:
        self.prices = prices
        self.limits = Limits(store)
        self._store = store
        self._waiting: list[tuple[UsageRow, asyncio.Future[None]]] = []
        self._keeping: asyncio.Task[None] | None = None
        self._kept_at = -math.inf
        self._later: list[UsageRow] = []

    async def start(self, interrupted: Interrupted) -> None:
        """Settle what a crash broke off, and read what was used so far.

        Args:
            interrupted: says what a generation used that was broken off.
        """
        await self.prices.load()
        await self._store.write(kept_generations.interrupt_running, partial(interrupted, self))
        await self.limits.start()

    async def stop(self) -> None:
        """Keep what is left to be kept."""
        self._try_again()
        while self._keeping is not None:
            await self._keeping
        if self._later:
            LOG.error("%d usage rows are lost", len(self._later))

    async def reserve(self, call: Call) -> Hold:
        """Hold what the call may use.

        Raises:
            LimitReached: a budget or rate has no room for it.
            Forbidden: the model has no price, and is asked under a limit that wants one.
        """
        now, hold = time.time(), Hold(call)
        self._require_price(call.person, call.model, call.provider_id, now)
        if any(one.limit.unit not in ("requests", "parallel") for one in self.limits.binding(call.person, call.model)):
            _estimate(hold, self.prices.find(call.model, call.provider_id, now), now)
        self.limits.reserve(hold, now)
        return hold

    def admit(self, person: Person, model: str) -> None:
        """Raise why `model` may not step in for another: what `reserve` would, of a call of which nothing is known."""
        now = time.time()
        self._require_price(person, model, None, now)
        self.limits.check(self.limits.binding(person, model), now)

    def _require_price(self, person: Person, model: str, provider_id: str | None, at: float) -> None:
        forbidden = any(one.limit.forbid_unpriced for one in self.limits.binding(person, model))
        if forbidden and self.prices.find(model, provider_id, at) is None:
            raise Forbidden(
                f"The model {model!r} has no price, and your limits allow only what has one.",
                remedy="Choose another model, or ask an administrator to set its price.",
                code="unpriced",
            )

    def bill(self, answered_by: str, usage: Usage, at: float) -> Bill:
        """What `usage` costs of the model that answered, when the call ended at `at`."""
        price = self.prices.find(answered_by, at=at)
        if price is None:
            return Bill()
        return Bill(price.cost(usage, at), price.currency, price.told)

    def settle(self, hold: Hold, receipt: Receipt) -> None:
        """Give back what was held, and count what was used instead."""
        self.limits.settle(hold, receipt)

    async def keep(self, row: UsageRow) -> None:
        """Keep a row; returns once it is committed, and raises the `StoreError` why it cannot be.

        It is kept also where who waits is cancelled; and where it cannot be now, that is tried again until it can.
        """
        await asyncio.shield(self._submit(row))

    async def record(self, receipt: Receipt, tail: list[StreamEvent]) -> list[StreamEvent]:
        """Settles a call of which nothing but its usage is kept; see `metering.Settle`."""
        if (row := usage_row(receipt)) is not None:
            await self.keep(row)
        return tail

    def _submit(self, row: UsageRow) -> asyncio.Future[None]:
        kept_row = asyncio.get_running_loop().create_future()
        self._waiting.append((row, kept_row))
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_all(), name="usage rows")
        return kept_row

    def _try_again(self) -> None:
        later, self._later = self._later, []
        for row in later:
            # Nobody waits any more; a row that was kept after all, without our hearing of it, is refused as known.
            self._submit(row).add_done_callback(asyncio.Future.exception)

    async def _keep_all(self) -> None:
        try:
            while self._waiting:
                if time.monotonic() - self._kept_at < 4 * GATHER_S:
                    await asyncio.sleep(GATHER_S)
                batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
                await self._keep_batch(batch)
                self._kept_at = time.monotonic()
        finally:
            self._keeping = None

    async def _keep_batch(self, batch: list[tuple[UsageRow, asyncio.Future[None]]]) -> None:
        try:
            await self._store.write(kept.add_all, [row for row, _ in batch])
        except Exception as problem:  # noqa: BLE001 - whatever it is, those who wait are told
            if isinstance(problem, StoreError):
                LOG.error("%d usage rows could not be kept: %s", len(batch), problem)
                self._later += [row for row, _ in batch]
                asyncio.get_running_loop().call_later(PAUSE_S, self._try_again)
            if isinstance(problem, StoreError) or len(batch) == 1:
                for _, kept_row in batch:
                    kept_row.set_exception(problem)
                return
            # One that does not fit is not to take the others with it.
            for one in batch:
                await self._keep_batch([one])
        else:
            for _, kept_row in batch:
                kept_row.set_result(None)


def _estimate(hold: Hold, price: Price | None, at: float) -> None:
    """Say how many tokens, and how much money, the call may use."""
    request = hold.call.request
    said, read = request.parameters.max_tokens, estimate_messages(request.messages)
    written = UNSAID_TOKENS if said is None else said
    hold.tokens = Demand(read if said is None else read + written, read + written)
    if price is not None:
        # As if all of it were thought, where that costs more.
        thought = written if request.parameters.reasoning_effort != "none" else 0
        most = price.cost(Usage(read, written, thought), at)
        least = price.cost(Usage(read), at) if said is None else most
        hold.cost, hold.currency = Demand(least, most), price.currency


TheLedger = Annotated[Ledger, here("ledger")]
