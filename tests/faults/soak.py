"""Whether processes grow while they are used: slopes of what they weigh, over all their lives.

During a soak every process is killed now and then, so no single life is long. What is asked is
whether they grow *while they live*: for each kind of process one slope is fitted to all lives
together, each life with a level of its own (the "within" estimator of panel data). A process that
is started anew and small again thus says nothing; and what a young process gathers until its caches
are full is left out (`warm_up`).

The clients of a killed gateway come over to those that live, so the longer one lives the more it
has, and each weighs something. What a client weighs is estimated in the same fit and taken out
(Frisch and Waugh, Econometrica 1(4), 1933): what is left is growth with as many clients.

Readings of one process resemble their neighbours, so the usual error of a slope would promise too
much. It is widened in two ways, and the larger is used: by the correlation of neighbouring
residuals (as for a first-order autoregression), and by how far the lives differ from each other
(the cluster-robust error, each life a cluster).
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from tests.faults.gauges import Gauge

MIB = 1024 * 1024
HOUR = 3600.0  # seconds
WARM_UP = 900.0  # seconds: caches fill by use
# The kernel's memory is what was needed at the worst moment, and in the worst places between what
# stays: that is reached later.
WARM_UP_OF_MEMORY = 2400.0
LEAST_SAMPLES = 30  # of one kind, after the warm-up
LEAST_LIVES = 3  # for the differences between them to mean something
LEAST_SECONDS = 300.0  # of life seen, after the warm-up, over all of a kind
EXPLAINED = 1e-9  # share of time that clients may leave unexplained, and no slope is told
MOST_LIKENESS = 0.98  # of neighbouring residuals, that the error is widened for
SURE = 2.0  # errors of a slope: about 97 of 100, to one side


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What one process weighs at one moment. None: not measured."""

    at: float  # seconds, of one clock for all samples
    age: float  # seconds since the process began
    kind: str  # worker, gateway, broker
    incarnation: str  # one life of one process
    memory: int  # bytes, resident
    held: int  # bytes, about, that it has asked for and not given back
    descriptors: int  # open, besides the connections of clients
    threads: int
    tasks: int | None = None  # of asyncio
    connections: int = 0  # of clients


def of_gauges(name: str, gauges: Sequence[Gauge]) -> list[Sample]:
    """What the lives of one process (`worker-1`) have noted themselves; its age from the first."""
    began: dict[int, float] = {}
    return [
        Sample(
            at=one.at,
            age=one.at - began.setdefault(one.pid, one.at),
            kind=name.partition("-")[0],
            incarnation=f"{name}/{one.pid}",
            memory=one.memory,
            held=one.held,
            descriptors=one.descriptors,
            threads=one.threads,
            tasks=one.tasks,
            connections=one.connections,
        )
        for one in gauges
    ]


# --- slopes -----------------------------------------------------------------------------------


class Slope(NamedTuple):
    """How much something grows in an hour, with its standard error. `seconds`: of life seen."""

    per_hour: float
    error: float
    samples: int
    lives: int
    seconds: float

    @property
    def is_thin(self) -> bool:
        """Too little was seen to say anything."""
        enough = self.samples >= LEAST_SAMPLES and self.seconds >= LEAST_SECONDS
        return not enough or math.isnan(self.per_hour)


Moment: TypeAlias = tuple[float, float, float]  # seconds, value, clients
Point: TypeAlias = tuple[float, float]  # seconds, value; from their means


def pooled_slope(lives: Iterable[Sequence[Moment]]) -> Slope:
    """One slope common to all lives, a level for each. NaN of what has no two moments."""
    long_enough = [life for life in lives if len({at for at, _, _ in life}) > 1]
    samples = sum(map(len, long_enough))
    seconds = sum(max(life)[0] - min(life)[0] for life in long_enough)
    centred = _without_clients([_centred(life) for life in long_enough])
    spread = sum(x * x for life in centred for x, _ in life)
    if spread <= EXPLAINED * sum(x * x for life in long_enough for x, _, _ in _centred(life)):
        return Slope(math.nan, math.nan, samples, len(centred), seconds)
    slope = sum(x * y for life in centred for x, y in life) / spread
    left = [[(x, y - slope * x) for x, y in life] for life in centred]
    error = max(_error_of_likeness(left, spread), _error_of_lives(left, spread))
    return Slope(slope * HOUR, error * HOUR, samples, len(centred), seconds)


def _centred(life: Sequence[Moment]) -> list[Moment]:
    ordered = sorted(life)
    x_mean, y_mean, z_mean = (sum(each) / len(ordered) for each in zip(*ordered, strict=True))
    return [(x - x_mean, y - y_mean, z - z_mean) for x, y, z in ordered]


