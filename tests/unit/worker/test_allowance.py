"""How much each person may ask, and what is remembered of it."""

from __future__ import annotations

from hubbub.frames import Say
from hubbub.settings import Settings
from worker.allowance import SWEEP_AT, Allowances


def test_whoever_has_asked_nothing_lately_is_forgotten() -> None:
    """A thousand guests a minute leave no more behind than a few do."""
    allowances = Allowances(Settings())
    most = 0
    for number in range(10_000):
        assert allowances.wait(number, Say, number * 0.06) == 0.0
        most = max(most, len(allowances._buckets))
    assert most <= 2 * SWEEP_AT


def test_whoever_has_to_wait_is_not_forgotten_for_others_that_come() -> None:
    """Else one would get rid of a wait by making accounts."""
    allowances = Allowances(Settings())
    while not (wait := allowances.wait(0, Say, 0.0)):
        pass
    for number in range(1, 5 * SWEEP_AT):
        allowances.wait(number, Say, wait * number / (10 * SWEEP_AT))
    assert allowances.wait(0, Say, wait / 2) > 0
