"""The answer to Sync, cut into bus messages that arrive."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings, strategies as st

from hubbub.frames import MAX_REASON, MAX_TITLE, Away, Person, RoomState
from hubbub.names import MAX_NAME
from hubbub.wire import MAX_BUS_BYTES, Snapshot, Synced, encoder
from tests.unit.worker.looking import new
from tests.unit.worker.world import World, no_report
from worker.parts import in_parts
from worker.show import MOST_AWAY, snapshot
from worker.tasks import View

WIDE = "\N{CJK UNIFIED IDEOGRAPH-20000}"  # four bytes
LONGEST = WIDE * MAX_NAME
HUGE = 2**53 - 1


def room(number: int, people: int, *, away: str = "", title: str = "") -> Snapshot:
    roster = [Person(HUGE, LONGEST, "gone", away=away) for _ in range(people)]
    return Snapshot(number, LONGEST, HUGE, 1, HUGE, roster, title)


def encoded(part: tuple[list[Snapshot], list[tuple[int, list[tuple[int, RoomState]]]]]) -> bytes:
    """One part as it is sent."""
    return encoder.encode(Synced(2**62, 2**62, 2**62, 1, [], part[0], [], 0, 1, part[1]))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=30))
def test_every_part_fits_into_a_bus_message_and_no_room_is_left_out(sizes: list[int]) -> None:
    rooms = [room(number, people) for number, people in enumerate(sizes)]
    parts = in_parts(rooms, [])
    assert [each for part in parts for each in part[0]] == rooms
    assert all(len(encoded(part)) < MAX_BUS_BYTES for part in parts)


def test_what_people_say_of_being_away_and_titles_leave_room_in_every_part() -> None:
    """A part that is too large is never sent, and its gateway would never be in step."""
    away, title = WIDE * MAX_REASON, WIDE * MAX_TITLE
    rooms = [room(number, 500, away=away, title=title) for number in range(20)]
    rooms += [room(number, 0, title=title) for number in range(20, 4000)]
    parts = in_parts(rooms, [])
    assert [each for part in parts for each in part[0]] == rooms
    assert all(len(encoded(part)) < MAX_BUS_BYTES for part in parts)


def test_the_rooms_of_many_sessions_are_told_in_several_parts() -> None:
    """A room of thousands that is closed while a gateway is out of step concerns all of them."""
    peer = Person(HUGE, LONGEST, "away", away=WIDE * MAX_REASON)
    own = [(id, RoomState(LONGEST, HUGE, 1, HUGE, WIDE * MAX_TITLE)) for id in range(20)]
    own += [(id, RoomState("@1:2", HUGE, 1, HUGE, peer=peer)) for id in range(20, 40)]
    inside = [(session, own) for session in range(1000)]
    parts = in_parts([room(1, 10)], inside)
    assert [each for part in parts for each in part[1]] == inside
    assert len(parts) > 3
    assert all(len(encoded(part)) < MAX_BUS_BYTES for part in parts)


def test_without_rooms_there_is_still_an_answer() -> None:
    assert in_parts([], []) == [([], [])]


def test_the_largest_room_that_is_allowed_fits_into_one_message() -> None:
    assert len(encoded(in_parts([room(1, 20_000)], [])[0])) < MAX_BUS_BYTES


def test_so_does_one_whose_people_all_say_at_length_that_they_are_away() -> None:
    """“No one can hurt the others”: it is published, too, when somebody enters on two devices."""
    world = World()
    alice = world.account("alice", "lobby")
    for number in range(400):
        guest = world.person(f"{number:03}", "lobby")
        world.ask(Away(0, new(), text=WIDE * MAX_REASON), guest)
    view = View(world.state, world.settings, no_report, {})
    shown = snapshot(view, world.state.rooms[1])
    assert {each.state for each in shown.roster} == {"here", "away"}
    assert sum(len(each.away) for each in shown.roster) <= MOST_AWAY
    assert len(shown.roster) == 401
    assert alice.sender in {each.sender for each in shown.roster}
    full = msgspec.structs.replace(room(1, 20_000, away="-"), title=WIDE * MAX_TITLE)
    assert len(encoder.encode(full)) + 4 * MOST_AWAY < MAX_BUS_BYTES
