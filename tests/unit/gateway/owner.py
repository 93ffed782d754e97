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
from hubbub.frames import (
    Error,
    Event,
    Frame,
    Message,
    Ok,
    Page,
    Parted,
    Person,
    Presence,
    RoomState,
    Roster,
    Welcome,
)
from hubbub.names import direct_room
from hubbub.settings import Settings
from hubbub.wire import Answer, Answers, Ending, Entry, Item, Kind, Snapshot, rooms_digest

_raw = frames.encoder.encode


class Room:
    """A log and who is in it."""

    def __init__(self, number: int, name: str) -> None:
        self.id, self.name = number, name
        self.log: list[tuple[int, int, bytes]] = []
        self.people: dict[int, Person] = {}

        self.pair: list[Person] = []

    def snapshot(self) -> Snapshot:
        """As it stands."""
        head = len(self.log)
        people = list(self.people.values())
        return Snapshot(self.id, self.name, head, 1, head, people, pair=self.pair)

    def own(self, sender: int) -> RoomState:
        """The same, with what is personal: a mark that tells whose it is."""
        head = len(self.log)
        others = [person for person in self.pair if person.sender != sender]
        peer = others[0] if others else None
        return RoomState(self.name, head, 1, head, mark=sender, peer=peer)


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
        self.sender_of: dict[int, int] = {}  # session -> person; a guest has the same number
        self.done: dict[tuple[str, int], tuple[Any, ...]] = {}  # by gateway and ask: the answer
        self.seen: list[wire.ToOwner] = []
        self.kept: dict[int, bytes] = {}
        self.taken: dict[str, int] = {}
        self.lose: Callable[[int], bool] = lambda position: False
        self.mute = False  # takes nothing, answers nothing
        self.forgetful = False  # keeps no stream
        self.refuse: type | None = None  # frames that it does not allow
        self.deaf_to: Callable[[frames.ClientFrame | Any], bool] = lambda frame: False
        self.silent_on: Callable[[frames.ClientFrame | Any], bool] = lambda frame: False  # done
        self.holding: type | None = None  # answers to these do not leave yet
        self.held: list[tuple[str, Answers]] = []

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

    def event(self, room: str, kind: str, **fields: Any) -> Item:
        """Put an event into a room's log."""
        there = self.rooms[room]
        seq = len(there.log) + 1
        body = _raw(Event(room, seq, kind, fields.pop("sender", 9), "Nobody", 1, seq, **fields))
        there.log.append((seq, Kind.EVENT, body))
        return Item(Kind.EVENT, there.id, seq, 9, body)

    def room(self, name: str) -> Room:
        """The room of that name, made if need be."""
        return self.rooms.setdefault(name, Room(len(self.rooms) + 1, name))

    def direct(self, one: int, other: int) -> Room:
        """The conversation of two people."""
        room = self.room(direct_room(one, other))
        room.pair = [self.person(one), self.person(other)]
        return room

    def person(self, sender: int) -> Person:
        """Somebody that has a session."""
        session = min(number for number, whose in self.sender_of.items() if whose == sender)
        return Person(sender, self.sessions[session][1])

    def member_in(self, room: str, sender: int, asked_by: int = 0) -> Item:
        """Somebody is in a room from now on."""
        there = self.room(room)
        there.people[sender] = self.person(sender)
        body = wire.encoder.encode(Entry(there.snapshot(), there.own(sender)))
        return Item(Kind.MEMBER_IN, there.id, asked_by, sender, body)

    def member_out(
        self, room: str, sender: int, asked_by: int = 0, parted: Parted | None = None
    ) -> Item:
        """Somebody is in a room no longer."""
        there = self.rooms[room]
        there.people.pop(sender, None)
        body = _raw(parted or Parted(room))
        return Item(Kind.MEMBER_OUT, there.id, asked_by, sender, body)

    def personal(self, sender: int, frame: Frame, room: str = "") -> Item:
        """Something for one person."""
        id = self.rooms[room].id if room else 0
        return Item(Kind.PERSONAL, id, 0, sender, _raw(frame))

    def over(self, session: int, generation: int, ending: Ending | None = None) -> Item:
        """A session is over below that generation."""
        body = wire.encoder.encode(ending) if ending else b""
        return Item(Kind.SESSION_OVER, 0, generation, session, body)

    def hold(self, kind: type) -> None:
        """Keep answers to such frames back, true at the positions at which they were made."""
        self.holding = kind

    def release(self) -> None:
        """Let them go."""
        self.holding = None
        held, self.held = self.held, []
        for gateway, frame in held:
            self.tell(gateway, frame)

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
        inside = []
        asked = dict.fromkeys(frame.rooms)
        for (number, _), digest in zip(frame.sessions, frame.inside, strict=True):
            sender = self.sender_of.get(number, 0)
            rooms = [room for room in self.rooms.values() if sender in room.people]
            if number not in over and digest != rooms_digest(room.id for room in rooms):
                inside.append((number, [(room.id, room.own(sender)) for room in rooms]))
                asked |= dict.fromkeys(room.id for room in rooms)
        self.tell(
            frame.gateway,
            wire.Synced(
                self.term,
                self.position,
                self.epoch,
                frame.no,
                over,
                [by_id[room].snapshot() for room in asked if room in by_id],
                [room for room in frame.rooms if room not in by_id],
                inside=inside,
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
        kept, told = [], []
        for ask in batch.asks:
            if self.deaf_to(ask.frame):
                continue
            answer = Answer(ask.no, *self._once(batch.gateway, ask))
            if self.holding is not None and isinstance(ask.frame, self.holding):
                kept.append(answer)
            elif not self.silent_on(ask.frame):
                told.append(answer)
        taken = self.taken[batch.gateway]
        if kept:
            self.held.append((batch.gateway, Answers(self.term, self.position, taken, kept)))
        if told:
            self.tell(batch.gateway, Answers(self.term, self.position, taken, told))

    def _once(self, gateway: str, ask: wire.Ask) -> tuple[Any, ...]:
        """What is asked again is not done again; a join is answered as things are now."""
        key = gateway, ask.no
        if key in self.done and isinstance(ask.frame, frames.Join):
            return self._joined(ask, self.room(self._canonical(ask, ask.frame.room)))
        if key not in self.done:
            self.done[key] = self._answer(gateway, ask)
        return self.done[key]

    def _canonical(self, ask: wire.Ask, name: str) -> str:
        """The name of a room however it is asked for."""
        if not name.startswith("@") or ":" in name:
            return name
        (other,) = {
            self.sender_of[number]
            for number, (_, whose, _) in self.sessions.items()
            if whose == name[1:]
        }
        return self.direct(self.sender_of[ask.session], other).name

    def _answer(self, gateway: str, ask: wire.Ask) -> tuple[Any, ...]:
        frame = ask.frame
        if self.refuse is not None and isinstance(frame, self.refuse):
            return (Error(Code.NOT_ALLOWED, "not now"),)
        match frame:
            case frames.Hello():
                number = len(self.sessions) + 1
                name = frame.name or f"guest-{number}"
                self.sessions[number] = (1, name, gateway)
                self.sender_of[number] = number
                return self._welcome(number, ask)
            case frames.Login():
                return self._login(gateway, ask, frame)
            case frames.Resume():
                number = int(frame.token.removeprefix("token-"))
                generation, name, _ = self.sessions[number]
                self.sessions[number] = (generation + 1, name, gateway)
                self.publish([Item(Kind.SESSION_OVER, 0, generation + 1, number, b"")])
                return self._welcome(number, ask)
            case frames.Join():
                return self._join(ask, frame)
            case frames.Leave():
                sender = self.sender_of[ask.session]
                self._presence(self.rooms[frame.room], sender, "left")
                self.publish([self.member_out(frame.room, sender, ask.session)])
                return (Ok(0, frame.room),)
            case frames.Unregister() | frames.Revoke():
                self.publish([self.over(ask.session, 99, Ending("expired", "it is over"))])
                return (Ok(0),)
            case frames.Say():
                sender = self.sender_of[ask.session]
                item = self.message(
                    frame.room, frame.text, sender=sender, name=self.sessions[ask.session][1]
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

    def _login(self, gateway: str, ask: wire.Ask, frame: frames.Login) -> tuple[Any, ...]:
        """A session more of whoever has that name; nobody: the first one."""
        number = len(self.sessions) + 1
        name = frame.name or ""
        same = [session for session, (_, whose, _) in self.sessions.items() if whose == name]
        self.sessions[number] = (1, name, gateway)
        self.sender_of[number] = self.sender_of[same[0]] if same else number
        return self._welcome(number, ask)

    def _welcome(self, number: int, ask: wire.Ask) -> tuple[Any, ...]:
        generation, name, _ = self.sessions[number]
        sender = self.sender_of[number]
        rooms = [room for room in self.rooms.values() if sender in room.people]
        states = [room.own(sender) for room in rooms]
        welcome = Welcome(0, number, sender, name, f"token-{number}", self.epoch, rooms=states)
        snapshots = [room.snapshot() for room in rooms] if ask.snapshot else []
        return welcome, number, generation, snapshots

    def _join(self, ask: wire.Ask, frame: frames.Join) -> tuple[Any, ...]:
        room = self.room(self._canonical(ask, frame.room))
        sender = self.sender_of[ask.session]
        if sender not in room.people:
            self._presence(room, sender, "entered")
            self.publish([self.member_in(room.name, sender, ask.session)])
        return self._joined(ask, room)

    def _joined(self, ask: wire.Ask, room: Room) -> tuple[Any, ...]:
        own = room.own(self.sender_of[ask.session])
        roster = msgspec.structs.replace(self._roster(room), mark=own.mark, peer=own.peer)
        inside = self.sender_of[ask.session] in room.people
        return roster, 0, 0, [room.snapshot()] if ask.snapshot else [], inside

    def _roster(self, room: Room) -> Roster:
        people = list(room.people.values())
        return Roster(0, room.name, len(room.log), 1, len(room.log), self.epoch, people)

    def _presence(self, room: Room, sender: int, change: str) -> None:
        person = self.person(sender)
        if change == "left":
            room.people.pop(sender, None)
        else:
            room.people[sender] = person
        body = _raw(Presence(room.name, sender, person.name, change))
        self.publish([Item(Kind.PRESENCE, room.id, 0, sender, body)])

    def _page(self, frame: frames.History) -> Page:
        room = self.rooms[frame.room]
        after = frame.after or 0
        chosen = room.log[after : after + frame.limit]
        events = [msgspec.Raw(body) for _, _, body in chosen]
        more = after + len(chosen) < len(room.log)
        return Page(0, room.name, events, len(room.log), 1, self.epoch, more)
