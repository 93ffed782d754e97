"""Whole runs: people chat while everything is done to their cluster. See driver.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.background import Job
from tests.support import ROOT, clean_environment


@pytest.mark.background("tests.faults.driver", "--minutes", "3", "--seed", "1", nice=5)
def test_three_minutes_of_every_kind_of_fault_leave_a_conversation_exact(job: Job) -> None:
    """“Deliver … 3 minutes in CI.”"""
    print(job.passed())


@pytest.mark.background(
    "pytest",
    "-q",
    "-p",
    "no:cacheprovider",
    "tests/faults/test_machine.py",
    "tests/faults/test_links.py",
    "tests/faults/test_links_cluster.py",
    "tests/power",
    "tests/client/chat",
    "tests/client/test_cli_accounts.py",
    "tests/client/test_selftest.py",
    "tests/deploy/test_environment.py",
    "tests/deploy/test_operations_doc.py",
    "tests/deploy/test_refusals.py",
    "tests/deploy/test_up.py",
    nice=5,
)
def test_each_fault_alone_power_cuts_deploy_up_and_typed_chats_pass_beside(job: Job) -> None:
    """They wait most of the time, and have deadlines that a little company does not break."""
    job.passed()


@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("seed", [2, 3])
def test_ten_minutes_of_every_kind_of_fault_leave_a_conversation_exact(seed: int) -> None:
    argv = [sys.executable, "-m", "tests.faults.driver", "--minutes", "10", "--seed", str(seed)]
    done = subprocess.run(
        argv, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
