"""Full-text search over 100,000 messages of one person, beside the naive search that others do.

The messages, half English-like words and half Chinese characters by Zipf's law, are 20 to a chat; nine other people
have as many again in the same database. Ours is `store.search.find`: all chats that hold the words, the first 50 with
the line that shows it. The peer is what Open WebUI does, a `LIKE` over all that was said, newest first, on the same
rows and without a line to show. Both are asked in turns: frequent and rare words, the beginning of one,
two Chinese characters, one.

    bench/search.py [--quick] [--json FILE]

Quick: SQLite alone, 20,000 messages and as many of others, no goal.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from _report import Row, arguments, finish, median, spread
from sqlalchemy import Connection, Text, cast, create_engine, insert, select

sys.path.insert(0, str(Path(__file__).parents[1]))

from llmws.messages import Message, Part
from llmws.store import Store, chats, new_id, search, search_index, tables
from llmws.store.search_index import Entry, place
from tests.store.postgresql_server import running

GOAL_MS = 100.0
MESSAGES, PER_CHAT, OTHERS = 100_000, 20, 9
PEER = "LIKE over the bodies"


class Writing:
    """Endless text of a made-up language and of Chinese characters, the same at every run."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        syllables = [
            first + second for first in "bdfgklmnprst" for second in ("a", "e", "i", "o", "u", "ai", "er", "on")
        ]
        words = {"".join(self._random.choices(syllables, k=1 + n % 3)) for n in range(40_000)}
        self.words = sorted(words, key=lambda word: (len(word), word))
        self.characters = [chr(0x4E00 + 7 * n) for n in range(2_500)]
        self._words = self._bank(self.words, 2, 1_000_000)
        self._characters = "".join(self._bank(self.characters, 20, 2_000_000))

    def _bank(self, of: list[str], offset: int, count: int) -> list[str]:
        weights = list(itertools.accumulate(1 / (n + offset) for n in range(len(of))))
        return self._random.choices(of, cum_weights=weights, k=count)

    def text(self, length: int) -> str:
        if self._random.random() < 0.5:
            at = self._random.randrange(len(self._words) - length)
            return " ".join(self._words[at : at + length])
        at = self._random.randrange(len(self._characters) - 2 * length)
        return self._characters[at : at + 3 * length // 2]


def questions(writing: Writing) -> dict[str, str]:
    words, characters = writing.words, writing.characters
    return {
        "a frequent word": words[0],
        "two frequent words": f"{words[0]} {words[1]}",
        "a rare word": words[15_000],
        "the beginning of a word": words[900][:3],
        "two frequent Chinese characters": characters[0] + characters[1],
        "two rare Chinese characters": characters[150] + characters[260],
        "one Chinese character": characters[0],
    }


def fill(connection: Connection, writing: Writing, owner: str, first: int, count: int) -> None:
    """`count` messages in chats numbered from `first`, as the store keeps and indexes them."""
    for number in range(first, first + count // PER_CHAT):
        chat_id, title, at = new_id(), writing.text(5), 1e9 + number
        about = {"model": "echo", "system": "", "parameters": {}, "created_at": at, "updated_at": at}
        connection.execute(insert(tables.chats).values(id=chat_id, owner=owner, title=title, number=number, **about))
        rows, entries = [], [Entry(place(number), owner, None, title)]
        for ordinal in range(1, PER_CHAT + 1):
            asked = ordinal % 2 == 1
            said = writing.text(30 if asked else 150)
            message = Message.user(said) if asked else Message("assistant", (Part("text", said),), model="echo")
            row = {"id": new_id(), "owner": owner, "chat_id": chat_id, "created_at": at, "body": message.to_dict()}
            rows.append(row)
            entries.append(Entry(place(number, ordinal), owner, row["id"], said))
        connection.execute(insert(tables.messages), rows)
        search_index.add(connection, entries)


def naive(connection: Connection, owner: str, text: str) -> int:
    """The first 50 chats that hold `text` somewhere, as a program without an index finds them."""
    said = cast(tables.messages.c.body, Text)
    # In JSON a Chinese character is written in ASCII.
    written = text.encode("ascii", "backslashreplace").decode()
    holds = select(tables.messages.c.chat_id).where(said.icontains(written, autoescape=True))
    found = chats.listed(owner, folder=None, tag=None, archived=None).where(tables.chats.c.id.in_(holds))
    return len(connection.execute(found.order_by(tables.chats.c.updated_at.desc()).limit(50)).all())


async def measure(name: str, address: str, count: int, rounds: int, with_goal: bool) -> list[Row]:
    store, writing = Store.open(address), Writing()
    try:
        await store.write(fill, writing, "ada", 1, count)
        for other in range(OTHERS):
            first = 1 + count // PER_CHAT + other * (count // OTHERS // PER_CHAT)
            await store.write(fill, writing, f"other-{other}", first, count // OTHERS // PER_CHAT * PER_CHAT)
        if name == "PostgreSQL":
            with create_engine(address, isolation_level="AUTOCOMMIT").connect() as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")
        rows = []
        for what, text in questions(writing).items():
            ours: list[float] = []
            theirs: list[float] = []
            for turn in range(rounds + 1):
                for function, times in ((search.find, ours), (naive, theirs))[:: 1 if turn % 2 else -1]:
                    began = time.perf_counter()
                    await store.read(function, "ada", text)
                    times.append((time.perf_counter() - began) * 1000)
            del ours[0], theirs[0]
            goal = (f"at most {GOAL_MS:g}", median(ours) <= GOAL_MS) if with_goal else (None, None)
            told = (PEER, median(theirs), median(ours) / median(theirs))
            rows.append(Row(f"{name}, {count:,} messages: {what}", median(ours), "ms", *told, *goal, spread(ours)))
        return rows
    finally:
        store.close()


def databases(folder: Path, quick: bool) -> Iterator[tuple[str, str]]:
    yield "SQLite", f"sqlite:///{folder / 'llmws.db'}"
    if not quick:
        with running() as server, server.database() as name:
            yield "PostgreSQL", server.address(name)


def main() -> None:
    asked = arguments(__doc__ or "")
    load = os.getloadavg()[0]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="llmws-bench-") as folder:
        for name, address in databases(Path(folder), asked.quick):
            count, rounds = (MESSAGES // 5, 5) if asked.quick else (MESSAGES, 9)
            rows += asyncio.run(measure(name, address, count, rounds, with_goal=not asked.quick))
    rows.append(Row(f"machine: load average on {os.cpu_count()} cores before", load, ""))
    if asked.quick:
        print("left out by --quick: PostgreSQL, 100,000 messages, the goal")
    finish(rows, asked.json)


if __name__ == "__main__":
    main()
