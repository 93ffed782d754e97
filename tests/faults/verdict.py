"""What the checker says of a history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

KINDS = (
    "lost",  # acknowledged, and not in the log as acknowledged
    "phantom",  # in the log, and nobody asked for it, or it was refused
    "doubled",  # one number twice, or one thing under two numbers
    "hole",  # numbers or counts that do not go on by one
    "order",  # against the order in which it was asked or answered
    "id_twice",  # one id with two answers
    "altered",  # other bytes under one number
    "not_member",  # shown to somebody who was not in the room
    "not_allowed",  # in the log, by somebody who might not do it then
    "reader",  # somebody lacks an entry that they should have been shown, or had it twice
    "standing",  # somebody believes of a room what the owner does not
    "roster",  # a gateway has other people in a room than are there
    "late",  # not answered or not shown in time, after all faults were over
)
MOST_TEXTS = 20  # of one kind; the rest is counted


class Finding(msgspec.Struct, frozen=True):
    """One thing that was not exact."""

    kind: str
    room: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.room + ': ' if self.room else ''}{self.text}"


class Percentiles(msgspec.Struct, frozen=True):
    """Of a number of durations, in seconds."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float

    def __str__(self) -> str:
        p50, p90, p99, most = (1000 * x for x in (self.p50, self.p90, self.p99, self.max))
        return f"p50 {p50:.0f} ms, p90 {p90:.0f}, p99 {p99:.0f}, max {most:.0f} ({self.count:,})"


def percentiles(durations: Iterable[float]) -> Percentiles:
    """The usual ones; all 0 of none."""
    values = sorted(durations)
    if not values:
        return Percentiles(0, 0.0, 0.0, 0.0, 0.0)
    last = len(values) - 1
    p50, p90, p99 = (values[round(share * last)] for share in (0.5, 0.9, 0.99))
    return Percentiles(len(values), p50, p90, p99, values[-1])


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """All findings, and figures.

    Attributes:
        findings: at most `MOST_TEXTS` of each kind.
        found: how many of each kind there are.
        counts: what the history holds: asked, answered, refused, unknown, shown, kept, clients,
            rooms, faults.
        answered: ask to answer, by phase.
        shown: ask to being shown to others, by phase.
        healed_within: seconds from the last fault until everything was answered and shown within a
            second again; None when nothing was asked after it.
    """

    findings: list[Finding]
    found: dict[str, int]
    counts: dict[str, int]
    answered: dict[str, Percentiles]
    shown: dict[str, Percentiles]
    healed_within: float | None

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.found

    def summary(self) -> str:
        """A few lines for people."""
        counts = ", ".join(f"{count:,} {what}" for what, count in self.counts.items())
        lines = [counts]
        for phase, figures in self.answered.items():
            lines.append(f"{phase}: ask to answer {figures}")
            if phase in self.shown:
                lines.append(f"{phase}: ask to shown elsewhere {self.shown[phase]}")
        if self.healed_within is not None:
            lines.append(f"healed within {self.healed_within:.1f} s of the last fault")
        if self.ok:
            lines.append("nothing lost, phantom, doubled, altered, out of order, or late")
        else:
            lines.append("found: " + ", ".join(f"{n:,} {kind}" for kind, n in self.found.items()))
            lines += [f"finding: {each}" for each in self.findings]
        return "\n".join(lines)


class Findings:
    """Collects them, a bounded number with their texts."""

    def __init__(self) -> None:
        self.all: list[Finding] = []
        self.counts: Counter[str] = Counter()

    def add(self, kind: str, room: str, text: str) -> None:
        """One more."""
        assert kind in KINDS, kind
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_TEXTS:
            self.all.append(Finding(kind, room, text))
