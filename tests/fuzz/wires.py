"""What comes by a socket of a server process: from clients, and over the bus."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Hashable, Iterable
from random import Random
from typing import ClassVar, get_args

from gateway import native, scan, stream, typing as gateway_typing
from gateway.native import BadRequest, NativeProtocol, State, WrongTime
from gateway.stream import HELD_BYTES, RECENT_BYTES, Stream
from hubbub import frames, wire
from hubbub.errors import RemoteProtocolError
from hubbub.frames import MAX_FRAME
from tests.fuzz import examples, measure
from tests.fuzz.mutate import Bytes
from tests.fuzz.packed import HEADS, Packed
from tests.fuzz.target import Feed, Target, clipped
from worker import inbox
from worker.inbox import MOST_HELD_BYTES, Inbox

PIECES = (1, 2, 3, 7, 64, 1000, 4096)  # bytes: how a stream is cut


def cut(data: bytes) -> list[bytes]:
    """`data` in pieces of one length, which is always the same for the same data."""
    size = max(PIECES[zlib.crc32(data) % len(PIECES)], len(data) // 256)
    return [data[at : at + size] for at in range(0, len(data), size)]


class Native(Target):
    """Frames, answers to bad ones, or RemoteProtocolError: the same however the stream is cut."""

    name = "native"
    modules = (native, scan)
    most = 2 * MAX_FRAME
    bound = 3 * MAX_FRAME  # a chunk, and a frame of which the end is still to come

    def __init__(self) -> None:
        words = examples.words_of(frames.ClientFrame)
        self.mutators = (Packed(words), Packed(words), Bytes([*words, *HEADS]))

    def seeds(self) -> Iterable[bytes]:
        said = list(examples.frames_of(frames.ClientFrame))
        return [*said, b"".join(said), b"\x81\xa1t\xa3fly", b"\x82\xa1t\xa3fly\xa3ref\x01"]

    def run(self, data: bytes) -> Hashable:
        whole, sizes = _outcome([data])
        assert _outcome(cut(data)) == (whole, sizes), "cut otherwise, other frames come out"
        assert sum(sizes) <= len(data)
        assert all(size <= MAX_FRAME for size in sizes)
        return tuple(dict.fromkeys(kind for kind, _ in whole[-3:]))

    def parse(self, data: bytes) -> object:
        return _outcome([data] if zlib.crc32(data) % 2 else cut(data))

    def feeder(self) -> Feed:
        """Goes on when a connection is closed for its garbage: with another parser."""
        core = _ready()

        def feed(data: bytes) -> None:
            nonlocal core
            if core.state is State.CLOSING:
                core = _ready()
            core.receive_data(data)
            while core.next_frame() is not None:
                pass

        return feed


def _ready() -> NativeProtocol:
    core = NativeProtocol()
    core.state = State.READY
    return core


def _outcome(pieces: list[bytes]) -> tuple[list[tuple[str, object]], list[int]]:
    """What comes out, as (what, all of it), and the sizes of the frames."""
    core = _ready()
    found: list[tuple[str, object]] = []
    sizes: list[int] = []
    try:
        for piece in pieces:
            core.receive_data(piece)
            while (frame := core.next_frame()) is not None:
                what = frame.code if isinstance(frame, BadRequest) else type(frame).__name__
                found.append((str(what), frame))
                sizes.append(core.size)
            assert core.buffered <= MAX_FRAME, "more is kept than a frame may have"
    except WrongTime as error:
        found.append(("wrong time", error.ref))
    except RemoteProtocolError as error:
        assert core.buffered == 0
        found.append((clipped(error.text), error.code))
    return found, sizes


class Bus(Target):
    """A frame, or RemoteProtocolError. Common to both ways."""

    def __init__(self, union: object) -> None:
        self._union = union
        words = [*examples.words_of(union), *examples.words_of(frames.ClientFrame)[:60]]
        self.mutators = (Packed(words), Bytes([*words, *HEADS]))

    def seeds(self) -> Iterable[bytes]:
        return examples.frames_of(self._union)


class BusToOwner(Bus):
    """A frame, or RemoteProtocolError; what is a batch is taken in order, and held in bounds."""

    name = "bus_to_owner"
    modules = (wire, inbox)
    bound = MOST_HELD_BYTES

    def __init__(self) -> None:
        super().__init__(wire.ToOwner)

    def seeds(self) -> Iterable[bytes]:
        yield from super().seeds()
        for kind in (*get_args(frames.ClientFrame), wire.Lost, wire.Fetch):
            ask = wire.Ask(7, 1, 1, examples.example(kind, True), "127.0.0.1", True)
            yield wire.encoder.encode(wire.Batch("gateway-1.x", 1, 1, 1, False, [ask]))

    def run(self, data: bytes) -> Hashable:
        try:
            frame = wire.decode_to_owner(memoryview(b"w/0/M" + data)[5:])
        except RemoteProtocolError as error:
            return clipped(error.text)
        if not isinstance(frame, wire.Batch):
            return type(frame).__name__
        box = Inbox(frame.gateway)
        first = box.receive(frame, len(data), 1.0)
        again = box.receive(frame, len(data), 2.0)
        assert not again.tasks or not first.tasks, "one ask was taken twice"
        return "Batch", bool(first.tasks), bool(first.missing)

    def parse(self, data: bytes) -> object:
        try:
            frame = wire.decode_to_owner(data)
        except RemoteProtocolError:
            return None
        return Inbox("x").receive(frame, len(data), 1.0) if isinstance(frame, wire.Batch) else None

    def feeder(self) -> Feed:
        """Batches far ahead of each other, so that all of them wait."""
        box, number = Inbox("gateway-1.x"), 0

        def feed(data: bytes) -> None:
            nonlocal number
            number += 2
            try:
                frame = wire.decode_to_owner(data)
            except RemoteProtocolError:
                return
            if isinstance(frame, wire.Batch):
                ahead = wire.Batch(frame.gateway, 1, number, 1, False, frame.asks)
                box.receive(ahead, len(data), 0.0)

        return feed


class BusToGateway(Bus):
    """A frame, or RemoteProtocolError."""

    name = "bus_to_gateway"
    modules = (wire,)

    def __init__(self) -> None:
        super().__init__(wire.ToGateway)

    def seeds(self) -> Iterable[bytes]:
        yield from super().seeds()
        for kind in (*get_args(frames.Reply), wire.Fetched):
            answer = wire.Answer(7, examples.example(kind, True))
            yield wire.encoder.encode(wire.Answers(1, 1, 1, [answer]))

    def run(self, data: bytes) -> Hashable:
        try:
            frame = wire.decode_to_gateway(memoryview(b"g/x/M" + data)[5:])
        except RemoteProtocolError as error:
            return clipped(error.text)
        return type(frame).__name__


class StreamOfOwner(Target):
    """Batches by position without a hole, each once, or RemoteProtocolError; and bounded memory.

    An input is a row of bus messages, each behind its length in two bytes.
    """

    name = "stream"
    modules = (wire, stream)
    # What is held and kept for replay, and what Python needs around batches as short as can be.
    bound = 8 * (HELD_BYTES + RECENT_BYTES)
    _HEAD: ClassVar = struct.Struct("!BQQQI")

    def __init__(self) -> None:
        numbers = [n.to_bytes(8, "big") for n in (0, 1, 2, 3, 4, 7, 2**63, 2**64 - 1)]
        heads = [self._HEAD.pack(1, 1, position, 7, 1) for position in range(1, 6)]
        self.mutators = (_Rows(self), Bytes([*numbers, *heads, b"\x01", b"\0\0\0\x01"]))

    def seeds(self) -> Iterable[bytes]:
        items = [wire.Item(kind, 5, 1, 9, b"x" * 3) for kind in wire.Kind]
        good = [wire.pack_stream(1, at, 7, items[at : at + 2]) for at in range(1, 6)]
        ahead = [good[0], good[2], good[3], good[1]]
        term = wire.pack_stream(2, 1, 7, items[:1])
        for row in (good, ahead, [*good[:2], term], [wire.pack_stream(1, 9, 7, [])], good[::-1]):
            yield self.row(row)

    def row(self, batches: Iterable[bytes]) -> bytes:
        """Bus messages as one input."""
        return b"".join(len(one).to_bytes(2, "big") + one for one in batches)

    def batches(self, data: bytes) -> list[bytes]:
        """The bus messages of an input; the last may be cut short."""
        found, at = [], 0
        while at + 2 <= len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            found.append(data[at + 2 : end])
            at = end
        return found

    def run(self, data: bytes) -> Hashable:
        taken, outcomes = Stream(), []
        taken.see_term(1)
        taken.begin(0)
        term, position = 1, 0
        for one in self.batches(data):
            try:
                given = taken.offer(b"all/S" + one, 5)
            except RemoteProtocolError as error:
                outcomes.append(clipped(error.text))
                continue
            if not taken.in_step:
                term, position = taken.term, 0
                given += taken.begin(0)
            for batch in given:
                assert (batch.term, batch.position) == (term, position + 1), "a hole in the stream"
                position = batch.position
            missing = taken.gap()
            assert missing is None or position + 1 == missing[0] <= missing[1]
            outcomes.append(f"{len(given)} given, {missing is not None}")
        assert taken.position == position, "a batch counts as delivered and was not given out"
        return tuple(outcomes[-2:])

    def parse(self, data: bytes) -> object:
        taken = Stream()
        taken.begin(0)
        return [_quietly(taken.offer, one) for one in self.batches(data)]

    def cost(self, data: bytes) -> float:
        taken = Stream()
        taken.begin(0)
        costs = [measure.seconds(lambda one=one: taken.offer(one, 0)) for one in self.batches(data)]  # type: ignore[misc]
        return max(costs, default=0.0)

    def feeder(self) -> Feed:
        """One stream that stays out of step: all that is a batch is held."""
        taken, number = Stream(), 0

        def feed(data: bytes) -> None:
            nonlocal number
            for one in self.batches(data):
                number += 1
                if len(one) >= self._HEAD.size:
                    one = self._HEAD.pack(1, 1, number, 7, 1) + one[self._HEAD.size :]
                _quietly(taken.offer, one)

        return feed


def _quietly(offer: Callable[[bytes, int], object], data: bytes) -> object:
    try:
        return offer(data, 0)
    except RemoteProtocolError:
        return None


class _Rows:
    """Whole bus messages moved, doubled, cut, and their heads changed."""

    def __init__(self, target: StreamOfOwner) -> None:
        self._target = target

    def change(self, random: Random, data: bytes, other: bytes) -> bytes:
        rows = self._target.batches(data)
        for _ in range(random.choice((1, 1, 2, 4))):
            at = random.randrange(len(rows)) if rows else 0
            way = random.randrange(5)
            if way == 0 and rows:
                rows.insert(random.randint(0, len(rows)), rows.pop(at))
            elif way == 1:
                rows[at:at] = self._target.batches(other)[:2]
            elif way == 2 and rows:
                rows[at] = rows[at][: random.randint(0, len(rows[at]))]
            elif rows and len(rows[at]) >= 29:
                rows[at] = self._headed(random, rows[at])
        return self._target.row(row[:65535] for row in rows)

    def swell(self, random: Random, data: bytes, most: int) -> bytes:
        rows = self._target.batches(data) or [b""]
        row = random.choice(rows)
        count = max(1, most // (len(row) + 2))
        if random.randrange(2) and len(row) >= 29:
            head = self._target._HEAD
            many = (head.pack(1, 1, 2 + at, 7, 1) + row[29:] for at in range(count))
            return self._target.row(many)
        item = struct.pack("!BQQQI", 1, 5, 1, 9, 0)
        size = min(most, 65000)
        return self._target.row(
            [self._target._HEAD.pack(1, 1, 1, 7, size // 29) + item * (size // 29)]
        )

    def _headed(self, random: Random, row: bytes) -> bytes:
        fields = list(self._target._HEAD.unpack_from(row))
        at = random.randrange(5)
        limit = (255, 2**64 - 1, 2**64 - 1, 2**64 - 1, 2**32 - 1)[at]
        fields[at] = min(limit, random.choice((0, 1, 2, 3, 4, 5, 9, limit, fields[at] + 1)))
        return self._target._HEAD.pack(*fields) + row[29:]


class Typing(Target):
    """Who types, or RemoteProtocolError; of that no more is shown and kept than may be."""

    name = "typing"
    modules = (gateway_typing,)
    bound = 8 * 1024 * 1024  # KNOWN_MOST people in two places

    def __init__(self) -> None:
        self.mutators = (Packed([b"gateway-1", b"Radha"]), Bytes(HEADS))

    def seeds(self) -> Iterable[bytes]:
        for count in (0, 1, 3, 9):
            people = [(room % 2, room, f"person {room}") for room in range(count)]
            yield wire.encoder.encode(wire.TypingBatch("gateway-1.x", people))

    def run(self, data: bytes) -> Hashable:
        try:
            typists = gateway_typing.decode(memoryview(b"all/T" + data)[5:])
        except RemoteProtocolError as error:
            return clipped(error.text)
        kept = gateway_typing.Typing()
        shown = [one for one in typists if kept.is_shown(one, 1.0)]
        rooms = [room for room, _, _ in shown]
        assert all(rooms.count(room) <= gateway_typing.ROOM_MOST for room in set(rooms))
        assert not [one for one in typists if kept.is_shown(one, 1.5) and one in shown]
        for one in typists:
            kept.note(one, 1.0)
        assert len(kept.take(1.0)) <= gateway_typing.BATCH_MOST
        return bool(shown), len(shown) == len(typists)

    def feeder(self) -> Feed:
        kept, now = gateway_typing.Typing(), 0.0

        def feed(data: bytes) -> None:
            nonlocal now
            now += 0.001
            for one in gateway_typing.decode(data):
                kept.is_shown(one, now)
                kept.note(one, now)

        return feed
