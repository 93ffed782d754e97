"""All that the owner remembers, with the indexes into it. Changed by `Plan.apply` alone."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from hubbub import names
from worker.records import (
    NO_MARK,
    Decided,
    Device,
    Invite,
    Mark,
    Person,
    Presence,
    Restriction,
    Room,
    RoomKind,
    Session,
)


class State:
    """Rooms, people, living sessions, names, and whose connection was lost since when.

    While a plan is decided, in the store's thread, nobody changes this; but what is refused without
    a turn is noted at any time.
    """

    def __init__(self, *, epoch: int) -> None:
        self.epoch = epoch
        self.next_session = 1
        self.next_sender = 1
        self.next_room = 1
        self.next_device = 1
        self.rooms: dict[int, Room] = {}
        self.room_keys: dict[str, int] = {}
        self.directory: list[str] = []  # keys of rooms that can be listed, sorted
        self.talks: dict[int, set[int]] = {}  # conversations of two by sender, also those left
        self.people: dict[int, Person] = {}  # guests that live, and all accounts
        self.names: dict[str, int] = {}  # key of a name -> sender
        self.skeletons: dict[str, int] = {}  # what names look like -> sender
        self.accounts = 0
        self.sessions: dict[int, Session] = {}
        self.tokens: dict[bytes, int] = {}
        self.devices: dict[int, Device] = {}
        self.device_tokens: dict[bytes, int] = {}
        self.devices_of: dict[int, set[int]] = {}
        self.of_gateway: dict[str, set[int]] = {}  # sessions that have a connection there
        self.marks: dict[tuple[int, int], Mark] = {}  # by sender and room
        self.mentions: dict[tuple[int, int], tuple[int, ...]] = {}  # unread, rising
        self.invited_to: dict[int, set[int]] = {}  # rooms by sender
        self.restricted: set[int] = set()  # open rooms with bans or mutes, over or not
        self.refused: dict[int, float] = {}  # session -> when a request of it was, monotonic clock
        self.decided: dict[int, Decided] = {}  # by session: what owners before have left
        self.events = 0
        # Since when, on the monotonic clock. The clock only rises, so the order of entry is the
        # order of the deadlines and the first is always the next to be due.
        self.gone: dict[int, float] = {}
        self.left: dict[int, float] = {}
        self._present: list[str] | None = None

    # --- looking --------------------------------------------------------------------------

    def person(self, sender: int) -> Person | None:
        """The guest or account of that sender number."""
        return self.people.get(sender)

    def named(self, key: str) -> int | None:
        """The person that holds a name."""
        return self.names.get(key)

    def room_id(self, key: str) -> int | None:
        """The room of that name."""
        return self.room_keys.get(key)

    def mark(self, sender: int, room: int) -> Mark:
        """How far somebody has read a room."""
        return self.marks.get((sender, room), NO_MARK)

    def unread_mentions(self, sender: int, room: int) -> tuple[int, ...]:
        """Numbers of messages that name somebody and were not read."""
        return self.mentions.get((sender, room), ())

    # --- rooms ----------------------------------------------------------------------------

    def put_restriction(
        self, room: Room, key: tuple[str, int], restriction: Restriction | None
    ) -> None:
        """Somebody is banned or muted, or no longer."""
        if restriction is not None:
            room.restrictions[key] = restriction
            self.restricted.add(room.id)
        elif room.restrictions.pop(key, None) is not None and not room.restrictions:
            self.restricted.discard(room.id)

    def put_invite(self, room: Room, sender: int, invite: Invite | None) -> None:
        """Somebody is invited to a room, or no longer."""
        if invite is not None:
            room.invites[sender] = invite
            self.invited_to.setdefault(sender, set()).add(room.id)
        elif room.invites.pop(sender, None) is not None:
            rooms = self.invited_to[sender]
            rooms.discard(room.id)
            if not rooms:
                del self.invited_to[sender]

    def add_room(self, room: Room) -> None:
        """Take a room in."""
        self.rooms[room.id] = room
        self.room_keys[room.key] = room.id
        if room.kind is RoomKind.DIRECT:
            self.add_talk(room)
        else:
            bisect.insort(self.directory, room.key)
        self.events += room.head

    def add_talk(self, room: Room) -> None:
        """A room is the conversation of two people."""
        for sender in names.direct_pair(room.key) or ():
            self.talks.setdefault(sender, set()).add(room.id)

    def close_room(self, room: Room) -> None:
        """Its name is free; its log stays. Who was, may or may not be in it matters no more."""
        room.closed = True
        self.restricted.discard(room.id)
        for sender in list(room.invites):
            self.put_invite(room, sender, None)
        room.restrictions.clear()
        room.former.clear()
        if self.room_keys.get(room.key) == room.id:
            del self.room_keys[room.key]
            at = bisect.bisect_left(self.directory, room.key)
            if at < len(self.directory) and self.directory[at] == room.key:
                del self.directory[at]

    # --- people ---------------------------------------------------------------------------

    def present(self) -> list[str]:
        """Keys of the names of all who can be seen, sorted."""
        if self._present is None:
            self._present = sorted(each.key for each in self.people.values() if each.state)
        return self._present

    def put_person(self, person: Person) -> None:
        """Add a person or replace the record."""
        old = self.people.get(person.sender)
        self.people[person.sender] = person
        if old is None or old.key != person.key or bool(old.state) != bool(person.state):
            self._present = None
        # Written otherwise a name may look otherwise: Ɖ is no ɖ.
        if old is None or old.name != person.name:
            if old is not None:
                self._free_name(old)
            self.names[person.key] = person.sender
            self.skeletons[names.skeleton(person.name)] = person.sender
        self.accounts += _is_account(person) - (_is_account(old) if old is not None else 0)
        self._index_rooms(old, person)

    def drop_person(self, sender: int) -> None:
        """Forget a guest; the name is free."""
        old = self.people.pop(sender, None)
        if old is None:
            return
        self._present = None
        self._free_name(old)
        self.accounts -= _is_account(old)
        self._index_rooms(old, None)

    def _free_name(self, old: Person) -> None:
        # Within one plan the name may have passed on already.
        if self.names.get(old.key) == old.sender:
            del self.names[old.key]
        skeleton = names.skeleton(old.name)
        if self.skeletons.get(skeleton) == old.sender:
            del self.skeletons[skeleton]

    def _index_rooms(self, old: Person | None, new: Person | None) -> None:
        empty: frozenset[int] = frozenset()
        was, now = old.rooms if old else empty, new.rooms if new else empty
        sender = (new or old).sender  # type: ignore[union-attr]
        if was is not now:
            for room in was - now:
                self.rooms[room].members.discard(sender)
                self.rooms[room].ranks.pop(sender, None)
                self.marks.pop((sender, room), None)
                self.mentions.pop((sender, room), None)
            for room in now - was:
                self.rooms[room].members.add(sender)
                self.rooms[room].former.discard(sender)
        was, now = old.seen_in if old else empty, new.seen_in if new else empty
        if was is not now:
            for room in was - now:
                self.rooms[room].roster.pop(sender, None)
            for room in now - was:
                self.rooms[room].roster[sender] = None

    # --- sessions and devices -------------------------------------------------------------

    def put_session(self, session: Session, now: float) -> None:
        """Add a session or replace its record."""
        old = self.sessions.get(session.id)
        if old is not None:
            self._unindex(old, session)
        self.sessions[session.id] = session
        self.tokens[session.token] = session.id
        if session.presence is Presence.HERE:
            self.of_gateway.setdefault(session.gateway, set()).add(session.id)
        elif old is None or old.presence is not session.presence:
            queue = self.gone if session.presence is Presence.GONE else self.left
            queue[session.id] = now

    def note_refused(self, sessions: Iterable[int], now: float) -> None:
        """Requests of these sessions were refused."""
        self.refused.update({id: now for id in sessions if id in self.sessions})

    def end_session(self, id: int) -> None:
        """Forget a session."""
        old = self.sessions.pop(id, None)
        self.refused.pop(id, None)
        if old is not None:
            self._unindex(old, None)

    def _unindex(self, old: Session, new: Session | None) -> None:
        if new is None or new.token != old.token:
            self.tokens.pop(old.token, None)
        if new is None or new.presence is not old.presence:
            self.gone.pop(old.id, None)
            self.left.pop(old.id, None)
        if old.presence is Presence.HERE:
            here = self.of_gateway.get(old.gateway)
            if here is not None:
                here.discard(old.id)
                if not here:
                    del self.of_gateway[old.gateway]

    def put_device(self, device: Device) -> None:
        """Add a device or replace its record."""
        old = self.devices.get(device.id)
        if old is not None and old.token != device.token:
            self.device_tokens.pop(old.token, None)
        self.devices[device.id] = device
        self.device_tokens[device.token] = device.id
        self.devices_of.setdefault(device.sender, set()).add(device.id)

    def drop_device(self, id: int) -> None:
        """Forget a device: its token logs nobody in any more."""
        old = self.devices.pop(id, None)
        if old is None:
            return
        self.device_tokens.pop(old.token, None)
        devices = self.devices_of.get(old.sender, set())
        devices.discard(id)
        if not devices:
            self.devices_of.pop(old.sender, None)

    def next_deadline(self, left_after: float, resume_within: float) -> float | None:
        """When time alone will change something: a lost session leaves its rooms, or ends."""
        deadlines = []
        if self.gone:
            deadlines.append(next(iter(self.gone.values())) + left_after)
        if self.left:
            deadlines.append(next(iter(self.left.values())) + resume_within - left_after)
        return min(deadlines, default=None)


def _is_account(person: Person) -> int:
    return int(person.account is not None and not person.account.deleted_at)
