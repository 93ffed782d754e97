"""What holds for every test: see also tests/fixtures.py and tests/support.py."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest

TEST_WITHIN = 120.0  # seconds; a test that needs more says so with a mark

pytest.register_assert_rewrite("tests.support", "tests.native", "tests.swarm")
pytest_plugins = ["tests.fixtures", "tests.background"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked `long`, too")


def pytest_configure(config: pytest.Config) -> None:
    """No test hangs; a loaded machine has more time for each (pytest-timeout reads the option)."""
    from tests.support import slack  # not earlier: its asserts are rewritten first

    # A shell without job control starts what is in its background deaf to SIGINT, and so would be
    # every process that a test interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("timeout", None) is None:
        config.option.timeout = slack(TEST_WITHIN)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `long`, unless asked for: deselected, not skipped."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skip is a failure: what was not run there was not tested anywhere."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Repeat what failed before pytest began, since its summary closes the output."""
    failed = os.environ.get("FAILED_BEFORE_PYTEST")
    if failed:
        terminalreporter.section("failed before the tests", red=True)
        for name in failed.split(", "):
            terminalreporter.line(f"FAILED {name}", red=True)
