"""What a `hubbub selftest` has seen, and whether that is what was promised. Pure.

A run has sessions 1, 2, ... that say lines 1, 2, ... each. Every session keeps a ledger of what it
was shown; the tally compares the ledgers with each other, with the acknowledgements and with the
log. Times are in seconds.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from hubbub.frames import Event, Message

MOST_TOLD = 3  # faults that one line of text tells of; the JSON has all of them


class Line(NamedTuple):
    """One line of the run."""

    session: int
    number: int


class Times(msgspec.Struct, frozen=True):
    """How long something took, over all lines, in milliseconds."""

    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Times:
        """Nearest rank: p99 of less than a hundred is the longest."""
        found = sorted(seconds)
        if not found:
            return cls()
        ranks = [found[math.ceil(share * len(found)) - 1] for share in (0.5, 0.99, 1.0)]
        return cls(*(round(1000 * one, 1) for one in ranks))


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a selftest has to tell. `faults`: a sentence each; none of them: all was exact."""

    ok: bool
    faults: list[str]
    room: str
    run: str
    lines: int
    acknowledged: int
    deliveries: int  # that there should be: each line to each session, its own speaker too
    delivered: int
    lost: int  # acknowledged, and not shown to a session
    missed: int  # not shown, without a word, when its barrier came back (see `Ledger.barrier`)
    doubled: int
    out_of_order: int
    altered: int
    late: int  # shown after their barrier, since the room was being caught up with
    reconnected: int
    ack: Times
    shown: Times  # from being asked to being shown to another session
    gateways: list[str]  # that were reached
    all_gateways: int  # that the cluster has
    seconds: float

    def line(self) -> str:
        """All of it that a person wants to know."""
        told = "; ".join(self.faults[:MOST_TOLD])
        if len(self.faults) > MOST_TOLD:
            told += f"; and {len(self.faults) - MOST_TOLD} more faults"
        verdict = "ok" if self.ok else f"FAILED: {told}"
        reached = f"{len(self.gateways)} of {self.all_gateways} gateways"
        again = f", {self.reconnected} reconnected" if self.reconnected else ""
        late = f", {self.late} caught up with" if self.late else ""
        return (
            f"{verdict}: {self.acknowledged} of {self.lines} lines acknowledged,"
            f" {self.delivered} of {self.deliveries} deliveries, {self.lost + self.missed} lost,"
            f" {self.doubled} doubled, {self.out_of_order} out of order{late};"
            f" ack p50 {self.ack.p50:.0f} ms, max {self.ack.max:.0f} ms;"
            f" shown p50 {self.shown.p50:.0f} ms, max {self.shown.max:.0f} ms;"
            f" {reached} ({' '.join(self.gateways)}){again}; {self.seconds:.1f} s"
        )


@dataclasses.dataclass
class Ledger:
    """What one session was shown: the number of each line, and the faults of that."""

    session: int
    seqs: dict[Line, int] = dataclasses.field(default_factory=dict)
    newest: int = 0
    doubled: list[Line] = dataclasses.field(default_factory=list)
    disordered: list[Line] = dataclasses.field(default_factory=list)
    altered: list[str] = dataclasses.field(default_factory=list)
    checked: int = 0  # so many acknowledged lines were behind its barriers
    missed: set[Line] = dataclasses.field(default_factory=set)
    late: set[Line] = dataclasses.field(default_factory=set)
    gateways: set[str] = dataclasses.field(default_factory=set)
    reconnected: int = 0

    def take(self, line: Line, seq: int) -> bool:
        """A line is shown; False when it is not for the first time."""
        if line in self.seqs:
            self.doubled.append(line)
            return False
        if seq <= self.newest:
            self.disordered.append(line)
        self.newest = max(self.newest, seq)
        self.seqs[line] = seq
        return True

    def barrier(self, behind: Sequence[tuple[Line, int]], head: int) -> None:
        """A ping came back that was sent when the lines `behind` it were acknowledged.

        Whatever was acknowledged before a ping is delivered before its pong, or the client was told
        that the room has more (then `head` says so, and it catches up by itself). A line of which
        neither is true was lost on the way, also if a later one makes the client look for it.
        """
        for line, seq in behind:
            if line not in self.seqs:
                (self.late if head >= seq else self.missed).add(line)
        self.checked += len(behind)


