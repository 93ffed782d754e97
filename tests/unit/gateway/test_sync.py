"""The question that puts a gateway in step, and its answer in parts."""

from __future__ import annotations

import msgspec

from gateway.sync import Sync
from hubbub.frames import RoomState
from hubbub.wire import Snapshot, Synced


def part(number: int, parts: int, *, position: int = 5, no: int = 0) -> Synced:
    room = Snapshot(number + 1, f"room{number}", 0, 1, 0, [])
    return Synced(1, position, 7, no, [3], [room], [], number, parts)


def test_an_answer_in_one_part_is_taken_at_once() -> None:
    sync = Sync()
    assert sync.answer(part(0, 1)) == part(0, 1)
    assert not sync.needed


def test_an_answer_is_taken_when_all_its_parts_are_there_in_whatever_order() -> None:
    sync = Sync()
    assert sync.answer(part(2, 3)) is None
    assert sync.answer(part(0, 3)) is None
    assert sync.answer(part(0, 3)) is None  # through the other broker
    assert sync.needed
    whole = sync.answer(part(1, 3))
    assert whole is not None
    assert [room.room_id for room in whole.rooms] == [1, 2, 3]
    assert whole.over == [3]


def test_parts_of_two_answers_are_not_mixed() -> None:
    """Between them rooms may have moved: a snapshot is true at its own position only."""
    sync = Sync()
    assert sync.answer(part(0, 2, position=5)) is None
    assert sync.answer(part(1, 2, position=6)) is None
    assert sync.answer(part(0, 2, position=6)) is not None


def test_the_answer_to_an_older_question_is_not_taken() -> None:
    sync = Sync()
    sync.need()
    assert sync.answer(part(0, 1, no=0)) is None
    assert sync.answer(part(0, 1, no=1)) is not None


def test_what_several_parts_say_of_sessions_is_taken_together() -> None:
    sync = Sync()
    own = RoomState("den")
    one = msgspec.structs.replace(part(0, 2), over=[4], inside=[(1, [(9, own)])])
    other = msgspec.structs.replace(part(1, 2), unknown_rooms=[8], inside=[(2, [])])
    assert sync.answer(other) is None
    whole = sync.answer(one)
    assert whole is not None
    assert (whole.over, whole.unknown_rooms) == ([3, 4], [8])
    assert dict(whole.inside) == {1: [(9, own)], 2: []}
