"""Ten thousand seeds, beside the other tests."""

from __future__ import annotations

import pytest

from tests.background import Job


@pytest.mark.background("tests.simulation", "--seeds", "10000", "--from", "1000")
def test_ten_thousand_seeds_find_nothing(job: Job) -> None:
    """“10,000 seeds in a minute or two, the same checker.”"""
    print(job.passed())
