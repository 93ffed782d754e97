"""One term of an owner: what it remembers, what it has published, whom it heard of. In the loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from hubbub import __version__, wire
from hubbub.bus import Bus, broker_addresses
from hubbub.errors import Code, Refused
from hubbub.frames import Error, Found, GatewayInfo, Hit, Report
from hubbub.settings import Settings
from hubbub.wire import (
    Alive,
    Answer,
    Batch,
    Draining,
    Missing,
    Refill,
    Sync,
    TooOld,
    ToOwner,
)
from worker import reads
from worker.doorkeeper import Doorkeeper
from worker.gateways import Gateway, Gateways
from worker.lookups import GatewayGone, Input, Syncing
from worker.mail import Mail
from worker.overtaking import NOTHING_STORED, Overtaking
from worker.parts import in_parts
from worker.searching import Result, Search, Searches
from worker.show import own_state, snapshot
from worker.state import State
from worker.store import Turn
from worker.stream import Stream
from worker.tasks import Outcome, Searching, Synced, Task, View
from worker.throttle import Throttle
from worker.watch import Watch

MOST_WAITING = 50_000  # inputs; gateways repeat what is not taken
MOST_WAITING_BYTES = 64 * 1024 * 1024
MOST_OVER = 100  # sessions that are over and remembered as just opened
DEAF_LIMIT = 0.75  # of `request_within`
LOOK_AFTER = 1.5  # seconds: by then the brokers have told who subscribes
REPEAT_POSITION = 1.0  # seconds without a batch
MOST_AT_ONCE = 2000  # inputs of one transaction: it is not to take longer than a blink


class Tenure:
    """What is true under one term. A new term begins with nothing of this but the database.

    Args:
        searches: answers what is searched for, beside the turns.
        throttle: of passwords; it outlives the term.
        since: when this process became the owner, on the loop's clock.
        asked: called when there is something to decide that no message brought.
    """

    def __init__(
        self,
        state: State,
        term: int,
        settings: Settings,
        identity: str,
        bus: Bus,
        log: logging.Logger,
        *,
        searches: Searches,
        throttle: Throttle,
        since: float,
        asked: Callable[[], None],
    ) -> None:
        self.state = state
        self.term = term
        self.waiting: list[Input] = []
        self.seen_term = 0  # the highest that a gateway told of
        self._settings = settings
        self._identity = identity
        self._bus = bus
        self._log = log
        self._since = since
        self._asked = asked
        self._loop = asyncio.get_running_loop()
        self._waiting_bytes = 0
        self._published = float("-inf")
        # Sessions whose `welcome` a gateway has not confirmed yet: it may not list them.
        self._welcomed: dict[int, tuple[str, int]] = {}
        self._stream = Stream(
            term=term,
            epoch=state.epoch,
            most_bytes=settings.stream_bytes,
            seconds=settings.stream_seconds,
        )
        self._view = View(state, settings, self._report, {})
        self._mail = Mail(bus.publish, term, log)
        self._gateways = Gateways(settings.gateway_lease)
        for gateway in state.of_gateway:
            self._gateways.heard(gateway, self._loop.time())
        self.watch = Watch(
            bus,
            self._gateways,
            self._mail,
            log,
            term=term,
            brokers=len(broker_addresses(settings)),
            own_topic=wire.shard_topic(0),
            deaf_limit=DEAF_LIMIT * settings.request_within,
            gone=self._on_gone,
        )
        self._searches = searches
        self._doorkeeper = Doorkeeper(
            settings, self._loop.time, self._turn_away, self._take, throttle
        )
        self._overtaking = Overtaking()
        self._closed = False
        self._loop.call_later(LOOK_AFTER, self.watch.look_for, list(state.of_gateway))

    def close(self) -> None:
        """The term is over: judge nobody and answer nothing any more."""
        self._closed = True
        self.watch.close()
        self._doorkeeper.close()

    def repeat_position(self) -> None:
        """Say where the stream stands, when nothing did for a while.

        So the loss of a last batch, and a new owner, are noticed without any traffic.
        """
        now = self._loop.time()
        if now - self._published >= REPEAT_POSITION:
            self._published = now
            self._mail.tell_all(self._stream.repeat(), everywhere=True)

    def flush(self) -> None:
        """Send the answers that are queued."""
        self._mail.flush(self._stream.position, self._taken)

    # --- in -------------------------------------------------------------------------------

    def receive(self, frame: ToOwner, size: int) -> None:
        """Take one frame of a gateway."""
        gateway = self._gateways.heard(frame.gateway, self._loop.time())
        if gateway is None or isinstance(frame, Alive):
            return
        if isinstance(frame, Sync):
            self._on_sync(frame)
        elif isinstance(frame, Draining):
            gateway.draining = True
        elif frame.term != self.term:
            return  # for another owner
        elif isinstance(frame, Batch):
            self._on_batch(gateway, frame, size)
        else:
            self._on_refill(frame)

    def take(self) -> list[Input]:
        """What is to be decided next, in the order in which it came."""
        for each in self.waiting:
            if isinstance(each, Syncing):
                each.spared.update(self._unconfirmed(each.frame.gateway))
        inputs = self.waiting[:MOST_AT_ONCE]
        self.waiting = self.waiting[MOST_AT_ONCE:]
        return inputs

    def _on_gone(self, gateway: str) -> None:
        self.waiting.append(GatewayGone(gateway))
        self._asked()

    def _on_batch(self, gateway: Gateway, batch: Batch, size: int) -> None:
        if not self.waiting:
            self._waiting_bytes = 0
        if len(self.waiting) >= MOST_WAITING or self._waiting_bytes >= MOST_WAITING_BYTES:
            return  # the gateway asks again
        received = gateway.inbox.receive(batch, size, self._loop.time())
        if received.tasks:
            self._waiting_bytes += size
            takes, now = self._doorkeeper.takes, self._loop.time()
            for task in received.tasks:
                if takes(task):
                    self._doorkeeper.receive(self.state, task)
                elif self._overtaking.overtakes(task, now):
                    self.refuse(task, NOTHING_STORED)
                else:
                    self.waiting.append(task)
        for no, outcome in received.again:
            self._mail.add(gateway.id, self._made(no, outcome), everywhere=True)
        if received.missing:
            first, last = received.missing
            self._mail.send(gateway.id, Missing(self.term, first, last), everywhere=True)

    def _take(self, each: Input) -> None:
        if not self._closed:
            self.waiting.append(each)
            self._asked()

    def _turn_away(self, task: Task, error: Error) -> None:
        if not self._closed:
            self.refuse(task, error)
            self._asked()

    def _on_sync(self, frame: Sync) -> None:
        if frame.term > self.term:
            # The database is behind what the gateways have seen: they would ignore us for ever.
            self._log.warning("what=term_below_seen term=%d seen=%d", self.term, frame.term)
            self.seen_term = max(self.seen_term, frame.term)
            self._asked()
            return
        asked = {
            (each.frame.gateway, each.frame.no)
            for each in self.waiting
            if isinstance(each, Syncing)
        }
        if (frame.gateway, frame.no) not in asked:
            self.waiting.append(Syncing(frame, self._unconfirmed(frame.gateway)))

    def _unconfirmed(self, gateway: str) -> set[int]:
        """Sessions that were opened for a gateway which may not know of it yet."""
        known = self._gateways.get(gateway)
        unconfirmed = set()
        for session, (asker, no) in list(self._welcomed.items()):
            if asker != gateway:
                continue
            if known is not None and known.inbox.keeps(no):
                unconfirmed.add(session)
            else:
                del self._welcomed[session]
        return unconfirmed

    def _on_refill(self, frame: Refill) -> None:
        payloads = self._stream.refill(frame.first, frame.last)
        if payloads is None:
            too_old = TooOld(self.term, self._stream.position)
            self._mail.send(frame.gateway, too_old, everywhere=True)
            return
        for payload in payloads:
            self._mail.refill(frame.gateway, payload)

    # --- out ------------------------------------------------------------------------------

    def tell(self, turn: Turn) -> None:
        """Make a stored turn true and publish it: the stream, then answers at its position."""
        plan, now = turn.plan, self._loop.time()
        plan.apply()
        self._view.snapshots.clear()
        payloads = self._stream.add(plan.items, now)
        for payload in payloads:
            self._mail.tell_all(payload)
        if payloads:
            self._published = now
        for task, outcome, kept in plan.answers:
            self._answer(task, outcome, kept=kept)
        for reading, rows in zip(plan.readings, turn.rows, strict=True):
            answer = reads.answer_reading(self._view, reading, rows)
            self._answer(reading.task, answer, kept=False)
        for auditing, entries in zip(plan.audits, turn.audits, strict=True):
            self._answer(auditing.task, reads.answer_audit(auditing, entries), kept=False)
        for searching in plan.searches:
            self._search(searching)
        self.flush()
        for each in plan.synced:
            self._synced(each)

    def _search(self, searching: Searching) -> None:
        task = searching.task

        def done(result: Result | Refused) -> None:
            if self._closed:
                return
            if isinstance(result, Refused):
                self.refuse(task, Error(result.code, result.text, retry_after=result.retry_after))
            else:
                self._answer(task, Answer(task.ask.no, self._found(task, result)), kept=False)
            self._asked()

        if not self._searches.submit(Search(*searching[1:]), done):
            text = "too many searches are under way; try again"
            self.refuse(task, Error(Code.UNAVAILABLE, text, retry_after=1.0))

    def _found(self, task: Task, result: Result) -> Found:
        """The hits in rooms that may be read now: more may be barred than when it was asked."""
        raw, rooms = msgspec.Raw, self.state.rooms
        asked = {hit.room for hit in result.hits}
        at = int(time.time() * 1000)
        open_now = reads.readable(self.state, task.ask.session, asked, self._settings, at)
        hits = [
            Hit(
                rooms[hit.room].name,
                raw(hit.body),
                [raw(body) for body in hit.before],
                [raw(body) for body in hit.after],
            )
            for hit in result.hits
            if hit.room in open_now
        ]
        return Found(0, hits, result.more, result.next)

    def refuse(self, task: Task, error: Error) -> None:
        """Answer a task that no turn will answer."""
        self.state.note_refused([task.ask.session], self._loop.time())
        self._answer(task, Answer(task.ask.no, error), kept=True)

    def undo(self, inputs: Sequence[Input]) -> None:
        """Nothing of a turn is stored, for certain: those who asked are told to try later."""
        now = self._loop.time()
        refused, self.waiting = self._overtaking.undone(inputs, self.waiting, now)
        for task in refused:
            self.refuse(task, NOTHING_STORED)
        self.flush()

    def _answer(self, task: Task, outcome: Outcome, *, kept: bool) -> None:
        answer = self._made(task.ask.no, outcome)
        gateway = self._gateways.get(task.gateway)
        if gateway is not None:
            gateway.inbox.answered(task.ask.no, outcome, kept)
            if answer.session:
                self._welcome(answer.session, task)
        self._mail.add(task.gateway, answer, everywhere=task.everywhere)

    def _welcome(self, session: int, task: Task) -> None:
        self._welcomed[session] = task.gateway, task.ask.no
        if len(self._welcomed) > 2 * len(self.state.sessions) + MOST_OVER:
            living = self.state.sessions
            self._welcomed = {id: by for id, by in self._welcomed.items() if id in living}

    def _made(self, no: int, outcome: Outcome) -> Answer:
        """The answer as it is true at the stream's position, where the state always is."""
        if isinstance(outcome, Answer):
            return outcome
        try:
            return outcome(self._view)
        except Exception:
            self._log.exception("what=broken_answer")
            return Answer(no, Error(Code.INTERNAL, "a bug of this server; see its log"))

    def _synced(self, synced: Synced) -> None:
        sync, state = synced.frame, self.state
        asked = dict.fromkeys(sync.rooms)
        inside = []
        for session in (state.sessions[id] for id in synced.differing if id in state.sessions):
            rooms = sorted(state.people[session.sender].rooms)
            asked.update(dict.fromkeys(rooms))
            own = [(id, own_state(state, state.rooms[id], session.sender)) for id in rooms]
            inside.append((session.id, own))
        unknown = [id for id in asked if id not in state.rooms]
        known = [state.rooms[id] for id in asked if id in state.rooms]
        parts = in_parts([snapshot(self._view, room) for room in known], inside)
        position, epoch = self._stream.position, state.epoch
        for part, (snapshots, some) in enumerate(parts):
            frame = wire.Synced(
                self.term,
                position,
                epoch,
                sync.no,
                synced.over,
                snapshots,
                unknown,
                part,
                len(parts),
                some,
            )
            self._mail.send(sync.gateway, frame, everywhere=True)
        self._log.info(
            "what=synced gateway=%s sessions=%d over=%d rooms=%d moved=%d",
            sync.gateway,
            len(sync.sessions),
            len(synced.over),
            len(sync.rooms),
            len(inside),
        )

    def _taken(self, gateway: str) -> int:
        known = self._gateways.get(gateway)
        return known.inbox.taken if known is not None else 0

    def _report(self) -> Report:
        now, of_gateway = self._loop.time(), self.state.of_gateway
        gateways = [
            GatewayInfo(each.id, len(of_gateway.get(each.id, ())), round(now - each.heard, 3))
            for each in self._gateways.all()
            if not each.gone
        ]
        return Report(
            0,
            self._identity,
            self.term,
            self._stream.position,
            self.state.epoch,
            round(now - self._since, 3),
            len(self.state.rooms),
            len(self.state.sessions),
            self.state.events,
            self._bus.good,
            sorted(gateways, key=lambda each: each.gateway),
            __version__,
            self.state.accounts,
        )
