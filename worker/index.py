"""The index of what was said: kept by the store, within its transactions.

A turn only notes its messages (`add`); their words are indexed between turns (`step`), so that
nobody who speaks waits for it. `words` is a contentless FTS5 table whose rowids are the numbers of
`messages`: the text stands in `events` alone, so to take a message out it has to be given again
(`rewrite`). Its column `who` holds who said it where, as words, so that `from:` and `in:` cost
what they find and not what the other words find.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from hubbub.wire import Kind
from worker.query import DAY, spaced
from worker.records import EventRow

STEP_CHARACTERS = 256 * 1024  # of the texts of one step; one message is always taken
# Pages of the index that one step rewrites to merge its parts. On its own FTS5 merges seldom and
# much: of steps of 100 messages one in a hundred then took 18 ms, with this 2.3 ms.
MERGE_PAGES = 16

_NOTE = "INSERT INTO messages (room, seq, sender, at) VALUES (?,?,?,?)"
_NOTE_DAY = (
    "INSERT INTO message_days (day, first, last) VALUES (?,?,?) ON CONFLICT (day) DO UPDATE"
    " SET last = excluded.last"  # the numbers of messages only rise
)
_NEXT = (
    "SELECT m.id, m.room, m.sender, e.body FROM messages AS m"
    " LEFT JOIN events AS e ON e.room = m.room AND e.seq = m.seq"
    " WHERE m.id > ? ORDER BY m.id LIMIT ?"
)
_INDEXED = "SELECT upto FROM indexed WHERE id = 1"
_PUT = "INSERT INTO words (rowid, text, who) VALUES (?,?,?)"
_TAKE_OUT = "INSERT INTO words (words, rowid, text, who) VALUES ('delete',?,?,?)"


class _Text(msgspec.Struct, frozen=True, tag_field="t", tag="message"):
    """Of a `message` frame only what is indexed."""

    text: str


_decode = msgspec.msgpack.Decoder(_Text).decode


def text_of(body: bytes) -> str:
    """What a stored `message` says; empty when it was deleted."""
    return _decode(body).text


def said_by(sender: int) -> str:
    """The word in `who` of all that a person has said."""
    return f"s{sender}"


def said_in(room: int) -> str:
    """The word in `who` of all that was said in a room."""
    return f"r{room}"


def add(raw: sqlite3.Connection, rows: Iterable[EventRow]) -> None:
    """Note what was said, for `step`; entries of other kinds are passed over."""
    noted = [(row.room, row.seq, row.sender, row.at) for row in rows if row.kind == Kind.MESSAGE]
    if not noted:
        return
    raw.executemany(_NOTE, noted)
    last: int = raw.execute("SELECT max(id) FROM messages").fetchone()[0]
    days: dict[int, tuple[int, int]] = {}
    for id, (_, _, _, at) in enumerate(noted, last - len(noted) + 1):
        first, _ = days.get(at // DAY, (id, id))
        days[at // DAY] = (first, id)
    raw.executemany(_NOTE_DAY, [(day, *ids) for day, ids in days.items()])


def step(raw: sqlite3.Connection, limit: int) -> bool:
    """Index up to `limit` of the messages that are not yet; True when none is left.

    Within a transaction of the caller's, so that the index and how far it goes agree for ever.
    """
    (upto,) = raw.execute(_INDEXED).fetchone()
    texts: list[tuple[int, str, str]] = []
    last, size, taken = upto, 0, 0
    for last, room, sender, body in raw.execute(_NEXT, (upto, limit)):
        taken += 1
        text = text_of(body) if body is not None else ""
        if text:
            texts.append((last, spaced(text), _who(sender, room)))
        size += len(text)
        if size >= STEP_CHARACTERS:
            break
    if not taken:
        return True
    raw.executemany(_PUT, texts)
    raw.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (MERGE_PAGES,))
    raw.execute("UPDATE indexed SET upto = ? WHERE id = 1", (last,))
    return taken < limit and size < STEP_CHARACTERS


def rewrite(raw: sqlite3.Connection, room: int, seq: int, old: str, new: str) -> None:
    """A message has another text, or none (`new` is empty), in the same transaction as in `events`.

    Args:
        old: exactly the text that was stored until now.
    """
    query = "SELECT id, sender FROM messages WHERE room = ? AND seq = ?"
    row = raw.execute(query, (room, seq)).fetchone()
    if row is None or row[0] > raw.execute(_INDEXED).fetchone()[0]:
        return  # `step` will read what is stored by then
    id, sender = row
    who = _who(sender, room)
    if old:
        raw.execute(_TAKE_OUT, (id, spaced(old), who))
    if new:
        raw.execute(_PUT, (id, spaced(new), who))


def _who(sender: int, room: int) -> str:
    return f"{said_by(sender)} {said_in(room)}"
