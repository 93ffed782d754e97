"""Names: of the log against what was asked, and of all rooms and clients against each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from tests.faults.asks import Ask, Index
from tests.faults.history import Kept, Told
from tests.faults.membership import Span, stays
from tests.faults.verdict import Findings


def check_names(index: Index, findings: Findings) -> None:
    """Everything that can be said of names."""
    asked: dict[int, dict[str, Ask]] = {}
    for ask in index.asks.values():
        if ask.op == "nick":
            asked.setdefault(ask.sender, {})[ask.text] = ask
    taken: dict[str, dict[int, list[Kept]]] = {}
    for room in index.log:
        of_room = taken[room] = {}
        for entry in index.in_order(room):
            if entry.kind == "renamed":
                of_room.setdefault(entry.sender, []).append(entry)
    for room, senders in taken.items():
        for sender, entries in senders.items():
            _check_entries(room, entries, asked.get(sender, {}), findings)
    _check_one_order(taken, findings)
    for room, senders in taken.items():
        _check_kept(room, senders, asked, index, findings)
    _check_told(index.of_kind(Told), index, asked, findings)


def _check_entries(
    room: str, entries: list[Kept], asked: dict[str, Ask], findings: Findings
) -> None:
    """Each is what somebody asked for, once, and in the order of time."""
    seen: set[str] = set()
    latest: Ask | None = None  # of those before, what was begun last
    for entry in entries:
        what = f"{entry.seq} renamed {entry.sender} to {entry.to!r}"
        ask = asked.get(entry.to)
        if entry.to in seen:
            findings.add("doubled", room, f"{what}, not for the first time")
        seen.add(entry.to)
        if ask is None or not ask.may_be_done:
            why = "nobody asked" if ask is None else "it was refused"
            findings.add("phantom", room, f"{what}: {why}")
            continue
        if latest is not None and ask.answers and ask.answers[0].at < latest.begun:
            findings.add("order", room, f"{what} before {latest.text!r} was asked for")
        if latest is None or ask.begun > latest.begun:
            latest = ask


def _check_one_order(taken: dict[str, dict[int, list[Kept]]], findings: Findings) -> None:
    """What follows on another name in one room comes not before it in another one."""
    follows: set[tuple[int, str, str]] = set()
    for room, senders in taken.items():
        for sender, entries in senders.items():
            for one, other in pairwise(entry.to for entry in entries):
                follows.add((sender, one, other))
                if (sender, other, one) in follows:
                    text = f"{sender} is {one!r} and then {other!r}, elsewhere the other way round"
                    findings.add("order", room, text)


def _check_kept(
    room: str,
    taken: dict[int, list[Kept]],
    asked: dict[int, dict[str, Ask]],
    index: Index,
    findings: Findings,
) -> None:
    """A name that an account took while it was in a room for sure stands in its log."""
    entries = index.in_order(room)
    times = _Times(room, entries, index)
    for sender, spans in stays(entries, index, room).items():
        there = {entry.to for entry in taken.get(sender, ())}
        for ask in asked.get(sender, {}).values():
            if not ask.answers or ask.text in there:
                continue
            if any(times.covers(span, ask.begun, ask.answers[0].at) for span in spans):
                findings.add("lost", room, f"{sender} was renamed {ask.text!r}, not here")


class _Times:
    """When an entry can have come into being, by what was asked and answered with numbers."""

    def __init__(self, room: str, entries: list[Kept], index: Index) -> None:
        asks = [index.by_seq.get((room, entry.seq)) for entry in entries]
        begun = [ask.begun if ask is not None else 0.0 for ask in asks]
        ended = [ask.answers[0].at if ask is not None else float("inf") for ask in asks]
        seqs = [entry.seq for entry in entries]
        self._earliest = dict(zip(seqs, accumulate(begun, max), strict=True))
        latest = [*accumulate(reversed(ended), min)]
        self._latest = dict(zip(reversed(seqs), latest, strict=True))

    def covers(self, span: Span, begun: float, ended: float) -> bool:
        """Whether a stay lasted all this time, for sure."""
        is_out_by = self._earliest.get(span.last, float("inf"))
        return self._latest[span.first] < begun and ended < is_out_by


# --- what is told in the end ----------------------------------------------------------------------


def _check_told(
    told: Sequence[Told], index: Index, asked: dict[int, dict[str, Ask]], findings: Findings
) -> None:
    """Everybody has one name, by which all know them; and it is theirs alone."""
    true: dict[int, str] = {}
    for each in sorted(told, key=lambda each: not each.fresh):
        for sender, name, _ in each.people:
            if true.setdefault(sender, name) != name:
                text = f"{each.client} knows {sender} as {name!r}, and not as {true[sender]!r}"
                findings.add("standing", each.room, text)
    owners: dict[str, int] = {}
    for sender, name in true.items():
        if owners.setdefault(name, sender) != sender:
            findings.add("doubled", "", f"{name!r} is the name of {owners[name]} and {sender}")
    senders: dict[str, set[int]] = {}
    for client in index.clients.values():
        senders.setdefault(client.person, set()).add(client.sender)
    for person, numbers in senders.items():
        for sender in sorted(numbers & true.keys()):
            if len(numbers) == 1:
                _check_last(sender, true[sender], person, asked.get(sender, {}), findings)
            elif true[sender] not in {person}.union(*(asked.get(each, ()) for each in numbers)):
                findings.add("phantom", "", f"{sender} is {true[sender]!r}: nobody asked")


def _check_last(
    sender: int, name: str, first: str, asked: dict[str, Ask], findings: Findings
) -> None:
    """The name is one that was asked for, and not one that another has followed.

    Not of a guest that became another one: it comes with whatever name it had at last.
    """
    ask = asked.get(name)
    if ask is None and name != first:
        findings.add("phantom", "", f"{sender} is {name!r}: nobody asked")
    elif ask is not None and not ask.may_be_done:
        findings.add("phantom", "", f"{sender} is {name!r}, which was refused")
    elif ask is None or ask.answers:  # else nobody can say when it was done
        since = ask.answers[0].at if ask is not None else 0.0
        for later in asked.values():
            if later is not ask and later.answers and later.begun > since:
                findings.add("lost", "", f"{sender} was renamed {later.text!r}, and is {name!r}")
