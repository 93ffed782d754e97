"""Readers of a room through joins, replays, falling behind and catching up: each has everything."""

from __future__ import annotations

import random
from typing import cast

import msgpack
from hypothesis import given, settings, strategies as st
from msgspec import Raw

from gateway.connection import Connection
from gateway.outbox import Outbox
from gateway.rooms import Rooms
from gateway.stream import Stream
from hubbub.frames import Event, Frame, Message, Page, Person, Presence, Roster, encoder
from hubbub.wire import Item, Kind, Snapshot, pack_stream

LIMIT = 600  # bytes of an outbox: a handful of messages


class Socket:
    """What a peer has been sent, and how much of it has been taken."""

    def __init__(self) -> None:
        self.sent = b""
        self.waiting = 0
        self.stuck = False

    def write(self, data: bytes, /) -> None:
        self.sent += data
        self.waiting += len(data) if self.stuck else 0

    def get_write_buffer_size(self) -> int:
        return self.waiting


class Reader:
    """As much of a connection as the fan-out knows, and a client that follows the protocol."""

    def __init__(self) -> None:
        self.socket = Socket()
        self.outbox = Outbox(self.socket, LIMIT, 10.0)
        self.rooms: dict[int, object] = {}
        self.tail = b""

    @property
    def connection(self) -> Connection:
        return cast(Connection, self)

    def frames(self) -> list[dict[str, object]]:
        """Everything that was written, decoded."""
        unpacker = msgpack.Unpacker()
        unpacker.feed(self.socket.sent)
        return list(unpacker)


class World:
    """One room, its owner's log and stream, and this gateway's side of it."""

    def __init__(self) -> None:
        self.log: list[bytes] = []
        self.count = 0  # messages
        self.people: dict[int, Person] = {}
        self.stream = Stream()
        self.stream.see_term(1)
        self.stream.begin(0)
        self.fetches: list[tuple[int, int]] = []
        self.rooms = Rooms(self.stream, lambda room, after: self.fetches.append((room, after)))
        self.position = 0
        self.unseen: list[bytes] = []

    def _publish(self, item: Item) -> None:
        self.position += 1
        self.unseen.append(pack_stream(1, self.position, 7, [item]))

    def say(self) -> None:
        """A message, committed and published."""
        seq = len(self.log) + 1
        self.count += 1
        body = encoder.encode(Message("den", seq, 1, "Ada", f"message {seq}", 0, self.count))
        self.log.append(body)
        self._publish(Item(Kind.MESSAGE, 1, seq, 1, body))

    def presence(self, sender: int, change: str, state: str = "here") -> None:
        """A change of presence, published."""
        name = f"person-{sender}"
        if change == "left":
            self.people.pop(sender, None)
        elif change == "entered" or sender in self.people:
            self.people[sender] = Person(sender, name, state)
        body = encoder.encode(Presence("den", sender, name, change, state))
        self._publish(Item(Kind.PRESENCE, 1, 0, sender, body))

    def rename(self, sender: int, to: str) -> None:
        """A numbered `renamed`."""
        person = self.people[sender]
        self.people[sender] = Person(sender, to, person.state)
        seq = len(self.log) + 1
        body = encoder.encode(Event("den", seq, "renamed", sender, person.name, 0, self.count, to))
        self.log.append(body)
        self._publish(Item(Kind.EVENT, 1, seq, sender, body))

    def snapshot(self) -> Snapshot:
        """The room as the owner has it now."""
        return Snapshot(1, "den", len(self.log), 1, self.count, list(self.people.values()))

    def see(self, count: int) -> None:
        """The gateway takes some of the stream."""
        for _ in range(min(count, len(self.unseen))):
            for batch in self.stream.offer(self.unseen.pop(0), 0):
                for item in batch.items:
                    self.rooms.deliver(item)

    def turn(self) -> None:
        """The end of a turn."""
        self.rooms.settle()
        for outbox in self.rooms.dirty:
            outbox.flush()
        self.rooms.dirty = {}

    def answer(self, reader: Reader, frame: Frame) -> None:
        """Put an answer into an outbox, as the desk does."""
        reader.outbox.put(encoder.encode(frame))
        self.rooms.dirty[reader.outbox] = reader.connection
        if reader.tail:
            reader.outbox.put(reader.tail)
            reader.tail = b""

    def page(self, after: int) -> Page:
        """The owner's answer to `history`."""
        chosen = self.log[after : after + 5]
        more = after + len(chosen) < len(self.log)
        return Page(1, "den", [Raw(body) for body in chosen], len(self.log), more=more)


