"""One run: a seed, and what became of it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import NamedTuple

from tests.faults.checker import check
from tests.faults.history import AnyRecord, Phase
from tests.simulation import afterwards
from tests.simulation.cluster import Cluster
from tests.simulation.device import Device
from tests.simulation.disk import MEMBERS, Disk
from tests.simulation.faults import Faults
from tests.simulation.program import Program
from tests.simulation.sealed import sealed
from tests.simulation.shape import Shape, shape_of
from tests.simulation.world import World

# Seconds after all faults. The slowest of thousands of runs took three; a gateway that forgets to
# ask again answers `unknown` after eight, or never.
HEAL_WITHIN = 5.0


class Outcome(NamedTuple):
    """What a run has shown.

    Attributes:
        findings: what was not exact, each with its kind and a sentence; those of the checker, and
            of what the history has no records for.
        records: the history.
        counts: how often what happened; faults by "fault: KIND".
        seconds: simulated.
    """

    seed: int
    shape: Shape
    findings: list[tuple[str, str]]
    records: list[AnyRecord]
    counts: Counter[str]
    seconds: float


def run(seed: int, disk: Disk, *, verbose: bool = False, newest: bool = False) -> Outcome:
    """Run one seed.

    Args:
        disk: is formatted first.
        verbose: print what happens.
        newest: clients take the newest number for their cursor (a mistake, to see it found).
    """
    world = World(seed)
    world.verbose = verbose
    with sealed(world, seed):
        return _run(seed, world, disk, newest=newest)


def _run(seed: int, world: World, disk: Disk, *, newest: bool) -> Outcome:
    records: list[AnyRecord] = []
    findings: list[tuple[str, str]] = []
    shape = shape_of(world.random)
    world.tell(str(shape))
    note = records.append
    ids = itertools.count(1)
    acknowledged: dict[str, int] = {}

    def new_id() -> bytes:
        return next(ids).to_bytes(16)

    def find(kind: str, room: str, text: str) -> None:
        findings.append((kind, f"{room}: {text}" if room else text))
        world.tell(f"FOUND {kind} {room} {text}")

    disk.format()
    cluster = Cluster(world, shape.settings, disk, shape.gateways)
    members = MEMBERS[: shape.accounts]
    wanted = [
        (f"{member.name}.{number}", member.name, token)
        for member in members
        for number, token in enumerate(member.tokens[: shape.devices])
    ]
    wanted += [(f"guest{number}", f"guest{number}", "") for number in range(shape.guests)]
    devices = [
        Device(
            name,
            person,
            cluster,
            token=token,
            note=note,
            find=find,
            acknowledged=acknowledged,
            new_id=new_id,
            newest=newest,
        )
        for name, person, token in wanted
    ]
    Program(world, shape, members, devices, new_id)
    faults = Faults(cluster, shape, devices, note)
    note(Phase(0.0, "faults"))
    world.run(shape.seconds + 0.5)
    faults.end()
    note(Phase(world.now, "healing"))
    world.tell("HEALING")
    stuck = afterwards.settle(world, cluster, devices)
    if stuck:
        find("late", "", stuck)
    else:
        afterwards.compare(world.now, cluster, devices, note)
    note(Phase(world.now, "settled"))
    if cluster.worker is not None:
        cluster.worker.kill()
    disk.heal()
    afterwards.read_cold(world.now, disk, note)
    verdict = check(records, heal_within=HEAL_WITHIN)
    findings += [(each.kind, f"{each.room}: {each.text}") for each in verdict.findings]
    findings += [("error", text) for text in world.errors]
    return Outcome(seed, shape, findings, records, world.counts, world.now)
