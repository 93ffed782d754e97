"""From the tables to memory, when a worker becomes the owner or has to begin anew."""

from __future__ import annotations

import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Iterable

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


def load(connection: sa.Connection, now: float) -> State:
    """Rooms with their heads, people with their rooms, and living sessions."""
    numbers = connection.execute(sa.select(schema.numbers)).one()
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
    for device in connection.execute(sa.select(schema.devices).order_by(schema.devices.c.id)):
        state.put_device(Device(*device))
    for sender, room, seq, messages in connection.execute(sa.select(schema.marks)):
        state.marks[sender, room] = Mark(seq, messages)
    decided = schema.decided.c
    for session, gateway, no in connection.execute(
        sa.select(decided.session, decided.gateway, decided.no)
    ):
        state.decided[session] = Decided(gateway, no)
    unread: dict[tuple[int, int], list[int]] = defaultdict(list)
    mentions = schema.mentions
    for sender, room, seq in connection.execute(sa.select(mentions).order_by(mentions.c.seq)):
        unread[sender, room].append(seq)
    state.mentions = {key: tuple(numbers) for key, numbers in unread.items()}
    return state


def _load_rooms(connection: sa.Connection, state: State) -> None:
    rooms, events = schema.rooms, schema.events
    # A room's head is its last entry: nothing else has to be written when something is said.
    last = sa.select(sa.func.max(events.c.seq)).where(events.c.room == rooms.c.id).scalar_subquery()
    heads = sa.select(rooms, last.label("head"))
    found = heads.subquery()
    query = sa.select(found, events.c.count.label("messages")).outerjoin(
        events, sa.and_(events.c.room == found.c.id, events.c.seq == found.c.head)
    )
    for row in connection.execute(query):
        room = Room(
            row.id,
            row.name,
            row.name_key or "",
            kind=RoomKind(row.kind),
            title=row.title,
            head=row.head or 0,
            first=row.first,
            count=row.messages or 0,
        )
        state.rooms[room.id] = room
        state.events += room.head
        room.closed = row.closed_at > 0
        if not room.closed:
            state.room_keys[room.key] = room.id
        if room.kind is RoomKind.DIRECT:
            state.add_talk(room)
    listed = (id for id in state.room_keys.values() if state.rooms[id].kind is not RoomKind.DIRECT)
    state.directory = sorted(state.rooms[id].key for id in listed)
    for room_id, kind, sender, *rest in connection.execute(sa.select(schema.restrictions)):
        restriction = Restriction(kind, sender, *rest)
        state.put_restriction(state.rooms[room_id], (kind, sender), restriction)
    for room_id, sender, *rest in connection.execute(sa.select(schema.invites)):
        state.put_invite(state.rooms[room_id], sender, Invite(*rest))


def _load_sessions(connection: sa.Connection) -> list[Session]:
    table = schema.sessions
    query = sa.select(table).where(table.c.presence < int(Presence.OVER)).order_by(table.c.id)
    return [
        Session(
            row.id,
            row.sender,
            row.visible,
            row.generation,
            row.gateway,
            row.token,
            Presence(row.presence),
            row.agent,
            row.address,
            row.device,
            row.state,
            row.away,
        )
        for row in connection.execute(query)
    ]


def _load_people(connection: sa.Connection, state: State, sessions: Iterable[Session]) -> None:
    of_person: dict[int, list[Session]] = defaultdict(list)
    for session in sessions:
        of_person[session.sender].append(session)
    rooms: dict[int, list[int]] = defaultdict(list)
    for room, sender, rank in connection.execute(sa.select(schema.members)):
        if rank == Rank.FORMER:
            state.rooms[room].former.add(sender)
            continue
        rooms[sender].append(room)
        if rank > Rank.MEMBER:
            state.rooms[room].ranks[sender] = Rank(rank)
    blocked: dict[int, list[int]] = defaultdict(list)
    for sender, other in connection.execute(sa.select(schema.blocks)):
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

    # In the order of entry, which is that of the rosters.
    table = schema.accounts
    for row in connection.execute(sa.select(table).order_by(table.c.sender)):
        account = Account(
            row.password,
            row.made_at,
            row.address,
            row.operator,
            row.suspended_until,
            row.suspended_why,
            row.deleted_at,
        )
        take(row.sender, row.name, row.name_key, account)
    for id, sender, name, key in _guests(connection):
        if sender not in state.people and id in (each.id for each in of_person[sender]):
            take(sender, name, key, None)


def _guests(connection: sa.Connection) -> Iterable[tuple[int, int, str, str]]:
    table = schema.sessions
    query = sa.select(table.c.id, table.c.sender, table.c.name, table.c.name_key)
    found = connection.execute(query.where(table.c.name_key.is_not(None)).order_by(table.c.id))
    return [(row.id, row.sender, row.name, row.name_key) for row in found]


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
