"""Histories made from a seed: good ones, and ones with a single fault, for the checker to find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

import msgspec

from tests.faults.history import (
    Answered,
    AnyRecord,
    Asked,
    Back,
    Client,
    Cut,
    Entered,
    Fault,
    Kept,
    Out,
    Phase,
    Refused,
    Room,
    Roster,
    Shown,
    Standing,
    Unknown,
)

PUBLIC, PRIVATE, PAIR = "hall", "vault", "@1:2"
_replace = msgspec.structs.replace


class _Reader:
    """A client as an ideal server serves it."""

    def __init__(self, name: str, sender: int, *, exact: bool) -> None:
        self.name = name
        self.sender = sender
        self.exact = exact
        self.cut = False
        self.cursors: dict[str, int] = {}


class Good:
    """An exact chat: `records` is its history.

    Three accounts with two clients each, of which one notes exactly, and a guest; people come, go,
    are put out, edit, delete, react, retry and lose their connections.
    """

    def __init__(self, seed: int, acts: int = 60) -> None:
        self._random = Random(seed)
        self.records: list[AnyRecord] = []
        self._at = 0.0
        self._ids = self._texts = 0
        self._logs: dict[str, list[Kept]] = {PUBLIC: [], PRIVATE: [], PAIR: []}
        self._members: dict[str, set[int]] = {PUBLIC: set(), PRIVATE: set(), PAIR: {1, 2}}
        self._readers = [
            _Reader(f"p{sender}.{number}", sender, exact=number == 2)
            for sender in (1, 2, 3)
            for number in (1, 2)
        ]
        self._readers.append(_Reader("guest.1", 4, exact=False))
        self._note(Phase, "calm")
        for reader in self._readers:
            self._note(Client, reader.name, reader.name[:2], reader.sender, reader.exact)
            self._note(Back, reader.name, "gateway-1", False)
        for reader in self._readers:
            if reader.sender in (1, 2):
                self._enter(reader, PAIR)
        for number in range(acts):
            if number == acts // 3:
                self._note(Phase, "faults")
                self._note(Fault, "kill", "gateway-1", self._at)
            elif number == 2 * acts // 3:
                self._note(Phase, "healing")
            self._act()
        self._end()

    def _note(self, kind: Callable[..., AnyRecord], *fields: object) -> None:
        self._at += self._random.random() * 0.01
        self.records.append(kind(self._at, *fields))

    def _text(self) -> str:
        self._texts += 1
        return f"text {self._texts}"

    # --- the server -----------------------------------------------------------------------

    def _enter(self, reader: _Reader, room: str) -> None:
        reader.cursors[room] = len(self._logs[room])
        self._note(Entered, reader.name, room, reader.cursors[room])

    def _add(self, room: str, kind: str, sender: int, **more: object) -> int:
        log = self._logs[room]
        count = (log[-1].count if log else 0) + (kind == "message")
        entry = Kept(0.0, room, len(log) + 1, kind, sender, count=count)
        log.append(_replace(entry, **more))
        for reader in self._readers:
            if not reader.cut:
                self._serve(reader, room)
        return len(log)

    def _serve(self, reader: _Reader, room: str) -> None:
        """Show a client what it lacks of a room."""
        if room not in reader.cursors:
            return
        for entry in self._logs[room][reader.cursors[room] :]:
            seen = entry.seq, entry.kind, entry.sender, entry.text, entry.of
            self._note(Shown, reader.name, room, *seen)
            reader.cursors[room] = entry.seq

    def _of(self, sender: int) -> list[_Reader]:
        return [reader for reader in self._readers if reader.sender == sender]

    # --- what people do -------------------------------------------------------------------

    def _act(self) -> None:
        random = self._random
        reader = random.choice(self._readers)
        if reader.cut or (random.random() < 0.05 and not reader.exact):
            self._connection(reader)
            return
        rooms = [room for room in reader.cursors if self._in(reader, room)]
        if not rooms or random.random() < 0.15:
            self._come_or_go(reader)
            return
        room = random.choice(rooms)
        own = [
            entry
            for entry in self._logs[room]
            if entry.kind == "message" and entry.sender == reader.sender and not entry.deleted
        ]
        chosen = random.random()
        if own and chosen < 0.2:
            self._edit(reader, room, random.choice(own).seq)
        elif own and chosen < 0.25:
            self._delete(reader, room, random.choice(own).seq)
        elif own and chosen < 0.32:
            of = random.choice(own).seq
            self._ask(reader, "react", room, "reacted", "+1", of)
        elif chosen < 0.36:
            self._ask(reader, "say", room, "", self._text(), refused=True)
        else:
            self._ask(reader, "say", room, "message", self._text())

    def _in(self, reader: _Reader, room: str) -> bool:
        return reader.sender in self._members[room]

    def _connection(self, reader: _Reader) -> None:
        reader.cut = not reader.cut
        if reader.cut:
            self._note(Cut, reader.name, "")
            return
        self._note(Back, reader.name, "gateway-2", True)
        for room in list(reader.cursors):
            self._serve(reader, room)

    def _ask(
        self,
        reader: _Reader,
        op: str,
        room: str,
        kind: str,
        text: str = "",
        of: int = 0,
        *,
        refused: bool = False,
    ) -> None:
        """One request, answered at once, or late, or by way of another client, or never."""
        self._ids += 1
        id = f"{self._ids:x}"
        self._note(Asked, reader.name, op, id, room, text, of)
        if refused:
            self._note(Refused, reader.name, id, "not_allowed")
            return
        chosen = self._random.random()
        if chosen < 0.04:  # nobody can say, and it was not done
            self._note(Unknown, reader.name, id)
            return
        seq = self._add(room, kind, reader.sender, text=text, of=of)
        if chosen < 0.08:  # nobody can say, and it was done
            self._note(Unknown, reader.name, id)
        elif chosen < 0.16:
            other = self._random.choice(self._of(reader.sender))
            self._note(Asked, other.name, op, id, room, text, of)
            self._note(Answered, other.name, id, seq)
            self._note(Answered, reader.name, id, seq)
        else:
            self._note(Answered, reader.name, id, seq)

    def _rewrite(self, room: str, of: int, **changes: object) -> None:
        """The texts that a later change takes back: of the message, and of the edits before."""
        log = self._logs[room]
        log[of - 1] = _replace(log[of - 1], **changes)
        for at, entry in enumerate(log):
            newest = changes.get("edited") == entry.seq
            if entry.kind == "edited" and entry.of == of and not newest:
                log[at] = _replace(entry, text="")

    def _edit(self, reader: _Reader, room: str, of: int) -> None:
        text, before = self._text(), len(self._logs[room])
        self._ask(reader, "edit", room, "edited", text, of)
        if len(self._logs[room]) > before:
            self._rewrite(room, of, text=text, edited=before + 1)

    def _delete(self, reader: _Reader, room: str, of: int) -> None:
        before = len(self._logs[room])
        self._ask(reader, "delete", room, "deleted", "", of)
        if len(self._logs[room]) > before:
            self._rewrite(room, of, text="", deleted=before + 1)

    def _come_or_go(self, reader: _Reader) -> None:
        account = reader.sender != 4
        room = self._random.choice([PUBLIC, PRIVATE]) if account else PUBLIC
        members = self._members[room]
        if reader.sender not in members:
            self._join(reader, room, account=account)
        elif account and self._random.random() < 0.3:
            whom = self._random.choice(sorted(members - {4}))
            self._go(reader, room, "kick", "kicked", whom)
        else:
            self._go(reader, room, "leave", "parted" if account else "", reader.sender)

    def _join(self, reader: _Reader, room: str, *, account: bool) -> None:
        self._ids += 1
        id = f"{self._ids:x}"
        self._note(Asked, reader.name, "join", id, room)
        self._members[room].add(reader.sender)
        seq = self._add(room, "joined", reader.sender) if account else 0
        self._note(Answered, reader.name, id, seq)
        for each in self._of(reader.sender):
            if not each.cut:
                self._enter(each, room)

    def _go(self, reader: _Reader, room: str, op: str, kind: str, whom: int) -> None:
        self._ids += 1
        id = f"{self._ids:x}"
        self._note(Asked, reader.name, op, id, room)
        more = {"whom": whom} if kind == "kicked" else {}
        seq = self._add(room, kind, reader.sender, **more) if kind else 0
        self._note(Answered, reader.name, id, seq)
        self._members[room].discard(whom)
        for each in self._of(whom):
            if each.cursors.pop(room, None) is not None:
                self._note(Out, each.name, room, "gone")

    # --- afterwards -----------------------------------------------------------------------

    def _end(self) -> None:
        for reader in self._readers:
            if reader.cut:
                self._connection(reader)
        self._at += 100.0
        self._note(Phase, "settled")
        for reader in self._readers:
            for room in reader.cursors:
                standing = (1, len(self._logs[room]), 0, 0, 0)
                self._note(Standing, reader.name, room, standing, standing)
        self._note(Roster, "gateway-1", PUBLIC, ["p1", "p2"], ["p1", "p2"])
        for room, log in self._logs.items():
            for entry in log:
                self.records.append(_replace(entry, at=self._at))
            members = sorted(self._members[room])
            self._note(Room, room, len(log), room == PRIVATE, members)


# --- one fault ------------------------------------------------------------------------------------

Records: TypeAlias = list[AnyRecord]
Change: TypeAlias = Callable[[Random, Records], str]


def _some(random: Random, records: Records, kind: type, fits: Callable[..., bool]) -> int | None:
    places = [at for at, each in enumerate(records) if isinstance(each, kind) and fits(each)]
    return random.choice(places) if places else None


def _any(record: AnyRecord) -> bool:
    return True


def _answered_once(records: Sequence[AnyRecord]) -> Callable[[Answered], bool]:
    ids = [record.id for record in records if isinstance(record, Answered)]
    return lambda record: bool(record.seq) and ids.count(record.id) == 1


def drop(random: Random, records: Records) -> str:
    """Leave a line out."""
    kind = random.choice([Kept, Shown, Answered])
    fits = _answered_once(records) if kind is Answered else _any
    at = _some(random, records, kind, fits)
    if at is None or _is_last_before_leaving(records, at):
        return ""
    return f"without {records.pop(at)}"


def _is_last_before_leaving(records: Records, at: int) -> bool:
    """Whether nobody can say if this client should have been shown this: it left right after."""
    shown = records[at]
    if not isinstance(shown, Shown):
        return False
    for record in records[at + 1 :]:
        is_next = isinstance(record, Shown | Out | Entered) and record.client == shown.client
        if is_next and record.room == shown.room:  # type: ignore[union-attr]
            return not isinstance(record, Shown)
    return False


def double(random: Random, records: Records) -> str:
    """Have a line twice: as it is; or what an entry says once more, under a number of its own."""
    kind = random.choice([Kept, Shown])
    at = _some(random, records, kind, _any)
    if at is None:
        return ""
    again = records[at]
    if isinstance(again, Kept) and again.kind == "message" and again.text:
        room = [each for each in records if isinstance(each, Kept) and each.room == again.room]
        last = max(records.index(each) for each in room)
        if random.random() < 0.5:
            seq, count = room[-1].seq + 1, room[-1].count + 1
            records.insert(last + 1, _replace(again, seq=seq, count=count))
            return f"said again: {again}"
    records.insert(at + 1, again)
    return f"twice: {again}"


def swap(random: Random, records: Records) -> str:
    """Exchange two lines of one room: in the log, or of what one client was shown."""
    kind = random.choice([Kept, Shown])
    at = _some(random, records, kind, _any)
    if at is None:
        return ""
    one = records[at]
    assert isinstance(one, Kept | Shown)

    def fits(other: Kept | Shown) -> bool:
        same = other.room == one.room and other.seq != one.seq
        if isinstance(one, Shown) and isinstance(other, Shown):
            return same and one.client == other.client
        return same

    other = _some(random, records, kind, fits)
    if other is None:
        return ""
    records[at], records[other] = records[other], records[at]
    return f"exchanged: {records[at]} and {records[other]}"


def alter(random: Random, records: Records) -> str:
    """Change what a line says."""
    kind = random.choice([Kept, Shown, Answered])
    at = _some(random, records, kind, lambda each: kind is not Answered or bool(each.seq))
    if at is None:
        return ""
    record = records[at]
    if isinstance(record, Answered):
        other = record.seq + random.choice([-1, 1, 50])
        changed: AnyRecord = _replace(record, seq=other or 2)
    else:
        assert isinstance(record, Kept | Shown)
        fields: list[dict[str, object]] = [
            {"text": record.text + "!"},
            {"sender": record.sender + 1},
            {"seq": record.seq + 100},
            {"of": record.of + 1},
            {"kind": "renamed"},
        ]
        changed = _replace(record, **random.choice(fields))
    records[at] = changed
    return f"{record} became {changed}"


CHANGES: tuple[Change, ...] = (drop, double, swap, alter)


def bad(seed: int) -> tuple[str, Records]:
    """A good history with one fault, and what that is."""
    random = Random(f"fault {seed}")
    records = list(Good(seed).records)
    while True:
        what = random.choice(CHANGES)(random, records)
        if what:
            return what, records
