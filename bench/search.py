"""`bench/search`: what the index costs, and how long answers take, over a million messages.

Messages of made-up words (Zipf's law, the first one in some 30 % of them) are stored, noted and
indexed as the store does it, and looked for by the worker's own Searcher. Exit 1 when the median of
any kind of search takes more than 100 ms of CPU.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from hubbub import frames
from hubbub.wire import Kind
from worker import index
from worker.migrate import migrate
from worker.query import DAY, parse
from worker.records import EventRow, RoomKind
from worker.searching import Search, Searcher

VOCABULARY, ROOMS, SENDERS = 50_000, 200, 2_000
TURN = 100  # messages stored at once, and indexed at once
BEGAN = 1_735_689_600_000  # 2025-01-01; the messages are spread over a year
OWN = frozenset({3, 50, 180})  # rooms that the asker is in; every fourth room is private
ALLOWED = 0.1  # seconds
INDEX = ("words", "messages", "indexed", "message_days", "sqlite_autoindex_messages")


class Words:
    """A made-up language. `ranked` begins with the word that is said most."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        found: dict[str, None] = {}
        while len(found) < VOCABULARY:
            found[self._word()] = None
        self.ranked = list(found)
        self._weights = list(itertools.accumulate(1 / (n + 2.5) for n in range(VOCABULARY)))

    def _word(self) -> str:
        chance = self.random.choice
        syllables = (
            chance("bcdfghjklmnprstvwz") + chance("aeiou") + chance(["", "", "n", "r", "s"])
            for _ in range(chance((1, 2, 2, 2, 3, 3, 3, 4)))
        )
        return "".join(syllables)

    def text(self) -> str:
        """Some words as people say them: half of the messages have up to 8, a few have 100."""
        length = max(1, min(400, int(self.random.lognormvariate(2.0, 0.8))))
        return " ".join(self.random.choices(self.ranked, cum_weights=self._weights, k=length))

    def skewed(self, most: int) -> int:
        """One of `most` numbers from 1 on, the first ones far more often."""
        return 1 + int(self.random.paretovariate(0.8)) % most


def fill(path: Path, messages: int, words: Words) -> None:
    """Store and index so many, and print what that cost."""
    migrate(path)
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA wal_autocheckpoint = 4000")
    for room in range(1, ROOMS + 1):
        kind = RoomKind.PRIVATE if room % 4 == 0 else RoomKind.PUBLIC
        put_room(raw, room, kind)
    noting, steps, characters = 0.0, [], 0
    heads = dict.fromkeys(range(1, ROOMS + 1), 0)
    for begin in range(0, messages, TURN):
        rows = []
        for number in range(begin, min(begin + TURN, messages)):
            room, sender, text = words.skewed(ROOMS), words.skewed(SENDERS), words.text()
            at = BEGAN + number * 365 * DAY // messages
            heads[room] += 1
            message = frames.Message(f"room{room}", heads[room], sender, f"p{sender}", text, at)
            body = frames.encoder.encode(message)
            rows.append(EventRow(room, heads[room], Kind.MESSAGE, sender, at, heads[room], body))
            characters += len(text)
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?)", rows)
        noting -= time.perf_counter()
        index.add(raw, rows)
        noting += time.perf_counter()
        raw.execute("COMMIT")
        took = -time.perf_counter()
        raw.execute("BEGIN IMMEDIATE")
        index.step(raw, TURN)
        raw.execute("COMMIT")
        steps.append(took + time.perf_counter())
    print(
        f"{messages:,} messages of {characters / messages:.0f} characters: noting takes"
        f" {1e6 * noting / messages:.1f} µs, indexing {1e6 * sum(steps) / messages:.1f} µs a"
        f" message; a step of {TURN}: median {1e3 * at_rank(steps, 0.5):.1f},"
        f" p99 {1e3 * at_rank(steps, 0.99):.1f}, longest {1e3 * max(steps):.1f} ms"
    )
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    print_size(raw, path.stat().st_size, messages)
    raw.close()


def put_room(raw: sqlite3.Connection, id: int, kind: RoomKind) -> None:
    """A room, of which only what a search looks at is true."""
    raw.execute(
        "INSERT INTO rooms (id, shard, name, name_key, first, made_at, kind)"
        " VALUES (?, 0, ?, ?, 1, 0, ?)",
        (id, f"room{id}", f"room{id}", kind),
    )


def print_size(raw: sqlite3.Connection, size: int, messages: int) -> None:
    """Bytes a message, with the index and without."""
    line = f"the database has {size / messages:.0f} bytes a message"
    try:
        pages = raw.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall()
    except sqlite3.OperationalError:
        pages = []  # this SQLite was built without
    parts = {name: size for name, size in pages if name.startswith(INDEX)}
    if parts:
        words = sum(size for name, size in parts.items() if name.startswith("words"))
        line += (
            f", {(size - sum(parts.values())) / messages:.0f} without the index: its words take"
            f" {words / messages:.0f}, who said them where and when"
            f" {(sum(parts.values()) - words) / messages:.0f}"
        )
    print(line)


