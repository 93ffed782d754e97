"""A run is recorded, cut at many moments, and what is left each time is judged."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.power import moments, recording
from tests.power.crash import Cut, Disk, Loss
from tests.power.promises import faults_of_data
from tests.power.recording import Recording
from tests.power.talk import SETTINGS, Run, Talk
from tests.support import Cluster

MEMORY = Path("/dev/shm")  # hundreds of copies of a database are not worth a disk
ENOUGH = 512 * 1024 * 1024  # bytes of it
SHOWN = 20  # broken cuts in a summary
INDEX = "-shm"  # of a database's log: SQLite makes it anew after a cut


class Recorded(NamedTuple):
    """One run."""

    recording: Recording
    talk: Talk
    found: dict[str, bytes]  # what its directory held in the end
    troubles: list[str]  # what no process may write


class Verdict(NamedTuple):
    """What the cuts have shown."""

    cuts: Counter[str]  # how many of each kind
    promises: int  # looked for, in all cuts together
    faults: list[tuple[Cut, list[str]]]  # cuts that broke promises


async def record(seed: int) -> Recorded:
    """Run a cluster, and record its workers.

    Raises:
        FileNotFoundError: there is no C compiler.
        RecordingError: something was done that the recorder does not understand.
    """
    into = Path(tempfile.mkdtemp(prefix="power-"))
    cluster = Cluster(brokers=1, gateways=1, workers=2, **SETTINGS)
    try:
        library = recording.build(into)
        for worker in cluster.workers:
            worker.environ.update(recording.environment(library, cluster.data, into))
        await cluster.start()
        talk = await Run(cluster, seed).whole()
        found = {path.name: path.read_bytes() for path in cluster.data.iterdir() if path.is_file()}
        return Recorded(recording.read(into), talk, found, cluster.troubles())
    finally:
        cluster.kill()
        cluster.remove()
        shutil.rmtree(into)


def unlike(run: Recorded) -> list[str]:
    """Files that are not as they would be if what was recorded were all that was done to them."""
    last = max(act.ended for act in run.recording.acts)
    played = Disk(run.recording).after(Cut(last, Loss.NONE, Loss.NONE, 0, "the end"))
    names = {*run.recording.names.values(), *played}
    there = {name: data for name, data in run.found.items() if name in names}
    return [
        f"{name} is not as recorded"
        for name in sorted({*played, *there})
        if not name.endswith(INDEX) and there.get(name) != played.get(name)
    ]


def try_cuts(
    run: Recording,
    talk: Talk,
    cuts: Iterable[Cut],
    *,
    honours_sync: bool = True,
    keep: Path | None = None,
) -> Verdict:
    """Cut the power at each of the moments, which are in the order of time.

    Args:
        keep: where to leave what broke a promise, as the disk held it, in directories named by the
            seeds of the cuts.
    """
    disk = Disk(run, honours_sync=honours_sync)
    verdict = Verdict(Counter(), 0, [])
    for cut in cuts:
        with new_room() as data:
            write(disk.after(cut), data)
            faults = faults_of_data(data, talk, cut.at)
        verdict.cuts[cut.why] += 1
        made = sum(promise.at <= cut.at for promise in talk.promises)
        verdict = verdict._replace(promises=verdict.promises + made)
        if faults:
            verdict.faults.append((cut, faults))
            if keep is not None:
                (keep / str(cut.seed)).mkdir(parents=True)
                write(disk.after(cut), keep / str(cut.seed))
    return verdict


def write(files: Mapping[str, bytes | bytearray], data: Path) -> None:
    """Make a directory of what a disk holds."""
    for name, content in files.items():
        if not name.endswith(INDEX):
            (data / name).write_bytes(content)


@contextlib.contextmanager
def new_room() -> Iterator[Path]:
    """A directory for one copy, in memory where there is some."""
    enough = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH
    with tempfile.TemporaryDirectory(prefix="cut-", dir=MEMORY if enough else None) as name:
        yield Path(name)


def summary(run: Recorded, verdict: Verdict) -> list[str]:
    """The verdict in lines."""
    counts = Counter(type(act).__name__.lower() for act in run.recording.acts)
    commits, checkpoints = moments.commits(run.recording), moments.checkpoints(run.recording)
    done = f"{counts['write']} writes, {counts['sync']} syncs, {counts['name']} names"
    lines = [
        f"recorded: {done}, {len(commits)} commits, {len(checkpoints)} checkpoints",
        f"answered: {len(run.talk.promises)} requests",
        "cuts: " + ", ".join(f"{count} {why}" for why, count in sorted(verdict.cuts.items())),
        f"promises looked for: {verdict.promises}",
        f"cuts that broke one: {len(verdict.faults)} of {verdict.cuts.total()}",
    ]
    for cut, faults in verdict.faults[:SHOWN]:
        lines.append(f"{cut.why}, at {cut.at:.6f}, {cut.loss.name}/{cut.names.name}, {cut.seed}:")
        lines += [f"    {fault}" for fault in faults[:5]]
    return lines
