"""Fifteen seconds for each parser, beside the other tests."""

from __future__ import annotations

import pytest

from tests.background import Job


@pytest.mark.background("tests.fuzz", "--seconds", "15")
def test_fifteen_seconds_of_each_parser_break_no_rule(job: Job) -> None:
    """“Nothing but the declared errors, no input over 50 ms, no growth.”"""
    print(job.passed())
