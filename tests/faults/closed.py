"""Rooms that were closed: nobody can read their logs, so readers are held to each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.faults.asks import ENTRY_OF, Ask, Index
from tests.faults.history import AnyRecord, Cut, Entered, Out, Over, Shown
from tests.faults.verdict import Findings


def check_closed(index: Index, records: Sequence[AnyRecord], findings: Findings) -> None:
    """All of them."""
    entries: dict[str, dict[int, Shown]] = {room: {} for room in index.closed}
    for record in records:
        if isinstance(record, Shown) and record.room in index.closed:
            first = entries[record.room].setdefault(record.seq, record)
            if _content(first) != _content(record):
                text = f"{record.seq} was {_content(first)} and {_content(record)}"
                findings.add("altered", record.room, text)
    for room, shown in entries.items():
        _check_room(room, shown, index, findings)
    for ask in index.asks.values():
        if ask.room in index.closed:
            _check_ask(ask, entries[ask.room], index, findings)
    _check_members(index, records, findings)


def _content(shown: Shown) -> tuple[str, int, str, int, str]:
    return shown.kind, shown.sender, shown.text, shown.of, shown.to


def _ends(shown: dict[int, Shown]) -> list[int]:
    return sorted(seq for seq, each in shown.items() if each.kind == "closed")


def _check_room(room: str, shown: dict[int, Shown], index: Index, findings: Findings) -> None:
    ends = _ends(shown)
    if len(ends) > 1:
        findings.add("doubled", room, f"it was closed by {ends}")
    if ends and max(shown) > ends[0]:
        findings.add("order", room, f"{max(shown)} was shown, and {ends[0]} closed it")
    messages = [each for each in shown.values() if each.kind == "message"]
    for text, times in Counter(each.text for each in messages).items():
        if times > 1:
            findings.add("doubled", room, f"{text!r} is there {times} times")
    for each in messages:
        ask = index.said(each.text, each.sender, room, "say")
        if ask is None or not ask.may_be_done:
            findings.add("phantom", room, f"{each.seq} {each.text!r} was not asked for")


def _check_ask(ask: Ask, shown: dict[int, Shown], index: Index, findings: Findings) -> None:
    """What was acknowledged is what was shown, and comes before the end."""
    ends = _ends(shown)
    what = f"{ask.op} {ask.text!r}, acknowledged as {ask.seq},"
    there = shown.get(ask.seq)
    kind = "closed" if ask.op == "close" else ENTRY_OF.get(ask.op)
    if ask.seq and there is not None:
        if (there.kind, there.sender) != (kind, ask.sender) or there.text != ask.text:
            findings.add("lost", ask.room, f"{what} was shown as {_content(there)}")
    elif ask.seq and shown and max(shown) > ask.seq >= min(shown):
        findings.add("lost", ask.room, f"{what} was shown to nobody")
    if ask.seq and ends and ask.seq > ends[0]:
        findings.add("order", ask.room, f"{what} is behind the end, {ends[0]}")
    closed = [each.answers[0].at for each in index.closings[ask.room] if each.answers]
    if ask.op == "say" and ask.answers and closed and ask.begun > closed[0]:
        findings.add("phantom", ask.room, f"{what} was asked for when it was closed")


def _check_members(index: Index, records: Sequence[AnyRecord], findings: Findings) -> None:
    """In the end nobody believes to be in one."""
    inside: set[tuple[str, str]] = set()
    ended: set[str] = set()
    for record in records:
        match record:
            case Entered() if record.room in index.closed:
                inside.add((record.client, record.room))
            case Out():
                inside.discard((record.client, record.room))
            case Over():
                ended.add(record.client)
            case Cut() if index.clients[record.client].exact:
                ended.add(record.client)
    for client, room in sorted(inside):
        if client not in ended:
            findings.add("standing", room, f"{client} is in it, and it is closed")
