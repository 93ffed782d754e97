"""From the tables to memory, when a worker becomes the owner or has to begin anew."""

from __future__ import annotations

import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from worker import schema
from worker.note import Note
from worker.presence import together
from worker.records import (
    Account,
    Decided,
    Device,
    Invite,
    Mark,
    Person,
    Presence,
    Rank,
    Restriction,
    Room,
    RoomKind,
    Session,
)
from worker.state import State

# After an old copy was put back numbers given since are unknown: the next ones lie well above.
SKIP_NUMBERS = 1 << 20


def _rooms_with_heads() -> sa.Select[Any]:
    """A room's head is its last entry: nothing else has to be written when something is said."""
    rooms, events = schema.rooms, schema.events
    last = sa.select(sa.func.max(events.c.seq)).where(events.c.room == rooms.c.id).scalar_subquery()
    columns = rooms.c
    found = sa.select(
        *(columns.id, columns.name, columns.name_key, columns.kind, columns.title, columns.first),
        *(columns.closed_at, last.label("head")),
    ).subquery()
    return sa.select(found, events.c.count).outerjoin(
        events, sa.and_(events.c.room == found.c.id, events.c.seq == found.c.head)
    )


def _living_sessions() -> sa.Select[Any]:
    """In the order of the fields of `Session`."""
    of = schema.sessions.c
    return (
        sa.select(
            *(of.id, of.sender, of.visible, of.generation, of.gateway, of.token, of.presence),
            *(of.agent, of.address, of.device, of.state, of.away),
        )
        .where(of.presence < int(Presence.OVER))
        .order_by(of.id)
    )


def _guests() -> sa.Select[Any]:
    of = schema.sessions.c
    query = sa.select(of.id, of.sender, of.name, of.name_key)
    return query.where(of.name_key.is_not(None)).order_by(of.id)


def _accounts() -> sa.Select[Any]:
    """In the order of entry, which is that of the rosters; last the fields of `Account`."""
    of = schema.accounts.c
    return sa.select(
        *(of.sender, of.name, of.name_key),
        *(of.password, of.made_at, of.address, of.operator),
        *(of.suspended_until, of.suspended_why, of.deleted_at),
    ).order_by(of.sender)


# To build a query takes longer than a small database needs to answer it.
_NUMBERS = sa.select(schema.numbers)
_DEVICES = sa.select(schema.devices).order_by(schema.devices.c.id)
_MARKS = sa.select(schema.marks)
_DECIDED = sa.select(schema.decided.c.session, schema.decided.c.gateway, schema.decided.c.no)
_MENTIONS = sa.select(schema.mentions).order_by(schema.mentions.c.seq)
_ROOMS = _rooms_with_heads()
_RESTRICTIONS = sa.select(schema.restrictions)
_INVITES = sa.select(schema.invites)
_SESSIONS = _living_sessions()
_MEMBERS = sa.select(schema.members)
_BLOCKS = sa.select(schema.blocks)
_ACCOUNTS = _accounts()
_GUESTS = _guests()


def load(connection: sa.Connection, now: float) -> State:
    """Rooms with their heads, people with their rooms, and living sessions."""
    numbers = connection.execute(_NUMBERS).one()
    state = State(epoch=numbers.epoch)
    state.next_session = numbers.next_session
    state.next_sender = numbers.next_sender
    state.next_room = numbers.next_room
    state.next_device = numbers.next_device
    _load_rooms(connection, state)
    sessions = _load_sessions(connection)
    _load_people(connection, state, sessions)
    for session in sessions:
        state.put_session(session, now)
    for device in connection.execute(_DEVICES):
        state.put_device(Device(*device))
    for sender, room, seq, messages in connection.execute(_MARKS):
        state.marks[sender, room] = Mark(seq, messages)
    for session, gateway, no in connection.execute(_DECIDED):
        state.decided[session] = Decided(gateway, no)
    unread: dict[tuple[int, int], list[int]] = defaultdict(list)
    for sender, room, seq in connection.execute(_MENTIONS):
        unread[sender, room].append(seq)
    state.mentions = {key: tuple(numbers) for key, numbers in unread.items()}
    return state


def _load_rooms(connection: sa.Connection, state: State) -> None:
    for id, name, key, kind, title, first, closed_at, head, count in connection.execute(_ROOMS):
        room = Room(
            id,
            name,
            key or "",
            kind=RoomKind(kind),
            title=title,
            head=head or 0,
            first=first,
            count=count or 0,
        )
        state.rooms[room.id] = room
        state.events += room.head
        room.closed = closed_at > 0
        if not room.closed:
            state.room_keys[room.key] = room.id
        if room.kind is RoomKind.DIRECT:
            state.add_talk(room)
    listed = (id for id in state.room_keys.values() if state.rooms[id].kind is not RoomKind.DIRECT)
    state.directory = sorted(state.rooms[id].key for id in listed)
    for room_id, kind, sender, *rest in connection.execute(_RESTRICTIONS):
        restriction = Restriction(kind, sender, *rest)
        state.put_restriction(state.rooms[room_id], (kind, sender), restriction)
    for room_id, sender, *rest in connection.execute(_INVITES):
        state.put_invite(state.rooms[room_id], sender, Invite(*rest))


def _load_sessions(connection: sa.Connection) -> list[Session]:
    return [
        Session(id, sender, visible, generation, gateway, token, Presence(presence), *others)
        for id, sender, visible, generation, gateway, token, presence, *others in (
            connection.execute(_SESSIONS)
        )
    ]


def _load_people(connection: sa.Connection, state: State, sessions: Iterable[Session]) -> None:
    of_person: dict[int, list[Session]] = defaultdict(list)
    for session in sessions:
        of_person[session.sender].append(session)
    rooms: dict[int, list[int]] = defaultdict(list)
    for room, sender, rank in connection.execute(_MEMBERS):
        if rank == Rank.FORMER:
            state.rooms[room].former.add(sender)
            continue
        rooms[sender].append(room)
        if rank > Rank.MEMBER:
            state.rooms[room].ranks[sender] = Rank(rank)
    blocked: dict[int, list[int]] = defaultdict(list)
    for sender, other in connection.execute(_BLOCKS):
        blocked[sender].append(other)

    def take(sender: int, name: str, key: str, account: Account | None) -> None:
        own = of_person[sender]
        presence, away = together(own)
        state.put_person(
            Person(
                sender,
                name,
                key,
                account,
                frozenset(session.id for session in own),
                frozenset(rooms[sender]),
                frozenset(blocked[sender]),
                presence,
                away,
            )
        )

    for sender, name, key, *account in connection.execute(_ACCOUNTS):
        take(sender, name, key, Account(*account))
    for id, sender, name, key in connection.execute(_GUESTS):
        if sender not in state.people and id in (each.id for each in of_person[sender]):
            take(sender, name, key, None)


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
    state.next_device += SKIP_NUMBERS
    raw.execute(
        "UPDATE numbers SET epoch = ?, next_session = ?, next_sender = ?, next_room = ?,"
        " next_device = ?",
        (
            state.epoch,
            state.next_session,
            state.next_sender,
            state.next_room,
            state.next_device,
        ),
    )
    raw.execute("UPDATE leases SET term = ?", (term,))
    return term
