"""A ledger for tests of other things: it lets everything be, and knows no price."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmws.messages import Usage
from llmws.service.metering import Bill, Call, Hold, Receipt


@dataclass
class FreeLedger:
    settled: list[Receipt] = field(default_factory=list)

    async def reserve(self, call: Call) -> Hold:
        return Hold(call)

    def bill(self, answered_by: str, usage: Usage, at: float) -> Bill:
        return Bill()

    def settle(self, hold: Hold, receipt: Receipt) -> None:
        self.settled.append(receipt)
