"""The gateway between bus and connections: what happens in one turn, and each second."""

from __future__ import annotations

import asyncio
import logging

from gateway.asks import Asks
from gateway.connection import Connection
from gateway.desk import Context, Desk
from gateway.entrance import Entrance
from gateway.keeper import Keeper
from gateway.people import People
from gateway.rooms import Room, Rooms
from gateway.session import Session
from gateway.stream import Stream
from gateway.sync import Sync
from gateway.typing import Typing, decode as decode_typing
from gateway.waiting import Waiting
from hubbub import wire
from hubbub.bus import Bus
from hubbub.errors import Code, RemoteProtocolError
from hubbub.frames import ClientFrame, Moving, Typists, encoder
from hubbub.limits import Limits
from hubbub.settings import Settings
from hubbub.wire import Kind, StreamBatch

OWNER = wire.shard_topic(0)  # the active worker owns all shards
TICK = 1.0  # seconds
BUSY_TICK = 0.1  # seconds, while something is to be repeated
LATE_WELCOME = 0.1  # the same for those who wait to be welcomed: they dial again sooner
LATE = 0.5  # seconds without an answer of the owner's, then clients are shown that we live
GATHER = 0.003  # seconds between batches of asks; the owner waits longer before it stores
STALL = 2.0  # seconds without a turn: this process was stopped, its clients were not silent


