"""Answers searches, on a thread and a connection of its own: nobody's turn waits for it.

An answer is made of a *block*: the newest BLOCK messages that are found, the best of them first. A
page is a part of it, and `next` says which block and where in it, so that paging comes to all
there is. A block is read in bounded time; when that is over, what was found so far is the answer.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from hubbub.errors import Code, Refused
from worker.index import said_by, said_in, text_of
from worker.query import DAY, Query
from worker.ranking import score
from worker.records import RoomKind

BLOCK = 256  # messages that are ranked among each other; 9 bits of a cursor
WITHIN = 0.05  # seconds for a block
AGAIN_WITHIN = 0.1  # seconds for one whose first page was shown before
PAGE_BYTES = 256 * 1024  # of the messages of one answer; one hit is always given
CONTEXT_READ = 50  # entries around a hit that are looked at for messages that are not deleted
WAITING = 32  # searches, so that the last one waits for two or three seconds at the worst
LOCKED_WITHIN = 1000  # ms
CACHE_KIB = 4096

_FOUND = (
    "SELECT m.id, m.room, m.seq, m.at FROM words CROSS JOIN messages AS m ON m.id = words.rowid"
    " WHERE words MATCH ? AND words.rowid <= ? AND words.rowid >= ? ORDER BY words.rowid DESC"
)
_ALL = "SELECT id, room, seq, at FROM messages WHERE id <= ? AND id >= ? ORDER BY id DESC"
_BODY = "SELECT body FROM events WHERE room = ? AND seq = ?"
_BEFORE = (
    "SELECT e.body FROM messages AS m JOIN events AS e ON e.room = m.room AND e.seq = m.seq"
    " WHERE m.room = ? AND m.seq < ? ORDER BY m.seq DESC LIMIT ?"
)
_AFTER = _BEFORE.replace("<", ">").replace("DESC", "ASC")


class Search(NamedTuple):
    """One search, as the rules allow it."""

    query: Query
    room: int = 0  # the one that `in:` names; 0: any
    sender: int = 0  # whom `from:` names; 0: anybody
    own: frozenset[int] = frozenset()  # rooms that the asker is in
    barred: frozenset[int] = frozenset()  # public ones that the asker is banned from
    below: int = 0  # goes on where an answer ended: its `next`
    limit: int = 20
    context: int = 0  # messages on each side


class FoundMessage(NamedTuple):
    """A message as it is stored, and those around it in its room, oldest first."""

    room: int
    body: bytes
    before: list[bytes]
    after: list[bytes]


class Result(NamedTuple):
    """The best first. `more`: there may be others, from `next` on; there may even be none here."""

    hits: list[FoundMessage]
    more: bool = False
    next: int = 0


class _Candidate(NamedTuple):
    score: float
    id: int
    room: int
    seq: int


class _Block(NamedTuple):
    candidates: list[_Candidate]  # newest first
    lowest: int  # the last message looked at
    more: bool  # there may be others below it
    cut: bool  # the time was over before it was full


class Cursor(NamedTuple):
    """Where to go on. As a number it has 53 bits: 36 of `top`, 9 of `offset`, 8 of `check`."""

    top: int  # the newest message of the block
    offset: int = 0  # how many of its best have been shown
    check: int = 0  # tells whether the block is still the same

    @classmethod
    def unpack(cls, number: int) -> Cursor:
        """What `pack` made. Any number is one: it leads nowhere else than a search does."""
        return cls(number >> 17, number >> 8 & 0x1FF, number & 0xFF)

    def pack(self) -> int:
        """As one number."""
        return self.top << 17 | self.offset << 8 | self.check


class Searcher:
    """A connection that reads, used from one thread only.

    Args:
        path: the database, which somebody else writes.
        clock: of seconds.

    Raises:
        sqlite3.Error: it cannot be read.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Not `mode=ro`: whoever finds a killed process's log has to be able to look into it.
        uri = f"{path.absolute().as_uri()}?mode=rw"
        self._raw = sqlite3.connect(uri, uri=True, isolation_level=None)
        self._raw.execute("PRAGMA query_only = 1")
        self._raw.execute(f"PRAGMA busy_timeout = {LOCKED_WITHIN}")
        self._raw.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def run(self, search: Search) -> Result:
        """Look for messages, all of it as the database is at one moment.

        Raises:
            sqlite3.Error: the database cannot be read.
        """
        self._raw.execute("BEGIN")
        try:
            return self._run(search)
        finally:
            self._raw.execute("ROLLBACK")

    def _run(self, search: Search) -> Result:
        (upto,) = self._raw.execute("SELECT upto FROM indexed WHERE id = 1").fetchone()
        cursor = Cursor.unpack(search.below) if search.below > 0 else Cursor(upto)
        cursor = cursor._replace(top=min(cursor.top, upto))
        block = self._block(search, cursor)
        if block.cut:
            return self._newest(search, cursor, block)
        ranked = sorted(block.candidates, reverse=True)
        check = _check(block.candidates)
        # Something of it was edited or deleted since: rather shown twice than never.
        offset = cursor.offset if cursor.check == check else 0
        hits = self._hits(search, ranked[offset : offset + search.limit])
        offset += len(hits)
        if offset < len(ranked):
            return Result(hits, True, Cursor(cursor.top, offset, check).pack())
        return _ended(hits, block.lowest - 1 if block.more else 0)

    def _newest(self, search: Search, cursor: Cursor, block: _Block) -> Result:
        """A page of a block that could not be read to its end: the newest, best first."""
        if cursor.offset:
            return Result([], True, cursor.pack())  # its other part was shown: it is tried again
        newest = block.candidates[: search.limit]
        hits = self._hits(search, newest)
        shown = newest[: len(hits)]
        lowest = block.lowest if len(shown) == len(block.candidates) else shown[-1].id
        order = sorted(range(len(shown)), key=shown.__getitem__, reverse=True)
        return _ended([hits[n] for n in order], lowest - 1)

    # --- the block ------------------------------------------------------------------------

    def _block(self, search: Search, cursor: Cursor) -> _Block:
        deadline = self._clock() + (AGAIN_WITHIN if cursor.offset else WITHIN)
        terms = search.query.terms
        size = BLOCK if terms else search.limit  # without words the newest are the best
        visible: dict[int, bool] = {}
        candidates: list[_Candidate] = []
        lowest, newest = cursor.top, 0
        # The database is asked for one row at a time, so nothing is read beyond what is used.
        for id, room, seq, at in self._rows(search, cursor.top):
            if room not in visible:
                visible[room] = self._is_visible(search, room)
            text = self._text(room, seq) if visible[room] and _is_within(search.query, at) else ""
            if text:
                if len(candidates) == size:
                    return _Block(candidates, lowest, more=True, cut=False)
                newest = newest or at
                candidates.append(_Candidate(score(text, terms, newest - at), id, room, seq))
            lowest = id
            if self._clock() >= deadline:
                return _Block(candidates, lowest, more=True, cut=True)
        return _Block(candidates, lowest, more=False, cut=False)

    def _rows(self, search: Search, top: int) -> Iterator[tuple[int, int, int, int]]:
        query = search.query
        low, high = self._between(query)
        asked = _expression(search)
        high = min(high, top)
        if high < low or (search.room and not self._is_visible(search, search.room)):
            return iter(())
        if asked:
            return self._raw.execute(_FOUND, (asked, high, low))
        return self._raw.execute(_ALL, (high, low))

    def _between(self, query: Query) -> tuple[int, int]:
        """The lowest and the highest message of the days that are asked for."""
        low, high = 1, 2**62
        if query.after:
            sql = "SELECT min(first) FROM message_days WHERE day >= ?"
            low = self._raw.execute(sql, (query.after // DAY,)).fetchone()[0] or high
        if query.before:
            sql = "SELECT max(last) FROM message_days WHERE day <= ?"
            high = self._raw.execute(sql, ((query.before - 1) // DAY,)).fetchone()[0] or 0
        return low, high

    def _is_visible(self, search: Search, room: int) -> bool:
        row = self._raw.execute("SELECT kind, closed_at FROM rooms WHERE id = ?", (room,))
        kind, closed_at = row.fetchone() or (RoomKind.PRIVATE, 1)
        if closed_at:
            return False
        return room in search.own or (kind == RoomKind.PUBLIC and room not in search.barred)

    # --- what is shown --------------------------------------------------------------------

    def _text(self, room: int, seq: int) -> str:
        row = self._raw.execute(_BODY, (room, seq)).fetchone()
        return text_of(row[0]) if row else ""

    def _hits(self, search: Search, candidates: Sequence[_Candidate]) -> list[FoundMessage]:
        """These with what is around them, as far as one answer holds."""
        hits: list[FoundMessage] = []
        size = 0
        for _, _, room, seq in candidates:
            body = self._raw.execute(_BODY, (room, seq)).fetchone()[0]
            before = self._around(_BEFORE, room, seq, search.context)[::-1]
            after = self._around(_AFTER, room, seq, search.context)
            size += len(body) + sum(map(len, before)) + sum(map(len, after))
            if hits and size > PAGE_BYTES:
                break
            hits.append(FoundMessage(room, body, before, after))
        return hits

    def _around(self, query: str, room: int, seq: int, wanted: int) -> list[bytes]:
        bodies: list[bytes] = []
        if wanted:
            for (body,) in self._raw.execute(query, (room, seq, CONTEXT_READ)):
                if text_of(body):
                    bodies.append(body)
                    if len(bodies) == wanted:
                        break
        return bodies


def _ended(hits: list[FoundMessage], top: int) -> Result:
    """The last page of a block; another one begins at `top`, if that is a message."""
    return Result(hits, True, Cursor(top).pack()) if top > 0 else Result(hits)


def _expression(search: Search) -> str:
    """What FTS5 is asked; empty when nothing but days is given."""
    query = search.query
    parts = [f"text : ({query.words})"] if query.words else []
    who = [f'"{said_by(search.sender)}"'] if search.sender else []
    who += [f'"{said_in(search.room)}"'] if search.room else []
    parts += [f"who : ({' AND '.join(who)})"] if who else []
    asked = " AND ".join(parts)
    return f"({asked}) NOT (text : ({query.without}))" if query.without else asked


def _is_within(query: Query, at: int) -> bool:
    """A day's messages may lie among another's: clocks are set back at times."""
    return query.after <= at and (not query.before or at < query.before)


def _check(candidates: Sequence[_Candidate]) -> int:
    return zlib.crc32(repr([(each.id, each.score) for each in candidates]).encode()) & 0xFF


# --- in the worker -------------------------------------------------------------------------------

Done: TypeAlias = Callable[[Result | Refused], None]


class Searches:
    """Takes searches in the loop, and has them answered by a thread, one after the other.

    Args:
        path: the database; it is opened with the first search.
        log: where a failure is told of.
    """

    def __init__(self, path: Path, log: logging.Logger) -> None:
        self._path = path
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._waiting = 0  # counted in the loop alone
        self._closed = False
        self._queue: queue.SimpleQueue[tuple[Search, Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="search", daemon=True)
        self._thread.start()

    def submit(self, search: Search, done: Done) -> bool:
        """Have it answered, by a call of `done` in the loop; False when too many are waiting."""
        if self._closed or self._waiting >= WAITING:
            return False
        self._waiting += 1
        self._queue.put((search, done))
        return True

    def close(self) -> None:
        """End the thread, once the search in hand is over; what waits is not answered any more."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _answered(self, done: Done, answer: Result | Refused) -> None:
        self._waiting -= 1
        if not self._closed:
            done(answer)

    def _serve(self) -> None:
        searcher: Searcher | None = None
        while (asked := self._queue.get()) is not None and not self._closed:
            search, done = asked
            answer: Result | Refused
            try:
                searcher = searcher or Searcher(self._path)
                answer = searcher.run(search)
            except sqlite3.Error as error:
                self._log.warning("what=search_failed why=%r", str(error))
                answer = Refused(Code.UNAVAILABLE, "nothing can be looked up now; try again later")
            except Exception:
                self._log.exception("what=search_crashed")
                answer = Refused(Code.INTERNAL, "the search failed for a fault of the server's")
            self._loop.call_soon_threadsafe(self._answered, done, answer)
        if searcher is not None:
            searcher.close()
