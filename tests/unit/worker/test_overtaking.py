"""What was sent behind something that was refused does not overtake it."""

from __future__ import annotations

from hubbub.frames import Members, Say
from hubbub.wire import Ask, Lost
from worker.overtaking import LASTS, Overtaking
from worker.tasks import Task

NOW = 100.0


def said(number: int, first: int, *, session: int = 7, gateway: str = "g1") -> Task:
    """A line in a batch; `first` 0: one that is repeated."""
    ask = Ask(number, session, 1, Say(0, bytes(16), "lobby", "x"))
    return Task(gateway, ask, number=number, first=first)


def failed(*tasks: Task) -> Overtaking:
    """A turn of these has just failed."""
    overtaking = Overtaking()
    assert overtaking.undone(tasks, [], NOW) == (list(tasks), [])
    return overtaking


def test_what_waits_behind_a_refused_line_is_refused_and_everything_else_is_not() -> None:
    read = Task("g1", Ask(4, 7, 1, Members(0, "lobby")), number=4, first=3)
    other = said(4, 3, session=8)
    waiting = [read, said(4, 3), other]
    lost = Task("g1", Ask(3, 7, 1, Lost()), number=3, first=3)
    line = said(3, 3)
    refused, left = Overtaking().undone([lost, line], waiting, NOW)
    assert refused == [line, waiting[1]]
    assert left == [lost, read, other]


def test_what_comes_later_waits_until_its_gateway_had_the_refusal() -> None:
    """And what is refused because of that has to be had as well."""
    overtaking = failed(said(3, 3))
    assert overtaking.overtakes(said(4, 3), NOW)
    assert overtaking.overtakes(said(5, 4), NOW)  # 4 has not been told yet
    assert not overtaking.overtakes(said(6, 6), NOW)
    assert not overtaking.overtakes(said(7, 1), NOW)  # it is over with the first that may


def test_of_a_batch_that_is_repeated_nobody_knows_when_it_was_made() -> None:
    overtaking = failed(said(3, 3))
    assert overtaking.overtakes(said(4, 0), NOW)
    assert not overtaking.overtakes(said(5, 5), NOW)


def test_nobody_is_refused_for_it_for_long_nor_at_another_gateway() -> None:
    overtaking = failed(said(3, 3))
    assert not overtaking.overtakes(said(1, 1, gateway="g2"), NOW)
    assert overtaking.overtakes(said(4, 3), NOW + LASTS - 0.1)
    assert not overtaking.overtakes(said(5, 3), NOW + LASTS)
