"""A gateway that is a test: it speaks bus frames to real workers through real brokers."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from hubbub import wire
from hubbub.bus import Bus, broker_addresses
from hubbub.frames import Hello, Join, Welcome
from hubbub.settings import Settings
from hubbub.wire import Alive, Answer, Answers, Ask, Batch, Item, OwnerFrame, StreamBatch, Sync
from tests.support import Cluster, eventually


class TestGateway:
    """Numbers its asks and batches, and keeps all that it hears. It repeats nothing by itself."""

    __test__ = False

    def __init__(self, cluster: Cluster, id: str) -> None:
        settings = Settings(data=str(cluster.data), brokers=len(cluster.brokers))
        self.id = id
        self.term = 0
        self.batches: list[StreamBatch] = []
        self.answers: dict[int, list[Answer]] = {}
        self.positions: list[int] = []
        self.asked: list[wire.ToGateway] = []
        self._no = 0
        self._number = 0
        self.bus = Bus(
            broker_addresses(settings),
            identity=id,
            inbox=wire.gateway_topic(id),
            settings=settings,
            log=logging.getLogger("test"),
        )
        self.bus.subscribe(wire.STREAM_TOPIC, self._on_stream)
        self.bus.subscribe(wire.gateway_topic(id), self._on_mail)

    async def start(self, within: float = 10.0) -> None:
        """Join the bus, and know the owner's term."""
        await self.bus.start()
        await self.bus.ready(within)
        await eventually(lambda: self.term, within, what="a position is repeated")

    def _on_stream(self, kind: int, data: bytes, offset: int) -> None:
        batch = wire.unpack_stream(data, offset)
        if batch.term > self.term:
            self.term, self._number = batch.term, 0
            self.batches = []
        if batch.term == self.term and batch.items:
            self.batches.append(batch)

    def _on_mail(self, kind: int, data: bytes, offset: int) -> None:
        if kind != wire.MESSAGE[0]:
            self._on_stream(kind, data, offset)
            return
        frame = wire.decode_to_gateway(memoryview(data)[offset:])
        self.asked.append(frame)
        if isinstance(frame, Answers):
            self.positions.append(frame.position)
            for answer in frame.answers:
                self.answers.setdefault(answer.no, []).append(answer)

    @property
    def items(self) -> list[Item]:
        """What was on the stream under this term."""
        return [item for batch in self.batches for item in batch.items]

    def make(self, *asks: tuple[OwnerFrame, int, int], all_answered: bool = False) -> Batch:
        """The next batch; asks are (frame, session, generation).

        Args:
            all_answered: every one before it was.
        """
        self._number += 1
        made = []
        for frame, session, generation in asks:
            self._no += 1
            made.append(Ask(self._no, session, generation, frame))
        first = self._number if all_answered else 1
        return Batch(self.id, self.term, self._number, first, False, made)

    def send(self, frame: wire.ToOwner, *, everywhere: bool = False) -> None:
        """Publish to the owner."""
        payload = wire.encoder.encode(frame)
        self.bus.publish(wire.shard_topic(0), wire.MESSAGE, payload, everywhere=everywhere)

    def alive(self) -> None:
        """Say that one lives."""
        self.send(Alive(self.id, self.term))

    async def answered(self, batch: Batch, within: float = 5.0) -> list[Answer]:
        """The newest answers to all asks of a batch."""
        nos = [ask.no for ask in batch.asks]
        await eventually(
            lambda: all(no in self.answers for no in nos), within, what=f"answers to {nos}"
        )
        return [self.answers[no][-1] for no in nos]

    async def ask(self, *asks: tuple[OwnerFrame, int, int], within: float = 5.0) -> list[Answer]:
        """Send one batch and wait for all its answers."""
        batch = self.make(*asks)
        self.send(batch)
        return await self.answered(batch, within)

    async def person(self, name: str, *rooms: str) -> tuple[int, int]:
        """(session, generation) of somebody new."""
        (answer,) = await self.ask((Hello(0, os.urandom(16), name), 0, 0))
        assert isinstance(answer.reply, Welcome), answer.reply
        for room in rooms:
            await self.ask((Join(0, os.urandom(16), room), answer.session, answer.generation))
        return answer.session, answer.generation

    async def sync(self, sessions: Sequence[tuple[int, int]] = ()) -> wire.Synced:
        """Begin anew."""
        self.send(Sync(self.id, self.term, 1, list(sessions)))

        def synced() -> wire.Synced | None:
            found = [frame for frame in self.asked if isinstance(frame, wire.Synced)]
            return found[-1] if found and found[-1].term == self.term else None

        found = await eventually(synced, 5.0, what="the answer to Sync")
        assert isinstance(found, wire.Synced)
        return found

    def close(self) -> None:
        """Leave the bus."""
        self.bus.close()
