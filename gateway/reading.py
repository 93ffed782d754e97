"""A room's log being read: what waits for it meanwhile, and who leaves the room with it. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from gateway.connection import Connection
from hubbub.frames import Event
from hubbub.wire import Item, Kind

HELD_BYTES = 1024 * 1024  # of what waits; beyond: it is read from the log, too

_event = msgspec.msgpack.Decoder(Event)


class Reading:
    """What one reading of a room's log has to wait for, and what waits for it, in order."""

    __slots__ = ("_bytes", "held", "target")

    def __init__(self, target: int) -> None:
        self.target = target  # the head up to which the log is read
        self.held: list[Item] = []  # newer than that
        self._bytes = 0

    def hold(self, item: Item) -> bool:
        """Keep an item of the room for later; False: the log is to be read up to it instead."""
        self._bytes += len(item.body)
        if item.seq and (self._bytes > HELD_BYTES or item.seq <= self.target):
            self.target = max(self.target, item.seq)
            return False
        self.held.append(item)
        return True

    def hold_member(self, item: Item) -> None:
        """Keep somebody's coming or going for its place among the rest."""
        self.held.append(item)

    def let_go(self) -> list[Item]:
        """The comings and goings: they have no place any more, since the log is read past it."""
        members = [item for item in self.held if item.kind >= Kind.SESSION_OVER]
        self.held = [item for item in self.held if item.kind < Kind.SESSION_OVER]
        return members


class _Leaver(NamedTuple):
    parted: bytes  # the frame that says so
    since: int  # how much of the passage is not theirs


class Leavers:
    """Connections that are out of a room, as a sync told; where in the log that was, it did not.

    They are shown the log up to the entry that put them out. Without one there nothing shows that
    they were entitled to any of it, and they are shown none.
    """

    __slots__ = ("_bytes", "_leavers", "_passage")

    def __init__(self) -> None:
        self._leavers: dict[Connection, _Leaver] = {}
        self._passage: list[bytes] = []  # what was read since they are out
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._leavers)

    def add(self, connection: Connection, parted: bytes) -> None:
        """It is out from somewhere in what is read next."""
        self._leavers[connection] = _Leaver(parted, len(self._passage))

    def read(self, kind: int, body: bytes) -> None:
        """Show the next entry of the log to those whom it leads out, after what they missed."""
        self._bytes += len(body)
        if self._bytes > HELD_BYTES:
            self.finish()
            return
        self._passage.append(body)
        if kind != Kind.EVENT:
            return
        event = _event.decode(body)
        for connection, leaver in list(self._leavers.items()):
            if _leads_out(event, connection):
                del self._leavers[connection]
                _push(connection, [*self._passage[leaver.since :], leaver.parted])

    def finish_one(self, connection: Connection) -> None:
        """Tell one that it is out, at once: it is about to come in again."""
        leaver = self._leavers.pop(connection, None)
        if leaver is not None:
            _push(connection, [leaver.parted])

    def finish(self) -> None:
        """Tell those who are left that they are out; nothing more is read."""
        for connection, leaver in self._leavers.items():
            _push(connection, [leaver.parted])
        self._leavers.clear()
        self._passage.clear()
        self._bytes = 0


def _leads_out(event: Event, connection: Connection) -> bool:
    session = connection.session
    sender = session.sender if session is not None else 0
    return (
        event.kind == "closed"
        or (event.kind == "parted" and event.sender == sender)
        or (event.kind in ("kicked", "banned") and event.whom == sender)
    )


def _push(connection: Connection, parts: list[bytes]) -> None:
    if not connection.is_closing:
        connection.push(b"".join(parts))
