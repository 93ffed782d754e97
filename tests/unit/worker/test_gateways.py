"""Who counts as gone, and who may be forgotten."""

from __future__ import annotations

from worker.gateways import FORGET_AFTER, MOST_GATEWAYS, Gateways, Verdict


def judge(
    gateways: Gateways,
    begin: float,
    end: float,
    *,
    hearing: bool = True,
    sure: bool = True,
    busy: set[str] | None = None,
) -> Verdict:
    """All verdicts of a stretch of time, judged four times a second."""
    found = Verdict([], [])
    for quarter in range(int(begin * 4), int(end * 4) + 1):
        verdict = gateways.judge(quarter / 4, hearing=hearing, sure=sure, busy=busy or set())
        found = Verdict(found.gone + verdict.gone, found.forgotten + verdict.forgotten)
    return found


def test_a_silent_gateway_is_gone_after_its_lease_and_once() -> None:
    """“Without that sign it is gone after `gateway_lease` (10 s).”"""
    gateways = Gateways(10.0)
    gateways.heard("g", 0.0)
    assert judge(gateways, 0, 10).gone == []
    assert judge(gateways, 10, 30).gone == ["g"]


def test_one_that_was_asked_and_is_silent_is_gone_within_half_a_second() -> None:
    """“500 ms of silence and its sessions count as lost.”"""
    gateways = Gateways(10.0)
    gateways.heard("dead", 0.0)
    gateways.heard("alive", 0.0)
    judge(gateways, 0, 1)
    assert gateways.probe("dead", 1.0) is not None
    assert gateways.probe("alive", 1.0) is not None
    gateways.heard("alive", 1.2)
    assert judge(gateways, 1, 2).gone == ["dead"]


def test_while_a_broker_is_silent_more_time_is_given() -> None:
    """The gateway's way to us may be the broken part."""
    gateways = Gateways(10.0)
    gateways.heard("g", 0.0)
    judge(gateways, 0, 1)
    gateways.probe("g", 1.0)
    assert judge(gateways, 1, 2.75, sure=False).gone == []
    assert judge(gateways, 2.75, 4, sure=False).gone == ["g"]


def test_nobody_is_judged_while_nothing_is_heard() -> None:
    """“While its own canaries are missing it judges nobody.”"""
    gateways = Gateways(10.0)
    gateways.heard("g", 0.0)
    assert judge(gateways, 0, 60, hearing=False).gone == []
    assert judge(gateways, 60, 69).gone == []
    assert judge(gateways, 69, 71).gone == ["g"]


def test_what_passed_while_this_process_stood_still_is_nobodys_silence() -> None:
    """A stopped and continued owner must not end everybody's sessions."""
    gateways = Gateways(10.0)
    gateways.heard("g", 0.0)
    judge(gateways, 0, 1)
    assert judge(gateways, 100, 101).gone == []


def test_the_silent_are_forgotten_unless_they_hold_sessions_and_there_are_not_too_many() -> None:
    """“Bounded everything.”"""
    gateways = Gateways(10.0)
    for number in range(MOST_GATEWAYS):
        assert gateways.heard(f"g{number}", 0.0) is not None
    assert gateways.heard("one more", 0.0) is None
    found = judge(gateways, 0, FORGET_AFTER + 1, busy={"g7"})
    assert len(found.forgotten) == MOST_GATEWAYS - 1
    assert [gateway.id for gateway in gateways.all()] == ["g7"]
