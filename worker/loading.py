"""From the tables to memory, when a worker becomes the owner or has to begin anew."""

from __future__ import annotations

import secrets
import sqlite3
from collections import defaultdict

import sqlalchemy as sa

from worker import schema
from worker.note import Note
from worker.records import Presence, Room, Session
from worker.state import State

# After an old copy was put back numbers given since are unknown: the next ones lie well above.
SKIP_NUMBERS = 1 << 20


def load(connection: sa.Connection, now: float) -> State:
    """Rooms with their heads, and living sessions with their rooms."""
    numbers = connection.execute(sa.select(schema.numbers)).one()
    state = State(epoch=numbers.epoch)
    state.next_session = numbers.next_session
    state.next_sender = numbers.next_sender
    state.next_room = numbers.next_room
    _load_rooms(connection, state)
    _load_sessions(connection, state, now)
    return state


def _load_rooms(connection: sa.Connection, state: State) -> None:
    rooms, events = schema.rooms, schema.events
    # A room's head is its last entry: nothing else has to be written when something is said.
    last = sa.select(sa.func.max(events.c.seq)).where(events.c.room == rooms.c.id).scalar_subquery()
    heads = sa.select(rooms.c.id, rooms.c.name, rooms.c.name_key, rooms.c.first, last.label("head"))
    found = heads.subquery()
    query = sa.select(found, events.c.count).outerjoin(
        events, sa.and_(events.c.room == found.c.id, events.c.seq == found.c.head)
    )
    for id, name, key, first, head, count in connection.execute(query):
        room = Room(id, name, key, head=head or 0, first=first, count=count or 0)
        state.rooms[id] = room
        state.room_keys[key] = id
        state.events += room.head
    state.directory = sorted(state.room_keys)


def _load_sessions(connection: sa.Connection, state: State, now: float) -> None:
    inside: dict[int, list[int]] = defaultdict(list)
    for session, room in connection.execute(sa.select(schema.memberships)):
        inside[session].append(room)
    table = schema.sessions
    query = sa.select(table).where(table.c.presence < int(Presence.OVER)).order_by(table.c.id)
    for row in connection.execute(query):
        session = Session(
            row.id,
            row.sender,
            row.name,
            row.name_key,
            row.visible,
            row.generation,
            row.gateway,
            row.token,
            Presence(row.presence),
            frozenset(inside.get(row.id, ())),
            row.agent,
            row.address,
        )
        state.put_session(session, now)


def is_behind(state: State, noted: Note, highest_term: int) -> bool:
    """Whether an old copy of the database was put back: it was further once than it is now."""
    if noted.epoch != state.epoch:
        return False
    return noted.term > highest_term or noted.events > state.events


def begin_anew(raw: sqlite3.Connection, state: State, term: int) -> int:
    """Go on under a new epoch, and a term above all that gateways may have seen; returns that."""
    state.epoch = 1 + secrets.randbelow(2**53 - 1)
    state.next_session += SKIP_NUMBERS
    state.next_sender += SKIP_NUMBERS
    state.next_room += SKIP_NUMBERS
    raw.execute(
        "UPDATE numbers SET epoch = ?, next_session = ?, next_sender = ?, next_room = ?",
        (state.epoch, state.next_session, state.next_sender, state.next_room),
    )
    raw.execute("UPDATE leases SET term = ?", (term,))
    return term
