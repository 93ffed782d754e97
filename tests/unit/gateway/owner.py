"""An owner of one page for tests of the gateway: it keeps all in memory, and fails when told to.

It speaks hubbub.wire over real brokers, so the gateway under test is a whole process; what a real
owner would have to be forced into (losing a batch, forgetting the stream, a new term) it just does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from hubbub import frames, wire
from hubbub.bus import Bus, broker_addresses
from hubbub.errors import Code
from hubbub.frames import Error, Message, Ok, Page, Person, Presence, RoomState, Roster, Welcome
from hubbub.settings import Settings
from hubbub.wire import Answer, Answers, Item, Kind, Snapshot

_raw = frames.encoder.encode


class Room:
    """A log and who is in it."""

    def __init__(self, number: int, name: str) -> None:
        self.id, self.name = number, name
        self.log: list[tuple[int, int, bytes]] = []
        self.people: dict[int, Person] = {}

    def snapshot(self) -> Snapshot:
        """As it stands."""
        head = len(self.log)
        return Snapshot(self.id, self.name, head, 1, head, list(self.people.values()))


class Owner:
    """Answers every gateway. `lose` says which stream batches are not published, by position."""

    def __init__(self, settings: Settings) -> None:
        log = logging.getLogger("owner")
        inbox = wire.worker_topic("tiny")
        self.bus = Bus(
            broker_addresses(settings), identity="tiny", inbox=inbox, settings=settings, log=log
        )
        self.bus.subscribe(wire.shard_topic(0), self._on_message)
        self.term, self.position, self.epoch = 1, 0, 77
        self.rooms: dict[str, Room] = {}
        self.sessions: dict[int, tuple[int, str, str]] = {}  # generation, name, gateway
        self.seen: list[wire.ToOwner] = []
        self.kept: dict[int, bytes] = {}
        self.taken: dict[str, int] = {}
        self.lose: Callable[[int], bool] = lambda position: False
        self.mute = False  # takes nothing, answers nothing
        self.forgetful = False  # keeps no stream
        self.refuse: type | None = None  # frames that it does not allow
        self.deaf_to: Callable[[frames.ClientFrame | Any], bool] = lambda frame: False

    async def start(self) -> None:
        """Connect, and wait until the bus works."""
        await self.bus.start()
        await self.bus.ready(10)

    # --- what tests do --------------------------------------------------------------------

    def asks(self, kind: type) -> list[wire.Ask]:
        """Every ask of that kind that came, repeats too."""
        batches = [frame for frame in self.seen if isinstance(frame, wire.Batch)]
        return [ask for batch in batches for ask in batch.asks if isinstance(ask.frame, kind)]

    def frames_of(self, kind: type) -> list[Any]:
        """Every bus frame of that kind that came."""
        return [frame for frame in self.seen if isinstance(frame, kind)]

    def publish(self, items: list[Item], *, term: int | None = None) -> None:
        """Give `items` the next position."""
        self.position += 1
        data = wire.pack_stream(term or self.term, self.position, self.epoch, items)
        self.kept[self.position] = data
        if not self.lose(self.position):
            self.bus.publish(wire.STREAM_TOPIC, wire.STREAM, data, everywhere=True)

    def repeat_position(self) -> None:
        """What an owner does every second."""
        data = wire.pack_stream(self.term, self.position, self.epoch, [])
        self.bus.publish(wire.STREAM_TOPIC, wire.STREAM, data, everywhere=True)

    def message(self, room: str, text: str, *, sender: int = 9, name: str = "Nobody") -> Item:
        """Put a message into a room's log; the item is to be published, or not."""
        there = self.rooms[room]
        seq = len(there.log) + 1
        body = _raw(Message(room, seq, sender, name, text, 1, seq))
        there.log.append((seq, Kind.MESSAGE, body))
        return Item(Kind.MESSAGE, there.id, seq, sender, body)

    def new_term(self, *, position: int = 0) -> None:
        """Another owner has taken over."""
        self.term += 1
        self.position = position
        self.kept.clear()
        self.taken.clear()

    def tell(self, gateway: str, frame: wire.ToGateway) -> None:
        """Send a frame to one gateway."""
        topic = wire.gateway_topic(gateway)
        self.bus.publish(topic, wire.MESSAGE, wire.encoder.encode(frame), everywhere=True)

    # --- the owner's side -----------------------------------------------------------------

    def _on_message(self, kind: int, data: bytes, offset: int) -> None:
        frame = wire.decode_to_owner(data[offset:])
        self.seen.append(frame)
        if self.mute:
            return
        if isinstance(frame, wire.Sync):
            self._sync(frame)
        elif isinstance(frame, wire.Refill):
            self._refill(frame)
        elif isinstance(frame, wire.Batch) and frame.term == self.term:
            self._batch(frame)

    def _sync(self, frame: wire.Sync) -> None:
        by_id = {room.id: room for room in self.rooms.values()}
        over = [
            number
            for number, generation in frame.sessions
            if self.sessions.get(number, (0,))[0] != generation
        ]
        self.tell(
            frame.gateway,
            wire.Synced(
                self.term,
                self.position,
                self.epoch,
                frame.no,
                over,
                [by_id[room].snapshot() for room in frame.rooms if room in by_id],
                [room for room in frame.rooms if room not in by_id],
            ),
        )

    def _refill(self, frame: wire.Refill) -> None:
        if self.forgetful:
            self.tell(frame.gateway, wire.TooOld(self.term, self.position))
            return
        for position in range(frame.first, frame.last + 1):
            topic = wire.gateway_topic(frame.gateway)
            self.bus.publish(topic, wire.STREAM, self.kept[position], everywhere=True)

    def _batch(self, batch: wire.Batch) -> None:
        taken = max(self.taken.get(batch.gateway, 0), batch.first - 1)
        if batch.number > taken + 1:
            self.tell(batch.gateway, wire.Missing(self.term, taken + 1, batch.number - 1))
            return
        self.taken[batch.gateway] = max(taken, batch.number)
        answers = [
            Answer(ask.no, *self._answer(batch.gateway, ask))
            for ask in batch.asks
            if not self.deaf_to(ask.frame)
        ]
        if answers:
            frame = Answers(self.term, self.position, self.taken[batch.gateway], answers)
            self.tell(batch.gateway, frame)

    def _answer(self, gateway: str, ask: wire.Ask) -> tuple[Any, ...]:
        frame = ask.frame
        if self.refuse is not None and isinstance(frame, self.refuse):
            return (Error(Code.NOT_ALLOWED, "not now"),)
        match frame:
            case frames.Hello():
                number = len(self.sessions) + 1
                name = frame.name or f"guest-{number}"
                self.sessions[number] = (1, name, gateway)
                return self._welcome(number)
            case frames.Resume():
                number = int(frame.token.removeprefix("token-"))
                generation, name, _ = self.sessions[number]
                self.sessions[number] = (generation + 1, name, gateway)
                self.publish([Item(Kind.SESSION_OVER, 0, generation + 1, number, b"")])
                return self._welcome(number)
            case frames.Join():
                return self._join(ask, frame)
            case frames.Leave():
                self._presence(self.rooms[frame.room], ask.session, "left")
                return (Ok(0, frame.room),)
            case frames.Say():
                item = self.message(
                    frame.room, frame.text, sender=ask.session, name=self.sessions[ask.session][1]
                )
                self.publish([item])
                return (Ok(0, frame.room, item.seq, 1),)
            case frames.History():
                return (self._page(frame),)
            case frames.Members():
                return (self._roster(self.rooms[frame.room]),)
            case frames.Ping():
                return (frames.Pong(0),)
            case wire.Fetch():
                room = next(room for room in self.rooms.values() if room.id == frame.room_id)
                return (wire.Fetched(room.id, room.log[frame.after :][:500], len(room.log)),)
            case frames.Bye() | wire.Lost():
                return (Ok(0),)
            case _:
                return (Error(Code.NOT_ALLOWED, "this owner is a small one"),)

    def _welcome(self, number: int) -> tuple[Any, ...]:
        generation, name, _ = self.sessions[number]
        rooms = [room for room in self.rooms.values() if number in room.people]
        states = [RoomState(room.name, len(room.log), 1, len(room.log)) for room in rooms]
        welcome = Welcome(0, number, number, name, f"token-{number}", self.epoch, rooms=states)
        return welcome, number, generation, [room.snapshot() for room in rooms]

    def _join(self, ask: wire.Ask, frame: frames.Join) -> tuple[Any, ...]:
        room = self.rooms.setdefault(frame.room, Room(len(self.rooms) + 1, frame.room))
        if ask.session not in room.people:
            self._presence(room, ask.session, "entered")
        snapshots = [room.snapshot()] if ask.snapshot else []
        return self._roster(room), 0, 0, snapshots

    def _roster(self, room: Room) -> Roster:
        people = list(room.people.values())
        return Roster(0, room.name, len(room.log), 1, len(room.log), self.epoch, people)

    def _presence(self, room: Room, session: int, change: str) -> None:
        person = Person(session, self.sessions[session][1])
        if change == "left":
            room.people.pop(session, None)
        else:
            room.people[session] = person
        body = _raw(Presence(room.name, session, person.name, change))
        self.publish([Item(Kind.PRESENCE, room.id, 0, session, body)])

    def _page(self, frame: frames.History) -> Page:
        room = self.rooms[frame.room]
        after = frame.after or 0
        chosen = room.log[after : after + frame.limit]
        events = [msgspec.Raw(body) for _, _, body in chosen]
        more = after + len(chosen) < len(room.log)
        return Page(0, room.name, events, len(room.log), 1, self.epoch, more)
