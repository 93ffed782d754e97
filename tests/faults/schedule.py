"""What is done to a cluster, and when: made from a seed, the same each time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TypeAlias

import msgspec

from tests.faults.control import POINTS, REFUSALS

EVERY = 3.0  # seconds between the beginnings of two faults, on average
ALL = "all"  # everything: nothing else is done meanwhile
ACTIVE = "the active worker"
ROLLING = 30.0  # seconds that are set aside for a rolling restart
HOUR = 3600.0
SPARED = 5 / 6  # of a soak, in which some of each kind are not killed


class Shape(msgspec.Struct, frozen=True):
    """What there is to be hurt, by name."""

    gateways: Sequence[str]
    brokers: Sequence[str]
    workers: Sequence[str]
    links: Sequence[str]

    @property
    def processes(self) -> list[str]:
        """Every process."""
        return [*self.gateways, *self.brokers, *self.workers]


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault: from `at` on, in seconds, for `lasts`."""

    at: float
    lasts: float
    what: str
    target: str
    how: str = ""  # the way of a link, the crash point, what the database refuses
    amount: float = 0.0  # seconds of a delay or a clock, share or number of messages

    @property
    def until(self) -> float:
        """When it is over."""
        return self.at + self.lasts

    def __str__(self) -> str:
        more = f" {self.how}" if self.how else ""
        more += f" {self.amount:g}" if self.amount else ""
        return f"{self.at:7.1f} s: {self.what}{more}, {self.target}, for {self.lasts:.1f} s"


Maker: TypeAlias = Callable[[Random, Shape, float], Step]


def _process(what: str, longest: float) -> Maker:
    def make(random: Random, shape: Shape, at: float) -> Step:
        kinds = [shape.gateways, shape.brokers, shape.workers, [ACTIVE]]
        target = random.choice(list(random.choice(kinds)))
        return Step(at, random.choice([0.1, 0.5, 2.0, longest]), what, target)

    return make


def _link(what: str, *, bus_only: bool = False) -> Maker:
    def make(random: Random, shape: Shape, at: float) -> Step:
        links = [link for link in shape.links if link.startswith("bus ") or not bus_only]
        how, amount = "", 0.0
        if what == "hold":
            how = random.choice(["in", "out", "both"])
        elif what == "delay":
            amount = random.choice([0.02, 0.1, 0.4])
        elif what == "lose":
            amount = random.choice([0.02, 0.1, 0.5])
        elif what == "lose_next":
            amount = float(random.choice([1, 2, 10]))
        lasts = random.choice([0.3, 1.0, 3.0, 6.0])
        return Step(at, lasts, what, random.choice(links), how, amount)

    return make


def _database(what: str) -> Maker:
    def make(random: Random, shape: Shape, at: float) -> Step:
        how = random.choice(REFUSALS) if what == "refuse" else ""
        amount = random.choice([0.05, 0.3, 1.0]) if what == "slow" else 0.0
        return Step(at, random.choice([0.5, 2.0, 4.0]), what, ACTIVE, how, amount)

    return make


def _crash(random: Random, shape: Shape, at: float) -> Step:
    point = random.choice(POINTS)
    return Step(at, random.choice([0.1, 1.0, 4.0]), "crash", ACTIVE, point, random.randrange(5))


def _clock(random: Random, shape: Shape, at: float) -> Step:
    target = random.choice([ACTIVE, *shape.gateways])
    return Step(at, random.choice([1.0, 5.0]), "clock", target, "", random.choice([HOUR, -HOUR]))


def _rolling(random: Random, shape: Shape, at: float) -> Step:
    return Step(at, ROLLING, "rolling", ALL)


# How often each is chosen, and how it is made.
MAKERS: dict[str, tuple[int, Maker]] = {
    "kill": (14, _process("kill", 5.0)),
    "freeze": (10, _process("freeze", 7.0)),
    "restart": (6, _process("restart", 1.0)),
    "cut": (8, _link("cut")),
    "hold": (8, _link("hold")),
    "delay": (5, _link("delay")),
    "lose": (8, _link("lose", bus_only=True)),
    "lose_next": (8, _link("lose_next", bus_only=True)),
    "crash": (14, _crash),
    "disk_full": (4, _database("disk_full")),
    "slow": (4, _database("slow")),
    "refuse": (5, _database("refuse")),
    "clock": (4, _clock),
    "rolling": (2, _rolling),
}


class Schedule(msgspec.Struct, frozen=True):
    """All steps of a run, in order."""

    seed: int
    seconds: float
    steps: list[Step]

    @classmethod
    def make(
        cls, seed: int, seconds: float, shape: Shape, kinds: Iterable[str] = MAKERS
    ) -> Schedule:
        """The schedule of a seed: it is over after `seconds`.

        Several faults may be there at once, but one target has one at a time.
        """
        random = Random(seed)
        names = [name for name in MAKERS if name in set(kinds)]
        weights = [MAKERS[name][0] for name in names]
        steps: list[Step] = []
        at = 0.0
        while True:
            at += random.expovariate(1 / EVERY)
            if at >= seconds:
                return cls(seed, seconds, steps)
            (name,) = random.choices(names, weights)
            step = MAKERS[name][1](random, shape, at)
            if step.until <= seconds and not any(_collide(step, other) for other in steps):
                steps.append(step)

    @classmethod
    def soak(cls, seed: int, seconds: float, shape: Shape, every: float = 60.0) -> Schedule:
        """One random kill every so many seconds, and nothing else.

        Growth shows in long lives only. So the workers, the first gateway and the first broker are
        spared for most of it, and the last of each for the rest.
        """
        random = Random(seed)
        spared = (
            {*shape.workers, shape.gateways[0], shape.brokers[0]},
            {shape.gateways[-1], shape.brokers[-1]},
        )
        steps = []
        for n in range(max(0, int(seconds / every - 0.5))):
            at = (n + 0.5) * every
            spare = spared[at >= SPARED * seconds]
            target = random.choice([name for name in shape.processes if name not in spare])
            steps.append(Step(at, 0.5, "kill", target))
        return cls(seed, seconds, steps)

    def as_json(self) -> str:
        """For a file beside the history."""
        return msgspec.json.format(msgspec.json.encode(self).decode())


def _collide(one: Step, other: Step) -> bool:
    if one.at >= other.until or other.at >= one.until:
        return False
    if ALL in (one.target, other.target):
        return True
    workers = [_is_worker(one.target), _is_worker(other.target)]
    return one.target == other.target or (all(workers) and ACTIVE in (one.target, other.target))


def _is_worker(target: str) -> bool:
    return target == ACTIVE or target.startswith("worker")
