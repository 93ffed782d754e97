"""What a client knows of its rooms: cursors, rosters, and how each catches up. No I/O.

A room is *live* while what arrives follows on its cursor. Otherwise it is *behind*: the server
said so, a number was missing, or the application reads too slowly for the queue. Then what
arrives live is dropped and the room is paged from history, from its cursor up to the head; after
that its roster is asked for, and who came or went meanwhile is told as presence.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from hubbub.client_events import ClientEvent, EpochReset, Lacking, Notices, RoomLost
from hubbub.client_wire import decode_entries
from hubbub.errors import Code, RemoteProtocolError
from hubbub.frames import (
    Behind,
    ClientFrame,
    Error,
    Event,
    History,
    Join,
    Members,
    Message,
    Page,
    Person,
    Presence,
    Reply,
    RoomState,
    Roster,
)
from hubbub.names import name_key

PAGE = 200  # events asked for at once; the application's queue takes several pages
PAGING = 4  # rooms catching up at the same time
BARREN = 20  # pages that bring nothing although they say there is more, then the server is broken

Ask: TypeAlias = Callable[[Callable[[int], ClientFrame], Callable[[Reply], None]], None]


class Room:
    """One joined room. `cursor`: the highest number up to which the queue was given everything."""

    def __init__(self, name: str, cursor: int) -> None:
        self.name = name
        self.key = name_key(name)
        self.cursor = cursor
        self.seen = cursor  # the highest number known to exist
        self.live = True
        self.stale = False  # presence may have been missed
        self.barren = 0
        self.roster: dict[int, Person] = {}


class Rooms:
    """All joined rooms of one client.

    Args:
        put: takes an event for the application, False when there is no room for it.
        notice: takes a notice for the application.
        ask: sends a request and calls back at its answer; forgets it when the connection is lost.
    """

    def __init__(
        self, put: Callable[[ClientEvent, int], bool], notice: Callable[[Notices], None], ask: Ask
    ) -> None:
        self.epoch = 0
        self.own: set[int] = set()  # sender numbers that this client has had
        self._put = put
        self._notice = notice
        self._ask = ask
        self._rooms: dict[str, Room] = {}
        self._by_spelling: dict[str, Room] = {}  # spares folding the name of every message
        self._waiting: deque[Room] = deque()  # behind, and not being paged
        self._paging: set[Room] = set()

    def find(self, name: str) -> Room | None:
        """The joined room of that name, however it is spelled."""
        room = self._by_spelling.get(name)
        if room is None:
            room = self._rooms.get(name_key(name))
            if room is not None:
                self._by_spelling[name] = room
        return room

    def all(self) -> list[Room]:
        """The joined rooms in the order of joining."""
        return list(self._rooms.values())

    def remove(self, name: str) -> None:
        """The room was left."""
        room = self._rooms.pop(name_key(name), None)
        if room is not None:
            self._by_spelling = {k: r for k, r in self._by_spelling.items() if r is not room}
            self._paging.discard(room)
            if room in self._waiting:
                self._waiting.remove(room)

    # --- what the server sends -----------------------------------------------------------------

    def joined(self, roster: Roster, since: int | None, *, repeated: bool = False) -> None:
        """The answer to a `join` that the application asked for.

        `repeated`: it was asked more than once, so it may tell of the first time.
        """
        room = self.find(roster.room)
        self.take_epoch(roster.epoch)
        if room is None:
            room = Room(roster.room, roster.head if since is None else since)
            room.roster = {person.sender: person for person in roster.members}
            self._rooms[room.key] = room
        self._check_head(room, roster.head)
        if repeated:
            room.stale = True
            self._refresh(room)

    def take(self, frame: Message | Event, size: int) -> None:
        """A log entry as it happens."""
        room = self.find(frame.room)
        if room is None or frame.seq <= room.cursor:
            return  # left meanwhile, or had before
        if frame.seq > room.seen:
            room.seen = frame.seq
        if room.live and not (frame.seq == room.cursor + 1 and self._give(room, frame, size)):
            self._fall_behind(room)

    def take_presence(self, frame: Presence, size: int) -> None:
        """A change of presence as it happens."""
        room = self.find(frame.room)
        if room is None or room.stale or not self._changes(room, frame):
            return  # a stale roster will be compared as a whole
        if not room.live or not self._put(frame, size):
            self._fall_behind(room)
            return
        self._apply(room, frame)

    def take_behind(self, frame: Behind) -> None:
        """The server stopped sending a room."""
        room = self.find(frame.room)
        if room is None:
            return
        self.take_epoch(frame.epoch)
        room.seen = max(room.seen, frame.head)
        self._fall_behind(room)

    # --- a new connection ----------------------------------------------------------------------

    def lost(self) -> None:
        """The connection is gone, and with it every page that was asked for."""
        self._paging.clear()
        self._waiting.clear()

    def resumed(self, states: list[RoomState]) -> None:
        """The session goes on; the server has it in the rooms of `states`."""
        heads = {name_key(state.room): state.head for state in states}
        for room in self.all():
            room.stale = True
            if room.key in heads:
                room.live = True
                self._check_head(room, heads[room.key])
                self._refresh(room)
            else:
                self._rejoin(room)

    def rejoin(self) -> None:
        """The session is a new one: go back into every room."""
        for room in self.all():
            self._rejoin(room)

    def take_epoch(self, epoch: int) -> None:
        """A server's answer names the numbering; on a new one every cursor is void."""
        if not epoch or epoch == self.epoch:
            return
        began, self.epoch = self.epoch, epoch
        if began:
            self._notice(EpochReset(epoch))
            for room in self.all():
                room.cursor = -1  # unknown: the next head is where it goes on
                room.seen = 0

    def _rejoin(self, room: Room) -> None:
        room.stale = True
        room.live = False
        since = room.cursor if room.cursor >= 0 else None
        epoch = self.epoch if since is not None else 0
        name = room.name

        def make(ref: int) -> ClientFrame:
            return Join(ref, os.urandom(16), name, since, epoch)

        self._ask(make, lambda reply: self._rejoined(room, reply))

    def _rejoined(self, room: Room, reply: Reply) -> None:
        if self._rooms.get(room.key) is not room:
            return
        if isinstance(reply, Roster):
            self.take_epoch(reply.epoch)
            room.live = True
            self._check_head(room, reply.head)
            self._compare(room, reply)
        elif isinstance(reply, Error) and not self._is_new_epoch(reply):
            self.remove(room.name)
            self._notice(RoomLost(room.name, reply.text))
        elif isinstance(reply, Error):
            self._rejoin(room)

    def _is_new_epoch(self, error: Error) -> bool:
        if error.code != Code.EPOCH_CHANGED:
            return False
        if error.epoch == self.epoch:
            # Above the head of the same numbering: what we hold is not from this log.
            self.epoch = -1
        self.take_epoch(error.epoch)
        return True

    # --- catching up ---------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Ask for the next pages, as far as there is room and few enough are under way."""
        while self._waiting and len(self._paging) < PAGING:
            self._page(self._waiting.popleft())

    def _check_head(self, room: Room, head: int) -> None:
        if room.cursor < 0 or (room.live and head < room.cursor):
            room.cursor = room.seen = head
        room.seen = max(room.seen, head)
        if room.seen > room.cursor:
            self._fall_behind(room)

    def _fall_behind(self, room: Room) -> None:
        room.live = False
        room.stale = True
        if room not in self._paging and room not in self._waiting:
            self._waiting.append(room)

    def _page(self, room: Room) -> None:
        self._paging.add(room)
        name, cursor, epoch = room.name, room.cursor, self.epoch

        def make(ref: int) -> ClientFrame:
            return History(ref, name, after=cursor, limit=PAGE, epoch=epoch)

        self._ask(make, lambda reply: self._paged(room, reply))

    def _paged(self, room: Room, reply: Reply) -> None:
        self._paging.discard(room)
        if self._rooms.get(room.key) is not room:
            return
        if isinstance(reply, Error):
            self._page_refused(room, reply)
        elif isinstance(reply, Page):
            before = room.cursor
            room.seen = max(room.seen, reply.head)
            full = not self._give_page(room, reply)
            if full or reply.more or room.cursor < room.seen:
                self._again(room, room.cursor > before or full)
            else:
                room.live = True
                room.barren = 0
                self._refresh(room)

    def _page_refused(self, room: Room, error: Error) -> None:
        if self._is_new_epoch(error):
            self._rejoin(room)
        elif error.code in (Code.NOT_MEMBER, Code.NO_SUCH_ROOM, Code.NOT_ALLOWED):
            self.remove(room.name)
            self._notice(RoomLost(room.name, error.text))
        else:
            self._again(room, False)

    def _again(self, room: Room, progress: bool) -> None:
        room.barren = 0 if progress else room.barren + 1
        if room.barren > BARREN:
            room.barren = 0
            raise RemoteProtocolError(f"history of {room.name} has a hole after {room.cursor}")
        room.live = False
        self._waiting.append(room)

    def _give_page(self, room: Room, page: Page) -> bool:
        """Deliver what a page has above the cursor; False when the queue was full too soon."""
        if page.first > room.cursor + 1:
            self._notice(Lacking(room.name, room.cursor + 1, page.first - 1))
            room.cursor = page.first - 1
        for entry, raw in zip(decode_entries(page.events), page.events, strict=True):
            if entry.seq == room.cursor + 1 and not self._give(room, entry, len(bytes(raw))):
                return False
        return True

    def _give(self, room: Room, frame: Message | Event, size: int) -> bool:
        if not self._put(frame, size):
            return False
        room.cursor = frame.seq
        if isinstance(frame, Event) and frame.kind == "renamed":
            person = room.roster.get(frame.sender)
            if person is not None:
                room.roster[frame.sender] = msgspec.structs.replace(person, name=frame.to)
        return True

    # --- presence ------------------------------------------------------------------------------

    def _refresh(self, room: Room) -> None:
        """Ask who is there, once the room is live again."""
        if room.live and room.stale:
            name = room.name

            def make(ref: int) -> ClientFrame:
                return Members(ref, name)

            self._ask(make, lambda reply: self._refreshed(room, reply))

    def _refreshed(self, room: Room, reply: Reply) -> None:
        if self._rooms.get(room.key) is room and isinstance(reply, Roster):
            if room.live:
                self._compare(room, reply)
            self._check_head(room, reply.head)

    def _compare(self, room: Room, roster: Roster) -> None:
        """Tell as presence what is different in `roster`."""
        now = {person.sender: person for person in roster.members}
        room.stale = False
        for sender, person in list(room.roster.items()):
            if sender not in now:
                self._tell(room, person, "left")
        for sender, person in now.items():
            had = room.roster.get(sender)
            if had is None:
                self._tell(room, person, "entered")
            elif had.state != person.state:
                self._tell(room, person, "state")
        if not room.stale:
            room.roster = now

    def _tell(self, room: Room, person: Person, change: str) -> None:
        if room.stale:
            return  # did not fit: the comparison is made again later
        frame = Presence(room.name, person.sender, person.name, change, person.state)
        # That oneself came back, or one's former session left, is no news.
        if person.sender not in self.own and not self._put(frame, 100):
            self._fall_behind(room)
            return
        self._apply(room, frame)

    @staticmethod
    def _changes(room: Room, frame: Presence) -> bool:
        had = room.roster.get(frame.sender)
        if frame.change == "left":
            return had is not None
        return had is None or had.state != frame.state

    @staticmethod
    def _apply(room: Room, frame: Presence) -> None:
        if frame.change == "left":
            room.roster.pop(frame.sender, None)
        else:
            room.roster[frame.sender] = Person(frame.sender, frame.name, frame.state)
