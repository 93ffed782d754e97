"""The owner's loop: takes what has arrived, has it decided and stored, applies it, tells it."""

from __future__ import annotations

import asyncio
import functools
import logging
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from hubbub import wire
from hubbub.bus import Bus
from hubbub.errors import LeaseLost, RemoteProtocolError
from hubbub.settings import Settings
from worker.allowance import Allowances
from worker.lookups import Input, TimePassed, strangers, wanted
from worker.plan import Plan
from worker.rules import BrokenAskError, Powers, decide
from worker.searching import Searches
from worker.state import State
from worker.store import Store, Turn, TurnFailedError
from worker.tasks import Known
from worker.tenure import Tenure
from worker.throttle import Throttle

TICK = 0.25  # seconds
RETRY_AFTER = 0.5  # seconds after the database failed
RELOAD_TRIES = 20
PRUNE_FIRST = 60.0  # seconds
PRUNE_EVERY = 3600.0
PRUNE_STEP = 0.2
NOTE_EVERY = 1.0
INDEX_EVERY = 0.25  # seconds between steps of the search index, while little is said
INDEX_AT = 1000  # messages: then it takes a step after each turn
INDEX_STEP = 200  # messages; a few milliseconds, in which no turn is taken


class Shard:
    """All shards that this worker owns: today every one.

    Memory is moved in the loop, between turns, and only read in the store's thread during one.

    Args:
        thread: the one thread that uses the store.
        searches: answers what is searched for, beside the turns.
        operator_key: makes operators of the cluster.
    """

    def __init__(
        self,
        settings: Settings,
        identity: str,
        bus: Bus,
        thread: ThreadPoolExecutor,
        log: logging.Logger,
        *,
        searches: Searches,
        operator_key: str = "",
    ) -> None:
        self._searches = searches
        self._operator_key = operator_key
        self._allowances = Allowances(settings)
        self._throttle = Throttle(settings)
        self._unindexed = 1  # messages, about: it may be that a predecessor left some
        self._index_at = float("-inf")
        self._settings = settings
        self._identity = identity
        self._bus = bus
        self._thread = thread
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._tenure: Tenure | None = None  # None while nothing is known for certain
        self._seen_term = 0
        self._renew = False  # begin a new term, with which all gateways say what they have
        self._go = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._began = float("-inf")  # when the last turn did
        self._noted = float("-inf")
        self._prune_at = self._since + PRUNE_FIRST
        self._stopping = False
        bus.subscribe(wire.shard_topic(0), self._on_message)
        bus.on_turn(self._gather)
        bus.on_vanished(self._on_vanished)

    async def begin(self, store: Store) -> int:
        """Take the database under a new term, load it, and tell everybody; returns the term.

        Gateways then say which sessions they have, and ask again what was not answered.

        Raises:
            LeaseLost: another worker was quicker.
            sqlite3.Error: the database cannot be read.
        """
        if self._tenure is not None:
            self._seen_term = max(self._seen_term, self._tenure.seen_term)
            self._tenure.close()
        self._tenure = None
        self._store = store
        run, now = self._loop.run_in_executor, self._loop.time()
        await run(self._thread, store.take, self._identity, self._seen_term)
        state = await run(self._thread, store.load, now)
        self._tenure = Tenure(
            state,
            store.term,
            self._settings,
            self._identity,
            self._bus,
            self._log,
            searches=self._searches,
            throttle=self._throttle,
            since=self._since,
            asked=self._gather,
        )
        self._renew = False
        self._tenure.repeat_position()
        if self._ticker is None:
            self._tick()
        return store.term

    # --- what brings it into motion -------------------------------------------------------

    def _on_message(self, kind: int, data: bytes, offset: int) -> None:
        if self._tenure is None or self._stopping or kind != wire.MESSAGE[0]:
            return
        try:
            frame = wire.decode_to_owner(memoryview(data)[offset:])
        except RemoteProtocolError as error:
            self._log.warning("what=bad_frame why=%r", error.text)
            return
        self._tenure.receive(frame, len(data))

    def _on_vanished(self, topic: bytes) -> None:
        if self._tenure is not None and not self._stopping:
            self._tenure.watch.vanished(topic)

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(TICK, self._tick)
        tenure = self._tenure
        if tenure is None or self._stopping:
            return
        now, settings, state = self._loop.time(), self._settings, tenure.state
        tenure.repeat_position()
        deadline = state.next_deadline(settings.left_after, settings.resume_within)
        if deadline is not None and deadline <= now:
            tenure.waiting.append(TimePassed())
        tenure.watch.judge(state.of_gateway)
        if tenure.watch.was_deaf():
            self._renew = True
        if self._renew or now >= self._prune_at or self._unindexed:
            self._go.set()
        self._gather()

    def _gather(self) -> None:
        """A quiet cluster waits for nothing, a busy one shares its turns."""
        tenure = self._tenure
        if tenure is None:
            return
        tenure.flush()
        if tenure.seen_term > tenure.term:
            self._renew = True
            self._go.set()
        if not tenure.waiting or self._go.is_set():
            return
        due = self._began + self._settings.gather
        if len(tenure.waiting) >= self._settings.gather_asks or self._loop.time() >= due:
            self._go.set()
        elif self._timer is None:
            self._timer = self._loop.call_at(due, self._due)

    def _due(self) -> None:
        self._timer = None
        self._go.set()

    # --- turns ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Take turns until `stop`.

        Raises:
            LeaseLost: another worker has taken over.
            Exception: the database failed, and could not be read again either.
        """
        try:
            while not self._stopping:
                await self._go.wait()
                self._go.clear()
                await self._step()
        finally:
            if self._tenure is not None:
                self._tenure.close()

    async def _step(self) -> None:
        if self._stopping:
            return
        if self._renew or self._tenure is None:
            await self._begin_again()
        tenure = self._tenure
        if tenure is not None and (inputs := tenure.take()):
            await self._turn(tenure, inputs)
        if self._unindexed >= INDEX_AT or (self._unindexed and self._loop.time() >= self._index_at):
            await self._index()
        if self._loop.time() >= self._prune_at:
            await self._prune()
        self._gather()

    def stop(self) -> None:
        """Have `run` return once the turn in flight is told."""
        self._stopping = True
        self._go.set()
        for timer in (self._ticker, self._timer):
            if timer is not None:
                timer.cancel()

    async def _turn(self, tenure: Tenure, inputs: Sequence[Input]) -> None:
        now = self._began = self._loop.time()
        try:
            turn = await self._loop.run_in_executor(
                self._thread, self._work, tenure.state, inputs, now
            )
        except TurnFailedError as error:
            self._log.error("what=turn_failed undone=%s why=%r", error.undone, str(error))
            if error.undone:
                await self._refuse(tenure, inputs)
            else:
                self._renew = True
                self._go.set()
            return
        tenure.tell(turn)
        self._unindexed += len(turn.plan.events)

    def _work(self, state: State, inputs: Sequence[Input], now: float) -> Turn:
        """In the store's thread: one transaction, in which nobody moves what is remembered."""
        at = int(time.time() * 1000)
        wait = self._allowances.wait
        powers = Powers(
            self._operator_key, lambda sender, frame, cost: wait(sender, frame, now, cost)
        )

        def decided(known: Known) -> Plan:
            broken: frozenset[int] = frozenset()
            while True:
                try:
                    return decide(
                        state,
                        inputs,
                        known,
                        self._settings,
                        at=at,
                        now=now,
                        broken=broken,
                        powers=powers,
                    )
                except BrokenAskError as error:
                    kind = type(inputs[error.index]).__name__
                    self._log.exception("what=broken_input kind=%s", kind)
                    broken |= {error.index}

        if now - self._noted >= NOTE_EVERY:
            self._noted = now
            self._note(state)
        look_up = functools.partial(wanted, state, inputs)
        return self._store.turn(strangers(state, inputs), look_up, decided)

    def _note(self, state: State) -> None:
        try:
            self._store.note(state.epoch, state.events)
        except OSError as error:
            self._log.warning("what=note_failed why=%r", error.strerror)

    async def _index(self) -> None:
        """Have some more of what was said found by searches."""
        self._index_at = self._loop.time() + INDEX_EVERY
        try:
            store = self._store
            if await self._loop.run_in_executor(self._thread, store.index, INDEX_STEP):
                self._unindexed = 0
            else:
                self._unindexed = max(1, self._unindexed - INDEX_STEP)
                self._go.set()
        except sqlite3.Error as error:
            self._log.warning("what=index_failed why=%r", str(error))

    async def _prune(self) -> None:
        wait = PRUNE_STEP
        try:
            if await self._loop.run_in_executor(self._thread, self._store.prune):
                wait = PRUNE_EVERY
        except sqlite3.Error as error:
            self._log.warning("what=prune_failed why=%r", str(error))
            wait = PRUNE_EVERY
        self._prune_at = self._loop.time() + wait

    # --- when the database fails ----------------------------------------------------------

    async def _refuse(self, tenure: Tenure, inputs: Sequence[Input]) -> None:
        tenure.undo(inputs)
        await asyncio.sleep(RETRY_AFTER)

    async def _begin_again(self) -> None:
        """Nobody knows what is stored: load everything, under a new term, before numbering on.

        What was asked and not answered is asked again by the gateways, under that term.
        """
        for left in reversed(range(RELOAD_TRIES)):
            try:
                term = await self.begin(self._store)
            except LeaseLost:
                raise
            except Exception as error:
                self._log.error("what=reload_failed why=%r", str(error))
                if not left or self._stopping:
                    raise
                await asyncio.sleep(RETRY_AFTER)
            else:
                self._log.warning("what=began_again term=%d", term)
                return
