"""The final log against what was asked: lost, phantom, doubled, hole, order, id_twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.faults.asks import ENTRY_OF, OP_OF, TELLING, Ask, Index
from tests.faults.history import Kept
from tests.faults.verdict import Findings

_DID_IT = frozenset(ENTRY_OF.values()) - {"message", "joined", "parted", "invited"}


def check_logs(index: Index, findings: Findings) -> None:
    """Everything that can be said of the log without looking at readers."""
    for room, entries in index.kept.items():
        _check_numbers(room, entries, findings)
        _check_doubled(room, entries, findings)
    for room, log in index.log.items():
        for entry in log.values():
            _check_phantom(room, entry, index, findings)
    for ask in index.asks.values():
        _check_answers(ask, findings)
        _check_owner(ask, index, findings)
        if ask.seq and ask.room not in index.closed:
            _check_kept(ask, index, findings)
    _check_orders(index, findings)
    _check_versions(index, findings)
    _check_order_of_clients(index, findings)
    _check_real_time(index, findings)


def _check_numbers(room: str, entries: list[Kept], findings: Findings) -> None:
    before = count = 0
    seen: set[int] = set()
    for entry in entries:
        if entry.seq in seen:
            findings.add("doubled", room, f"number {entry.seq} is there twice")
            continue
        seen.add(entry.seq)
        if entry.seq != before + 1:
            what = "order" if entry.seq < before else "hole"
            findings.add(what, room, f"number {entry.seq} follows {before}")
        before = max(before, entry.seq)
        count += entry.kind == "message"
        if entry.count != count:
            findings.add("hole", room, f"{entry.seq} counts {entry.count} messages, not {count}")
            count = entry.count


def _check_doubled(room: str, entries: list[Kept], findings: Findings) -> None:
    texts = Counter(entry.text for entry in entries if entry.kind == "message" and entry.text)
    for text, times in texts.items():
        if times > 1:
            findings.add("doubled", room, f"{text!r} is there {times} times")
    for kind in ("edited", "topic", "kicked", "banned", "muted"):
        texts = Counter(entry.text for entry in entries if entry.kind == kind and entry.text)
        for text, times in texts.items():
            if times > 1:
                findings.add("doubled", room, f"{kind} {text!r} is there {times} times")


def _check_phantom(room: str, entry: Kept, index: Index, findings: Findings) -> None:
    kind, seq = entry.kind, entry.seq
    if kind == "message" and entry.text:
        origins = ("edit",) if entry.edited else ("say",)
        ask = index.said(entry.text, entry.sender, room, *origins)
        if ask is None:
            findings.add("phantom", room, f"{seq} {entry.text!r} was never asked for")
        elif not ask.may_be_done:
            findings.add("phantom", room, f"{seq} {entry.text!r} was refused")
    elif kind == "invited" and entry.text:
        findings.add("phantom", room, f"{seq} {kind} {entry.text!r}, and nobody says so")
    elif kind in _DID_IT and not _was_asked(room, entry, index):
        findings.add("phantom", room, f"{seq} {kind} {entry.text!r} of {entry.of}: nobody asked")


def _was_asked(room: str, entry: Kept, index: Index) -> bool:
    done = index.by_seq.get((room, entry.seq))
    if done is not None:
        return True
    if OP_OF[entry.kind] in TELLING and entry.text:
        ask = index.said(entry.text, entry.sender, room, OP_OF[entry.kind])
        return ask is not None and ask.may_be_done
    if entry.kind == "role" and entry.sender == entry.whom and entry.text == "owner":
        return True  # it may have fallen to them; orders.py says whether it has
    key = OP_OF[entry.kind], room, entry.sender
    return any(
        ask.may_be_done and (entry.kind != "role" or (ask.text, ask.to) == (entry.text, entry.to))
        for ask in index.without_number.get(key, ())
    )


def _check_answers(ask: Ask, findings: Findings) -> None:
    seqs = {answer.seq for answer in ask.answers}
    if len(seqs) > 1:
        text = f"{ask.op} {ask.text!r} ({ask.id}) was answered with {sorted(seqs)}"
        findings.add("id_twice", ask.room, text)
    elif seqs == {0} and ask.op == "say":
        findings.add("lost", ask.room, f"say {ask.text!r} was acknowledged without a number")


def _check_owner(ask: Ask, index: Index, findings: Findings) -> None:
    """A number is acknowledged to one request."""
    first = index.by_seq.get((ask.room, ask.seq))
    if ask.seq and first is not ask and first is not None:
        text = f"{ask.seq} was acknowledged to {first.op} {first.text!r} and {ask.op} {ask.text!r}"
        findings.add("doubled", ask.room, text)


def _check_kept(ask: Ask, index: Index, findings: Findings) -> None:
    entry = index.entry(ask.room, ask.seq)
    what = f"{ask.op} {ask.text!r}, acknowledged as {ask.seq},"
    wanted = ENTRY_OF.get(ask.op)
    if wanted is None:
        return
    if entry is None:
        findings.add("lost", ask.room, f"{what} is not there")
        return
    right = entry.kind == wanted and entry.sender == ask.sender and entry.of == ask.of
    # Who is let in again or may write again is named as when that was taken from them.
    right = right and (wanted in ("unbanned", "unmuted") or ask.to in ("", entry.to))
    if right and wanted == "message":
        right = bool(entry.edited or entry.deleted) or entry.text == ask.text
    elif right and wanted == "edited":
        right = entry.text in ("", ask.text)
    elif right and wanted not in ("deleted", "invited"):
        right = entry.text == ask.text
    if not right:
        there = f"{entry.kind} {entry.text!r} by {entry.sender}"
        findings.add("lost", ask.room, f"{what} is {there}")


def _check_orders(index: Index, findings: Findings) -> None:
    """What is acknowledged without a number is in the log all the same, by its text or so often."""
    acknowledged: Counter[tuple[str, str, int]] = Counter()
    texts: set[tuple[str, str, int, str]] = set()
    there: Counter[tuple[str, str, int]] = Counter()
    for room, log in index.log.items():
        for entry in log.values():
            op = OP_OF.get(entry.kind, "")
            texts.add((op, room, entry.sender, entry.text))
            there[op, room, entry.sender] += 1
    for ask in index.asks.values():
        if not ask.answers or ask.room not in index.log:
            continue
        acknowledged[ask.op, ask.room, ask.sender] += 1
        is_there = (ask.op, ask.room, ask.sender, ask.text) in texts
        if ask.op in ("topic", "kick", "ban", "mute") and ask.text and not is_there:
            text = f"{ask.op} {ask.to} {ask.text!r} was acknowledged and is not there"
            findings.add("lost", ask.room, text)
    for key, times in acknowledged.items():
        op, room, sender = key
        if op in ("unban", "unmute") and there[key] < times:
            text = f"{times} {op} of {sender} were acknowledged, {there[key]} are there"
            findings.add("lost", room, text)


def _check_versions(index: Index, findings: Findings) -> None:
    """A message has the text of its newest edit, and none when it was deleted."""
    deleted: set[tuple[str, int]] = set()
    for room, log in index.log.items():
        for seq, entry in log.items():
            if entry.kind == "deleted":
                deleted.add((room, entry.of))
                if (message := log.get(entry.of)) is not None and message.text:
                    text = f"{entry.of} was deleted by {seq} and is {message.text!r}"
                    findings.add("lost", room, text)
    for (room, of), edits in index.edits.items():
        message = index.entry(room, of)
        if message is None or (room, of) in deleted:
            continue
        newest = edits[-1]
        if newest.text != message.text or message.edited != newest.seq:
            text = f"{of} is {message.text!r}, its newest edit {newest.seq} is {newest.text!r}"
            findings.add("lost", room, text)


def _check_order_of_clients(index: Index, findings: Findings) -> None:
    """“What one connection says in one room stands in the order it said it.”"""
    newest: dict[tuple[str, str], Ask] = {}
    for ask in index.asks.values():
        # One that nobody could answer at first, or that was asked again, may stand later.
        if ask.op != "say" or not ask.seq or ask.times > 1 or ask.unknown or ask.refused:
            continue
        before = newest.get((ask.client, ask.room))
        if before is not None and before.seq > ask.seq:
            text = f"{ask.client} said {before.text!r} ({before.seq}) before {ask.text!r}"
            findings.add("order", ask.room, f"{text} ({ask.seq})")
            continue
        newest[ask.client, ask.room] = ask


def _check_real_time(index: Index, findings: Findings) -> None:
    """What was answered before another was asked has the lower number."""
    for asks in _by_room(ask for ask in index.asks.values() if ask.seq).values():
        begun = sorted(asks, key=lambda ask: ask.begun)
        answered = sorted(asks, key=lambda ask: ask.answers[0].at)
        highest: Ask | None = None
        at = 0
        for ask in begun:
            while at < len(answered) and answered[at].answers[0].at < ask.begun:
                if highest is None or answered[at].seq > highest.seq:
                    highest = answered[at]
                at += 1
            # One that was asked again has the number it got the first time.
            if highest is not None and ask.seq < highest.seq and ask is not highest:
                text = f"{highest.text!r} was answered {highest.seq} before {ask.text!r} was asked"
                findings.add("order", ask.room, f"{text}, which is {ask.seq}")


def _by_room(asks: Iterable[Ask]) -> dict[str, list[Ask]]:
    rooms: dict[str, list[Ask]] = {}
    for ask in asks:
        rooms.setdefault(ask.room, []).append(ask)
    return rooms
