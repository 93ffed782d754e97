"""Jobs beside the tests: begun at once, judged at the end."""

from __future__ import annotations

import pytest

from tests.background import Job, Jobs


@pytest.mark.background("timeit", "-n", "1", "-r", "1", "pass")
def test_a_job_has_ended_when_its_test_has_its_output(job: Job) -> None:
    assert "loop" in job.passed()


def test_a_job_that_fails_fails_its_test_with_what_it_said() -> None:
    jobs = Jobs([("timeit", "raise ValueError('this one')")])
    (job,) = jobs.all.values()
    with pytest.raises(AssertionError, match="this one"):
        job.passed()
    jobs.end()


def test_jobs_end_with_the_run() -> None:
    jobs = Jobs([("timeit", "-n", "1", "import time; time.sleep(600)"), ("timeit", "pass")])
    jobs.end()
    assert all(job.done.is_set() for job in jobs.all.values())
    assert [job.status for job in jobs.all.values()].count(0) == 0
