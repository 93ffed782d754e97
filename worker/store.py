"""The database: one transaction a turn, checked against the term. Used from one thread only."""

from __future__ import annotations

import functools
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from hubbub.errors import HubbubError, LeaseLost
from worker import index, loading, note
from worker.lookups import Wanted
from worker.messages import edit_of
from worker.plan import Plan
from worker.records import FOREVER, AuditRow, Done, EventRow, Presence
from worker.state import State
from worker.tasks import Auditing, Known, Reading
from worker.writing import write

KEEP_DONE = 7 * 24 * 3600 * 1000  # ms; clients do not retry after a day
KEEP_OVER = 24 * 3600 * 1000  # ms
PRUNE_AT_ONCE = 1000  # rows looked at in one step
CHECKPOINT_PAGES = 4000  # 16 MiB of log, then it is copied into the database by the next commit
LOCKED_WITHIN = 5.0  # seconds
LOOK_UP_AT_ONCE = 256  # keys in one SELECT; SQLite takes 999 parameters everywhere

_LOOK_UP = (
    "SELECT d.sender, d.id, d.digest, d.at, d.room, d.seq FROM (VALUES {}) AS k JOIN done AS d"
    " ON d.sender = k.column1 AND d.id = k.column2"
)
_TAKE = "UPDATE leases SET term = max(term, ?) + 1, owner = ?"
_AUDIT = (
    'SELECT id, at, "by", by_name, action, target, text FROM audit WHERE id < ?'
    " ORDER BY id DESC LIMIT ?"
)
_ENTRIES = "SELECT room, seq, kind, sender, at, count, body FROM events WHERE room = ? AND seq "
_ENTRY = _ENTRIES + "= ?"
_AFTER = _ENTRIES + "> ? ORDER BY seq LIMIT ?"
_BEFORE = _ENTRIES + "< ? ORDER BY seq DESC LIMIT ?"
_REACTION = "SELECT 1 FROM reactions WHERE room = ? AND seq = ? AND sender = ? AND reaction = ?"
INDEX_AT_ONCE = 200  # messages, in a step of its own between turns


@functools.cache
def _look_up_query(keys: int) -> str:
    return _LOOK_UP.format(",".join(["(?,?)"] * keys))


class TurnFailedError(HubbubError):
    """A turn was not stored. `undone`: for certain; else nobody knows: reload everything."""

    def __init__(self, cause: Exception, *, undone: bool) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.undone = undone


class Turn(NamedTuple):
    """What was decided and stored."""

    plan: Plan
    rows: list[list[EventRow]]  # for each of the plan's readings
    audits: list[list[tuple[int, AuditRow]]]  # for each of its looks at the audit log


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
        wanted: Callable[[Mapping[int, int]], Wanted],
        decide: Callable[[Known], Plan],
    ) -> Turn:
        """Look up what is known, have it decided, store the plan, read what it asks for.

        Args:
            strangers: sessions that do not live, whose senders are looked up.
            wanted: given these, what is to be looked up.
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
            plan = decide(self._known(wanted(over), over))
            if plan.changes:
                write(self._raw, plan)
            rows = [self._read(reading) for reading in plan.readings]
            audits = [self._read_audit(auditing) for auditing in plan.audits]
            committing = True
            self._raw.execute("COMMIT")
        except (sqlite3.Error, sa.exc.SQLAlchemyError) as error:
            undone = self._roll_back() and not committing
            raise TurnFailedError(error, undone=undone) from error
        except BaseException:
            self._roll_back()
            raise
        return Turn(plan, rows, audits)

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
            # A few sizes of query, so that SQLite prepares and keeps few.
            size = 1 << (len(some) - 1).bit_length()
            values = [value for key in some for value in key]
            values += some[-1] * (size - len(some))
            for sender, id, *rest in self._raw.execute(_look_up_query(size), values):
                found[sender, id] = Done(*rest)
        return found

    def _ended(self, sessions: Collection[int]) -> dict[int, int]:
        query = "SELECT sender FROM sessions WHERE id = ?"
        rows = ((id, self._raw.execute(query, (id,)).fetchone()) for id in sessions)
        return {id: row[0] for id, row in rows if row}

    def _known(self, wanted: Wanted, over: Mapping[int, int]) -> Known:
        done = self._look_up(wanted.keys)
        if not wanted.entries:
            return Known(done, over)
        rows: dict[tuple[int, int], EventRow] = {}
        for key in wanted.entries:
            self._add_entry(rows, key)
        for key, row in list(rows.items()):
            edited = edit_of(row)
            if edited:
                self._add_entry(rows, (key[0], edited))
        reactions = {
            key for key in wanted.reactions if self._raw.execute(_REACTION, key).fetchone()
        }
        return Known(done, over, rows, frozenset(reactions))

    def _add_entry(self, rows: dict[tuple[int, int], EventRow], key: tuple[int, int]) -> None:
        row = self._raw.execute(_ENTRY, key).fetchone()
        if row is not None:
            rows[key] = EventRow(*row)

    def _read_audit(self, auditing: Auditing) -> list[tuple[int, AuditRow]]:
        below = auditing.before or FOREVER
        rows = self._raw.execute(_AUDIT, (below, auditing.limit + 1))
        return [(number, AuditRow(*row)) for number, *row in rows]

    def _read(self, reading: Reading) -> list[EventRow]:
        if reading.after is not None:
            query, bound = _AFTER, reading.after
        else:
            query, bound = _BEFORE, FOREVER if reading.before is None else reading.before
        rows = self._raw.execute(query, (reading.room, bound, reading.limit))
        return [EventRow(*row) for row in rows]

    # --- between turns --------------------------------------------------------------------

    def index(self, limit: int = INDEX_AT_ONCE) -> bool:
        """Index the words of some of what was said; True when nothing is left to be."""
        self._raw.execute("BEGIN IMMEDIATE")
        try:
            self._check_term()
            finished = index.step(self._raw, limit)
            self._raw.execute("COMMIT")
        finally:
            self._roll_back()
        return finished

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
                raw.execute("DELETE FROM decided WHERE at < ?", (at - KEEP_OVER,))
            raw.execute("COMMIT")
        finally:
            self._roll_back()
        self._prune_from = (-1, b"") if finished else (rows[-1][0], rows[-1][1])
        return finished