def _without_clients(lives: list[list[Moment]]) -> list[list[Point]]:
    """What of time and value the number of clients does not tell."""
    moments = [moment for life in lives for moment in life]
    weight = sum(z * z for _, _, z in moments) or 1.0
    of_x = sum(x * z for x, _, z in moments) / weight
    of_y = sum(y * z for _, y, z in moments) / weight
    return [[(x - of_x * z, y - of_y * z) for x, y, z in life] for life in lives]


def _error_of_likeness(left: list[list[Point]], spread: float) -> float:
    """The usual error, widened as if there were fewer samples the more neighbours are alike."""
    squares = sum(e * e for life in left for _, e in life)
    free = sum(map(len, left)) - len(left) - 2
    if free <= 0:
        return math.inf
    if not squares:
        return 0.0
    alike = sum(a * b for life in left for (_, a), (_, b) in itertools.pairwise(life))
    likeness = min(max(alike / squares, 0.0), MOST_LIKENESS)
    return math.sqrt(squares / free / spread * (1 + likeness) / (1 - likeness))


def _error_of_lives(left: list[list[Point]], spread: float) -> float:
    """How far the slope would be another one if other lives had been seen."""
    if len(left) < LEAST_LIVES:
        return 0.0  # each pulls exactly against the others
    pulls = [sum(x * e for x, e in life) for life in left]
    return math.sqrt(len(left) / (len(left) - 1) * sum(pull * pull for pull in pulls)) / spread


# --- the verdict ------------------------------------------------------------------------------


class Measure(NamedTuple):
    """Something that must not grow by `limit` an hour."""

    name: str
    unit: str
    limit: float
    value: Callable[[Sample], float | None]
    warm_up: float = WARM_UP  # seconds of each life that are left out
    window: float = 0.0  # seconds: the least of each counts, since buffers fill and empty in it


# What leaks with every fault, at a fault a minute, grows by 60 an hour in all processes of a kind
# that notice it; a few connections more or fewer do not.
MEASURES = (
    Measure("memory", "MiB", 1.0, lambda one: one.memory / MIB, WARM_UP_OF_MEMORY),
    Measure(
        "memory held", "MiB", 1.0, lambda one: one.held / MIB if one.held else None, window=60.0
    ),
    Measure("descriptors", "descriptors", 12.0, lambda one: one.descriptors),
    Measure("tasks", "tasks", 12.0, lambda one: one.tasks),
)


class Growth(NamedTuple):
    """What is said of one measure of one kind of process. `says`: ok, growing, or unclear."""

    kind: str
    measure: Measure
    slope: Slope

    @property
    def says(self) -> str:
        """Growing when even the lower bound is above the limit; ok when the upper is below it."""
        if self.slope.is_thin:
            return "unclear"
        margin = SURE * self.slope.error
        if self.slope.per_hour - margin > self.measure.limit:
            return "growing"
        return "ok" if self.slope.per_hour + margin < self.measure.limit else "unclear"

    def __str__(self) -> str:
        slope, measure = self.slope, self.measure
        seen = f"{slope.samples:,} samples of {slope.lives} lives, {slope.seconds / 60:.0f} minutes"
        if slope.is_thin:
            return f"{self.kind} {measure.name}: too little was seen to tell ({seen})"
        return (
            f"{self.kind} {measure.name}: {self.says}, {slope.per_hour:+.2f} ± {slope.error:.2f}"
            f" {measure.unit} an hour; the limit is {measure.limit:g} ({seen})"
        )


def growths(samples: Iterable[Sample], *, warm_up: float | None = None) -> list[Growth]:
    """What can be said of every measure of every kind of process, in the order of the kinds.

    Samples of the first `warm_up` seconds of a life are left out (None: as each measure has it); a
    measure that was not taken is, too.
    """
    kinds: dict[str, list[Sample]] = defaultdict(list)
    for one in samples:
        kinds[one.kind].append(one)
    found = []
    for kind in sorted(kinds):
        for measure in MEASURES:
            if any(measure.value(one) is not None for one in kinds[kind]):
                young = measure.warm_up if warm_up is None else warm_up
                lives = _lives(kinds[kind], measure, young)
                found.append(Growth(kind, measure, pooled_slope(lives)))
    return found


def _lives(samples: Iterable[Sample], measure: Measure, warm_up: float) -> list[list[Moment]]:
    lives: dict[str, dict[float, Moment]] = defaultdict(dict)
    for one in samples:
        value = measure.value(one)
        if value is None or one.age < warm_up:
            continue
        life = lives[one.incarnation]
        window = one.age // measure.window if measure.window else one.age
        if window not in life or value < life[window][1]:
            life[window] = one.at, value, one.connections
    return [list(life.values()) for life in lives.values()]
