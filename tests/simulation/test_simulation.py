"""The core simulated: nothing is found, and whatever is broken is.

The 10,000 seeds are run by `python -m tests.simulation --seeds 10000`; here some of them.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.breakages import Breakage
from tests.faults.broken import broken_copy, run as run_in
from tests.simulation.breaks import MINE, broken, notice
from tests.simulation.disk import Disk
from tests.simulation.run import Outcome, run
from tests.support import ROOT, clean_environment

SEEDS = 250
MOST = 400  # seeds in which a breakage has to be noticed
# What has to have happened in SEEDS seeds, or they prove little.
HAPPENED = (
    "asks",
    "barriers",
    "behind",
    "frames lost",
    "frames doubled",
    "fault: worker killed",
    "fault: worker crashes before commit",
    "fault: worker crashes after commit",
    "fault: worker crashes at publishing",
    "fault: worker crashes at answering",
    "fault: worker frozen",
    "fault: worker restarted",
    "fault: all workers down",
    "fault: database fails at begin",
    "fault: database fails at commit",
    "fault: database fails at doubt",
    "fault: slow database",
    "fault: gateway killed",
    "fault: gateway frozen",
    "fault: gateway restarted",
    "fault: broker away",
    "fault: link cut",
    "fault: frames lost",
    "fault: clock jumps",
    "fault: slow reader",
)
# Of what a breakage does to the log and its readers; any one of these kinds has to be found.
FOUND = {
    "acknowledge_before_commit": {"lost", "altered", "doubled"},
    "publish_before_commit": {"altered", "answers", "phantom"},
    "skip_the_gap_check": {"reader"},
    "decide_refusals_anew": {"order"},
    "forget_what_was_done": {"doubled", "id_twice"},
    "forget_the_repeat": {"late"},
    "overtake_what_was_refused": {"order"},
    "drop_the_barrier": {"barrier", "order", "reader"},
}


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    disk = Disk.open()
    yield disk
    disk.close()


@pytest.fixture(scope="module")
def outcomes(disk: Disk) -> list[Outcome]:
    """All seeds, without their histories, which take space."""
    return [run(seed, disk)._replace(records=[]) for seed in range(SEEDS)]


def test_whatever_happens_nothing_is_lost_doubled_altered_or_out_of_order(
    outcomes: list[Outcome],
) -> None:
    found = {outcome.seed: outcome.findings for outcome in outcomes if outcome.findings}
    assert not found


def test_everything_that_can_go_wrong_has_gone_wrong(outcomes: list[Outcome]) -> None:
    counts: Counter[str] = sum((outcome.counts for outcome in outcomes), Counter())
    assert [what for what in HAPPENED if not counts[what]] == []


def test_a_seed_gives_the_same_history_after_others_have_been_run(disk: Disk) -> None:
    first = run(8, disk).records
    run(9, disk)
    assert run(8, disk).records == first
    assert len(first) > 50


def test_a_seed_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    histories = []
    for hashing in ("1", "2"):  # the order of sets of texts is another one in each
        path = tmp_path / hashing
        environ = clean_environment() | {"PYTHONHASHSEED": hashing, "PYTHONPATH": str(ROOT)}
        argv = ("tests.simulation", "--seed", "21", "--history", str(path))
        subprocess.run([sys.executable, "-m", *argv], cwd=ROOT, env=environ, check=False)
        histories.append(path.read_bytes())
    assert histories[0] == histories[1]
    assert len(histories[0]) > 10_000


@pytest.mark.parametrize("breakage", MINE, ids=lambda each: each.name)
def test_each_breakage_of_the_product_is_noticed(breakage: Breakage, disk: Disk) -> None:
    noticed = notice(disk, breakage=breakage, most=MOST)
    assert noticed is not None
    assert noticed.kinds & FOUND[breakage.name], noticed


def test_clients_that_take_the_newest_number_for_their_cursor_are_noticed(disk: Disk) -> None:
    noticed = notice(disk, newest=True, most=MOST)
    assert noticed is not None
    assert "reader" in noticed.kinds, noticed


def test_after_a_breakage_the_product_is_whole_again(disk: Disk) -> None:
    before = run(3, disk)
    for breakage in MINE:
        with broken(breakage):
            pass
    assert run(3, disk).records == before.records


def test_the_command_names_the_seed_that_found_something_and_ends_with_1(tmp_path: Path) -> None:
    """In a copy whose gateways show whatever comes next."""
    (breakage,) = [each for each in MINE if each.name == "skip_the_gap_check"]
    with broken_copy(breakage) as tree:
        status, output = run_in(("tests.simulation", "--seeds", "100"), tree)
    assert status == 1
    assert "finding: reader: " in output
    assert "\nseed " in "\n" + output