def kinds(words: Words) -> dict[str, Callable[[], Search]]:
    """The kinds of search, each making another one of its kind."""
    chance, ranked = words.random, words.ranked

    def some(low: int, high: int) -> str:
        return ranked[chance.randrange(low, high)]

    def phrase() -> str:
        said = [""]
        while len(said) < 4:
            said = words.text().split()
        begin = chance.randrange(len(said) - 1)
        return f'"{said[begin]} {said[begin + 1]}"'

    def day() -> str:
        return time.strftime("%Y-%m-%d", time.gmtime((BEGAN + chance.randrange(364) * DAY) / 1000))

    def search(text: str, sender: int = 0, room: int = 0) -> Search:
        return Search(parse(text), room, sender, own=OWN, limit=20, context=2)

    common = ranked[0]
    return {
        "rare word": lambda: search(some(20_000, VOCABULARY)),
        "usual word": lambda: search(some(50, 2_000)),
        "word in 30 %": lambda: search(common),
        "two words": lambda: search(f"{some(0, 20)} {some(20, 2_000)}"),
        "two common words": lambda: search(f"{common} {some(1, 5)}"),
        "phrase": lambda: search(phrase()),
        "phrase that nobody said": lambda: search(f'"{" ".join([common, ranked[1]] * 3)}"'),
        "prefix of 2 letters": lambda: search(f"{some(0, 2_000)[:2]}*"),
        "prefix of 4 letters": lambda: search(f"{some(0, 2_000)[:4]}*"),
        "word, from: anybody": lambda: search(common, sender=chance.randrange(1, SENDERS)),
        "only from:": lambda: search("from:x", sender=words.skewed(SENDERS)),
        "word, in: a room": lambda: search(some(0, 500), room=chance.randrange(1, ROOMS)),
        "word, in a month": lambda: search(f"{some(0, 500)} after:{day()} before:2025-12-01"),
        "only before:": lambda: search(f"before:{day()}"),
        "word but not another": lambda: search(f"{some(0, 500)} -{some(0, 20)}"),
        "no such word": lambda: search("xqxqxq"),
    }


class Took(NamedTuple):
    """How long answers took, in seconds: by the clock, and of the processor's time."""

    wall: list[float]
    cpu: list[float]


def measure(searcher: Callable[[], Searcher], make: Callable[[], Search], times: int) -> Took:
    """Ask so many times."""
    took = Took([], [])
    for _ in range(times):
        search = make()
        asked = searcher()
        begin, cpu = time.perf_counter(), time.thread_time()
        asked.run(search)
        took.cpu.append(time.thread_time() - cpu)
        took.wall.append(time.perf_counter() - begin)
    return took


def forget(path: Path) -> None:
    """Have the system forget what it remembers of a file."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def at_rank(values: list[float], share: float) -> float:
    """The value below which this share of them is."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def warm_and_cold(path: Path) -> tuple[Callable[[], Searcher], Callable[[], Searcher]]:
    """One searcher for all, and one for each search, which has to read from the disk."""
    kept: list[Searcher] = [Searcher(path)]

    def cold() -> Searcher:
        kept[0].close()
        forget(path)
        kept[0] = Searcher(path)
        return kept[0]

    return lambda: kept[0], cold


def lines(path: Path, words: Words, times: int) -> Iterator[tuple[str, bool]]:
    """One line of the table for each kind of search, and whether it is quick enough.

    That is told from the processor's time: others may be busy on this machine.
    """
    warm, cold = warm_and_cold(path)
    for name, make in kinds(words).items():
        measure(warm, make, times // 4)
        hot, first = measure(warm, make, times), measure(cold, make, times // 4)
        cells = (
            f"{1e3 * at_rank(took, 0.5):.1f} / {1e3 * at_rank(took, 0.99):.1f}"
            for took in (hot.wall, hot.cpu, first.wall)
        )
        yield f"| {name} | {' | '.join(cells)} |", at_rank(hot.cpu, 0.5) <= ALLOWED
    warm().close()


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="What searching costs.")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=100, help="searches of each kind")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    words = Words(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="hubbub-search-") as directory:
        path = Path(directory) / "hubbub.db"
        fill(path, arguments.messages, words)
        print("p50 / p99, ms\n\n| search | warm | of it CPU | cold |\n|---|---|---|---|")
        quick = True
        for line, in_time in lines(path, words, arguments.times):
            print(line, flush=True)
            quick &= in_time
    return 0 if quick else 1


if __name__ == "__main__":
    sys.exit(main())
