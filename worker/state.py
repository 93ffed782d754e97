"""All that the owner remembers, with the indexes into it. Changed by `Plan.apply` alone."""

from __future__ import annotations

import bisect

from worker.records import Presence, Room, Session


class State:
    """Rooms, living sessions, names, and whose connection was lost since when.

    While a plan is decided, in the store's thread, nobody changes this.
    """

    def __init__(self, *, epoch: int) -> None:
        self.epoch = epoch
        self.next_session = 1
        self.next_sender = 1
        self.next_room = 1
        self.rooms: dict[int, Room] = {}
        self.room_keys: dict[str, int] = {}
        self.directory: list[str] = []  # keys of rooms, sorted
        self.sessions: dict[int, Session] = {}
        self.names: dict[str, int] = {}  # key of a name -> session
        self.tokens: dict[bytes, int] = {}
        self.of_gateway: dict[str, set[int]] = {}  # sessions that have a connection there
        self.events = 0
        # Since when, on the monotonic clock. The clock only rises, so the order of entry is the
        # order of the deadlines and the first is always the next to be due.
        self.gone: dict[int, float] = {}
        self.left: dict[int, float] = {}
        self._people: list[str] | None = None

    def add_room(self, room: Room) -> None:
        """Take a room in."""
        self.rooms[room.id] = room
        self.room_keys[room.key] = room.id
        bisect.insort(self.directory, room.key)
        self.events += room.head

    def people(self) -> list[str]:
        """Keys of the names of all living sessions, sorted."""
        if self._people is None:
            self._people = sorted(self.names)
        return self._people

    def put_session(self, session: Session, now: float) -> None:
        """Add a session or replace its record."""
        old = self.sessions.get(session.id)
        if old is not None:
            self._unindex(old, session)
        self.sessions[session.id] = session
        if old is None or old.key != session.key:
            self._people = None
            self.names[session.key] = session.id
        self.tokens[session.token] = session.id
        self._index_rooms(old, session)
        if session.presence is Presence.HERE:
            self.of_gateway.setdefault(session.gateway, set()).add(session.id)
        elif old is None or old.presence is not session.presence:
            queue = self.gone if session.presence is Presence.GONE else self.left
            queue[session.id] = now

    def end_session(self, id: int) -> None:
        """Forget a session; its name is free."""
        old = self.sessions.pop(id, None)
        if old is None:
            return
        self._unindex(old, None)
        self._index_rooms(old, None)

    def _unindex(self, old: Session, new: Session | None) -> None:
        if new is None or new.key != old.key:
            self._people = None
            # Within one plan the name may have passed on already.
            if self.names.get(old.key) == old.id:
                del self.names[old.key]
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

    def _index_rooms(self, old: Session | None, new: Session | None) -> None:
        empty: frozenset[int] = frozenset()
        was, now = old.rooms if old else empty, new.rooms if new else empty
        if was is not now:
            session = (new or old).id  # type: ignore[union-attr]
            for room in was - now:
                self.rooms[room].members.discard(session)
            for room in now - was:
                self.rooms[room].members.add(session)
        was, now = old.seen_in if old else empty, new.seen_in if new else empty
        if was is not now:
            session = (new or old).id  # type: ignore[union-attr]
            for room in was - now:
                self.rooms[room].roster.pop(session, None)
            for room in now - was:
                self.rooms[room].roster[session] = None

    def next_deadline(self, left_after: float, resume_within: float) -> float | None:
        """When time alone will change something: a lost session leaves its rooms, or ends."""
        deadlines = []
        if self.gone:
            deadlines.append(next(iter(self.gone.values())) + left_after)
        if self.left:
            deadlines.append(next(iter(self.left.values())) + resume_within - left_after)
        return min(deadlines, default=None)
