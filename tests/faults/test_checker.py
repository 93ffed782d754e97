"""The checker is itself tried: it finds whatever is wrong, and nothing where nothing is."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import pytest

from tests.faults import checker, history
from tests.faults.checker import check
from tests.faults.flaws import CHANGES, Change, bad
from tests.faults.history import (
    Answered,
    AnyRecord,
    Asked,
    Client,
    Cut,
    Entered,
    Kept,
    Lacking,
    Out,
    Phase,
    Refused,
    Room,
    Roster,
    Shown,
    Standing,
    Unknown,
)
from tests.faults.seeded import Good

CASES = 1000
_replace = msgspec.structs.replace


def test_a_good_history_is_never_found_fault_with() -> None:
    for seed in range(CASES):
        verdict = check(Good(seed).records)
        assert verdict.ok, (seed, verdict.findings)


def test_one_line_that_is_missing_exchanged_doubled_or_altered_is_always_found() -> None:
    for seed in range(CASES):
        what, records = bad(seed)
        assert not check(records).ok, (seed, what)


@pytest.mark.parametrize("change", CHANGES)
def test_each_kind_of_fault_is_always_found(change: Change) -> None:
    tried = 0
    for seed in range(CASES // 5):
        records = list(Good(seed).records)
        if what := change(Random(seed), records):
            tried += 1
            assert not check(records).ok, (seed, what)
    assert tried > 5


# --- each kind of finding, by hand ----------------------------------------------------------------


def plain() -> list[AnyRecord]:
    """Two people in a room; each says a line, and is shown both."""
    records: list[AnyRecord] = [
        Phase(0.0, "calm"),
        Client(0.0, "a", "Ann", 1),
        Client(0.0, "b", "Bob", 2, exact=True),
        Entered(0.1, "a", "den", 0),
        Entered(0.1, "b", "den", 0),
        Asked(1.0, "a", "say", "01", "den", "one"),
        Shown(1.1, "a", "den", 1, "message", 1, "one"),
        Shown(1.1, "b", "den", 1, "message", 1, "one"),
        Answered(1.2, "a", "01", 1),
        Phase(1.5, "healing"),
        Asked(2.0, "b", "say", "02", "den", "two"),
        Shown(2.1, "a", "den", 2, "message", 2, "two"),
        Shown(2.1, "b", "den", 2, "message", 2, "two"),
        Answered(2.2, "b", "02", 2),
        Phase(90.0, "settled"),
        Standing(90.0, "a", "den", (1, 2, 2, 0, 0), (1, 2, 2, 0, 0)),
        Roster(90.0, "gateway-1", "den", ["Ann", "Bob"], ["Bob", "Ann"]),
        Kept(91.0, "den", 1, "message", 1, "one", count=1),
        Kept(91.0, "den", 2, "message", 2, "two", count=2),
        Room(91.0, "den", 2, False, [1, 2]),
    ]
    return records


def kinds(records: list[AnyRecord]) -> set[str]:
    """What is found."""
    return set(check(records).found)


def changed(kind: type, number: int, **changes: object) -> list[AnyRecord]:
    """The plain history with one record changed, the n-th of its kind."""
    records = plain()
    at = [at for at, each in enumerate(records) if isinstance(each, kind)][number]
    records[at] = _replace(records[at], **changes)
    return records


def without(kind: type, number: int) -> list[AnyRecord]:
    """The plain history with one record left out."""
    records = plain()
    del records[[at for at, each in enumerate(records) if isinstance(each, kind)][number]]
    return records


def test_the_plain_history_is_good() -> None:
    verdict = check(plain())
    assert verdict.ok, verdict.findings
    assert verdict.healed_within is not None
    assert "nothing lost" in verdict.summary()


@pytest.mark.parametrize(
    ("records", "kind"),
    [
        (without(Kept, 1), "lost"),
        (changed(Answered, 1, seq=1), "lost"),
        (changed(Answered, 1, seq=0), "lost"),
        (changed(Kept, 1, text="three"), "phantom"),
        (without(Kept, 0), "hole"),
        (changed(Kept, 1, count=3), "hole"),
        (changed(Kept, 1, seq=1), "doubled"),
        ([*plain(), Kept(91.0, "den", 3, "message", 2, "two", count=3)], "doubled"),
        ([*plain(), Answered(80.0, "a", "01", 2)], "id_twice"),
        (changed(Shown, 0, text="other"), "altered"),
        (changed(Shown, 1, sender=2), "altered"),
        (without(Shown, 0), "reader"),
        (without(Shown, 3), "reader"),
        (changed(Standing, 0, mine=(1, 2, 1, 1, 0)), "standing"),
        (changed(Roster, 0, shown=["Ann"]), "roster"),
        (without(Answered, 1), "late"),
        (changed(Answered, 1, at=60.0), "late"),
        (changed(Shown, 2, at=60.0), "late"),
    ],
)
def test_each_kind_of_finding_is_named(records: list[AnyRecord], kind: str) -> None:
    assert kind in kinds(records)


def test_what_was_refused_and_is_there_is_a_phantom() -> None:
    records = plain()
    at = records.index(Answered(1.2, "a", "01", 1))
    records[at] = Refused(1.2, "a", "01", "not_allowed")
    assert "phantom" in kinds(records)


def test_what_nobody_could_say_may_be_there_or_not() -> None:
    records = plain()
    records[records.index(Answered(2.2, "b", "02", 2))] = Unknown(2.2, "b", "02")
    assert kinds(records) == set()
    gone = [each for each in records if getattr(each, "seq", 0) != 2]
    gone = [_replace(each, head=1) if isinstance(each, Room) else each for each in gone]
    assert kinds(gone) == set()


def test_what_is_answered_before_another_is_asked_stands_before_it() -> None:
    """Bob saw one, and then says two: it cannot be number 1."""
    order = {1: 2, 2: 1}
    records = [
        _replace(each, seq=order[each.seq]) if isinstance(each, Answered | Kept | Shown) else each
        for each in plain()
    ]
    assert "order" in kinds(records)


def test_what_one_client_says_at_once_stands_in_the_order_it_said_it() -> None:
    records = plain()
    records[5:5] = [
        Asked(0.5, "a", "say", "03", "den", "first"),
        Asked(0.5, "a", "say", "04", "den", "second"),
    ]
    records += [
        Answered(80.0, "a", "04", 3),
        Answered(80.0, "a", "03", 4),
        Kept(91.0, "den", 3, "message", 1, "second", count=3),
        Kept(91.0, "den", 4, "message", 1, "first", count=4),
    ]
    assert "order" in kinds(records)


def test_an_entry_of_a_private_room_is_for_its_members_alone() -> None:
    """Ann is put out at 3; 4 is not for her, and 1 to 3 are."""
    records: list[AnyRecord] = [
        Client(0.0, "a", "Ann", 1),
        Client(0.0, "b", "Bob", 2, operator=True),
        Asked(1.0, "a", "join", "01", "vault"),
        Answered(1.1, "a", "01"),
        Entered(1.1, "a", "vault", 1),
        Asked(2.0, "b", "say", "02", "vault", "for Ann"),
        Shown(2.1, "a", "vault", 2, "message", 2, "for Ann"),
        Answered(2.1, "b", "02", 2),
        Asked(3.0, "b", "kick", "03", "vault"),
        Answered(3.1, "b", "03", 3),
        Shown(3.1, "a", "vault", 3, "kicked", 2),
        Asked(4.0, "b", "say", "04", "vault", "secret"),
        Answered(4.1, "b", "04", 4),
        Out(4.2, "a", "vault", "kicked"),
        Kept(9.0, "vault", 1, "joined", 1),
        Kept(9.0, "vault", 2, "message", 2, "for Ann", count=1),
        Kept(9.0, "vault", 3, "kicked", 2, whom=1, count=1),
        Kept(9.0, "vault", 4, "message", 2, "secret", count=2),
        Room(9.0, "vault", 4, True, [2]),
    ]
    assert kinds(records) == set()
    records.insert(13, Shown(4.1, "a", "vault", 4, "message", 2, "secret"))
    assert kinds(records) == {"not_member"}


def test_a_guest_is_in_a_private_room_if_it_was_invited() -> None:
    """The log says no more of guests. One may have the name by now of whom it was meant for."""
    records: list[AnyRecord] = [
        Client(0.0, "b", "Ben", 2),
        Client(0.0, "g", "g0", 7),
        Asked(1.0, "b", "invite", "01", "vault", to="Ann"),
        Answered(1.1, "b", "01", 2),
        Entered(1.2, "g", "vault", 2),
        Asked(2.0, "b", "say", "02", "vault", "secret"),
        Shown(2.1, "g", "vault", 3, "message", 2, "secret"),
        Answered(2.1, "b", "02", 3),
        Kept(9.0, "vault", 1, "joined", 2),
        Kept(9.0, "vault", 2, "invited", 2, whom=7, to="Ann"),
        Kept(9.0, "vault", 3, "message", 2, "secret", count=1),
        Room(9.0, "vault", 3, True, [2]),
    ]
    assert kinds(records) == set()
    other = [
        _replace(each, whom=8) if isinstance(each, Kept) and each.whom else each for each in records
    ]
    assert kinds(other) == {"not_member"}


def test_a_conversation_is_for_its_two() -> None:
    records = plain()
    records = [_replace(each, room="@1:2") if hasattr(each, "room") else each for each in records]
    assert kinds(records) == set()
    records[1] = Client(0.0, "a", "Ann", 3)
    assert "not_member" in kinds(records)


def test_an_edit_changes_what_may_be_shown_and_a_deletion_takes_it_back() -> None:
    edited: list[AnyRecord] = [
        *plain()[:-3],
        Asked(80.0, "a", "edit", "03", "den", "one, better", 1),
        Shown(80.1, "a", "den", 3, "edited", 1, "one, better", 1),
        Shown(80.1, "b", "den", 3, "edited", 1, "one, better", 1),
        Answered(80.1, "a", "03", 3),
        Kept(91.0, "den", 1, "message", 1, "one, better", count=1, edited=3),
        Kept(91.0, "den", 2, "message", 2, "two", count=2),
        Kept(91.0, "den", 3, "edited", 1, "one, better", of=1, count=2),
        Room(91.0, "den", 3, False, [1, 2]),
    ]
    assert kinds(edited) == set()
    old = [_replace(e, text="one") if isinstance(e, Kept) and e.seq == 1 else e for e in edited]
    assert "lost" in kinds(old)


def test_who_is_told_what_they_lack_lacks_nothing() -> None:
    records = without(Shown, 0)
    records.insert(6, Lacking(1.1, "a", "den", 1, 1))
    assert kinds(records) == set()


def test_an_exact_client_that_has_ended_is_owed_nothing() -> None:
    records = without(Shown, 3)
    records.insert(12, Cut(2.05, "b"))
    assert kinds(records) == set()


def test_the_command_reads_a_file_and_ends_with_1_when_something_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "history.jsonl"
    history.write(path, plain())
    assert checker.main([str(path)]) == 0
    history.write(path, without(Kept, 1))
    assert checker.main([str(path)]) == 1
    assert "finding: lost: den: say 'two', acknowledged as 2," in capsys.readouterr().out


def test_latency_is_told_by_phase_from_ask_to_answer_and_to_showing() -> None:
    verdict = check(plain())
    assert {phase: round(one.max, 3) for phase, one in verdict.answered.items()} == {
        "calm": 0.2,
        "healing": 0.2,
    }
    assert round(verdict.shown["healing"].max, 3) == 0.1  # to the other one


def test_what_was_called_unknown_and_asked_again_at_leisure_does_not_count_as_slow() -> None:
    records = changed(Answered, 0, at=900.0)
    assert check(records).answered["calm"].max > 800
    records.insert(8, Unknown(1.15, "a", "01"))
    assert "calm" not in check(records).answered