class Hub:
    """Everything of one gateway process, on one loop."""

    def __init__(self, settings: Settings, gateway: str, bus: Bus, log: logging.Logger) -> None:
        self.settings = settings
        self.gateway = gateway
        self.log = log
        self.trace = log.isEnabledFor(logging.DEBUG)
        self.clock = 0.0
        self.ready = asyncio.Event()  # it has been in step with an owner
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._stream = Stream()
        self._sync = Sync()
        self._asks: Asks[Context] = Asks(gateway, settings.request_within)
        self._rooms = Rooms(self._stream, self._fetch)
        self._people = People(self._rooms)
        self._desk = Desk(
            self._asks,
            self._people,
            self._rooms,
            Entrance(self._people, self._rooms, self._stream, self._log_opened),
            Limits.of(settings),
            now=self._loop.time,
            wake=self.wake,
            typed=self._typed,
        )
        self._typing = Typing()
        self._typing_timer: asyncio.TimerHandle | None = None
        self._waiting = Waiting()
        self._woken = False
        self._draining = False
        self._keeper = Keeper(settings, self.wake, log)
        self._timer: asyncio.TimerHandle | None = None
        self._next_second = self._loop.time()
        self._flushed = float("-inf")  # when asks were last sent
        self._flush_due = False
        bus.subscribe(wire.STREAM_TOPIC, self._on_stream)
        bus.subscribe(wire.gateway_topic(gateway), self._on_inbox)
        bus.on_turn(self._end_turn)

    def start(self) -> None:
        """Begin the ticking, once the bus has started."""
        self.clock = self._loop.time()
        self._tick()

    def stop(self) -> None:
        """End the ticking."""
        for timer in (self._timer, self._typing_timer):
            if timer is not None:
                timer.cancel()

    # --- the bus --------------------------------------------------------------------------

    def _on_stream(self, kind: int, data: bytes, offset: int) -> None:
        if kind == wire.TYPING[0]:
            self._on_typing(data, offset)
            return
        try:
            batches = self._stream.offer(data, offset)
        except RemoteProtocolError as error:
            self.log.error("what=bad_stream why=%r", error.text)
            return
        for batch in batches:
            self._deliver(batch)
        if not self._stream.in_step:
            self._lose_step()

    def _on_inbox(self, kind: int, data: bytes, offset: int) -> None:
        if kind == wire.STREAM[0]:
            self._on_stream(kind, data, offset)
            return
        try:
            frame = wire.decode_to_gateway(memoryview(data)[offset:])
        except RemoteProtocolError as error:
            self.log.error("what=bad_bus_frame why=%r", error.text)
            return
        if not self._stream.see_term(frame.term):
            return
        if not self._stream.in_step:
            self._lose_step()
        if isinstance(frame, wire.Answers):
            self._stream.see_position(frame.position)
            self._waiting.add(frame.term, frame.position, frame.answers)
        elif isinstance(frame, wire.Missing):
            for batch in self._asks.missing(frame.first, frame.last):
                self._publish(batch, everywhere=True)
        elif isinstance(frame, wire.Synced):
            self._on_synced(frame)
        elif isinstance(frame, wire.TooOld):
            if self._stream.gap() is not None:
                self._stream.lose_step()
                self._lose_step()
        else:
            self._say_alive(frame.nonce)

    def _publish(self, frame: wire.ToOwner, *, everywhere: bool = False) -> None:
        self._bus.publish(OWNER, wire.MESSAGE, wire.encoder.encode(frame), everywhere=everywhere)

    def _say_alive(self, nonce: int = 0) -> None:
        alive = wire.Alive(self.gateway, self._stream.term, nonce)
        self._publish(alive, everywhere=nonce != 0)

    def _fetch(self, room_id: int, after: int) -> None:
        self._desk.fetch(room_id, after)

    # --- the stream -----------------------------------------------------------------------

    def _deliver(self, batch: StreamBatch) -> None:
        deliver = self._rooms.deliver
        for item in batch.items:
            if item.kind < Kind.SESSION_OVER:
                deliver(item)
            else:
                self._control(item)

    def _control(self, item: wire.Item) -> None:
        if item.kind == Kind.GATEWAY_GONE:
            if item.body == self.gateway.encode():
                # Declared dead while alive: say so, and get the sessions back.
                self._stream.lose_step()
            return
        self._people.apply(item)

    def _lose_step(self) -> None:
        """Out of step with the owner: deliver and ask nothing until synced."""
        if self._sync.needed:
            return
        self._sync.need()
        self._asks.suspend()
        self.log.info("what=out_of_step term=%d", self._stream.term)
        self.wake()

    def _ask_sync(self) -> None:
        ask, again = self._sync.ask(self._loop.time())
        if not ask:
            return
        sessions, inside = [], []
        for connection in self._people.sessions.values():
            if connection.session is not None:
                sessions.append((connection.session.number, connection.session.generation))
                inside.append(wire.rooms_digest(connection.rooms))
        term, rooms = self._stream.term, [room.id for room in self._rooms.all()]
        question = wire.Sync(self.gateway, term, self._sync.no, sessions, rooms, inside)
        self._publish(question, everywhere=again)

    def _on_synced(self, part: wire.Synced) -> None:
        frame = self._sync.answer(part)
        if frame is None:
            return
        self._people.synced(frame)
        batches = self._stream.begin(frame.position)
        self._desk.outdate(frame.position)
        self._asks.begin(frame.term, self._loop.time())
        for batch in batches:
            self._deliver(batch)
        self.log.info("what=in_step term=%d position=%d", frame.term, frame.position)
        self.ready.set()
        if not self._stream.in_step:
            self._lose_step()

    # --- the turn -------------------------------------------------------------------------

    def wake(self) -> None:
        """Have the turn ended after all that is readable now has been read."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        """Fan out, act on answers, send what is to be asked, and write once to each connection."""
        self._woken = True  # what is done in here needs no other turn
        self._rooms.settle()
        if self._waiting:
            self._act()
        self._desk.go_on()
        now = self._loop.time()
        self._desk.flush_pings()
        self._flush_asks(now)
        self._repair(now)
        dirty = self._rooms.dirty
        if dirty:
            self._rooms.dirty = {}
            for outbox in dirty:
                outbox.flush()
            self._keeper.written(dirty)
        self._woken = False
        if self._desk.has_settled:
            self.wake()
        timer = self._timer
        if timer is not None and self._is_busy() and now + BUSY_TICK < timer.when():
            timer.cancel()
            self._timer = self._loop.call_later(BUSY_TICK, self._tick)

    def _flush_asks(self, now: float) -> None:
        """Send what is asked: at once after a quiet moment, else together with what follows soon.

        Waking the broker and the owner is what a batch costs, not its length.
        """
        if not self._asks.has_queued:
            return
        due = self._flushed + GATHER
        if now >= due:
            self._flushed = now
            for batch in self._asks.flush(now):
                self._publish(batch)
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_at(due, self._flush_later)

    def _flush_later(self) -> None:
        self._flush_due = False
        self._end_turn()

    def _act(self) -> None:
        """Act on the answers whose position has been delivered, in the order in which they came."""
        stream, rooms = self._stream, self._rooms
        while stream.in_step:
            only = self._desk.is_of_log if rooms.fetching else None
            for answer, position in self._waiting.take(stream.term, stream.position, only=only):
                self._desk.act(answer, position)
            if only is None or rooms.fetching:
                break
            rooms.settle()  # what was read stands before the answers that speak of it
        rooms.settle()

    def _repair(self, now: float) -> None:
        self._ask_sync()
        refill = self._stream.refill(now)
        if refill is not None:
            first, last, again = refill
            question = wire.Refill(self.gateway, self._stream.term, first, last)
            self._publish(question, everywhere=again)

    def _is_busy(self) -> bool:
        return bool(len(self._asks) or self._sync.needed or self._stream.gap())

    def _tick(self) -> None:
        now = self._loop.time()
        for batch in self._asks.due(now):
            self._publish(batch, everywhere=True)
        self._desk.expire()
        oldest = self._asks.oldest()
        if oldest is not None and now - oldest > LATE_WELCOME:
            self._keeper.reassure_newcomers()
        if now >= self._next_second:
            if now - self._next_second > STALL:
                self.log.warning("what=stalled seconds=%.1f", now - self._next_second)
                self._keeper.forgive(now - self._next_second)
                self._desk.stale_until = now + self.settings.handshake_within
            self._next_second = now + TICK - BUSY_TICK / 2
            self.clock = now
            self._say_alive()
            self._stream.second()
            self._keeper.second(now)
            if oldest is not None and now - oldest > LATE:
                self._keeper.reassure()
        self._timer = self._loop.call_later(BUSY_TICK if self._is_busy() else TICK, self._tick)
        self._end_turn()

    # --- typing ---------------------------------------------------------------------------

    def _typed(self, session: Session, room: Room) -> None:
        """Somebody here types: tell all gateways, this one too, together with who else does."""
        now = self._loop.time()
        is_waiting = self._typing.note((room.id, session.sender, session.name), now)
        if is_waiting and self._typing_timer is None:
            due = max(now, self._typing.due)
            self._typing_timer = self._loop.call_at(due, self._tell_typing)

    def _tell_typing(self) -> None:
        self._typing_timer = None
        batch = wire.TypingBatch(self.gateway, self._typing.take(self._loop.time()))
        self._bus.publish(wire.STREAM_TOPIC, wire.TYPING, wire.encoder.encode(batch))

    def _on_typing(self, data: bytes, offset: int) -> None:
        try:
            typing = decode_typing(memoryview(data)[offset:])
        except RemoteProtocolError as error:
            self.log.error("what=bad_typing why=%r", error.text)
            return
        now = self._loop.time()
        for typist in typing:
            room_id, sender, name = typist
            room = self._rooms.get(room_id)
            if room is not None and self._typing.is_shown(typist, now):
                news = encoder.encode(Typists(room.name, sender, name))
                self._rooms.show(room, news, but=sender)

    # --- connections ----------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A socket is open."""
        self._keeper.opened(connection)
        if self._draining:
            connection.end(Code.UNAVAILABLE, "this gateway is closing: connect again")

    def request(self, connection: Connection, frame: ClientFrame, weight: int) -> None:
        """Carry out one frame of a client's."""
        self._desk.request(connection, frame, weight)

    def to_flush(self, connection: Connection) -> None:
        """Write its outbox at the end of this turn."""
        self._rooms.dirty[connection.outbox] = connection
        self.wake()

    def closing(self, connection: Connection) -> None:
        """It takes part no more."""
        self._desk.closing(connection)

    def lingering(self, connection: Connection) -> None:
        """It is to be cut off at its deadline."""
        self._keeper.lingering(connection)

    def closed(self, connection: Connection) -> None:
        """Its socket is closed."""
        self._rooms.dirty.pop(connection.outbox, None)
        self._keeper.closed(connection)

    def _log_opened(self, connection: Connection) -> None:
        session = connection.session
        assert session is not None
        self._keeper.welcomed(connection)
        self.log.info(
            "what=connection_opened conn=%d session=%d address=%s agent=%r",
            connection.number,
            session.number,
            connection.address,
            connection.agent,
        )

    # --- draining -------------------------------------------------------------------------

    def begin_drain(self, within: float) -> None:
        """Ask everybody to move elsewhere within so many seconds."""
        self._draining = True
        self._publish(wire.Draining(self.gateway, self._stream.term), everywhere=True)
        moving = encoder.encode(Moving(within))
        for connection in self._keeper.open():
            if connection.session is None and not connection.core.buffered:
                connection.end(Code.UNAVAILABLE, "this gateway is closing: connect again")
            else:
                connection.put(moving)

    def end_drain(self) -> None:
        """Close what is left; the sessions stay, to be resumed elsewhere."""
        for connection in self._keeper.open():
            connection.finish("drained")

    @property
    def asked(self) -> int:
        """Requests without an answer."""
        return len(self._asks)

    @property
    def connected(self) -> int:
        """Sockets that are open."""
        return len(self._keeper)
