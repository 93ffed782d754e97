"""Good histories with a single fault, for the checker to find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias, TypeGuard

import msgspec

from tests.faults.history import Answered, AnyRecord, Asked, Entered, Kept, Out, Shown, Told
from tests.faults.seeded import KEEPER, Good

_replace = msgspec.structs.replace
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
            {"kind": "pinned"},
        ]
        changed = _replace(record, **random.choice(fields))
    records[at] = changed
    return f"{record} became {changed}"


def misname(random: Random, records: Records) -> str:
    """Somebody knows another by a name that is not theirs."""
    return _retell(random, records, lambda sender, name, role: (sender, name + "!", role))


def misrank(random: Random, records: Records) -> str:
    """Somebody takes a plain member for an owner, or an owner for a plain member."""
    other = {"owner": "member", "operator": "owner", "member": "operator"}
    return _retell(random, records, lambda sender, name, role: (sender, name, other.get(role, "")))


Person: TypeAlias = tuple[int, str, str]


def _retell(random: Random, records: Records, change: Callable[[int, str, str], Person]) -> str:
    at = _some(random, records, Told, lambda told: bool(told.people))
    if at is None:
        return ""
    told = records[at]
    assert isinstance(told, Told)
    one = random.choice(told.people)
    other = change(*one)
    if other == one:
        return ""
    records[at] = _replace(told, people=[other if each == one else each for each in told.people])
    return f"{told} has {other} for {one}"


def mistell(random: Random, records: Records) -> str:
    """A room has another title, or somebody else may write in it, than is told of it."""
    at = _some(random, records, Told, lambda told: told.restrictions is not None)
    if at is None:
        return ""
    told = records[at]
    assert isinstance(told, Told)
    assert told.restrictions is not None
    changes: list[dict[str, object]] = [
        {"title": told.title + "!"},
        {"private": not told.private},
        {"restrictions": told.restrictions[1:] or ["mute nobody"]},
    ]
    records[at] = _replace(told, **random.choice(changes))
    return f"{told} became {records[at]}"


def rename(random: Random, records: Records) -> str:
    """A name is another one than was asked for, in the log and for all who were shown it."""
    return _everywhere(random, records, "renamed", to="nobody")


def unmute(random: Random, records: Records) -> str:
    """Somebody is not muted that was, in the log and for all who were shown it."""
    return _everywhere(random, records, "muted", kind="unmuted", text="")


def rerank(random: Random, records: Records) -> str:
    """Somebody was given another role than was asked for, and all believe it."""
    return _everywhere(random, records, "role", text="admiral")


def _is_kept(record: AnyRecord, kind: str) -> TypeGuard[Kept]:
    return isinstance(record, Kept) and record.kind == kind


def _everywhere(
    random: Random,
    records: Records,
    what: str,
    fits: Callable[[Kept], bool] = _any,
    **changes: object,
) -> str:
    """Change an entry of a kind in the log, and for all who were shown it."""
    at = _some(random, records, Kept, lambda kept: kept.kind == what and fits(kept))
    if at is None:
        return ""
    kept = records[at]
    assert isinstance(kept, Kept)
    for number, each in enumerate(records):
        if isinstance(each, Kept | Shown) and (each.room, each.seq) == (kept.room, kept.seq):
            records[number] = _replace(each, **changes)
    return f"{kept} became {changes} everywhere"


def uninvite(random: Random, records: Records) -> str:
    """Somebody was not invited that was, in the log and for all who were shown it."""
    joined = {(each.room, each.sender) for each in records if _is_kept(each, "joined")}
    return _everywhere(
        random, records, "invited", lambda kept: (kept.room, kept.whom) in joined, kind="pinned"
    )


def open_up(random: Random, records: Records) -> str:
    """A room did not become private, in the log and for all who were shown it."""
    return _everywhere(random, records, "private", kind="pinned")


def overstep(random: Random, records: Records) -> str:
    """Somebody speaks who is muted: what muted another muted them."""
    at = _some(random, records, Kept, lambda kept: kept.kind == "muted")
    if at is None:
        return ""
    muted = records[at]
    assert isinstance(muted, Kept)
    log = [each for each in records if isinstance(each, Kept) and each.room == muted.room]
    ranked = {each.whom for each in log if each.kind == "role"}  # whom it would not hold
    ranked |= {KEEPER, next((each.sender for each in log if each.kind == "joined"), 0)}
    later = {each.sender for each in log if each.kind == "message" and each.seq > muted.seq}
    fit = sorted(later - ranked - {muted.whom})
    if not fit:
        return ""
    records[at] = _replace(muted, whom=random.choice(fit))
    return f"{muted} was about {records[at]}"


def outlive(random: Random, records: Records) -> str:
    """Something is shown in a room, or acknowledged, that was asked for when it was closed."""
    at = _some(random, records, Shown, lambda shown: shown.kind == "closed")
    if at is None:
        return ""
    end = records[at]
    assert isinstance(end, Shown)
    last = records[-1].at
    late = _replace(end, seq=end.seq + 1, kind="message", text="late")
    asked = Asked(last, end.client, "say", "ffff", end.room, "late")
    answered = Answered(last, end.client, "ffff", end.seq + 1)
    records += random.choice([[_replace(late, at=last)], [asked, answered]])
    return f"{end.room} outlives {end}"


def stay(random: Random, records: Records) -> str:
    """Somebody is not told that a room was closed."""
    at = _some(random, records, Out, lambda out: out.why == "closed")
    return "" if at is None else f"without {records.pop(at)}"


CHANGES: tuple[Change, ...] = (
    drop,
    double,
    swap,
    alter,
    misname,
    misrank,
    mistell,
    rename,
    unmute,
    rerank,
    uninvite,
    open_up,
    overstep,
    outlive,
    stay,
)


def bad(seed: int) -> tuple[str, Records]:
    """A good history with one fault, and what that is."""
    random = Random(f"fault {seed}")
    records = list(Good(seed).records)
    while True:
        what = random.choice(CHANGES)(random, records)
        if what:
            return what, records
