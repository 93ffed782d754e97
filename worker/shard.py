"""The owner's loop: takes what has arrived, has it decided and stored, applies it, tells it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from hubbub import __version__, wire
from hubbub.bus import Bus, broker_addresses
from hubbub.errors import Code, RemoteProtocolError
from hubbub.frames import Error, GatewayInfo, Report
from hubbub.settings import Settings
from hubbub.wire import Answer, Batch, Draining, Lost, Missing, Probe, Refill, Sync, TooOld
from worker import reads
from worker.gateways import PROBE_WITHIN, PROBE_WITHIN_UNSURE, Gateways
from worker.inbox import Inbox
from worker.mail import Mail
from worker.plan import Known, Plan, Task, View, snapshot
from worker.rules import (
    BrokenAskError,
    GatewayGone,
    Input,
    TimePassed,
    decide,
    keys_of,
    strangers,
)
from worker.state import State
from worker.store import Store, Turn, TurnFailedError
from worker.stream import Stream

TICK = 0.25  # seconds
REPEAT_POSITION = 1.0  # seconds without a batch
MOST_AT_ONCE = 2000  # inputs of one transaction: it is not to take longer than a blink
MOST_WAITING = 50_000  # inputs; gateways repeat what is not taken
RETRY_AFTER = 0.5  # seconds after the database failed
RELOAD_TRIES = 20
PRUNE_EVERY = 3600.0  # seconds
PRUNE_STEP = 0.2  # seconds
NOTE_EVERY = 1.0  # seconds


class Shard:
    """All shards that this worker owns: today every one.

    Memory is moved in the loop, between turns, and only read in the store's thread during one.
    """

    def __init__(
        self,
        settings: Settings,
        identity: str,
        bus: Bus,
        thread: ThreadPoolExecutor,
        log: logging.Logger,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._bus = bus
        self._thread = thread
        self._log = log
        self._brokers = len(broker_addresses(settings))
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._waiting: list[Input] = []
        self._go = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._began = float("-inf")  # when the last turn did
        self._published = float("-inf")
        self._noted = float("-inf")
        self._prune_at = self._loop.time() + 60.0
        self._stopping = False
        self._seen_term = 0  # the highest that a gateway told of
        self._owns = False
        self._topic = wire.shard_topic(0)
        bus.subscribe(self._topic, self._on_message)
        bus.subscribe(wire.worker_topic(identity), lambda kind, data, offset: None)
        bus.on_turn(self._after_drain)
        bus.on_vanished(self._on_vanished)

    # --- beginning ------------------------------------------------------------------------

    async def begin(self, store: Store) -> int:
        """Take the database under a new term, load it, and tell everybody; returns the term.

        Gateways then say which sessions they have, and ask again what was not answered.

        Raises:
            LeaseLost: another worker was quicker.
            sqlite3.Error: the database cannot be read.
        """
        self._owns = False
        self._store = store
        now = self._loop.time()
        await self._loop.run_in_executor(self._thread, store.take, self._identity, self._seen_term)
        self._state: State = await self._loop.run_in_executor(self._thread, store.load, now)
        settings = self._settings
        self._term = store.term
        self._stream = Stream(
            term=store.term,
            epoch=self._state.epoch,
            most_bytes=settings.stream_bytes,
            seconds=settings.stream_seconds,
        )
        self._gateways = Gateways(settings.gateway_lease)
        self._mail = Mail(self._bus.publish, store.term)
        self._view = View(self._state, settings, self._report)
        self._waiting = []
        for gateway in self._state.of_gateway:
            self._gateways.heard(gateway, self._loop.time())
        self._owns = True
        self._repeat_position()
        if self._ticker is None:
            self._tick()
        return store.term

    # --- from the bus ---------------------------------------------------------------------

    def _on_message(self, kind: int, data: bytes, offset: int) -> None:
        if not self._owns or self._stopping or kind != wire.MESSAGE[0]:
            return
        try:
            frame = wire.decode_to_owner(memoryview(data)[offset:])
        except RemoteProtocolError as error:
            self._log.warning("what=bad_frame why=%r", error.text)
            return
        now = self._loop.time()
        gateway = self._gateways.heard(frame.gateway, now)
        if gateway is None:
            return
        if isinstance(frame, Batch):
            if frame.term == self._term:
                self._on_batch(gateway.inbox, frame, len(data), now)
        elif isinstance(frame, Sync):
            self._on_sync(frame)
        elif isinstance(frame, Refill):
            if frame.term == self._term:
                self._on_refill(frame)
        elif isinstance(frame, Draining):
            gateway.draining = True

    def _on_batch(self, inbox: Inbox, batch: Batch, size: int, now: float) -> None:
        if len(self._waiting) >= MOST_WAITING:
            return
        received = inbox.receive(batch, size, now)
        self._waiting += received.tasks
        for outcome in received.again:
            position = self._stream.position
            answer = outcome if isinstance(outcome, Answer) else outcome(self._view, position)
            self._mail.add(batch.gateway, answer, everywhere=True)
        if received.missing:
            first, last = received.missing
            self._mail.send(batch.gateway, Missing(self._term, first, last), everywhere=True)

    def _on_sync(self, frame: Sync) -> None:
        if frame.term > self._term:
            # The database is behind what the gateways have seen: they would ignore us for ever.
            self._log.warning("what=term_below_seen term=%d seen=%d", self._term, frame.term)
            self._seen_term = frame.term
            self._go.set()
        elif not any(
            isinstance(each, Sync) and each.gateway == frame.gateway and each.no == frame.no
            for each in self._waiting
        ):
            self._waiting.append(frame)

    def _on_refill(self, frame: Refill) -> None:
        payloads = self._stream.refill(frame.first, frame.last)
        if payloads is None:
            too_old = TooOld(self._term, self._stream.position)
            self._mail.send(frame.gateway, too_old, everywhere=True)
            return
        for payload in payloads:
            self._mail.refill(frame.gateway, payload)

    def _on_vanished(self, topic: bytes) -> None:
        """A gateway's subscription went away: it was killed, or a broker or link was."""
        if not self._owns or not topic.startswith(b"g/"):
            return
        subscribers = self._bus.subscribers
        if topic in subscribers or self._topic not in subscribers:
            return
        id = topic[2:-1].decode(errors="replace")
        gateway = self._gateways.get(id)
        if gateway is None:
            return
        if gateway.draining:
            gateway.gone = True
            self._waiting.append(GatewayGone(id))
            self._after_drain()
            return
        nonce = self._gateways.probe(id, self._loop.time())
        if nonce is not None:
            self._mail.send(id, Probe(self._term, nonce), everywhere=True)
            for within in (PROBE_WITHIN, PROBE_WITHIN_UNSURE):
                self._loop.call_later(within + 0.01, self._judge)

    def _after_drain(self) -> None:
        """Gather: a quiet cluster waits for nothing, a busy one shares its turns."""
        if not self._owns:
            return
        self._mail.flush(self._stream.position, self._taken)
        if not self._waiting or self._go.is_set():
            return
        due = self._began + self._settings.gather
        if len(self._waiting) >= self._settings.gather_asks or self._loop.time() >= due:
            self._go.set()
        elif self._timer is None:
            self._timer = self._loop.call_at(due, self._due)

    def _due(self) -> None:
        self._timer = None
        self._go.set()

    # --- time -----------------------------------------------------------------------------

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(TICK, self._tick)
        if not self._owns or self._stopping:
            return
        now = self._loop.time()
        if now - self._published >= REPEAT_POSITION:
            self._repeat_position()
        settings = self._settings
        deadline = self._state.next_deadline(settings.left_after, settings.resume_within)
        if deadline is not None and deadline <= now:
            self._waiting.append(TimePassed())
        self._judge()
        if now >= self._prune_at:
            self._go.set()
        self._after_drain()

    def _repeat_position(self) -> None:
        """So that the loss of a last batch, and a new owner, are noticed without any traffic."""
        self._published = self._loop.time()
        self._mail.tell_all(self._stream.repeat(), everywhere=True)

    def _judge(self) -> None:
        if not self._owns or self._stopping:
            return
        good = self._bus.good
        verdict = self._gateways.judge(
            self._loop.time(),
            hearing=good > 0,
            sure=good == self._brokers,
            busy=set(self._state.of_gateway),
        )
        for id in verdict.gone:
            self._log.warning("what=gateway_gone gateway=%s", id)
            self._waiting.append(GatewayGone(id))
        if verdict.gone:
            self._after_drain()

    # --- turns ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Take turns until `stop`.

        Raises:
            LeaseLost: another worker has taken over.
            TurnFailedError: the database failed, and could not be read again either.
        """
        while True:
            await self._go.wait()
            self._go.clear()
            if self._stopping:
                return
            if self._seen_term > self._term:
                await self._begin_again()
            inputs = self._waiting[:MOST_AT_ONCE]
            self._waiting = self._waiting[MOST_AT_ONCE:]
            if inputs:
                await self._turn(inputs)
            if self._loop.time() >= self._prune_at:
                finished = await self._loop.run_in_executor(self._thread, self._store.prune)
                self._prune_at = self._loop.time() + (PRUNE_EVERY if finished else PRUNE_STEP)
            self._after_drain()

    def stop(self) -> None:
        """Have `run` return once the turn in flight is told."""
        self._stopping = True
        self._go.set()
        for timer in (self._ticker, self._timer):
            if timer is not None:
                timer.cancel()

    async def _turn(self, inputs: Sequence[Input]) -> None:
        now = self._began = self._loop.time()
        try:
            turn = await self._loop.run_in_executor(self._thread, self._work, inputs, now)
        except TurnFailedError as error:
            self._log.error("what=turn_failed undone=%s why=%r", error.undone, str(error))
            await self._failed(inputs, error)
            return
        turn.plan.apply()
        self._tell(turn)

    def _work(self, inputs: Sequence[Input], now: float) -> Turn:
        """In the store's thread: one transaction, in which nobody moves what is remembered."""
        state = self._state
        at = int(time.time() * 1000)

        def decided(known: Known) -> Plan:
            broken: frozenset[int] = frozenset()
            while True:
                try:
                    return decide(
                        state, inputs, known, self._settings, at=at, now=now, broken=broken
                    )
                except BrokenAskError as error:
                    kind = type(inputs[error.index]).__name__
                    self._log.exception("what=broken_input kind=%s", kind)
                    broken |= {error.index}

        if now - self._noted >= NOTE_EVERY:
            self._noted = now
            try:
                self._store.note(state.epoch, state.events)
            except OSError as error:
                self._log.warning("what=note_failed why=%r", error.strerror)
        return self._store.turn(keys_of(state, inputs), strangers(state, inputs), decided)

    def _tell(self, turn: Turn) -> None:
        """Publish what is true now: first the stream, then answers that stand at its position."""
        plan, now = turn.plan, self._loop.time()
        payloads = self._stream.add(plan.items, now)
        for payload in payloads:
            self._mail.tell_all(payload)
        if payloads:
            self._published = now
        position, view, inboxes = self._stream.position, self._view, self._gateways
        for task, outcome, kept in plan.answers:
            gateway = inboxes.get(task.gateway)
            if gateway is not None:
                gateway.inbox.answered(task.ask.no, outcome, kept)
            answer = outcome if isinstance(outcome, Answer) else outcome(view, position)
            self._mail.add(task.gateway, answer, everywhere=task.everywhere)
        for reading, rows in zip(plan.readings, turn.rows, strict=True):
            task = reading.task
            answer = reads.answer_reading(view, reading, rows)
            gateway = inboxes.get(task.gateway)
            if gateway is not None:
                gateway.inbox.answered(task.ask.no, answer, False)
            self._mail.add(task.gateway, answer, everywhere=task.everywhere)
        self._mail.flush(position, self._taken)
        for sync, over in plan.synced:
            self._synced(sync, over)

    def _synced(self, sync: Sync, over: list[int]) -> None:
        rooms = [self._state.rooms[id] for id in sync.rooms if id in self._state.rooms]
        unknown = [id for id in sync.rooms if id not in self._state.rooms]
        snapshots = [snapshot(self._state, room) for room in rooms]
        frame = wire.Synced(
            self._term,
            self._stream.position,
            self._state.epoch,
            sync.no,
            over,
            snapshots,
            unknown,
        )
        self._mail.send(sync.gateway, frame, everywhere=True)
        self._log.info(
            "what=synced gateway=%s sessions=%d over=%d rooms=%d",
            sync.gateway,
            len(sync.sessions),
            len(over),
            len(sync.rooms),
        )

    def _taken(self, gateway: str) -> int:
        known = self._gateways.get(gateway)
        return known.inbox.taken if known is not None else 0

    # --- when the database fails ----------------------------------------------------------

    async def _failed(self, inputs: Sequence[Input], error: TurnFailedError) -> None:
        """Nothing of the turn is true. What is certainly not stored is refused."""
        if not error.undone:
            await self._begin_again()
            return
        refusal = Error(Code.UNAVAILABLE, "the server cannot store anything now; try again later")
        keep: list[Input] = []
        for each in inputs:
            if not isinstance(each, Task) or isinstance(each.ask.frame, Lost):
                keep.append(each)
                continue
            gateway = self._gateways.get(each.gateway)
            if gateway is not None:
                gateway.inbox.answered(each.ask.no, Answer(each.ask.no, refusal), True)
            self._mail.add(each.gateway, Answer(each.ask.no, refusal), everywhere=each.everywhere)
        self._mail.flush(self._stream.position, self._taken)
        await asyncio.sleep(RETRY_AFTER)
        self._waiting = keep + self._waiting

    async def _begin_again(self) -> None:
        """Nobody knows what is stored: load everything, under a new term, before numbering on."""
        for left in reversed(range(RELOAD_TRIES)):
            try:
                await self.begin(self._store)
                self._log.warning("what=reloaded term=%d", self._term)
                return
            except OSError:
                raise
            except Exception as error:
                self._log.error("what=reload_failed why=%r", str(error))
                if not left or self._stopping:
                    raise
                await asyncio.sleep(RETRY_AFTER)

    # --- how it is ------------------------------------------------------------------------

    def _report(self) -> Report:
        now = self._loop.time()
        of_gateway = self._state.of_gateway
        gateways = [
            GatewayInfo(each.id, len(of_gateway.get(each.id, ())), round(now - each.heard, 3))
            for each in self._gateways.all()
            if not each.gone
        ]
        return Report(
            0,
            self._identity,
            self._term,
            self._stream.position,
            self._state.epoch,
            round(now - self._since, 3),
            len(self._state.rooms),
            len(self._state.sessions),
            self._state.events,
            self._bus.good,
            sorted(gateways, key=lambda each: each.gateway),
            __version__,
        )
