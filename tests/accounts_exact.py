"""The verdict on an account: what each device was shown, and what was acknowledged, by the logs.

Who is a member at which numbers is read from the log itself: `joined`, `parted`, `kicked` ...
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import hubbub
from hubbub.client_events import ClientEvent, Lacking, RoomLost
from hubbub.frames import Event, Joined, Marked, Message, Parted

Entry: TypeAlias = Message | Event


@dataclasses.dataclass
class Said:
    """One message: what became of its text, as far as whoever said it was answered."""

    room: str
    seq: int
    text: str
    maybe: set[str] = dataclasses.field(default_factory=set)  # "": deleted
    changes: dict[int, str] = dataclasses.field(default_factory=dict)  # number of the event -> text
    busy: bool = False


@dataclasses.dataclass(frozen=True)
class Note:
    """One thing that a device was told.

    `kind`: shown, parted, lost, lacking, marked, cut, reset, asks, answered.
    """

    kind: str
    room: str = ""
    seq: int = 0
    at: int = 0  # milliseconds since 1970, UTC


class Journal:
    """What a device was told, in order.

    Attributes:
        heads: (room, number) after which it was told that a room goes on.
        answers: those of them that came as the answer to its own `join`: that is true after the
            whole turn of the server, in which more may have happened since it joined.
    """

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.heads: set[tuple[str, int]] = set()
        self.answers: set[tuple[str, int]] = set()

    def take(self, event: ClientEvent) -> None:
        """Note an event."""
        now = time.time_ns() // 1_000_000
        match event:
            case Message() | Event():
                self.notes.append(Note("shown", event.room, event.seq, now))
            case Joined():
                self.heads.add((event.room, event.head))
            case Parted():
                self.notes.append(Note("parted", event.room))
            case RoomLost():
                self.notes.append(Note("lost", event.room))
            case Lacking():
                self.heads.add((event.room, event.last))
                self.notes.append(Note("lacking", event.room))
            case Marked():
                self.notes.append(Note("marked", event.room, event.mark))
            case hubbub.Disconnected():
                self.notes.append(Note("cut"))
            case hubbub.EpochReset():
                self.notes.append(Note("reset"))

    def asks(self, room: str) -> None:
        """Note that it asks to join or leave a room."""
        self.notes.append(Note("asks", room))

    def answered(self, room: str, head: int | None) -> None:
        """Note that this has an answer, with the head that it tells if it was let in."""
        self.notes.append(Note("answered", room))
        if head is not None:
            self.heads.add((room, head))
            self.answers.add((room, head))

    def shown(self) -> Iterator[tuple[str, int]]:
        """(room, number) of every entry, in order."""
        return ((note.room, note.seq) for note in self.notes if note.kind == "shown")


@dataclasses.dataclass
class Lives:
    """When one person was a member of one room: (first number, last number, when it began)."""

    spans: list[tuple[int, int, int]]
    inside: bool

    def covers(self, seq: int) -> bool:
        """Whether they were a member at this number: what led in and out belongs to it."""
        return any(first <= seq <= last for first, last, _ in self.spans)

    def begins_at(self, seq: int) -> bool:
        """Whether this number is what led in, or out: whose device did it need not be shown it."""
        return any(seq in (first, last) for first, last, _ in self.spans)

    def began_before(self, seq: int) -> int:
        """Where the span begins that this number belongs to; one more than it when none does."""
        return min(
            (first for first, last, _ in self.spans if first <= seq <= last), default=seq + 1
        )

    def returned_by(self, seq: int, at: int) -> bool:
        """Whether they had become a member again above this number by then: they may read it."""
        return any(first > seq and began <= at for first, _, began in self.spans)


def fold(entries: Sequence[Entry], sender: int) -> Lives:
    """Read from a log when somebody was a member."""
    spans: list[tuple[int, int, int]] = []
    since: Event | None = None
    for entry in entries:
        if not isinstance(entry, Event):
            continue
        if entry.kind == "joined" and entry.sender == sender:
            since = entry
        out = (
            entry.kind == "closed"
            or (entry.kind == "parted" and entry.sender == sender)
            or (entry.kind in ("kicked", "banned") and entry.whom == sender)
        )
        if out and since is not None:
            spans.append((since.seq, entry.seq, since.at))
            since = None
    if since is not None:
        spans.append((since.seq, 2**53, since.at))
    return Lives(spans, since is not None)


def faults_of_device(
    name: str,
    journal: Journal,
    logs: Mapping[str, Sequence[Entry]],
    lives: Mapping[str, Lives],
    private: Sequence[str],
) -> list[str]:
    """Every way in which a device was not told exactly what it should have been."""
    found: list[str] = []
    if any(note.kind == "reset" for note in journal.notes):
        found.append(f"{name}: the numbering began anew")
    for room in logs:
        notes = [note for note in journal.notes if note.room in (room, "")]
        life = lives.get(room)
        found += _faults_of_room(f"{name} in {room}", room, notes, journal, life, room in private)
    return found


def _faults_of_room(
    name: str,
    room: str,
    notes: Sequence[Note],
    journal: Journal,
    life: Lives | None,
    private: bool,
) -> list[str]:
    found: list[str] = []
    # While it asks to join or leave, it is not told what else happens to its membership.
    last, mark, asking = 0, 0, 0
    begun = cut = False
    for note in notes:
        match note.kind:
            case "cut" | "lost" | "lacking" | "parted":
                # What it was a member at may be missing now. With `parted`: after a takeover the
                # gateway learns that somebody is out, not where in the log that was.
                cut = True
            case "asks":
                asking += 1
            case "answered":
                asking, cut = asking - 1, True
            case "marked":
                if note.seq < mark:
                    found.append(f"{name}: the mark went back from {mark} to {note.seq}")
                mark = note.seq
            case "shown":
                seq = note.seq
                if seq <= last:
                    found.append(f"{name}: {seq} was shown after {last}")
                if begun and seq != last + 1 and (room, seq - 1) not in journal.heads:
                    found.append(f"{name}: {seq} was shown after {last}, and no word of it")
                if not begun and (room, seq - 1) not in journal.heads:
                    found.append(f"{name}: {seq} was shown first, and no word of it")
                if life is not None:
                    answered = (room, seq - 1) in journal.answers
                    end = life.began_before(seq - 1) if answered else seq
                    missing = [
                        n for n in range(last + 1, end) if life.covers(n) and not life.begins_at(n)
                    ]
                    if begun and missing and not cut and not asking:
                        found.append(f"{name}: not shown {missing}, a member then")
                    # A public room may be read by anybody: a client pages it while it believes
                    # itself in it.
                    entitled = life.covers(seq) or life.returned_by(seq, note.at)
                    if private and not entitled:
                        found.append(f"{name}: {seq} was shown, no member then")
                last, cut, begun = seq, False, True
    return found


def faults_of_texts(
    name: str, sender: int, all_said: Sequence[Said], logs: Mapping[str, Sequence[Entry]]
) -> list[str]:
    """What was acknowledged to somebody and is not kept."""
    found = []
    for said in all_said:
        entries = logs[said.room]
        entry = entries[said.seq - 1] if said.seq <= len(entries) else None
        where = f"{said.room} {said.seq} of {name}"
        if not isinstance(entry, Message) or entry.sender != sender:
            found.append(f"lost: {where} {said.text!r}")
            continue
        newest = said.changes[max(said.changes)] if said.changes else said.text
        if entry.text != newest and entry.text not in said.maybe:
            found.append(f"{where} is {entry.text!r}, not {newest!r}")
        for seq, text in said.changes.items():
            change = entries[seq - 1] if seq <= len(entries) else None
            if not isinstance(change, Event) or change.of != said.seq:
                found.append(f"lost: change {seq} of {where} to {text!r}")
    return found
