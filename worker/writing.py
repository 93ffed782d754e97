"""A plan's changes as rows: called by the store within the turn's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from worker import index
from worker.draft import Draft
from worker.plan import Plan
from worker.records import Person, Presence, Rank, Session, shard_of

_INSERT_EVENT = (
    "INSERT INTO events (room, seq, kind, sender, at, count, body) VALUES (?,?,?,?,?,?,?)"
)
# A greeting that comes again after its session ended begins another one under the same key; what
# gave a token gives another one.
_INSERT_DONE = (
    "INSERT INTO done (sender, id, digest, at, room, seq) VALUES (?,?,?,?,?,?)"
    " ON CONFLICT (sender, id) DO UPDATE SET digest = excluded.digest, at = excluded.at,"
    " room = excluded.room, seq = excluded.seq"
)
_PUT_DECIDED = (
    "INSERT INTO decided (session, gateway, no, at) VALUES (?,?,?,?)"
    " ON CONFLICT (session) DO UPDATE SET gateway = excluded.gateway, no = excluded.no,"
    " at = excluded.at"
)
_INSERT_ROOM = (
    "INSERT INTO rooms (id, shard, name, name_key, first, made_at, kind, title, closed_at)"
    " VALUES (?,?,?,?,?,?,?,?,?)"
)
_UPDATE_ROOM = "UPDATE rooms SET kind = ?, title = ?, name_key = ?, closed_at = ? WHERE id = ?"
_FREE_SESSION = "UPDATE sessions SET name_key = NULL, token = NULL WHERE id = ?"
_END_SESSION = (
    "UPDATE sessions SET name_key = NULL, token = NULL, presence = ?, changed_at = ? WHERE id = ?"
)
_PUT_SESSION = (
    "INSERT INTO sessions (id, sender, shard, name, name_key, visible, generation, gateway, token,"
    " presence, agent, address, changed_at, device, state, away)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT (id) DO UPDATE SET shard = excluded.shard, name = excluded.name,"
    " name_key = excluded.name_key, generation = excluded.generation,"
    " gateway = excluded.gateway, token = excluded.token, presence = excluded.presence,"
    " agent = excluded.agent, address = excluded.address, changed_at = excluded.changed_at,"
    " device = excluded.device, state = excluded.state, away = excluded.away"
)
_FREE_ACCOUNT = "UPDATE accounts SET name_key = NULL WHERE sender = ?"
_DROP_ACCOUNT = "DELETE FROM accounts WHERE sender = ?"
_PUT_ACCOUNT = (
    "INSERT INTO accounts (sender, name, name_key, password, operator, made_at, address,"
    " suspended_until, suspended_why, deleted_at) VALUES (?,?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT (sender) DO UPDATE SET name = excluded.name, name_key = excluded.name_key,"
    " password = excluded.password, operator = excluded.operator,"
    " suspended_until = excluded.suspended_until, suspended_why = excluded.suspended_why,"
    " deleted_at = excluded.deleted_at"
)
_PUT_DEVICE = (
    "INSERT INTO devices (id, sender, token, label, made_at, used_at, address)"
    " VALUES (?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET token = excluded.token,"
    " used_at = excluded.used_at, address = excluded.address"
)
_PUT_MEMBER = (
    'INSERT INTO members (room, sender, "rank") VALUES (?,?,?)'
    ' ON CONFLICT (room, sender) DO UPDATE SET "rank" = excluded."rank"'
)
_PUT_MARK = (
    "INSERT INTO marks (sender, room, seq, messages) VALUES (?,?,?,?)"
    " ON CONFLICT (sender, room) DO UPDATE SET seq = excluded.seq, messages = excluded.messages"
)
_PUT_RESTRICTION = (
    'INSERT INTO restrictions (room, kind, sender, name, "by", at, until, text, address)'
    " VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (room, kind, sender) DO UPDATE SET"
    ' name = excluded.name, "by" = excluded."by", at = excluded.at, until = excluded.until,'
    " text = excluded.text, address = excluded.address"
)
_PUT_INVITE = (
    'INSERT INTO invites (room, sender, "by", by_name, at) VALUES (?,?,?,?,?)'
    " ON CONFLICT (room, sender) DO NOTHING"
)
_PUT_REACTION = (
    "INSERT INTO reactions (room, seq, sender, reaction) VALUES (?,?,?,?)"
    " ON CONFLICT (room, seq, sender, reaction) DO NOTHING"
)
# Of a closed room the log is all that anybody may ask for again.
_FORGET_PEOPLE = (
    "DELETE FROM members WHERE room = ?",
    "DELETE FROM restrictions WHERE room = ?",
    "DELETE FROM invites WHERE room = ?",
)
_NUMBERS = "UPDATE numbers SET next_session = ?, next_sender = ?, next_room = ?, next_device = ?"


def write(raw: sqlite3.Connection, plan: Plan) -> None:
    """Store all that a plan changes."""
    if plan.events:
        raw.executemany(_INSERT_EVENT, plan.events)
        index.add(raw, plan.events)
    if plan.done:
        raw.executemany(_INSERT_DONE, [(*key, *done) for key, done in plan.done.items()])
    if plan.decided:
        rows = [(session, *decided, plan.at) for session, decided in plan.decided.items()]
        raw.executemany(_PUT_DECIDED, rows)
    if plan.marks:
        _write_marks(raw, plan)
    rare = plan.people or plan.sessions or plan.devices
    if rare:
        _write_people(raw, plan)
    changed = [draft for draft in plan.drafts.values() if _differs(draft)]
    if changed or plan.people:
        _write_rooms(raw, plan, changed)
    if plan.mentions or plan.rewrites or plan.reactions or plan.audit:
        _write_rest(raw, plan)
    state = plan.state
    nexts = (plan.next_session, plan.next_sender, plan.next_room, plan.next_device)
    if nexts != (state.next_session, state.next_sender, state.next_room, state.next_device):
        raw.execute(_NUMBERS, nexts)


def _differs(draft: Draft) -> bool:
    return bool(draft.changed or draft.ranks or draft.former or draft.restrictions or draft.invites)


def _write_marks(raw: sqlite3.Connection, plan: Plan) -> None:
    rows = [
        (*key, *mark) for key, mark in plan.marks.items() if not plan.people or plan.is_member(*key)
    ]
    raw.executemany(_PUT_MARK, rows)


# --- people -----------------------------------------------------------------------------------


def _write_people(raw: sqlite3.Connection, plan: Plan) -> None:
    before = plan.state.people
    renamed: set[int] = set()  # guests whose name has changed, or is an account's now
    accounts: list[Person] = []
    for sender, person in plan.people.items():
        was = before.get(sender)
        if person is None:
            if was is not None and was.account is not None:
                raw.execute(_DROP_ACCOUNT, (sender,))
            continue
        if person.account is None:
            if was is not None and was.name != person.name:
                renamed.add(sender)
            continue
        if was is None or was.account is None:
            renamed.add(sender)
        elif was.key != person.key:
            raw.execute(_FREE_ACCOUNT, (sender,))
        if was is None or was.account != person.account or was.name != person.name:
            accounts.append(person)
    _write_sessions(raw, plan, renamed)
    raw.executemany(_PUT_ACCOUNT, [_account_row(person) for person in accounts])
    _write_devices(raw, plan)
    _write_blocks(raw, plan)


def _write_sessions(raw: sqlite3.Connection, plan: Plan, renamed: set[int]) -> None:
    ended = [id for id, session in plan.sessions.items() if session is None]
    living = {session.id: session for session in plan.sessions.values() if session is not None}
    for sender in renamed:
        person = plan.person(sender)
        for session in plan.sessions_of(person) if person is not None else ():
            living[session.id] = session
    # Names pass on within a turn, and the constraint holds for each single row.
    raw.executemany(_END_SESSION, [(Presence.OVER, plan.at, id) for id in ended])
    raw.executemany(
        _FREE_SESSION, [(each.id,) for each in living.values() if each.sender in renamed]
    )
    raw.executemany(_PUT_SESSION, [_session_row(plan, each) for each in living.values()])


def _session_row(plan: Plan, session: Session) -> tuple[object, ...]:
    person = plan.person(session.sender)
    guest = person is not None and person.account is None
    name, key = (person.name, person.key) if person is not None and guest else ("", None)
    return (
        session.id,
        session.sender,
        shard_of(key or ""),
        name,
        key,
        session.visible,
        session.generation,
        session.gateway,
        session.token,
        session.presence,
        session.agent,
        session.address,
        plan.at,
        session.device,
        session.state,
        session.away,
    )


def _account_row(person: Person) -> tuple[object, ...]:
    account = person.account
    assert account is not None
    return (
        person.sender,
        person.name,
        person.key,
        account.password,
        account.operator,
        account.made_at,
        account.address,
        account.suspended_until,
        account.suspended_why,
        account.deleted_at,
    )


def _write_devices(raw: sqlite3.Connection, plan: Plan) -> None:
    gone = [(id,) for id, device in plan.devices.items() if device is None]
    raw.executemany("DELETE FROM devices WHERE id = ?", gone)
    raw.executemany(
        _PUT_DEVICE,
        [
            (
                each.id,
                each.sender,
                each.token,
                each.label,
                each.made_at,
                each.used_at,
                each.address,
            )
            for each in plan.devices.values()
            if each is not None
        ],
    )


def _write_blocks(raw: sqlite3.Connection, plan: Plan) -> None:
    none: frozenset[int] = frozenset()
    for sender, person in plan.people.items():
        was = before.blocked if (before := plan.state.people.get(sender)) else none
        now = person.blocked if person is not None else none
        if was != now:
            raw.executemany(
                "DELETE FROM blocks WHERE sender = ? AND blocked = ?",
                [(sender, each) for each in was - now],
            )
            raw.executemany(
                "INSERT INTO blocks (sender, blocked) VALUES (?,?)",
                [(sender, each) for each in now - was],
            )


# --- rooms ------------------------------------------------------------------------------------


def _write_rooms(raw: sqlite3.Connection, plan: Plan, changed: Iterable[Draft]) -> None:
    drafts = list(changed)
    # Within a turn the name of a closed room may be a new one's already.
    raw.executemany(
        _UPDATE_ROOM,
        [
            (d.kind, d.title, None if d.closed else d.key, plan.at if d.closed else 0, d.id)
            for d in drafts
            if d.changed and not d.new
        ],
    )
    raw.executemany(
        _INSERT_ROOM,
        [
            (
                *(d.id, shard_of(d.key), d.name, None if d.closed else d.key, 1, plan.at),
                *(d.kind, d.title, plan.at if d.closed else 0),
            )
            for d in drafts
            if d.new
        ],
    )
    _write_members(raw, plan, drafts)
    for draft in drafts:
        _write_restrictions(raw, draft)
        _write_invites(raw, draft)
    closed = [(draft.id,) for draft in drafts if draft.closed]
    for query in _FORGET_PEOPLE:
        raw.executemany(query, closed)


def _write_members(raw: sqlite3.Connection, plan: Plan, drafts: Iterable[Draft]) -> None:
    none: frozenset[int] = frozenset()
    put: dict[tuple[int, int], int] = {}
    left: list[tuple[int, int]] = []
    for sender, person in plan.people.items():
        before = plan.state.people.get(sender)
        was = before.rooms if before is not None else none
        now = person.rooms if person is not None else none
        if was is now:
            continue
        for room in now - was:
            put[room, sender] = plan.room(room).rank_of(sender)
        left += [(sender, room) for room in was - now]
    for draft in drafts:
        for sender, rank in draft.ranks.items():
            if plan.is_member(sender, draft.id):
                put[draft.id, sender] = rank
        for sender, former in draft.former.items():
            if former and not plan.is_member(sender, draft.id):
                put[draft.id, sender] = Rank.FORMER
    raw.executemany("DELETE FROM members WHERE sender = ? AND room = ?", left)
    raw.executemany("DELETE FROM marks WHERE sender = ? AND room = ?", left)
    raw.executemany("DELETE FROM mentions WHERE sender = ? AND room = ?", left)
    raw.executemany(_PUT_MEMBER, [(*key, rank) for key, rank in put.items()])


def _write_restrictions(raw: sqlite3.Connection, draft: Draft) -> None:
    for (kind, sender), each in draft.restrictions.items():
        if each is None:
            raw.execute(
                "DELETE FROM restrictions WHERE room = ? AND kind = ? AND sender = ?",
                (draft.id, kind, sender),
            )
        else:
            row = (each.name, each.by, each.at, each.until, each.text, each.address)
            raw.execute(_PUT_RESTRICTION, (draft.id, kind, sender, *row))


def _write_invites(raw: sqlite3.Connection, draft: Draft) -> None:
    for sender, invite in draft.invites.items():
        if invite is None:
            query = "DELETE FROM invites WHERE room = ? AND sender = ?"
            raw.execute(query, (draft.id, sender))
        else:
            raw.execute(_PUT_INVITE, (draft.id, sender, *invite))


def _write_rest(raw: sqlite3.Connection, plan: Plan) -> None:
    for (sender, room), numbers in plan.mentions.items():
        raw.execute("DELETE FROM mentions WHERE sender = ? AND room = ?", (sender, room))
        if plan.is_member(sender, room):
            raw.executemany(
                "INSERT INTO mentions (sender, room, seq) VALUES (?,?,?)",
                [(sender, room, seq) for seq in numbers],
            )
    for (room, seq), rewrite in plan.rewrites.items():
        query = "UPDATE events SET body = ? WHERE room = ? AND seq = ?"
        raw.execute(query, (rewrite.body, room, seq))
        if rewrite.old is not None:
            index.rewrite(raw, room, seq, rewrite.old, rewrite.new)
    for key, on in plan.reactions.items():
        if on:
            raw.execute(_PUT_REACTION, key)
        else:
            raw.execute(
                "DELETE FROM reactions WHERE room = ? AND seq = ? AND sender = ? AND reaction = ?",
                key,
            )
    raw.executemany(
        'INSERT INTO audit (at, "by", by_name, action, target, text) VALUES (?,?,?,?,?,?)',
        plan.audit,
    )
