"""How the rooms of a client follow what happens in them, and how each catches up. No I/O.

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

from hubbub.client_direct import is_direct
from hubbub.client_events import ClientEvent, EpochReset, Lacking, Notices, Personal, RoomLost
from hubbub.client_index import RoomIndex
from hubbub.client_room import Room, presence_of
from hubbub.client_wire import decode_entries
from hubbub.errors import Code, RemoteProtocolError
from hubbub.frames import (
    Behind,
    ClientFrame,
    Error,
    Event,
    History,
    Join,
    Joined,
    Marked,
    Members,
    Message,
    Page,
    Parted,
    Person,
    Presence,
    Reply,
    RoomState,
    Roster,
)
from hubbub.names import direct_pair, name_key

PAGE = 200  # events asked for at once; the application's queue takes several pages
PAGING = 4  # rooms catching up at the same time
OTHER = "another room has its name now"
BARREN = 20  # pages that bring nothing although they say there is more, then the server is broken

Ask: TypeAlias = Callable[[Callable[[int], ClientFrame], Callable[[Reply], None]], None]


class Rooms(RoomIndex):
    """All joined rooms of one client.

    Args:
        put: takes an event for the application, False when there is no room for it.
        notice: takes what is told in any case.
        ask: sends a request and calls back at its answer; forgets it when the connection is lost.
    """

    def __init__(
        self,
        put: Callable[[ClientEvent, int], bool],
        notice: Callable[[Notices | Personal], None],
        ask: Ask,
    ) -> None:
        super().__init__()
        self.epoch = 0
        self._put = put
        self._notice = notice
        self._ask = ask
        self._waiting: deque[Room] = deque()  # behind, and not being paged
        self._paging: set[Room] = set()

    def remove(self, name: str) -> Room | None:
        """The room was left."""
        room = super().remove(name)
        if room is not None:
            self._paging.discard(room)
            if room in self._waiting:
                self._waiting.remove(room)
        return room

    # --- in and out ----------------------------------------------------------------------------

    def joined(self, roster: Roster, since: int | None, *, repeated: bool = False) -> None:
        """The answer to a `join` that the application asked for.

        `repeated`: it was asked more than once, so it may tell of the first time.
        """
        self.directs.learn(roster.room, roster.peer)
        room = self.find(roster.room)
        self.take_epoch(roster.epoch)
        if room is None:
            room = Room(roster.room, roster.head if since is None else since)
            room.people(roster.members)
            self.add(room)
        elif since is not None and not room.joined:
            room.go_back(since)
        room.joined = True
        room.take_state(roster)
        self._check_head(room, roster.head)
        if repeated:
            room.stale = True
            self._refresh(room)

    def take_joined(self, frame: Joined) -> None:
        """One is in a room, by what was done elsewhere."""
        self.comings += 1
        self.directs.learn(frame.room, frame.peer)
        self.take_epoch(frame.epoch)
        room = self.find(frame.room)
        if room is not None and room.leaving:  # it was left, and the answer is on its way
            self.remove(room.name)
            room = None
        if room is None:
            room = Room(frame.room, frame.head)
            room.people(frame.members)
            room.take_state(frame)
            self.add(room)
            self._notice(self.directs.show(frame))
        else:
            room.live = True
            room.take_state(frame)
            self._check_head(room, frame.head)
            self._compare(room, frame.members)

    def take_parted(self, frame: Parted) -> None:
        """One is in a room no longer, by what was done elsewhere or by somebody else."""
        room = self.remove(frame.room)
        if room is None:
            return
        name = self.directs.shown(room.name)
        if 0 <= room.cursor < room.seen:
            self._notice(Lacking(name, room.cursor + 1, room.seen))
        if not room.leaving:
            self._notice(self.directs.show(frame))

    def take_marked(self, frame: Marked) -> None:
        """One's read mark moved, on whichever device."""
        room = self.find(frame.room)
        if room is not None:
            room.take_marked(frame)
            self._notice(self.directs.show(frame))

    # --- what happens in them ------------------------------------------------------------------

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
        if room is None or room.stale or not room.changes(frame):
            return  # a stale roster will be compared as a whole
        if not room.live or not self._put(self.directs.show(frame), size):
            self._fall_behind(room)
            return
        room.apply_presence(frame)

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

    def entered(self, states: list[RoomState], *, again: bool, tell: bool) -> None:
        """A server welcomed one, and has one in the rooms of `states`.

        Those known here go on from their cursors, the others from their heads.

        Args:
            again: one is somebody else than before, and goes back into the other rooms.
            tell: tell the application of rooms that are new to it.
        """
        self.comings += 1
        there = {name_key(state.room): state for state in states}
        for room in self.all():
            state = there.pop(room.key, None)
            if state is not None:
                self._go_on(room, state)
            elif again or room.entry or room.cursor < 0:
                self._go_back(room)  # an old copy of the data need not have one in it
            else:
                self._drop(room, "one was put out of it, or left it elsewhere")
        for state in there.values():
            self._begin(state, tell)

    def _go_on(self, room: Room, state: RoomState) -> None:
        self.directs.learn(state.room, state.peer)
        room.stale = room.known
        room.live = True
        room.entry = b""
        room.take_state(state)
        self._check_head(room, state.head)
        self._refresh(room)

    def _go_back(self, room: Room) -> None:
        pair = direct_pair(room.name)
        if pair is not None and self.directs.me not in pair:
            self._drop(room, "it was a conversation of who one was before")
        else:
            self._rejoin(room)

    def _begin(self, state: RoomState, tell: bool) -> None:
        self.directs.learn(state.room, state.peer)
        room = Room(state.room, state.head)
        room.take_state(state)
        self.add(room)
        if tell:
            fields = {one: getattr(state, one) for one in state.__struct_fields__}
            self._notice(self.directs.show(Joined(**fields, epoch=self.epoch)))

    def _drop(self, room: Room, why: str) -> None:
        self.remove(room.name)
        if not room.leaving:
            self._notice(RoomLost(self.directs.shown(room.name), why))

    def lose_name(self, name: str) -> bool:
        """Another room has the name of one that one was in; whether there was one."""
        room = self.find(name)
        if room is not None:
            self._drop(room, OTHER)
        return room is not None

    def take_epoch(self, epoch: int) -> None:
        """A server's answer names the numbering; on a new one every cursor is void."""
        if not epoch or epoch == self.epoch:
            return
        began, self.epoch = self.epoch, epoch
        if began:
            self._notice(EpochReset(epoch))
            for room in self.all():
                room.renumber()

    def _rejoin(self, room: Room) -> None:
        room.stale = True
        room.live = False
        since = room.cursor if room.cursor >= 0 else None
        epoch = self.epoch if since is not None else 0
        name = room.name
        # Asked again on the next connection it brings nobody back who was put out meanwhile.
        entry = room.entry = room.entry or os.urandom(16)

        def make(ref: int) -> ClientFrame:
            return Join(ref, entry, name, since, epoch)

        self._ask(make, lambda reply: self._rejoined(room, reply, epoch))

    def _rejoined(self, room: Room, reply: Reply, epoch: int) -> None:
        if not self.has(room):
            return
        if isinstance(reply, Roster):
            self.take_epoch(reply.epoch)
            room.entry = b""
            room.live = True
            room.take_state(reply)
            self._check_head(room, reply.head)
            self._compare(room, reply.members)
        elif isinstance(reply, Error) and self._is_new_epoch(reply, epoch):
            self._rejoin(room)
        elif isinstance(reply, Error):
            self._drop(room, OTHER if reply.code == Code.EPOCH_CHANGED else reply.text)

    def _is_new_epoch(self, error: Error, asked: int) -> bool:
        """Whether all is numbered anew. In the numbering that was `asked` for the room is another.

        Its head is below what one has had: the name is another room's by now.
        """
        if error.code != Code.EPOCH_CHANGED or error.epoch == asked:
            return False
        self.take_epoch(error.epoch)
        return True

    # --- catching up ---------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Ask for the next pages, while few enough are under way. Not when no event has a place."""
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

        self._ask(make, lambda reply: self._paged(room, reply, epoch))

    def _paged(self, room: Room, reply: Reply, epoch: int) -> None:
        self._paging.discard(room)
        if not self.has(room):
            return
        if isinstance(reply, Error):
            self._page_refused(room, reply, epoch)
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

    def _page_refused(self, room: Room, error: Error, epoch: int) -> None:
        if self._is_new_epoch(error, epoch):
            self._rejoin(room)
        elif error.code == Code.EPOCH_CHANGED:
            self._drop(room, OTHER)
        elif error.code in (Code.NOT_MEMBER, Code.NO_SUCH_ROOM, Code.NOT_ALLOWED):
            self._drop(room, error.text)
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
            name = self.directs.shown(room.name)
            self._notice(Lacking(name, room.cursor + 1, page.first - 1))
            room.cursor = page.first - 1
        for entry, raw in zip(decode_entries(page.events), page.events, strict=True):
            if entry.seq == room.cursor + 1 and not self._give(room, entry, len(bytes(raw))):
                return False
        return True

    def _give(self, room: Room, frame: Message | Event, size: int) -> bool:
        direct = is_direct(frame.room)
        if room.was_given(frame.seq):
            room.cursor = frame.seq
            return True
        if direct:
            self.directs.hear(frame)
            if not self._put(self.directs.show(frame), size):
                return False
        elif not self._put(frame, size):
            return False
        room.cursor = frame.seq
        room.apply(frame, self.own)
        if isinstance(frame, Event) and frame.kind == "joined" and frame.sender in self.own:
            self.comings += 1  # perhaps after a leave whose answer is on its way
        # A conversation is renamed in its own log, where the application can follow.
        if (
            isinstance(frame, Event)
            and frame.kind == "renamed"
            and (direct or self.find(self.directs.room_with(frame.sender)) is None)
        ):
            self.directs.renamed(frame)
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
        if self.has(room) and isinstance(reply, Roster):
            if room.live:
                self._compare(room, reply.members)
            self._check_head(room, reply.head)

    def _compare(self, room: Room, members: list[Person]) -> None:
        """Tell as presence what is different in a roster."""
        room.stale = False
        for person, change in room.differences(members):
            self._tell(room, person, change)
        if not room.stale:
            room.people(members)

    def _tell(self, room: Room, person: Person, change: str) -> None:
        if room.stale:
            return  # did not fit: the comparison is made again later
        frame = presence_of(room.name, person, change)
        # That oneself came back, or one's former session left, is no news.
        if person.sender not in self.own and not self._put(self.directs.show(frame), 100):
            self._fall_behind(room)
            return
        room.apply_presence(frame)
