"""Who is out of a room while its log is read: shown up to what put them out, told so, once."""

from __future__ import annotations

from typing import cast

import pytest

from gateway.connection import Connection
from gateway.outbox import Outbox
from gateway.reading import Leavers
from gateway.rooms import Rooms
from gateway.session import Session
from gateway.stream import Stream
from hubbub.frames import Event, Message, encoder
from hubbub.wire import Kind, Snapshot
from tests.unit.gateway.test_rooms import LIMIT, Socket

OUT = b"out"


class Member:
    """As much of somebody's connection as is needed, and what they are sent."""

    is_closing = False

    def __init__(self, sender: int) -> None:
        self.session = Session(sender, 1, sender, f"person-{sender}")
        self.outbox = Outbox(Socket(), LIMIT, 10.0)
        self.rooms: dict[int, object] = {}
        self.sent: list[bytes] = []

    @property
    def connection(self) -> Connection:
        return cast(Connection, self)

    def push(self, data: bytes) -> None:
        self.sent.append(data)


def message(seq: int) -> bytes:
    """An entry."""
    return encoder.encode(Message("den", seq, 9, "Nobody", f"message {seq}", 0, seq))


@pytest.mark.parametrize(
    ("kind", "sender", "whom"),
    [("parted", 7, 0), ("kicked", 9, 7), ("banned", 9, 7), ("closed", 9, 0)],
)
def test_whatever_put_somebody_out_is_the_last_that_they_are_shown(
    kind: str, sender: int, whom: int
) -> None:
    """“Who was put out before the takeover is shown the log up to the entry that put them out.”"""
    leavers, member = Leavers(), Member(7)
    leavers.add(member.connection, OUT)
    end = encoder.encode(Event("den", 2, kind, sender, "Nobody", 0, 1, whom=whom))
    leavers.read(Kind.MESSAGE, message(1))
    leavers.read(Kind.EVENT, end)
    leavers.read(Kind.MESSAGE, message(3))
    assert member.sent == [message(1) + end + OUT]
    assert not leavers


def test_who_is_out_since_later_is_not_shown_again_what_was_read_before() -> None:
    """They were in the room then, and were shown it with all others."""
    leavers, early, late = Leavers(), Member(6), Member(7)
    leavers.add(early.connection, OUT)
    leavers.read(Kind.MESSAGE, message(1))
    leavers.add(late.connection, OUT)
    leavers.read(Kind.MESSAGE, message(2))
    end = encoder.encode(Event("den", 3, "parted", 7, "person-7", 0, 2))
    leavers.read(Kind.EVENT, end)
    assert late.sent == [message(2) + end + OUT]


def test_who_is_put_out_by_nothing_in_the_log_is_told_so_when_it_is_read() -> None:
    """Nothing shows that they were entitled to any of it; and nobody is in the room any more."""
    rooms, member = Rooms(Stream(), lambda room, after: None), Member(7)
    room = rooms.adopt(Snapshot(1, "den", 0, 1, 0, []))
    rooms.enter(member.connection, room, None)
    rooms.leave_with_log(member.connection, room, OUT)
    assert rooms.synced([Snapshot(1, "den", 2, 1, 2, [])]) == []
    rooms.finish_leaving()
    rooms.fetched(1, [(1, Kind.MESSAGE, message(1))])
    assert member.sent == []
    rooms.fetched(1, [(2, Kind.MESSAGE, message(2))])
    assert (member.sent, len(rooms)) == ([OUT], 0)
