"""A real database of messages, filled by hand: what the index and searches are tried on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from hubbub import frames
from hubbub.wire import Kind
from worker import index
from worker.migrate import migrate
from worker.records import EventRow, RoomKind

AT = 1_767_225_600_000  # 2026-01-01, when the first message was said


class Said:
    """What was said in a few rooms, in transactions as the store's are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        migrate(path)
        self.raw = sqlite3.connect(path, isolation_level=None)
        self.raw.execute("PRAGMA journal_mode = WAL")
        self.heads: dict[int, int] = {}
        self.at = AT

    def __enter__(self) -> Said:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        self.raw.close()

    def room(self, id: int, kind: RoomKind = RoomKind.PUBLIC, closed_at: int = 0) -> None:
        """A room."""
        self.raw.execute(
            "INSERT INTO rooms (id, shard, name, name_key, first, made_at, kind, closed_at)"
            " VALUES (?, 0, ?, ?, 1, 0, ?, ?)",
            (id, f"room{id}", None if closed_at else f"room{id}", kind, closed_at),
        )

    def row(self, room: int, text: str, sender: int = 1, kind: Kind = Kind.MESSAGE) -> EventRow:
        """The next entry of a room."""
        seq = self.heads[room] = self.heads.get(room, 0) + 1
        return EventRow(room, seq, kind, sender, self.at, 0, self.body(room, seq, text, sender))

    def body(self, room: int, seq: int, text: str, sender: int = 1) -> bytes:
        """What is stored of a message."""
        message = frames.Message(f"room{room}", seq, sender, f"p{sender}", text, self.at)
        return frames.encoder.encode(message)

    def turn(self, rows: Iterable[EventRow]) -> None:
        """Store and note, as a turn does."""
        rows = list(rows)
        self.raw.execute("BEGIN IMMEDIATE")
        self.raw.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?)", rows)
        index.add(self.raw, rows)
        self.raw.execute("COMMIT")

    def say(self, room: int, text: str, sender: int = 1) -> int:
        """One turn with one message; its number in the room."""
        self.turn([self.row(room, text, sender)])
        return self.heads[room]

    def rewrite(self, room: int, seq: int, new: str) -> None:
        """Another text for a message, or none, as an edit or a deletion does."""
        self.raw.execute("BEGIN IMMEDIATE")
        query = "SELECT body FROM events WHERE room = ? AND seq = ?"
        body = self.raw.execute(query, (room, seq)).fetchone()[0]
        self.raw.execute(
            "UPDATE events SET body = ? WHERE room = ? AND seq = ?",
            (self.body(room, seq, new), room, seq),
        )
        index.rewrite(self.raw, room, seq, index.text_of(body), new)
        self.raw.execute("COMMIT")

    def step(self, limit: int = 100) -> bool:
        """One step of indexing."""
        self.raw.execute("BEGIN IMMEDIATE")
        finished = index.step(self.raw, limit)
        self.raw.execute("COMMIT")
        return finished

    def index(self) -> None:
        """All that is left to index."""
        while not self.step():
            pass

    def match(self, expression: str) -> list[tuple[int, int]]:
        """(room, seq) of what the index finds, oldest first."""
        query = (
            "SELECT m.room, m.seq FROM words JOIN messages AS m ON m.id = words.rowid"
            " WHERE words MATCH ? ORDER BY m.id"
        )
        return self.raw.execute(query, (expression,)).fetchall()
