"""What was asked, and what became of it: an index of a history's requests and of the final log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from tests.faults.history import Answered, AnyRecord, Asked, Client, Kept, Refused, Unknown

# What an acknowledged request is in the log.
ENTRY_OF = {
    "say": "message",
    "edit": "edited",
    "delete": "deleted",
    "react": "reacted",
    "unreact": "unreacted",
    "topic": "topic",
    "private": "private",
    "public": "public",
    "join": "joined",
    "leave": "parted",
    "kick": "kicked",
    "ban": "banned",
    "unban": "unbanned",
    "invite": "invited",
    "role": "role",
    "mute": "muted",
    "unmute": "unmuted",
}
# Whose texts nobody uses twice: an entry with one is that request.
TELLING = frozenset({"say", "edit", "topic", "kick", "ban", "mute"})
OP_OF = {kind: op for op, kind in ENTRY_OF.items()}

R = TypeVar("R", bound=AnyRecord)


class Ask:
    """One request: everything under one id."""

    __slots__ = (
        "answers",
        "begun",
        "client",
        "id",
        "of",
        "op",
        "refused",
        "room",
        "sender",
        "text",
        "times",
        "to",
        "unknown",
    )

    def __init__(self, asked: Asked, sender: int) -> None:
        self.id = asked.id
        self.op = asked.op
        self.room = asked.room
        self.text = asked.text
        self.of = asked.of
        self.to = asked.to
        self.client = asked.client
        self.sender = sender
        self.begun = asked.at  # the first time
        self.times = 1  # that it was asked
        self.answers: list[Answered] = []
        self.refused: list[Refused] = []
        self.unknown: list[Unknown] = []

    @property
    def seq(self) -> int:
        """The number that it was acknowledged under; 0: it was not, or has none."""
        return self.answers[0].seq if self.answers else 0

    @property
    def settled(self) -> float | None:
        """When its first outcome was known; None: never."""
        ends = [each[0].at for each in (self.answers, self.refused, self.unknown) if each]
        return min(ends, default=None)

    @property
    def may_be_done(self) -> bool:
        """Whether it may be found in the log."""
        return bool(self.answers) or not self.refused or bool(self.unknown)


class Index:
    """All requests of a history, and the log that was kept, each to be looked up.

    Attributes:
        asks: id -> request.
        by_seq: (room, number) -> the request that was acknowledged with it.
        by_text: text -> requests with it, of those whose texts are telling.
        without_number: (op, room, sender) -> requests that were not acknowledged with a number.
        log: room -> number -> entry; the first, should there be two.
        closings: closed room -> the requests to close it.
        closed: rooms that were closed, and cannot be read.
        edits: (room, number of a message) -> its `edited` entries, in order.
    """

    def __init__(self, records: Iterable[AnyRecord]) -> None:
        self._kinds: dict[type, list[Any]] = defaultdict(list)
        for record in records:
            self._kinds[type(record)].append(record)
        self.clients = {client.client: client for client in self.of_kind(Client)}
        self.asks = self._all_asks()
        self.kept: dict[str, list[Kept]] = {}
        for kept in self.of_kind(Kept):
            self.kept.setdefault(kept.room, []).append(kept)
        self.closings: dict[str, list[Ask]] = {}
        for ask in self.asks.values():
            if ask.op == "close" and ask.may_be_done and ask.room not in self.kept:
                self.closings.setdefault(ask.room, []).append(ask)
        self.closed = frozenset(self.closings)
        self.by_seq: dict[tuple[str, int], Ask] = {}
        self.by_text: dict[str, list[Ask]] = {}
        self.without_number: dict[tuple[str, str, int], list[Ask]] = {}
        for ask in self.asks.values():
            if ask.seq:
                self.by_seq.setdefault((ask.room, ask.seq), ask)
            else:
                key = ask.op, ask.room, ask.sender
                self.without_number.setdefault(key, []).append(ask)
            if ask.op in TELLING and ask.text:
                self.by_text.setdefault(ask.text, []).append(ask)
        self.log: dict[str, dict[int, Kept]] = {}
        self.edits: dict[tuple[str, int], list[Kept]] = {}
        for room, entries in self.kept.items():
            numbered = self.log[room] = {}
            for entry in entries:
                numbered.setdefault(entry.seq, entry)
            for seq in sorted(numbered):
                if numbered[seq].kind == "edited":
                    self.edits.setdefault((room, numbered[seq].of), []).append(numbered[seq])

    def _all_asks(self) -> dict[str, Ask]:
        asks: dict[str, Ask] = {}
        for asked in self.of_kind(Asked):
            if asked.id in asks:
                asks[asked.id].times += 1
            else:
                asks[asked.id] = Ask(asked, self.clients[asked.client].sender)
        for answered in self.of_kind(Answered):
            asks[answered.id].answers.append(answered)
        for refused in self.of_kind(Refused):
            asks[refused.id].refused.append(refused)
        for unknown in self.of_kind(Unknown):
            asks[unknown.id].unknown.append(unknown)
        return asks

    def of_kind(self, kind: type[R]) -> Sequence[R]:
        """The records of one kind, in the order in which they were noted."""
        return self._kinds.get(kind, ())

    def entry(self, room: str, seq: int) -> Kept | None:
        """What is kept under a number."""
        return self.log.get(room, {}).get(seq)

    def in_order(self, room: str) -> list[Kept]:
        """The log of a room, by number."""
        log = self.log.get(room, {})
        return [log[seq] for seq in sorted(log)]

    def said(self, text: str, sender: int, room: str, *ops: str) -> Ask | None:
        """The request of that text, by that person, in that room."""
        for ask in self.by_text.get(text, ()):
            if ask.sender == sender and ask.room == room and ask.op in ops:
                return ask
        return None
