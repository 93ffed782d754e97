"""Who may ask what: one table, deny by default.

Ids in a frame are bound to the session that asks before this is looked at.
"""

from __future__ import annotations

import enum

from hubbub import frames
from hubbub.errors import Code, Refused
from hubbub.wire import Fetch, Lost


class Role(enum.Enum):
    """What somebody is to the thing asked about."""

    GATEWAY = "gateway"  # no session: the gateway process itself, or somebody it has not let in yet
    SESSION = "session"  # a session; with a room: one that has not joined it
    MEMBER = "member"  # a session that has joined the room


_ANY = frozenset(Role)
_SESSIONS = frozenset({Role.SESSION, Role.MEMBER})

TABLE: dict[type, frozenset[Role]] = {
    frames.Hello: frozenset({Role.GATEWAY}),
    frames.Resume: frozenset({Role.GATEWAY}),
    frames.Join: _SESSIONS,
    frames.Leave: _SESSIONS,
    frames.Say: frozenset({Role.MEMBER}),
    frames.Nick: _SESSIONS,
    frames.History: _SESSIONS,  # every room is public today
    frames.Members: _SESSIONS,
    frames.Rooms: _SESSIONS,
    frames.Peers: _SESSIONS,
    frames.Status: _SESSIONS,
    frames.Ping: _ANY,
    frames.Bye: _SESSIONS,
    Lost: _SESSIONS,
    Fetch: frozenset({Role.GATEWAY}),
}


def check(frame: type, role: Role, room: str = "") -> None:
    """Pass if the table has it.

    Raises:
        Refused: it has not; with what can be done about it where something can.
    """
    allowed = TABLE.get(frame, frozenset())
    if role in allowed:
        return
    if role is Role.SESSION and Role.MEMBER in allowed:
        raise Refused(Code.NOT_MEMBER, f"join {room} first")
    if role is Role.GATEWAY and allowed & _SESSIONS:
        raise Refused(Code.WRONG_TIME, "say hello first")
    raise Refused(Code.NOT_ALLOWED, "that is not allowed here")
