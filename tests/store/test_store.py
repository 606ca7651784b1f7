from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from llmws.errors import NotFound, SettingsError, StoreError
from llmws.messages import Message
from llmws.store import Store, adapters, chats, generations, jobs, messages, new_id, search
from llmws.store.jobs import JobEvent

WAIT_S = 60.0


async def test_what_was_written_is_read_back_after_reopening(address: str) -> None:
    store = Store.open(address)
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    store.close()
    store = Store.open(address)
    assert await store.read(chats.get, "ada", chat.id) == chat
    store.close()


async def test_a_reader_sees_one_moment_and_cannot_write(store: Store) -> None:
    looked, written = threading.Event(), threading.Event()

    def look_twice(connection: Connection) -> tuple[int, int]:
        before = len(chats.page(connection, "ada")[0])
        looked.set()
        written.wait(WAIT_S)
        return before, len(chats.page(connection, "ada")[0])

    reading = asyncio.create_task(store.read(look_twice))
    assert await asyncio.to_thread(looked.wait, WAIT_S)
    await store.write(chats.create, "ada", new_id(), "echo")
    written.set()
    assert await reading == (0, 0)
    assert len((await store.read(chats.page, "ada"))[0]) == 1
    with pytest.raises(StoreError, match="cannot be written"):
        await store.read(chats.create, "ada", new_id(), "echo")


async def test_a_failed_reader_is_no_reader_less(store: Store) -> None:
    for _ in range(10):
        with pytest.raises(NotFound):
            await store.read(chats.get, "ada", "none")
    assert await store.read(chats.page, "ada") == ([], None)


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d", "Ärger 船 🙂"])
async def test_no_text_is_refused(store: Store, text: str) -> None:
    """What a column cannot hold is replaced; a message, kept as JSON, holds anything."""
    kept = text.replace("\0", "\ufffd").replace("\ud83d", "\ufffd")
    chat = await store.write(chats.create, "ada", new_id(), "echo", text)
    assert chat.title == kept
    assert [hit.chat for hit in (await store.read(search.find, "ada", text))[0]] == [chat]
    said = await store.write(messages.append, "ada", new_id(), Message.user(text), chat_id=chat.id)
    assert (await store.read(messages.get, "ada", said.id)).message.text == text


async def test_a_number_that_is_none_becomes_nothing(store: Store) -> None:
    job = await store.write(jobs.create, "ada", new_id(), base="b", dataset="d", recipe={"rate": float("inf")})
    assert job.recipe == {"rate": None}
    assert (await store.write(jobs.update, "ada", job.id, loss=float("nan"))).loss is None
    told = [JobEvent("point", "1", {"loss": float("nan"), "more": [1.5, float("-inf")]})]
    await store.write(jobs.add_events, job.id, told)
    assert (await store.read(jobs.events, "ada", job.id))[0].body == {"loss": None, "more": [1.5, None]}


async def test_names_are_in_the_order_of_their_letters(store: Store, ticking: Callable[..., None]) -> None:
    """Of their bytes, that is: where a dictionary is followed, `a` comes before `B` and `_` counts for nothing."""
    ticking(adapters, step=0.0)
    names = ["B", "_c", "a", "b", "ä", "A-1", "A1"]
    for name in names:
        await store.write(adapters.add, "ada", name, "base", None, f"/{name}")
    assert [adapter.id for adapter in await store.read(adapters.served)] == sorted(names)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://ada:secret@db/llmws",
        "postgresql+asyncpg://ada:secret@db/llmws",
        "postgresql+psycopg://ada:se@secret@db/llmws",
        "postgresql+psycopg://ada:secret@db:port/llmws",
        "nonsense",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(SettingsError, match="not the address") as refused:
        Store.open(url)
    assert "secret" not in "".join(traceback.format_exception(refused.value))


# Killed in the middle of writing

WRITING = """
import asyncio, os, sys
from llmws.messages import Message, StreamEvent
from llmws.store import Store, adapters, chats, generations, messages, new_id, search

store = Store.open(sys.argv[1])

def told(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

async def talk():
    chat = await store.write(chats.create, "ada", new_id(), "echo")
    while True:
        id, position = new_id(), 0
        begun = await store.write(generations.begin, "ada", id, model="echo", provider="echo",
                                  chat_id=chat.id, message=Message.user("Hello"))
        told("began", id, begun.message.id)
        for _ in range(5):
            stretch = generations.segments([StreamEvent("text", text="0123456789")], position)
            await store.write(generations.append_segments, id, stretch)
            position = stretch[-1].last_seq
            told("said", id, position)
        await store.write(generations.finish, id, Message("assistant", finish_reason="stop"))
        told("ended", id, 0)

async def main():
    await asyncio.gather(*(talk() for _ in range(20)))

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [30, 200, 700])
async def test_what_was_acknowledged_survives_sigkill(address: str, after: int) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITING, address, stdout=subprocess.PIPE)
    assert child.stdout is not None
    lines = [await child.stdout.readline() for _ in range(after)]
    child.kill()
    lines += (await child.stdout.read()).splitlines()
    assert await child.wait() == -signal.SIGKILL

    store = Store.open(address)
    said: dict[str, int] = {}
    ended: set[str] = set()
    for word, generation_id, rest in (line.decode().split() for line in lines):
        if word == "began":
            assert (await store.read(messages.get, "ada", rest)).message.text == "Hello"
        elif word == "said":
            said[generation_id] = int(rest)
        else:
            ended.add(generation_id)
    await store.write(generations.interrupt_running)
    for generation_id, position in said.items():
        generation = await store.read(generations.get, "ada", generation_id)
        answer = await store.read(messages.get, "ada", generation.message_id)
        if generation.finish_reason == "interrupted":
            assert generation_id not in ended
            assert len(answer.message.text) >= position
        else:
            assert generation.finish_reason == answer.message.finish_reason == "stop"
    store.close()
