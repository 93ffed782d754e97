"""What clients were shown, against the log: order, reader, altered, not_member."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.asks import Index
from tests.faults.history import (
    AnyRecord,
    Client,
    Cut,
    Entered,
    Kept,
    Lacking,
    Out,
    Over,
    Room,
    Shown,
)
from tests.faults.membership import Span, may_be_shown, pair_of, stays, turns, when_private
from tests.faults.verdict import Findings

_NAME = 40  # characters of a text in a finding


class _Follower:
    """One client in one room.

    A client library hands out the answer to `join` by another way than events, so it may be noted
    after what follows on it: there `heads` holds every number after which it was ever told that the
    room goes on. An exact client has only the last one.
    """

    __slots__ = ("cursor", "heads", "inside", "last")

    def __init__(self, heads: set[int]) -> None:
        self.heads = heads
        self.cursor = -1  # what follows is above; -1: nothing is to follow
        self.last = 0  # the highest number that was shown
        self.inside = False


class Readers:
    """Goes through a history once, in order."""

    def __init__(self, index: Index, records: Sequence[AnyRecord], findings: Findings) -> None:
        self._index = index
        self._findings = findings
        self._followers: dict[tuple[str, str], _Follower] = {}
        self._ended: set[str] = set()
        self._private: dict[str, list[range]] = {}
        self._turned = {room for room in index.log if turns(index.in_order(room))}
        self._accounts = {
            entry.sender
            for log in index.log.values()
            for entry in log.values()
            if entry.kind == "joined"
        }
        self._heads: dict[str, int] = {room: max(log, default=0) for room, log in index.log.items()}
        self._stays: dict[str, dict[int, list[Span]]] = {}
        self._invited: dict[str, set[int]] = {}
        self._originals: dict[tuple[str, int], str] = {}
        told: dict[tuple[str, str], set[int]] = {}
        for record in records:
            if isinstance(record, Entered):
                told.setdefault((record.client, record.room), set()).add(record.head)
            elif isinstance(record, Room):
                self._heads[record.room] = record.head
                entries = index.in_order(record.room)
                at_last = record.private or record.room.startswith("@")
                self._private[record.room] = when_private(entries, at_last)
        self._told = told

    def check(self, records: Sequence[AnyRecord]) -> None:
        """All of it."""
        for record in records:
            match record:
                case Shown():
                    self._shown(record)
                case Entered():
                    follower = self._follower(record.client, record.room)
                    follower.inside = True
                    follower.cursor = record.head
                case Lacking():
                    follower = self._follower(record.client, record.room)
                    follower.cursor = follower.last = record.last
                case Out():
                    follower = self._follower(record.client, record.room)
                    follower.inside = False
                    follower.cursor = -1
                case Over():
                    self._ended.add(record.client)
                case Cut() if self._client(record.client).exact:
                    self._ended.add(record.client)
        for (name, room), follower in self._followers.items():
            if follower.inside and name not in self._ended:
                self._at_the_end(name, room, follower)

    def _client(self, name: str) -> Client:
        return self._index.clients[name]

    def _follower(self, client: str, room: str) -> _Follower:
        key = client, room
        follower = self._followers.get(key)
        if follower is None:
            follower = self._followers[key] = _Follower(self._told.get(key, set()))
        return follower

    def _shown(self, shown: Shown) -> None:
        client = self._client(shown.client)
        follower = self._follower(shown.client, shown.room)
        if client.exact:
            self._exact(shown, follower)
        else:
            self._by_library(shown, follower)
        follower.last = max(follower.last, shown.seq)
        if shown.room not in self._index.closed:
            self._same_bytes(shown)
        if self._needs_leave(shown, client):
            self._is_entitled(shown, client)

    def _exact(self, shown: Shown, follower: _Follower) -> None:
        if not follower.inside:
            text = f"{shown.client} was shown {shown.seq}, and is not in it"
            self._findings.add("not_member", shown.room, text)
        elif shown.seq != follower.cursor + 1:
            kind = "reader" if shown.seq > follower.cursor else "order"
            text = f"{shown.client} was shown {shown.seq} after {follower.cursor}"
            self._findings.add(kind, shown.room, text)
        follower.cursor = shown.seq

    def _by_library(self, shown: Shown, follower: _Follower) -> None:
        before, seq = follower.last, shown.seq
        if seq <= before:
            text = f"{shown.client} was shown {seq} after {before}"
            self._findings.add("order", shown.room, text)
        elif not ((before and seq == before + 1) or seq - 1 == follower.cursor) and (
            seq - 1 not in follower.heads
        ):
            text = f"{shown.client} was shown {seq} after {before}, and no word of it"
            self._findings.add("reader", shown.room, text)
        follower.cursor = seq

    def _at_the_end(self, name: str, room: str, follower: _Follower) -> None:
        head = self._heads.get(room, 0)
        if follower.cursor < head and max(follower.cursor, follower.last) < head:
            text = f"{name} was shown up to {max(follower.cursor, follower.last)} of {head}"
            self._findings.add("reader", room, text)

    # --- the bytes ------------------------------------------------------------------------

    def _same_bytes(self, shown: Shown) -> None:
        entry = self._index.entry(shown.room, shown.seq)
        if entry is None:
            text = f"{shown.client} was shown {shown.seq} {shown.text[:_NAME]!r}, which is not kept"
            self._findings.add("altered", shown.room, text)
            return
        fixed = entry.kind, entry.sender, entry.of, entry.to
        if (shown.kind, shown.sender, shown.of, shown.to) != fixed:
            there = f"{entry.kind} by {entry.sender} of {entry.of} {entry.to}"
            seen = f"{shown.kind} by {shown.sender} of {shown.of} {shown.to}"
            text = f"{shown.client} was shown {shown.seq} as {seen}, it is {there}"
            self._findings.add("altered", shown.room, text)
        elif not self._is_version(shown, entry):
            text = f"{shown.client} was shown {shown.seq} as {shown.text[:_NAME]!r}"
            self._findings.add("altered", shown.room, f"{text}, it is {entry.text[:_NAME]!r}")

    def _is_version(self, shown: Shown, entry: Kept) -> bool:
        if entry.kind == "message":
            return self._is_text(shown, entry)
        if entry.kind == "edited":
            # Its text is taken back by a later edit or a deletion.
            ask = self._index.by_seq.get((shown.room, shown.seq))
            if shown.text in ("", entry.text):
                return True
            ask = ask or self._index.said(shown.text, shown.sender, shown.room, "edit")
            return ask is not None and ask.text == shown.text and ask.begun <= shown.at
        return shown.text == entry.text

    def _is_text(self, shown: Shown, entry: Kept) -> bool:
        index, room, seq, text = self._index, shown.room, shown.seq, shown.text
        if not text:
            return bool(entry.deleted) or not entry.text
        edit = index.said(text, shown.sender, room, "edit")
        if edit is not None and edit.of == seq:
            return edit.begun <= shown.at and (room, seq) in index.edits
        if not entry.edited and not entry.deleted:
            return text == entry.text
        said = index.by_seq.get((room, seq)) or index.said(text, shown.sender, room, "say")
        if said is None or said.text != text or said.begun > shown.at:
            return False
        return self._originals.setdefault((room, seq), text) == text

    # --- who may see it -------------------------------------------------------------------

    def _needs_leave(self, shown: Shown, client: Client) -> bool:
        """Whether it is of a private time, for members alone.

        A guest may have come while the room was public, and leaves no trace of it.
        """
        if shown.room in self._turned and client.sender not in self._accounts:
            return False
        return any(shown.seq in each for each in self._private.get(shown.room, ()))

    def _invited_to(self, room: str) -> set[int]:
        """Who was ever invited: of guests that is all a log says, not when they came and went."""
        invited = self._invited.get(room)
        if invited is None:
            entries = self._index.in_order(room)
            invited = {entry.whom for entry in entries if entry.kind == "invited"}
            self._invited[room] = invited
        return invited

    def _is_entitled(self, shown: Shown, client: Client) -> None:
        room = shown.room
        if pair := pair_of(room):
            entitled = client.sender in pair
        elif client.sender not in self._accounts:
            entitled = client.sender in self._invited_to(room)
        else:
            spans = self._stays.get(room)
            if spans is None:
                entries = self._index.in_order(room)
                spans = self._stays[room] = stays(entries, self._index, room)
            entitled = may_be_shown(spans.get(client.sender, ()), shown.seq, shown.at)
        if not entitled:
            text = f"{shown.client} of {client.person} was shown {shown.seq}, no member then"
            self._findings.add("not_member", room, text)
