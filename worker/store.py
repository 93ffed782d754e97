"""The database: one transaction a turn, checked against the term. Used from one thread only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from hubbub.errors import HubbubError, LeaseLost
from worker import loading, note
from worker.plan import Known, Plan, Reading
from worker.records import Done, EventRow, Presence, Session, shard_of
from worker.schema import events
from worker.state import State

KEEP_DONE = 7 * 24 * 3600 * 1000  # ms; clients do not retry after a day
KEEP_OVER = 24 * 3600 * 1000  # ms
PRUNE_AT_ONCE = 1000  # rows looked at in one step
CHECKPOINT_PAGES = 4000  # 16 MiB of log, then it is copied into the database by the next commit
LOCKED_WITHIN = 5.0  # seconds
LOOK_UP_AT_ONCE = 400  # keys in one SELECT; SQLite takes 999 parameters everywhere

_INSERT_EVENT = (
    "INSERT INTO events (room, seq, kind, sender, at, count, body) VALUES (?,?,?,?,?,?,?)"
)
# A `hello` that comes again after its session ended begins another one under the same key.
_INSERT_DONE = (
    "INSERT INTO done (sender, id, digest, at, room, seq) VALUES (?,?,?,?,?,?)"
    " ON CONFLICT (sender, id) DO UPDATE SET at = excluded.at, room = excluded.room"
)
_LOOK_UP = (
    "SELECT d.sender, d.id, d.digest, d.at, d.room, d.seq FROM (VALUES {}) AS k JOIN done AS d"
    " ON d.sender = k.column1 AND d.id = k.column2"
)
_INSERT_ROOM = "INSERT INTO rooms (id, shard, name, name_key, first, made_at) VALUES (?,?,?,?,?,?)"
_FREE_NAME = "UPDATE sessions SET name_key = NULL, token = NULL WHERE id = ?"
_END_SESSION = (
    "UPDATE sessions SET name_key = NULL, token = NULL, presence = ?, changed_at = ? WHERE id = ?"
)
_PUT_SESSION = (
    "INSERT INTO sessions (id, sender, shard, name, name_key, visible, generation, gateway, token,"
    " presence, agent, address, changed_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT (id) DO UPDATE SET shard = excluded.shard, name = excluded.name,"
    " name_key = excluded.name_key, generation = excluded.generation,"
    " gateway = excluded.gateway, token = excluded.token, presence = excluded.presence,"
    " agent = excluded.agent, address = excluded.address, changed_at = excluded.changed_at"
)
_ADD_MEMBER = "INSERT INTO memberships (session, room) VALUES (?,?)"
_DROP_MEMBER = "DELETE FROM memberships WHERE session = ? AND room = ?"
_TAKE = "UPDATE leases SET term = max(term, ?) + 1, owner = ?"
_NUMBERS = "UPDATE numbers SET next_session = ?, next_sender = ?, next_room = ?"


class TurnFailedError(HubbubError):
    """A turn was not stored. `undone`: for certain; else nobody knows: reload everything."""

    def __init__(self, cause: Exception, *, undone: bool) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.undone = undone


class Turn(NamedTuple):
    """What was decided and stored."""

    plan: Plan
    rows: list[list[EventRow]]  # for each of the plan's readings


class Store:
    """One database file, opened by the thread that uses it.

    Args:
        path: the database, of today's schema.
        noted: the file beside it that remembers how far its numbers were.
    """

    def __init__(self, path: Path, noted: Path) -> None:
        self._noted = noted
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)),
            poolclass=sa.StaticPool,
            isolation_level="AUTOCOMMIT",
        )
        self._connection = self._engine.connect()
        raw = self._connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        self._raw = raw
        raw.isolation_level = None  # transactions begin and end where they are written below
        self.wait_for_lock(LOCKED_WITHIN)
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")  # what is acknowledged survives the power cord
        raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self.term = 0
        self._loaded = False
        self._prune_from: tuple[int, bytes] = (-1, b"")

    def wait_for_lock(self, seconds: float) -> None:
        """How long to wait for others (a backup, say) that have the database locked."""
        self._raw.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def close(self) -> None:
        """Close the file; SQLite then folds its log into the database."""
        self._connection.close()
        self._engine.dispose()

    def take(self, owner: str, above: int = 0) -> int:
        """Raise the term, which makes every other owner's transactions fail; the new one.

        Args:
            above: a term that somebody has seen, and that the new one has to be above.
        """
        self._raw.execute("BEGIN IMMEDIATE")
        try:
            self._raw.execute(_TAKE, (above, owner))
            self.term = self._raw.execute("SELECT term FROM leases WHERE shard = 0").fetchone()[0]
            self._raw.execute("COMMIT")
        finally:
            self._roll_back()
        return self.term

    def load(self, now: float) -> State:
        """Everything, as it is stored; every deadline counted from `now`.

        Raises:
            LeaseLost: another worker has taken over.
        """
        self._raw.execute("BEGIN IMMEDIATE")
        try:
            self._check_term()
            state = loading.load(self._connection, now)
            # The first time, what was noted is a predecessor's, under a lower term than ours.
            noted = note.read(self._noted)
            highest = self.term if self._loaded else self.term - 1
            if noted is not None and loading.is_behind(state, noted, highest):
                self.term = loading.begin_anew(self._raw, state, max(noted.term, self.term) + 1)
            self._raw.execute("COMMIT")
        finally:
            self._roll_back()
        self._loaded = True
        self.note(state.epoch, state.events)
        return state

    def note(self, epoch: int, stored: int) -> None:
        """Remember beside the database how far it is. Only what is committed may be noted."""
        note.write(self._noted, note.Note(epoch, self.term, stored))

    # --- turns ----------------------------------------------------------------------------

    def turn(
        self,
        strangers: Collection[int],
        keys_of: Callable[[Mapping[int, int]], Sequence[tuple[int, bytes]]],
        decide: Callable[[Known], Plan],
    ) -> Turn:
        """Look up what is known, have it decided, store the plan, read what it asks for.

        Args:
            strangers: sessions that do not live, whose senders are looked up.
            keys_of: given these, the keys that are to be looked up.
            decide: given all that, what is to be done.

        Raises:
            LeaseLost: another worker has taken over; nothing was done.
            TurnFailedError: the database failed.
        """
        committing = False
        try:
            self._raw.execute("BEGIN IMMEDIATE")
            self._check_term()
            over = self._ended(strangers) if strangers else {}
            plan = decide(Known(self._look_up(keys_of(over)), over))
            if plan.changes:
                self._write(plan)
            rows = [self._read(reading) for reading in plan.readings]
            committing = True
            self._raw.execute("COMMIT")
        except (sqlite3.Error, sa.exc.SQLAlchemyError) as error:
            undone = self._roll_back() and not committing
            raise TurnFailedError(error, undone=undone) from error
        except BaseException:
            self._roll_back()
            raise
        return Turn(plan, rows)

    def _roll_back(self) -> bool:
        try:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
        except sqlite3.Error:
            return False
        return True

    def _check_term(self) -> None:
        row = self._raw.execute("SELECT term FROM leases WHERE shard = 0").fetchone()
        if row is None or row[0] != self.term:
            raise LeaseLost(f"the term is {row and row[0]}, not {self.term}")

    def _look_up(self, keys: Sequence[tuple[int, bytes]]) -> dict[tuple[int, bytes], Done]:
        found: dict[tuple[int, bytes], Done] = {}
        for begin in range(0, len(keys), LOOK_UP_AT_ONCE):
            some = keys[begin : begin + LOOK_UP_AT_ONCE]
            marks = ",".join(["(?,?)"] * len(some))
            query = _LOOK_UP.format(marks)
            values = [value for key in some for value in key]
            for sender, id, *rest in self._raw.execute(query, values):
                found[sender, id] = Done(*rest)
        return found

    def _ended(self, sessions: Collection[int]) -> dict[int, int]:
        query = "SELECT sender FROM sessions WHERE id = ?"
        rows = ((id, self._raw.execute(query, (id,)).fetchone()) for id in sessions)
        return {id: row[0] for id, row in rows if row}

    def _write(self, plan: Plan) -> None:
        raw = self._raw
        if plan.events:
            raw.executemany(_INSERT_EVENT, plan.events)
        if plan.done:
            raw.executemany(_INSERT_DONE, [(*key, *done) for key, done in plan.done.items()])
        new = [draft for draft in plan.drafts.values() if draft.new]
        if new:
            raw.executemany(
                _INSERT_ROOM, [(d.id, shard_of(d.key), d.name, d.key, 1, plan.at) for d in new]
            )
        if plan.sessions:
            self._write_sessions(plan)
        state = plan.state
        nexts = (plan.next_session, plan.next_sender, plan.next_room)
        if nexts != (state.next_session, state.next_sender, state.next_room):
            raw.execute(_NUMBERS, nexts)

    def _write_sessions(self, plan: Plan) -> None:
        raw, before = self._raw, plan.state.sessions
        living = [session for session in plan.sessions.values() if session is not None]
        ended = [id for id, session in plan.sessions.items() if session is None]
        # Names pass on within a turn, and the constraint holds for each single row.
        raw.executemany(_END_SESSION, [(Presence.OVER, plan.at, id) for id in ended])
        renamed = [s for s in living if s.id in before and before[s.id].key != s.key]
        raw.executemany(_FREE_NAME, [(session.id,) for session in renamed])
        raw.executemany(_PUT_SESSION, [_row(session, plan.at) for session in living])
        entered: list[tuple[int, int]] = []
        left: list[tuple[int, int]] = []
        none: frozenset[int] = frozenset()
        for id, session in plan.sessions.items():
            was = before[id].rooms if id in before else none
            now = session.rooms if session is not None else none
            if was is not now:
                entered += [(id, room) for room in now - was]
                left += [(id, room) for room in was - now]
        raw.executemany(_DROP_MEMBER, left)
        raw.executemany(_ADD_MEMBER, entered)

    def _read(self, reading: Reading) -> list[EventRow]:
        query = sa.select(events)
        query = query.where(events.c.room == reading.room).limit(reading.limit)
        if reading.after is not None:
            query = query.where(events.c.seq > reading.after).order_by(events.c.seq)
        else:
            if reading.before is not None:
                query = query.where(events.c.seq < reading.before)
            query = query.order_by(events.c.seq.desc())
        return [EventRow(*row) for row in self._connection.execute(query)]

    # --- pruning --------------------------------------------------------------------------

    def prune(self) -> bool:
        """Forget some of what is too old to matter; True when a whole round is finished."""
        at = int(time.time() * 1000)
        raw = self._raw
        raw.execute("BEGIN IMMEDIATE")
        try:
            self._check_term()
            rows = raw.execute(
                "SELECT sender, id, at FROM done WHERE (sender, id) > (?, ?)"
                " ORDER BY sender, id LIMIT ?",
                (*self._prune_from, PRUNE_AT_ONCE),
            ).fetchall()
            old = [(sender, id) for sender, id, when in rows if when < at - KEEP_DONE]
            raw.executemany("DELETE FROM done WHERE sender = ? AND id = ?", old)
            finished = len(rows) < PRUNE_AT_ONCE
            if finished:
                raw.execute(
                    "DELETE FROM sessions WHERE presence = ? AND changed_at < ?",
                    (Presence.OVER, at - KEEP_OVER),
                )
            raw.execute("COMMIT")
        finally:
            self._roll_back()
        self._prune_from = (-1, b"") if finished else (rows[-1][0], rows[-1][1])
        return finished


def _row(session: Session, at: int) -> tuple[object, ...]:
    return (
        session.id,
        session.sender,
        shard_of(session.key),
        session.name,
        session.key,
        session.visible,
        session.generation,
        session.gateway,
        session.token,
        session.presence,
        session.agent,
        session.address,
        at,
    )
