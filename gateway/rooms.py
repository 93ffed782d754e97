"""The fan-out: which connections follow which room, and what this turn has for them.

Nothing here is done per member that can be done per room: the bytes of a turn are joined once for a
room and handed to each of its live connections.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import msgspec

from gateway.connection import Connection
from gateway.outbox import Outbox
from gateway.reading import Leavers, Reading
from gateway.replica import Replica
from gateway.stream import Stream
from hubbub.frames import Behind, Page, encoder
from hubbub.names import name_key
from hubbub.wire import Item, Kind, Snapshot


class _Seq(msgspec.Struct):
    seq: int


_seq = msgspec.msgpack.Decoder(_Seq)


class Room(Replica):
    """A replica and the connections of this gateway that are in the room.

    A connection is in `live` (shown everything as it comes) or in `behind`, never in both.
    """

    __slots__ = ("behind", "blobs", "expected", "leavers", "live", "reading", "shown")

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self.live: dict[Outbox, Connection] = {}
        self.behind: dict[Connection, None] = {}
        self.blobs: list[bytes] = []  # of this turn
        self.shown = self.head  # the head when the last turn ended
        self.expected = 0  # joins that were asked for without a snapshot
        self.reading: Reading | None = None  # its log, while that is being read
        self.leavers = Leavers()

    @property
    def is_empty(self) -> bool:
        """Whether nobody here is in it, or about to be in or out."""
        return not self.live and not self.behind and not self.expected and not self.leavers


class Rooms:
    """All rooms that this gateway follows.

    Args:
        stream: for the replay of its last seconds.
        fetch: asks the owner for the log of a room above a number.

    Attributes:
        move: carries out a MEMBER_IN or MEMBER_OUT that has waited for its place (`hold`).
    """

    def __init__(self, stream: Stream, fetch: Callable[[int, int], None]) -> None:
        self.epoch = 0
        self.move: Callable[[Item], None] = lambda item: None
        self.dirty: dict[Outbox, Connection] = {}  # those with something to be written this turn
        self.fetching = 0  # rooms whose log is being read: answers wait meanwhile
        self._stream = stream
        self._fetch = fetch
        self._by_id: dict[int, Room] = {}
        self._by_key: dict[str, Room] = {}
        self._changed: dict[Room, None] = {}  # rooms with blobs

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[Room]:
        """All rooms that are followed."""
        return list(self._by_id.values())

    def named(self, name: str) -> Room | None:
        """The room of that name, if it is followed."""
        room = self._by_key.get(name_key(name))
        return None if room is None or room.closed else room

    def get(self, room_id: int) -> Room | None:
        """The room with that id, if it is followed."""
        return self._by_id.get(room_id)

    # --- what comes from the stream -------------------------------------------------------

    def deliver(self, item: Item) -> None:
        """Apply one item that concerns a room, and keep its bytes for the end of the turn."""
        room = self._by_id.get(item.room)
        if room is None:
            return
        if (reading := room.reading) is not None:
            if not reading.hold(item):
                self._let_go(room, reading)
        elif not room.is_next(item):
            # The owner said more than its stream has brought: the log has it.
            self._begin_fetch(room, item.seq)
        elif room.apply(item):
            room.blobs.append(item.body)
            self._changed[room] = None

    def hold(self, item: Item) -> bool:
        """Keep somebody's coming or going until what stands before it is there: True if so."""
        room = self._by_id.get(item.room)
        if room is None or room.reading is None:
            return False
        room.reading.hold_member(item)
        return True

    def settle(self) -> None:
        """Hand what the rooms have collected to their live connections."""
        for room in self._changed:
            self.settle_one(room)
        self._changed.clear()

    def settle_one(self, room: Room) -> None:
        """The same for one room: before anything changes in it for somebody."""
        blobs = room.blobs
        if not blobs:
            return
        blob = blobs[0] if len(blobs) == 1 else b"".join(blobs)
        room.blobs = []
        size = len(blob)
        fallen = []
        for outbox in room.live:
            if outbox.left < size and not outbox.fits(size):
                fallen.append(outbox)
                continue
            outbox.left -= size
            outbox.parts.append(blob)
        for outbox in fallen:
            connection = room.live.pop(outbox)
            self._fall_behind(room, connection, room.shown + 1)
        self.dirty.update(room.live)
        room.shown = room.head

    def _fall_behind(self, room: Room, connection: Connection, following: int) -> None:
        room.behind[connection] = None
        head = max(room.head, following - 1)  # less, while the log is being read
        connection.outbox.put(encoder.encode(Behind(room.name, following, head, self.epoch)))
        self.dirty[connection.outbox] = connection

    def show(self, room: Room, data: bytes, *, but: int) -> None:
        """Put what may be lost to those who take it now, without the person `but`."""
        self.settle_one(room)
        size = len(data)
        for outbox, connection in room.live.items():
            session = connection.session
            if session is None or session.sender == but:
                continue
            if outbox.left >= size or outbox.fits(size):
                outbox.put(data)
                self.dirty[outbox] = connection

    # --- who is where ---------------------------------------------------------------------

    def follow(self, snapshot: Snapshot, position: int, *, skip: int = 0) -> bool:
        """Begin to follow a room as it stood at `position`, brought up to now.

        Args:
            snapshot: how it stood.
            position: after which batch.
            skip: and after how many items of the next one.

        False when the stream is not kept back to there: sync.
        """
        if snapshot.room_id in self._by_id:
            return True
        since = self._stream.replay(snapshot.room_id, position, skip=skip)
        if since is None:
            return False
        room = self.adopt(snapshot)
        for item in since:
            room.apply(item)
        room.shown = room.head
        return True

    def adopt(self, snapshot: Snapshot) -> Room:
        """Begin to follow a room that stands just so; one that is followed is left as it is."""
        room = self._by_id.get(snapshot.room_id)
        if room is None:
            room = Room(snapshot)
            self._by_id[room.id] = room
            self._by_key[room.key] = room
        return room

    def enter(self, connection: Connection, room: Room, cursor: int | None) -> None:
        """Make a connection live from the head on, or behind from its cursor on.

        Call after `settle_one`, and after what tells it of the room (`roster`, `welcome`) was put
        into its outbox.
        """
        connection.rooms[room.id] = room
        room.live.pop(connection.outbox, None)
        room.behind.pop(connection, None)
        if cursor is None or cursor == room.head:
            room.live[connection.outbox] = connection
        else:
            self._fall_behind(room, connection, cursor + 1)

    def leave(self, connection: Connection, room: Room) -> None:
        """Take a connection out of a room."""
        self.settle_one(room)
        connection.rooms.pop(room.id, None)
        room.live.pop(connection.outbox, None)
        room.behind.pop(connection, None)
        self.drop_if_empty(room)

    def leave_with_log(self, connection: Connection, room: Room, parted: bytes) -> None:
        """Take a connection out of a room at the place that the log will show, or else say so.

        Call before `synced`, and `finish_leaving` after it.
        """
        if connection.outbox not in room.live:
            self.leave(connection, room)
            connection.push(parted)
            return
        room.leavers.add(connection, parted)
        self.leave(connection, room)

    def finish_leaving(self) -> None:
        """Tell those who are out and have no log to wait for."""
        for room in self.all():
            if room.leavers and room.reading is None:
                self._finish_leaving(room)

    def _finish_leaving(self, room: Room) -> None:
        room.leavers.finish()
        self.drop_if_empty(room)

    def drop_if_empty(self, room: Room | None) -> None:
        """Follow a room no longer when nobody here is in it."""
        if room is not None and room.is_empty:
            self.forget(room)

    def forget(self, room: Room) -> None:
        """Follow a room no longer, whoever waits for it."""
        self._end_fetch(room)
        room.leavers.finish()
        if self._by_id.get(room.id) is room:
            del self._by_id[room.id]
        if self._by_key.get(room.key) is room:
            del self._by_key[room.key]
        self._changed.pop(room, None)

    def catch_up(self, connection: Connection, page: Page, after: int, position: int) -> Page:
        """Act on a page that a connection may be behind for; the page to send is returned.

        When it reaches the head as of `position`, the room is live again, and what came since is in
        `connection.tail`, to be put after the page; else `more` says to go on.
        """
        room = self.named(page.room)
        if room is None or connection not in room.behind or page.more:
            return page
        last = _seq.decode(page.events[-1]).seq if page.events else after
        tail = self._tail(room, last, position)
        if last < page.head or tail is None:
            return msgspec.structs.replace(page, more=True, head=max(page.head, room.head))
        self.settle_one(room)
        del room.behind[connection]
        connection.tail = b"".join(tail)
        room.live[connection.outbox] = connection
        return msgspec.structs.replace(page, head=room.head)

    def _tail(self, room: Room, last: int, position: int) -> list[bytes] | None:
        """The bodies of last+1..head, all of which came after `position`; None: not all kept."""
        if last >= room.head:
            return []
        items = self._stream.replay(room.id, position)
        if items is None:
            return None
        numbered = [item for item in items if item.seq > last]
        if [item.seq for item in numbered] != list(range(last + 1, room.head + 1)):
            return None
        return [item.body for item in numbered]

    # --- after a sync ---------------------------------------------------------------------

    def synced(self, snapshots: Iterable[Snapshot]) -> list[Room]:
        """Adopt how the rooms stand now; rooms that are not what they were are returned.

        What was said meanwhile is read from the logs, and held back until then what follows.
        """
        now = int(time.time() * 1000)
        lost = dict(self._by_id)
        for snapshot in snapshots:
            room = self._by_id.get(snapshot.room_id)
            if room is None or snapshot.head < room.head:
                continue
            del lost[room.id]
            changes = room.take_over(snapshot, now)
            self._end_fetch(room)
            items = [
                Item(Kind.PRESENCE, room.id, 0, change.sender, encoder.encode(change))
                for change in changes
            ]
            if snapshot.head > room.head:
                self._begin_fetch(room, snapshot.head)
            for item in items:
                self.deliver(item)
        return list(lost.values())

    def fetched(self, room_id: int, events: list[tuple[int, int, bytes]]) -> None:
        """Take a stretch of a room's log that was missing here."""
        room = self._by_id.get(room_id)
        if room is None or (reading := room.reading) is None:
            return
        for seq, kind, body in events:
            # What is newer waits in `held`, with who comes and goes between.
            if seq == room.head + 1 and seq <= reading.target:
                room.apply(Item(kind, room_id, seq, 0, body))
                room.blobs.append(body)
                self._changed[room] = None
                if room.leavers:
                    room.leavers.read(kind, body)
        if room.head < reading.target:
            self._fetch(room.id, room.head)
            return
        self._end_fetch(room)
        self._finish_leaving(room)
        for item in reading.held:
            if item.kind < Kind.SESSION_OVER:
                self.deliver(item)
            elif not self.hold(item):
                self.move(item)

    def fetch_again(self, room_id: int) -> None:
        """Ask for a room's log once more; the last question found no answer."""
        room = self._by_id.get(room_id)
        if room is not None and room.reading is not None:
            self._fetch(room.id, room.head)

    def _begin_fetch(self, room: Room, target: int) -> None:
        self.fetching += 1
        room.reading = Reading(target)
        self._fetch(room.id, room.head)

    def _end_fetch(self, room: Room) -> None:
        if room.reading is not None:
            self.fetching -= 1
            room.reading = None

    def _let_go(self, room: Room, reading: Reading) -> None:
        """Who has come or gone does so at once: the log will be read past their place."""
        members = reading.let_go()
        if members:
            room.leavers.finish()
        for item in members:
            self.move(item)
