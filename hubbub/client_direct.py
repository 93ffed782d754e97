"""What conversations of two are called: `@12:57` on the wire, `@Rita` towards the application.

No I/O. The servers name a conversation by the numbers of its two people, since names change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, TypeVar

import msgspec

from hubbub.frames import (
    Event,
    Joined,
    Marked,
    Message,
    Ok,
    Parted,
    Person,
    Presence,
    Reply,
    RoomInfo,
    RoomState,
    Roster,
    Typists,
)
from hubbub.names import DIRECT, direct_pair, direct_room, name_key

_InRoom: TypeAlias = (
    Message
    | Event
    | Presence
    | Joined
    | Parted
    | Marked
    | Typists
    | Ok
    | Roster
    | RoomState
    | RoomInfo
)
_InRoomT = TypeVar("_InRoomT", bound=_InRoom)


def is_direct(room: str) -> bool:
    """Whether a room, however it is called, is a conversation of two."""
    return room.startswith(DIRECT)


class Directs:
    """The other one of each conversation of two that is known of.

    Attributes:
        me: one's own number.
        own: all that this client has had.
    """

    def __init__(self) -> None:
        self.me = 0
        self.own: set[int] = set()
        self._names: dict[int, str] = {}  # sender -> name
        self._senders: dict[str, int] = {}  # the key of that name -> sender

    def learn(self, room: str, peer: Person | None) -> None:
        """The server told who the other one of a room is, if it is a conversation of two."""
        if peer is not None and direct_pair(room) is not None:
            self.name(peer.sender, peer.name)

    def name(self, sender: int, name: str) -> None:
        """Somebody goes by this name now. Whoever had it before has it no longer."""
        old = self._names.get(sender)
        if old == name:
            return
        if old is not None and self._senders.get(name_key(old)) == sender:
            del self._senders[name_key(old)]
        self._names[sender] = name
        self._senders[name_key(name)] = sender

    def hear(self, entry: Message | Event) -> None:
        """Somebody has written in a conversation: their name, if it was not known."""
        if entry.sender == self.other(entry.room) and entry.sender not in self._names:
            self.name(entry.sender, entry.name)

    def renamed(self, event: Event) -> None:
        """Follow a `renamed` event, when it is about somebody one talks to."""
        if event.sender in self._names:
            self.name(event.sender, event.to)

    def sender_of(self, name: str) -> int:
        """The number of somebody one talks to, by their name; 0 when that is not known."""
        return self._senders.get(name_key(name), 0)

    def other(self, room: str) -> int:
        """The sender that a conversation of two is with, by its name on the wire; else 0."""
        pair = direct_pair(room)
        if pair is None:
            return 0
        low, high = pair
        return high if low in self.own else low

    def room_with(self, sender: int) -> str:
        """The name on the wire of one's conversation with somebody."""
        return direct_room(self.me, sender)

    def shown(self, room: str) -> str:
        """What a room of the wire is called towards the application."""
        if not is_direct(room):
            return room
        name = self._names.get(self.other(room))
        return room if name is None else DIRECT + name

    def wire(self, room: str) -> str:
        """What a room of the application is called on the wire; `@NAME` when that is not known."""
        if not is_direct(room) or direct_pair(room) is not None:
            return room
        sender = self.sender_of(room[len(DIRECT) :])
        return self.room_with(sender) if sender else room

    def show(self, frame: _InRoomT) -> _InRoomT:
        """The same with the room as the application calls it."""
        if not is_direct(frame.room):
            return frame
        return msgspec.structs.replace(frame, room=self.shown(frame.room))

    def show_reply(self, reply: Reply) -> Reply:
        """An answer as it is given to the application."""
        return self.show(reply) if isinstance(reply, Ok | Roster) else reply

    def show_all(self, frames: Iterable[_InRoomT]) -> list[_InRoomT]:
        """The same of several."""
        return [self.show(frame) for frame in frames]
