"""A provider's list of models, as it is asked for."""

from __future__ import annotations

import asyncio

from llmws.providers.base import ModelInfo
from llmws.providers.echo import Echo
from llmws.service.sources import Setup, Source
from llmws.store.model_lists import ModelList
from llmws.store.providers import Provider


class SlowVendor(Echo):
    """Answers with what it had when it was asked, once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.models_now = ["old"]
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def models(self) -> list[ModelInfo]:
        listed = [ModelInfo(name, name) for name in self.models_now]
        self.asked.set()
        await self.may_answer.wait()
        return listed


async def keep(listed: ModelList) -> None: ...


async def test_who_asks_for_the_list_now_gets_none_of_before() -> None:
    vendor = SlowVendor()
    row = Provider("lab", "", "ann", "Lab", "vllm", None, (), (), True, 0.0, 0.0)
    source = Source(Setup(row), lambda row, key: vendor, keep, lambda key_id, until, reason: None)
    source.refresh()
    await vendor.asked.wait()
    vendor.models_now = ["new"]
    listing = asyncio.create_task(source.list_now())
    vendor.may_answer.set()
    await listing
    assert [info.id for info in source.listed] == ["new"]
