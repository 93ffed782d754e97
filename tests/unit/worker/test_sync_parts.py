"""The answer to Sync, cut into bus messages that arrive."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from hubbub.frames import Person
from hubbub.names import MAX_NAME
from hubbub.wire import MAX_BUS_BYTES, Snapshot, Synced, encoder
from worker.tenure import in_parts

LONGEST = "\N{CJK UNIFIED IDEOGRAPH-20000}" * MAX_NAME  # four bytes each


def room(number: int, people: int) -> Snapshot:
    roster = [Person(2**53 - 1, LONGEST, "gone") for _ in range(people)]
    return Snapshot(number, LONGEST, 2**53 - 1, 1, 2**53 - 1, roster)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=30))
def test_every_part_fits_into_a_bus_message_and_no_room_is_left_out(sizes: list[int]) -> None:
    rooms = [room(number, people) for number, people in enumerate(sizes)]
    parts = in_parts(rooms)
    assert [each for part in parts for each in part] == rooms
    for part in parts:
        message = Synced(2**62, 2**62, 2**62, 1, [], part, [], 0, len(parts))
        assert len(encoder.encode(message)) < MAX_BUS_BYTES


def test_without_rooms_there_is_still_an_answer() -> None:
    assert in_parts([]) == [[]]


def test_the_largest_room_that_is_allowed_fits_into_one_message() -> None:
    message = Synced(1, 1, 1, 1, [], in_parts([room(1, 20_000)])[0])
    assert len(encoder.encode(message)) < MAX_BUS_BYTES