def numbers(reader: Reader, cursor: int) -> list[int]:
    """What a client has after its cursor, pages included, by the numbers."""
    got: list[int] = []
    for frame in reader.frames():
        events = frame["events"] if frame["t"] == "page" else [frame]
        for event in cast("list[dict[str, int]]", events):
            got += [event["seq"]] if event.get("seq", 0) > cursor else []
    return got


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_every_reader_has_everything_once_and_in_order(seed: int) -> None:
    """“A reader has everything or is told what it lacks.”"""
    chance, world = random.Random(seed), World()
    for _ in range(chance.randint(0, 4)):
        world.say()
    readers: list[tuple[Reader, int]] = []
    pages: list[tuple[Reader, int, Page, int]] = []  # answers on their way, with their position
    joins: list[tuple[Reader, Snapshot, int, int | None]] = []

    def act() -> None:
        for reader, snapshot, position, cursor in list(joins):
            if position <= world.stream.position and chance.random() < 0.7:
                joins.remove((reader, snapshot, position, cursor))
                assert world.rooms.follow(snapshot, position)
                room = world.rooms.named("den")
                assert room is not None
                world.rooms.settle_one(room)
                world.answer(reader, room.roster_frame(Roster(0, "den", 0), 1, 0))
                readers.append((reader, room.head if cursor is None else cursor))
                world.rooms.enter(reader.connection, room, cursor)
        for reader, after, page, position in list(pages):
            if position <= world.stream.position and chance.random() < 0.7:
                pages.remove((reader, after, page, position))
                world.answer(reader, world.rooms.catch_up(reader.connection, page, after, position))

    def ask() -> None:
        world.turn()  # what was answered has been read before more is asked
        waiting = {reader for reader, *_ in pages}
        for reader, cursor in readers:
            room = world.rooms.named("den")
            if room and reader.connection in room.behind and reader not in waiting:
                after = max([cursor, *numbers(reader, cursor)])
                pages.append((reader, after, world.page(after), world.position))

    for _ in range(120):
        step = chance.random()
        if step < 0.4:
            world.say()
        elif step < 0.55:
            world.see(chance.randint(1, 4))
        elif step < 0.65 and len(readers) + len(joins) < 4:
            cursor = chance.choice([None, None, chance.randint(0, len(world.log))])
            joins.append((Reader(), world.snapshot(), world.position, cursor))
        elif step < 0.75 and readers:
            socket = chance.choice(readers)[0].socket
            socket.stuck = not socket.stuck
            socket.waiting = 0
        elif step < 0.9:
            act()
            ask()
        world.turn()
    for _ in range(100):
        for reader, _ in readers:
            reader.socket.stuck, reader.socket.waiting = False, 0
        world.see(1000)
        act()
        ask()
        world.turn()
    assert not joins
    assert not pages
    for reader, cursor in readers:
        assert numbers(reader, cursor) == list(range(cursor + 1, len(world.log) + 1))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_the_copy_of_a_roster_is_the_owners_at_every_position(seed: int) -> None:
    """“From then on its copy of head and roster is exact at every position.”"""
    chance, world = random.Random(seed), World()

    def change() -> None:
        sender, step = chance.randint(1, 5), chance.random()
        if step < 0.2:
            world.say()
        elif step < 0.4 and sender in world.people:
            world.rename(sender, f"renamed-{chance.randint(0, 99)}")
        elif step < 0.7:
            world.presence(sender, "entered" if sender not in world.people else "left")
        else:
            world.presence(sender, "state", chance.choice(["here", "gone"]))

    for _ in range(20):
        change()
    snapshot, position = world.snapshot(), world.position
    for _ in range(20):
        change()
    world.see(position + chance.randint(0, 20))
    assert world.rooms.follow(snapshot, position)
    room = world.rooms.named("DEN")
    assert room is not None
    world.see(1000)
    assert list(room.roster.values()) == list(world.people.values())
    assert (room.head, room.count) == (len(world.log), world.count)


