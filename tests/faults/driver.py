"""`tests/faults/run`: people chat on a real cluster while it is hurt, and a checker judges it all.

    tests/faults/run --minutes 30 --seed 7        every kind of fault, one after and over another
    tests/faults/run --soak --minutes 60          one random kill a minute; memory is watched

The same seed gives the same schedule and the same people. What happened stands in a directory that
is kept when anything was found: `history.jsonl`, what was done, what each process wrote.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.faults import gauges
from tests.faults.chat import Chat
from tests.faults.checker import check
from tests.faults.cluster import FaultyCluster
from tests.faults.history import History, Phase
from tests.faults.machine import Machine, shape_of
from tests.faults.results import record
from tests.faults.schedule import Schedule
from tests.faults.soak import Sample, growths, of_gauges
from tests.faults.verdict import Verdict
from tests.support import slack

HEAL_WITHIN = 10.0  # seconds, times slack: after the last fault everything is answered and shown
GAUGE_EVERY = 5.0  # seconds between readings of a soak
CALM = 5.0  # seconds before the first fault: what latency is without any
HEALED = 10.0  # seconds that people go on after the last one
# A stream that is full soon: how much was said in the last minute is nothing that grows.
SOAKED: dict[str, Any] = {"stream_bytes": 1024 * 1024}
NO_LIMITS: dict[str, Any] = {
    "say_rate": 0,
    "change_rate": 0,
    "read_rate": 0,
    "search_rate": 0,
    "accounts_per_address": 100_000,
}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to run."""

    seconds: float
    seed: int
    rate: float = 60.0  # asks a second, about
    soak: bool = False  # one random kill a minute, and growth is watched
    gateways: int = 3
    workers: int = 2
    brokers: int = 2


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has shown."""

    options: Options
    verdict: Verdict
    faults: dict[str, int]  # kind -> how many
    growth: list[str]  # of a soak: how memory, descriptors and tasks have grown
    findings: list[str]  # besides the verdict: sessions that outlived a suspension, tracebacks
    directory: str

    @property
    def ok(self) -> bool:
        """Whether everything was exact, and nobody wrote what none may write."""
        return self.verdict.ok and not self.findings

    def summary(self) -> str:
        """A few lines for people."""
        faults = ", ".join(f"{count} {what}" for what, count in sorted(self.faults.items()))
        lines = [f"seed {self.options.seed}, {self.options.seconds:.0f} s; faults: {faults}"]
        lines += self.verdict.summary().splitlines()
        lines += self.growth
        lines += [f"finding: {each}" for each in self.findings]
        return "\n".join(lines)


async def run(options: Options, directory: Path) -> Outcome:
    """One run, from an empty cluster to the verdict; its remains are left in `directory`."""
    began = time.monotonic()

    def clock() -> float:
        return time.monotonic() - began

    unhealed: list[str] = []
    history = History(directory / "history.jsonl")
    cluster = FaultyCluster(
        gateways=options.gateways,
        workers=options.workers,
        brokers=options.brokers,
        seed=options.seed,
        **(NO_LIMITS | SOAKED if options.soak else NO_LIMITS),
    )
    try:
        await cluster.start()
        if options.soak:
            for process in cluster.processes:
                cluster.control_of(process).wish(gauges=GAUGE_EVERY)
        machine = Machine(cluster, history, clock=clock)
        servers = [cluster.server(number) for number in range(options.gateways)]
        key = (cluster.data / "operator.key").read_text().strip()
        async with Chat(
            servers, history, seed=options.seed, clock=clock, rate=options.rate, operator_key=key
        ) as chat:
            history.note(Phase(clock(), "calm"))
            chat.begin()
            await asyncio.sleep(CALM)
            history.note(Phase(clock(), "faults"))
            make = Schedule.soak if options.soak else Schedule.make
            schedule = make(options.seed, options.seconds, shape_of(cluster))
            (directory / "schedule.json").write_text(schedule.as_json())
            await machine.run(schedule)
            try:
                await machine.heal_all()
            except AssertionError as error:  # people go on with what there is
                unhealed.append(str(error))
            history.note(Phase(clock(), "healing"))
            await asyncio.sleep(slack(HEALED))
            await chat.finish()
        await cluster.stop()
        troubles = machine.unexpected(cluster.troubles())
        samples = samples_of(cluster)
        growth = growths(samples)
    finally:
        await cluster.close()
        history.close()
        directory.mkdir(parents=True, exist_ok=True)  # somebody may have tidied up meanwhile
        for name, text in cluster.outputs():
            (directory / f"{name}.log").write_text(text)
        cluster.remove()
    if samples:
        (directory / "samples.json").write_bytes(msgspec.json.encode(samples))
    verdict = check(history.records, heal_within=slack(HEAL_WITHIN))
    return Outcome(
        options=options,
        verdict=verdict,
        faults=dict(Counter(step.what for step in schedule.steps)),
        growth=[str(each) for each in growth],
        findings=[
            *unhealed,
            *chat.findings,
            *troubles,
            *(str(each) for each in growth if each.says == "growing"),
        ],
        directory=str(directory),
    )


def samples_of(cluster: FaultyCluster) -> list[Sample]:
    """What each process weighed in all its lives, as far as gauges were wished."""
    samples: list[Sample] = []
    for process in cluster.processes:
        samples += of_gauges(process.name, gauges.read(cluster.control_of(process).gauges))
    return samples


def main(argv: Sequence[str]) -> int:
    """Run, and say what was found; 1 when anything was."""
    parser = argparse.ArgumentParser(
        prog="tests/faults/run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="of faults (default: 3)")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule and the people")
    parser.add_argument("--rate", type=float, default=60.0, help="acts a second, about")
    parser.add_argument("--soak", action="store_true", help="kill once a minute, and watch growth")
    parser.add_argument("--keep", action="store_true", help="keep what is left of a good run, too")
    parser.add_argument("--record", action="store_true", help="keep it for docs/reliability.md")
    chosen = parser.parse_args(argv)
    options = Options(
        seconds=60 * chosen.minutes, seed=chosen.seed, rate=chosen.rate, soak=chosen.soak
    )
    directory = Path(tempfile.mkdtemp(prefix="faults-"))
    outcome = asyncio.run(_until_told(options, directory))
    print(outcome.summary())
    (directory / "outcome.json").write_bytes(msgspec.json.encode(outcome))
    if chosen.record:
        section = "soak" if chosen.soak else "runs"
        record(section, f"seed {chosen.seed}, {chosen.minutes:g} minutes", as_data(outcome))
    if outcome.ok and not chosen.keep:
        shutil.rmtree(directory)
    else:
        print(f"what is left of it: {directory}")
    return 0 if outcome.ok else 1


async def _until_told(options: Options, directory: Path) -> Outcome:
    """One run; SIGTERM ends it, and all that it started."""
    task = asyncio.ensure_future(run(options, directory))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def as_data(outcome: Outcome) -> dict[str, object]:
    """For the record of results."""
    return {
        "counts": outcome.verdict.counts,
        "faults": outcome.faults,
        "found": sum(outcome.verdict.found.values()) + len(outcome.findings),
        "summary": outcome.summary(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
