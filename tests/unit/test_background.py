"""Jobs beside the tests: begun at once, judged at the end."""

from __future__ import annotations

import pytest

from tests.background import Job, Jobs


@pytest.mark.background("timeit", "-n", "1", "-r", "1", "pass")
def test_a_job_has_ended_when_its_test_has_its_output(job: Job) -> None:
    assert "loop" in job.passed()


def test_a_job_that_fails_fails_its_test_with_what_it_said() -> None:
    jobs = Jobs({("timeit", "raise ValueError('this one')"): 19})
    (job,) = jobs.all.values()
    with pytest.raises(AssertionError, match="this one"):
        job.passed()
    jobs.end()


def test_jobs_of_another_niceness_do_not_wait_for_each_other() -> None:
    waits = ("timeit", "-n", "1", "-r", "1", "import time; time.sleep(600)")
    jobs = Jobs({waits: 19, ("timeit", "-n", "1", "-r", "1", "pass"): 5, ("timeit", "pass"): 19})
    first, other, second = jobs.all.values()
    other.passed()
    assert not first.done.is_set()
    jobs.end()
    assert first.done.is_set()
    assert first.status != 0
    assert second.status is None
