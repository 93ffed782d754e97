"""Who was in a room at which numbers, read from its log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tests.faults.asks import Index
from tests.faults.history import Kept

_FOREVER = 2**53


class Span(NamedTuple):
    """One stay in a room: the numbers that led in and out, and when it can have begun at first."""

    first: int
    last: int
    begun: float


def stays(entries: Iterable[Kept], index: Index, room: str) -> dict[int, list[Span]]:
    """Sender -> their stays, in order."""
    found: dict[int, list[Span]] = {}
    inside: dict[int, tuple[int, float]] = {}

    def out(sender: int, seq: int) -> None:
        if sender in inside:
            first, begun = inside.pop(sender)
            found.setdefault(sender, []).append(Span(first, seq, begun))

    # A join is acknowledged without a number; but it was done after whatever stands before it.
    begun = 0.0
    for entry in entries:
        ask = index.by_seq.get((room, entry.seq))
        if ask is not None:
            begun = max(begun, ask.begun)
        if entry.kind == "joined":
            inside.setdefault(entry.sender, (entry.seq, begun))
        elif entry.kind == "parted":
            out(entry.sender, entry.seq)
        elif entry.kind in ("kicked", "banned"):
            out(entry.whom, entry.seq)
        elif entry.kind == "closed":
            for sender in list(inside):
                out(sender, entry.seq)
    for sender in list(inside):
        out(sender, _FOREVER)
    return found


def turns(entries: Iterable[Kept]) -> list[Kept]:
    """The entries by which a room became private, or public."""
    return [entry for entry in entries if entry.kind in ("private", "public")]


def when_private(entries: Iterable[Kept], at_last: bool) -> list[range]:
    """The numbers of a room that are of times at which it was private, in order.

    Args:
        at_last: whether it was so in the end.
    """
    found: list[range] = []
    changes = turns(entries)
    is_so = changes[0].kind == "public" if changes else at_last
    since = 1
    for change in changes:
        if is_so:
            found.append(range(since, change.seq))
        is_so, since = change.kind == "private", change.seq + 1
    if is_so:
        found.append(range(since, _FOREVER))
    return found


def may_be_shown(spans: Iterable[Span], seq: int, at: float) -> bool:
    """Whether somebody may be shown a number at that time.

    What led in and out belongs to a stay. Members read the whole history of their room: so also
    what was said before a stay that can have begun by then.
    """
    return any(
        span.first <= seq <= span.last or (seq < span.first and span.begun <= at) for span in spans
    )


def pair_of(room: str) -> tuple[int, ...]:
    """The two of a conversation (`@12:57`); empty for a room."""
    if not room.startswith("@"):
        return ()
    low, _, high = room[1:].partition(":")
    return int(low), int(high)