class Tally:
    """The books of one run.

    Args:
        run: a token that is in the texts of this run alone.
    """

    def __init__(self, run: str, sessions: int, lines: int) -> None:
        self._mark = f"selftest {run} "
        self.run = run
        self.texts = {
            Line(session, number): f"{self._mark}line {number}/{lines} of {session}/{sessions}"
            for number in range(1, lines + 1)
            for session in range(1, sessions + 1)
        }
        self._lines = {text: line for line, text in self.texts.items()}
        self.ledgers = [Ledger(session) for session in range(1, sessions + 1)]
        self.senders: set[int] = set()  # ours: what others say is nobody's concern here
        self.acknowledged: dict[Line, int] = {}
        self.answers: list[tuple[Line, int]] = []  # the same in the order in which they came
        self.unanswered: dict[Line, str] = {}  # and why
        self.faults: list[str] = []  # of the run as a whole
        self.all_gateways = 0
        self._asked: dict[Line, float] = {}
        self._ack_times: list[float] = []
        self._shown_times: list[float] = []

    # --- what happens --------------------------------------------------------------------------

    def ask(self, line: Line, now: float) -> str:
        """A line is said; its text."""
        self._asked[line] = now
        return self.texts[line]

    def acknowledge(self, line: Line, seq: int, now: float) -> None:
        """The server has it."""
        self.acknowledged[line] = seq
        self.answers.append((line, seq))
        self._ack_times.append(now - self._asked[line])

    def show(self, ledger: Ledger, message: Message, now: float) -> None:
        """A session is shown a message of the room."""
        line = self._line_of(message, ledger.altered)
        if line is not None and ledger.take(line, message.seq) and line.session != ledger.session:
            self._shown_times.append(now - self._asked[line])

    def _line_of(self, message: Message, altered: list[str]) -> Line | None:
        if message.sender not in self.senders:
            return None
        line = self._lines.get(message.text)
        if line is None or line not in self._asked:
            altered.append(message.text)
            return None
        return line

    # --- how it stands -------------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Every line is answered and shown to every session, and every barrier came back."""
        if len(self.acknowledged) + len(self.unanswered) < len(self.texts):
            return False
        count = len(self.acknowledged)
        return all(
            ledger.checked >= count and self.acknowledged.keys() <= ledger.seqs.keys()
            for ledger in self.ledgers
        )

    def compare_history(self, entries: Sequence[Message | Event]) -> None:
        """What a stranger reads in the log, from the first line of the run to the last."""
        log = Ledger(0)
        for entry in entries:
            if isinstance(entry, Message):
                line = self._line_of(entry, log.altered)
                if line is not None:
                    log.take(line, entry.seq)
        numbers = [entry.seq for entry in entries]
        if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            self.faults.append("the history has a hole")
        if lacking := self.acknowledged.keys() - log.seqs.keys():
            self.faults.append(f"the history lacks {_told(lacking)}")
        if log.doubled:
            self.faults.append(f"the history has twice {_told(log.doubled)}")
        if log.altered:
            self.faults.append(f"the history has {len(log.altered)} texts that were not said")
        if others := self._misnumbered(log):
            self.faults.append(f"the history has other numbers for {_told(others)}")

    # --- the verdict ---------------------------------------------------------------------------

    def report(self, room: str, seconds: float) -> Report:
        """What there is to tell, once everything has happened."""
        books = self.ledgers
        lost = {one.session: self.acknowledged.keys() - one.seqs.keys() for one in books}
        counts = Counter(
            lost=sum(map(len, lost.values())),
            # What was missed and never came is counted as lost.
            missed=sum(len(one.missed - lost[one.session]) for one in books),
            doubled=sum(len(one.doubled) for one in books),
            out_of_order=sum(len(one.disordered) for one in books),
            altered=sum(len(one.altered) for one in books),
        )
        faults = [*self.faults, *self._faults(lost)]
        return Report(
            ok=not faults,
            faults=faults,
            room=room,
            run=self.run,
            lines=len(self.texts),
            acknowledged=len(self.acknowledged),
            deliveries=len(self.texts) * len(books),
            delivered=sum(len(one.seqs) for one in books),
            **counts,
            late=sum(len(one.late & one.seqs.keys()) for one in books),
            reconnected=sum(one.reconnected for one in books),
            ack=Times.of(self._ack_times),
            shown=Times.of(self._shown_times),
            gateways=sorted(set().union(*(one.gateways for one in books))),
            all_gateways=self.all_gateways,
            seconds=round(seconds, 3),
        )

    def _faults(self, lost: dict[int, set[Line]]) -> Iterable[str]:
        missing = self.texts.keys() - self.acknowledged.keys()
        if missing:
            whys = sorted({*self.unanswered.values()}) or ["no answer"]
            yield f"{_told(missing)} not acknowledged ({', '.join(whys)})"
        for one in self.ledgers:
            where = f"at session {one.session} ({' '.join(sorted(one.gateways)) or 'nowhere'})"
            if lost[one.session]:
                yield f"{_told(lost[one.session])} not shown {where}"
            if silently := one.missed - lost[one.session]:
                yield f"{_told(silently)} not shown before the barrier {where}"
            if one.doubled:
                yield f"{_told(one.doubled)} shown twice {where}"
            if one.disordered:
                yield f"{_told(one.disordered)} shown out of order {where}"
            if one.altered:
                yield f"{len(one.altered)} texts shown that were not said {where}"
            if others := self._misnumbered(one):
                yield f"{_told(others)} shown with another number {where}"

    def _misnumbered(self, ledger: Ledger) -> set[Line]:
        """One and the same order: a line has one number, that of its acknowledgement."""
        return {
            line
            for line, seq in ledger.seqs.items()
            if self.acknowledged.get(line, self.ledgers[0].seqs.get(line, seq)) != seq
        }


def _told(lines: Iterable[Line]) -> str:
    """Some lines in words: the first, and how many more."""
    found = sorted(set(lines), key=lambda line: (line.number, line.session))
    first = f"line {found[0].number} of {found[0].session}"
    return first if len(found) == 1 else f"{first} and {len(found) - 1} more"
