"""Which rooms a client is in, under which names. No I/O."""

from __future__ import annotations

from hubbub.client_direct import Directs, is_direct
from hubbub.client_events import ClientEvent
from hubbub.client_room import Room
from hubbub.frames import Event, Invitation, Invited, Message, RoomState, Roster
from hubbub.names import name_key


class RoomIndex:
    """The rooms that one is in, and those that one may enter by invitation.

    Attributes:
        own: sender numbers that this client has had.
        directs: what conversations of two are called.
        invitations: by the key of the room's name.
        comings: how often the server has said by itself in which rooms one is.
    """

    def __init__(self) -> None:
        self.directs = Directs()
        self.own = self.directs.own
        self.invitations: dict[str, Invitation] = {}
        self.comings = 0
        self._rooms: dict[str, Room] = {}
        self._by_spelling: dict[str, Room] = {}  # spares folding the name of every message

    def is_me(self, sender: int) -> None:
        """The number that one has now."""
        self.own.add(sender)
        self.directs.me = sender

    def find(self, name: str) -> Room | None:
        """The joined room of that name, however spelled, on the wire or by the application."""
        if is_direct(name):
            name = self.directs.wire(name)
        room = self._by_spelling.get(name)
        if room is None:
            room = self._rooms.get(name_key(name))
            if room is not None:
                self._by_spelling[name] = room
        return room

    def all(self) -> list[Room]:
        """The joined rooms in the order of joining."""
        return list(self._rooms.values())

    def add(self, room: Room) -> None:
        """The room was entered."""
        self._rooms[room.key] = room
        self.invitations.pop(room.key, None)

    def remove(self, name: str) -> Room | None:
        """The room was left."""
        found = self.find(name)
        if found is not None:
            del self._rooms[found.key]
            self._by_spelling = {k: r for k, r in self._by_spelling.items() if r is not found}
        return found

    def has(self, room: Room) -> bool:
        """Whether it was neither left nor entered anew since one got hold of it."""
        return self._rooms.get(room.key) is room

    def invited(self, frame: Invited) -> None:
        """Somebody asked one into a room."""
        self.invitations[name_key(frame.room)] = Invitation(frame.room, frame.by, frame.title)

    def sender_of(self, name: str) -> int:
        """The number of somebody in one of the rooms, or in a conversation with one; else 0."""
        key = name_key(name)
        for room in self._rooms.values():
            for person in room.roster.values():
                if name_key(person.name) == key:
                    return person.sender
        return self.directs.sender_of(name)

    # --- what one has read ---------------------------------------------------------------------

    def given(self, event: ClientEvent) -> None:
        """The application took this event."""
        if isinstance(event, Message | Event):
            room = self.find(event.room)
            if room is not None:
                room.shown = event.seq

    def read(self, name: str, seq: int) -> None:
        """The server has noted that one has read the room up to `seq`."""
        room = self.find(name)
        if room is not None and seq >= room.seen:
            room.take_mark(room.seen, room.count, 0)  # no mark stands above the head

    def take_state(self, state: RoomState) -> None:
        """Where a room stands, as the server told when it was asked for unread ones."""
        self.directs.learn(state.room, state.peer)
        room = self.find(state.room)
        if room is not None:
            room.take_state(state)

    def take_members(self, roster: Roster) -> None:
        """The application asked who is in a room."""
        room = self.find(roster.room)
        if room is not None and room.live and not room.known:
            room.people(one for one in roster.members if one.state != "offline")
