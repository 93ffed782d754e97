"""python -m tests.simulation --seeds N       run seeds until one finds something
python -m tests.simulation --seed N         run one, and print what it finds

Ends with 1 when something was found. The same seed is the same run, on any machine.
"""

from __future__ import annotations

import argparse
import functools
import gc
import logging
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults import history, results
from tests.simulation.disk import Disk, template
from tests.simulation.run import Outcome, run

AT_ONCE = 25  # seeds that one process takes
FAULT = "fault: "


class Batch(NamedTuple):
    """What some seeds have shown."""

    seeds: int
    simulated: float  # seconds
    counts: Counter[str]
    failed: list[tuple[int, list[tuple[str, str]]]]


@functools.cache
def _disk() -> Disk:
    """The one of this process."""
    disk = Disk.open()
    gc.collect()
    gc.freeze()  # what lives as long as the process need not be looked at again
    return disk


def run_some(seeds: range) -> Batch:
    """Run some seeds; in a process that may have run others before."""
    disk = _disk()
    counts: Counter[str] = Counter()
    failed = []
    simulated = 0.0
    gc.disable()  # once at the end is cheaper than after each of them
    for seed in seeds:
        outcome = run(seed, disk)
        simulated += outcome.seconds
        counts.update(outcome.counts)
        if outcome.findings:
            failed.append((seed, outcome.findings))
    gc.enable()
    gc.collect()
    return Batch(len(seeds), simulated, counts, failed)


def run_all(seeds: range, processes: int, *, keep_going: bool) -> Batch:
    """Run all of them, in several processes, until one fails."""
    parts = [seeds[at : at + AT_ONCE] for at in range(0, len(seeds), AT_ONCE)]
    template()  # before the processes part, so that it is made once
    done, simulated = 0, 0.0
    counts: Counter[str] = Counter()
    failed: list[tuple[int, list[tuple[str, str]]]] = []
    for batch in _batches(parts, processes):
        done += batch.seeds
        simulated += batch.simulated
        counts.update(batch.counts)
        failed += batch.failed
        if failed and not keep_going:
            break
    return Batch(done, simulated, counts, sorted(failed))


def _batches(parts: Sequence[range], processes: int) -> Iterator[Batch]:
    if processes == 1:
        yield from map(run_some, parts)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap_unordered(run_some, parts)


def summary(batch: Batch, seconds: float) -> str:
    """In a few lines."""
    counts = batch.counts
    faults = {
        kind.removeprefix(FAULT): count
        for kind, count in sorted(counts.items())
        if kind.startswith(FAULT)
    }
    others = ("asks", "barriers", "behind", "frames lost", "frames doubled", "processes")
    counted = ", ".join(f"{counts[what]:,} {what}" for what in others)
    return (
        f"{counted}\n"
        f"{sum(faults.values()):,} faults: "
        + ", ".join(f"{count:,} {kind}" for kind, count in faults.items())
        + f"\n{batch.seeds:,} seeds in {seconds:.0f} s, {batch.simulated:,.0f} s simulated:"
        f" {len(batch.failed)} found something"
    )


def show(seed: int, findings: Sequence[tuple[str, str]]) -> None:
    """Print what a seed has found."""
    print(f"seed {seed}: python -m tests.simulation --seed {seed} --verbose")
    for kind, text in findings:
        print(f"finding: {kind}: {text}")


def run_one(seed: int, *, verbose: bool, to: Path | None) -> int:
    """Run one seed; the exit status is returned."""
    outcome: Outcome = run(seed, Disk.open(), verbose=verbose)
    if to is not None:
        history.write(to, outcome.records)
    if outcome.findings:
        show(seed, outcome.findings)
    print(f"seed {seed}: {outcome.counts['asks']} asks, {outcome.seconds:.1f} s simulated")
    return 1 if outcome.findings else 0


def main(argv: Sequence[str]) -> int:
    """Run what is asked for; the exit status is returned."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--verbose", action="store_true", help="with --seed: print what happens")
    parser.add_argument("--history", type=Path, help="with --seed: write the history to a file")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep-going", action="store_true", help="also when one has failed")
    parser.add_argument("--record", action="store_true", help="keep it for docs/reliability.md")
    chosen = parser.parse_args(argv)
    logging.disable(logging.CRITICAL)
    if chosen.seed is not None:
        return run_one(chosen.seed, verbose=chosen.verbose, to=chosen.history)
    began = time.monotonic()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    batch = run_all(seeds, max(1, chosen.processes), keep_going=chosen.keep_going)
    for seed, findings in batch.failed:
        show(seed, findings)
    text = summary(batch, time.monotonic() - began)
    print(text)
    if chosen.record:
        name = f"seeds {seeds.start} to {seeds.stop - 1}"
        counts = {"seeds": batch.seeds, "found": len(batch.failed), "summary": text}
        results.record("simulation", name, counts)
    return 1 if batch.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