def test_a_slow_reader_holds_no_more_than_its_outbox_and_others_notice_nothing() -> None:
    """“A slow reader costs its gateway a bounded outbox, no more.”"""
    world, slow, quick = World(), Reader(), Reader()
    world.rooms.follow(world.snapshot(), 0)
    room = world.rooms.named("den")
    assert room is not None
    for reader in (slow, quick):
        world.rooms.enter(reader.connection, room, None)
    slow.socket.stuck = True
    for _ in range(200):
        world.say()
        world.see(1)
        world.turn()
    assert numbers(quick, 0) == list(range(1, 201))
    got = numbers(slow, 0)
    assert got == list(range(1, len(got) + 1))
    (behind,) = [frame for frame in slow.frames() if frame["t"] == "behind"]
    assert behind["next"] == len(got) + 1
    assert len(slow.socket.sent) <= LIMIT + len(encoder.encode(behind))


def test_items_that_come_while_a_log_is_read_wait_for_it() -> None:
    """What the old owner committed and could not publish is shown too, and first."""
    world, reader = World(), Reader()
    world.rooms.follow(world.snapshot(), 0)
    room = world.rooms.named("den")
    assert room is not None
    world.rooms.enter(reader.connection, room, None)
    for _ in range(4):
        world.say()
    world.unseen.clear()
    world.people[3] = Person(3, "Newcomer")
    assert world.rooms.synced([world.snapshot()]) == []
    assert world.fetches == [(1, 0)]
    assert world.rooms.fetching == 1
    world.say()
    world.stream.begin(world.position - 1)
    world.see(1)
    world.turn()
    assert reader.frames() == []
    world.rooms.fetched(1, [(seq, 1, world.log[seq - 1]) for seq in (1, 2)])
    assert world.fetches == [(1, 0), (1, 2)]
    world.rooms.fetched(1, [(seq, 1, world.log[seq - 1]) for seq in (1, 2, 3, 4)])
    assert world.rooms.fetching == 0
    world.turn()
    kinds = [frame.get("seq", frame["t"]) for frame in reader.frames()]
    assert kinds == [1, 2, 3, 4, "presence", 5]


def test_a_room_that_is_further_here_than_with_the_owner_is_not_the_same_room() -> None:
    """Or what is said next would have numbers that are taken here, and be shown to nobody."""
    world, reader = World(), Reader()
    behind = world.snapshot()
    world.rooms.follow(behind, 0)
    room = world.rooms.named("den")
    assert room is not None
    world.rooms.enter(reader.connection, room, None)
    world.say()
    world.see(1)
    assert world.rooms.synced([world.snapshot()]) == []
    assert world.rooms.synced([behind]) == [room]


def test_nobody_here_means_that_the_room_is_followed_no_more() -> None:
    world, reader = World(), Reader()
    world.rooms.follow(world.snapshot(), 0)
    room = world.rooms.named("den")
    assert room is not None
    world.rooms.enter(reader.connection, room, None)
    room.expected = 1
    world.rooms.leave(reader.connection, room)
    assert len(world.rooms) == 1
    room.expected = 0
    world.rooms.drop_if_empty(room)
    assert len(world.rooms) == 0
    assert world.rooms.named("den") is None
