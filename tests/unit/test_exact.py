"""The judge is judged: tests/exact.py finds each single fault, and none in a good conversation."""

from __future__ import annotations

from hypothesis import given, strategies as st

from tests.exact import Line, faults

LOG: list[Line] = [(number, f"line {number}") for number in range(1, 8)]
ACKED = {text: number for number, text in LOG}


def verdict(
    shown: list[Line] = LOG, log: list[Line] = LOG, acked: dict[str, int] = ACKED
) -> list[str]:
    return faults(acked, {"reader": shown, "late": log[3:]}, log, list(ACKED), {"late": 3})


def test_a_good_conversation_has_no_fault() -> None:
    assert verdict() == []


@given(st.integers(0, 6))
def test_a_line_that_a_reader_missed_is_found(at: int) -> None:
    assert verdict(shown=LOG[:at] + LOG[at + 1 :])


@given(st.integers(0, 6))
def test_a_line_that_a_reader_was_shown_twice_is_found(at: int) -> None:
    assert verdict(shown=LOG[: at + 1] + LOG[at:])


@given(st.integers(0, 5))
def test_two_lines_that_a_reader_was_shown_in_another_order_are_found(at: int) -> None:
    swapped = [*LOG[:at], LOG[at + 1], LOG[at], *LOG[at + 2 :]]
    assert verdict(shown=swapped)


@given(st.integers(0, 6))
def test_an_acknowledged_line_that_is_not_kept_is_found(at: int) -> None:
    kept = [(number, text) for number, (_, text) in enumerate(LOG[:at] + LOG[at + 1 :], 1)]
    found = verdict(shown=kept, log=kept)
    assert any(fault.startswith("lost") for fault in found)


def test_a_hole_in_the_numbers_is_found() -> None:
    assert verdict(log=LOG[:3] + LOG[4:])


def test_a_line_kept_twice_is_found() -> None:
    log = [*LOG, (8, "line 7")]
    assert any("doubled" in fault for fault in verdict(shown=log, log=log))


def test_a_line_that_nobody_said_is_found() -> None:
    log = [*LOG, (8, "line 8")]
    assert any("phantom" in fault for fault in verdict(shown=log, log=log))


def test_an_acknowledgement_with_another_number_is_found() -> None:
    assert verdict(acked=ACKED | {"line 3": 4})
