from __future__ import annotations

from decimal import Decimal

from llmws.store import Store, usage
from llmws.store.usage import UsageRow


async def test_calls_are_listed_newest_first_for_their_owner_only(store: Store) -> None:
    for number in range(5):
        row = UsageRow("ada", "echo", "echo", "gateway", "stop", output_tokens=number, created_at=float(number))
        await store.write(usage.add, row)
    spent = {"cost": Decimal("0.250000000001"), "currency": "CNY", "groups": ("a", "b"), "error": "provider"}
    mine = UsageRow("eve", "deepseek", "chat", "chat", "error", cell="c1", total_s=1.5, **spent)
    await store.write(usage.add, mine)
    first, cursor = await store.read(usage.page, "ada", limit=3)
    rest, end = await store.read(usage.page, "ada", limit=3, cursor=cursor)
    assert [row.output_tokens for row in [*first, *rest]] == [4, 3, 2, 1, 0]
    assert [row.cost for row in first] == [None] * 3
    assert end is None
    assert (await store.read(usage.page, "eve"))[0] == [mine]
