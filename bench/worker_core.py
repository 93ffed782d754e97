"""`python -m bench.worker_core`: what one `say` costs the owner, with no bus and no gateways.

Real batches are decoded, decided, stored in a real database and encoded as answers and stream; only
the sockets are missing. Prints µs of CPU a `say`, and commits a second, for a few sizes of turn.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import logging
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from hubbub import wire
from hubbub.bus import Bus
from hubbub.frames import Hello, Join, Say, Welcome
from hubbub.settings import Settings
from hubbub.wire import Ask, Batch
from worker.migrate import migrate
from worker.searching import Searches
from worker.shard import Shard
from worker.store import Store

GATEWAYS = 4
TEXT = "x" * 64


class Sink:
    """Stands where the bus is: hands messages in, and keeps the last that came out."""

    good = 1

    def __init__(self) -> None:
        self.handlers: dict[bytes, Callable[[int, bytes, int], None]] = {}
        self.turns: list[Callable[[], None]] = []
        self.subscribers: set[bytes] = set()
        self.answers: dict[int, wire.Answer] = {}
        self.keep = True
        self.answered = 0
        self.wanted = 0
        self.done = asyncio.Event()

    def subscribe(self, topic: bytes, handler: Callable[[int, bytes, int], None]) -> None:
        self.handlers[topic] = handler

    def on_turn(self, callback: Callable[[], None]) -> None:
        self.turns.append(callback)

    def on_vanished(self, callback: Callable[[bytes], None]) -> None:
        pass

    def publish(
        self, topic: bytes, kind: bytes, payload: bytes, *, everywhere: bool = False
    ) -> bool:
        if topic.startswith(b"g/"):
            if self.keep:
                frame = wire.decode_to_gateway(payload)
                assert isinstance(frame, wire.Answers)
                self.answers.update((answer.no, answer) for answer in frame.answers)
                self.answered += len(frame.answers)
            else:
                self.answered += payload.count(b"\xa1t\xa2ok")
            if self.answered >= self.wanted:
                self.done.set()
        return True

    async def ask(self, batches: list[bytes], answers: int) -> None:
        """Hand in what came in one drain, and wait until so many answers went out."""
        self.done.clear()
        self.wanted = self.answered + answers
        handler = self.handlers[wire.shard_topic(0)]
        for batch in batches:
            handler(wire.MESSAGE[0], batch, 0)
        for callback in self.turns:
            callback()
        await self.done.wait()


class Gateways:
    """Numbers asks and batches as gateways do."""

    def __init__(self) -> None:
        self.no = 0
        self.numbers = [0] * GATEWAYS

    def batch(self, gateway: int, term: int, asks: list[tuple[int, int, wire.OwnerFrame]]) -> bytes:
        self.numbers[gateway] += 1
        number = self.numbers[gateway]
        made = []
        for session, generation, frame in asks:
            self.no += 1
            made.append(Ask(self.no, session, generation, frame))
        return wire.encoder.encode(Batch(f"gateway-{gateway}.0", term, number, number, False, made))


async def measure(directory: Path, people: int, rooms: int, turn: int, says: int) -> None:
    """One line of the table."""
    path = directory / f"{turn}-{rooms}.db"
    migrate(path)
    sink, gateways = Sink(), Gateways()
    settings = Settings(data=str(directory), gather=0.0, say_rate=0)
    thread = ThreadPoolExecutor(max_workers=1)
    store = await asyncio.get_running_loop().run_in_executor(
        thread, Store, path, directory / f"{turn}-{rooms}.note"
    )
    log, searches = logging.getLogger(), Searches(path, logging.getLogger())
    shard = Shard(settings, "worker-1.0", cast(Bus, sink), thread, log, searches=searches)
    term = await shard.begin(store)
    running = asyncio.create_task(shard.run())
    hellos = [(0, 0, Hello(0, os.urandom(16), f"p{n}")) for n in range(people)]
    await sink.ask([gateways.batch(0, term, list(hellos))], people)
    replies = [answer.reply for answer in sink.answers.values()]
    sessions = [reply.session for reply in replies if isinstance(reply, Welcome)]
    assert len(sessions) == people
    joins = [(s, 1, Join(0, os.urandom(16), f"r{n % rooms}")) for n, s in enumerate(sessions)]
    await sink.ask([gateways.batch(0, term, list(joins))], people)
    sink.keep = False
    turns = []
    said = 0
    while said < says:
        parts: list[list[tuple[int, int, wire.OwnerFrame]]] = [[] for _ in range(GATEWAYS)]
        for _ in range(turn):
            who = said % people
            frame = Say(0, os.urandom(16), f"r{who % rooms}", TEXT)
            parts[who % GATEWAYS].append((sessions[who], 1, frame))
            said += 1
        turns.append([gateways.batch(g, term, part) for g, part in enumerate(parts) if part])
    begin, cpu = time.perf_counter(), time.process_time()
    for batches in turns:
        await sink.ask(batches, turn)
    cpu, took = time.process_time() - cpu, time.perf_counter() - begin
    print(
        f"{people} people, {rooms} rooms, {turn} says a turn:"
        f" {1e6 * cpu / said:6.1f} µs CPU a say, {said / took:7.0f} says/s,"
        f" {len(turns) / took:5.0f} commits/s"
    )
    shard.stop()
    await running
    searches.close()
    await asyncio.get_running_loop().run_in_executor(thread, store.close)
    thread.shutdown()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What one `say` costs the owner.")
    parser.add_argument("--says", type=int, default=12_000)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        profile = cProfile.Profile()
        for turn, rooms in ((120, 1), (120, 100), (1, 1), (500, 100)):
            if arguments.profile:
                profile.enable()
            asyncio.run(measure(Path(directory), 100, rooms, turn, arguments.says))
            if arguments.profile:
                profile.disable()
                pstats.Stats(profile).sort_stats("tottime").print_stats(25)
                return


if __name__ == "__main__":
    main()
