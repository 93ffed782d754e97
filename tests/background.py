"""Long runs go beside the other tests, with what these leave of the CPU.

A test marked `@pytest.mark.background("tests.simulation", "--seeds", "10000")` has
`python -m tests.simulation --seeds 10000` begun when the run begins. It is collected last, and its
`job` fixture waits for the end. Jobs of one niceness are a lane: one runs after another. Those that
need no clock take the default, the lowest priority; one with deadlines says `nice=5`, say.

A job may be `pytest` with files of tests: in a run that has this job, they are run there alone.
The last line of every job stands in the summary.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pytest

from tests.support import ROOT, clean_environment, slack

Arguments: TypeAlias = tuple[str, ...]

NICEST = 19
_SLACK = {key: value for key, value in os.environ.items() if key in ("HUBBUB_TEST_SLACK", "CI")}
WITHIN = 1200.0  # seconds for all of them, times slack
_jobs = pytest.StashKey["Jobs"]()


class Job:
    """One command that a `Lane` runs."""

    def __init__(self, arguments: Arguments) -> None:
        self.arguments = arguments
        self.status: int | None = None  # its exit status, once it has one
        self.output = ""
        self.done = threading.Event()

    def passed(self) -> str:
        """Wait for it; what it wrote.

        Raises:
            AssertionError: it failed, or did not end in time.
        """
        assert self.done.wait(slack(WITHIN)), f"{self.arguments} did not end in time"
        assert self.status == 0, f"{self.arguments} ended with {self.status}:\n{self.output}"
        return self.output


class Lane:
    """Runs one job after another, in processes of their own with one niceness."""

    def __init__(self, jobs: Sequence[Job], niceness: int) -> None:
        self._jobs = jobs
        self._niceness = niceness
        self._process: subprocess.Popen[str] | None = None
        self._ended = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="background jobs", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for job in self._jobs:
            process = self._start(job.arguments)
            if process is not None:
                job.output, _ = process.communicate()
                job.status = process.returncode
            job.done.set()

    def _start(self, arguments: Arguments) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._ended:
                return None
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env=clean_environment() | _SLACK,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=0,
            )
            # Its children inherit it: none is there before Python has started.
            os.setpriority(os.PRIO_PROCESS, self._process.pid, self._niceness)
            return self._process

    def end(self) -> None:
        """End what still runs."""
        with self._lock:
            self._ended = True
            if self._process is not None and self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGTERM)
        self._thread.join()


class Jobs:
    """All jobs of a test run.

    Args:
        wanted: their arguments, each with its niceness.
        of_tests: what jobs that run tests are given besides.
    """

    def __init__(self, wanted: Mapping[Arguments, int], of_tests: Arguments = ()) -> None:
        self.all = {
            arguments: Job((*arguments, *of_tests) if arguments[0] == "pytest" else arguments)
            for arguments in wanted
        }
        self._lanes = [
            Lane([self.all[each] for each, nice in wanted.items() if nice == niceness], niceness)
            for niceness in sorted(set(wanted.values()))
        ]

    def end(self) -> None:
        """End what still runs."""
        for lane in self._lanes:
            lane.end()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "background(*arguments, nice=19): run `python -m ARGUMENTS` beside"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to a job of tests what it runs; waiting for a job comes last."""
    marks = [item.get_closest_marker("background") for item in items]
    elsewhere = {
        (ROOT / argument).resolve()
        for mark in marks
        if mark is not None and mark.args[0] == "pytest"
        for argument in mark.args[1:]
        if argument.startswith("tests/")
    }
    if elsewhere:
        left = [item for item in items if not elsewhere & {item.path, *item.path.parents}]
        config.hook.pytest_deselected(items=[item for item in items if item not in left])
        items[:] = left
    items.sort(key=lambda item: item.get_closest_marker("background") is not None)
    for item in items:
        if item.get_closest_marker("background") is not None:
            # To wait for a job takes as long as the job; it has a deadline of its own.
            item.add_marker(pytest.mark.timeout(slack(2 * WITHIN)))


def pytest_runtestloop(session: pytest.Session) -> None:
    """Begin the jobs of the tests that are going to be run."""
    marks = [item.get_closest_marker("background") for item in session.items]
    wanted = {mark.args: int(mark.kwargs.get("nice", NICEST)) for mark in marks if mark is not None}
    if wanted and not session.config.option.collectonly:
        more = ("--long",) if session.config.getoption("--long") else ()
        session.config.stash[_jobs] = Jobs(wanted, of_tests=more)


def pytest_sessionfinish(session: pytest.Session) -> None:
    jobs = session.config.stash.get(_jobs, None)
    if jobs is not None:
        jobs.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what each job came to."""
    jobs = terminalreporter.config.stash.get(_jobs, None)
    if jobs is not None:
        terminalreporter.section("beside the tests")
        for job in jobs.all.values():
            last = (job.output.strip().splitlines() or ["it was not run"])[-1]
            terminalreporter.line(f"{' '.join(job.arguments)}: {last.strip('= ')}")


@pytest.fixture
def job(request: pytest.FixtureRequest) -> Job:
    """The background job of this test."""
    mark = request.node.get_closest_marker("background")
    assert mark is not None, "the test has no mark `background`"
    found: Job = request.config.stash[_jobs].all[mark.args]
    return found
