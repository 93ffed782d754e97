"""Coverage-guided fuzzing: an input that reaches what no other did is changed further.

Of the kept libraries that do this for Python only atheris runs on 3.11 to 3.14, and it has wheels
for x86-64 alone; elsewhere it wants clang and libFuzzer's sources. What it would bring, feedback
from within C code, is not had without building msgspec and msgpack with it, too. So this is our
own: some pages, on every interpreter and machine that the tests run on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import time
import traceback
from collections.abc import Callable, Hashable, Iterator
from random import Random
from types import TracebackType

from tests.fuzz import coverage, measure
from tests.fuzz.coverage import Line
from tests.fuzz.target import Target

LARGE_EVERY = 16  # inputs, of which one is long
WALL = 4.0  # times the processor time that a run may take by the clock on the wall
MEMORY = 0.2  # of a run's time is for looking at memory
ROUND = 300  # inputs of a round in which memory is looked at, at most
ENDLESS = 4 * 1024 * 1024  # bytes that one parser is fed with
FAILURES = 5  # different ones, then it is enough
MOST_KEPT = 30  # inputs that one run adds to the corpus
SHRINKING = 300  # runs for making an input smaller


@dataclasses.dataclass
class Failure:
    """An input that broke a rule. `kind`: error, slow, leak or holds."""

    kind: str
    text: str
    data: bytes = b""
    where: Hashable = None  # two with the same are one


@dataclasses.dataclass
class Result:
    """What a run of one target came to."""

    target: str
    inputs: int = 0
    seconds: float = 0.0  # of processor time, for the inputs alone
    corpus: int = 0  # inputs to begin with
    new: list[bytes] = dataclasses.field(default_factory=list)  # reached what those did not
    slowest: float = 0.0  # seconds
    growth: int = 0  # bytes that a round of inputs left behind
    held: int = 0  # bytes that one parser held
    failures: list[Failure] = dataclasses.field(default_factory=list)

    def as_data(self) -> dict[str, object]:
        """For the record of results."""
        return {
            "inputs": self.inputs,
            "corpus": self.corpus,
            "slowest_ms": round(self.slowest * 1000, 2),
            "found": len(self.failures),
        }

    def line(self) -> str:
        """All of it in one line."""
        rate = self.inputs / self.seconds if self.seconds else 0.0
        verdict = "; ".join(sorted({failure.kind for failure in self.failures})) or "ok"
        return (
            f"{self.target:<15} {self.inputs:>8,} inputs {rate:>7,.0f}/s"
            f"  corpus {self.corpus:>3} +{len(self.new):<4} slowest {self.slowest * 1e3:6.2f} ms"
            f"  growth {self.growth:>7,} B  held {self.held / 1024:>6,.0f} KiB  {verdict}"
        )


class Fuzzer:
    """Runs one target.

    Args:
        begin: inputs known to be worth something; the target's own are added.
        seed: decides everything but how far a run comes in its time.
    """

    def __init__(self, target: Target, begin: list[bytes], seed: int = 1) -> None:
        self.target = target
        self.result = Result(target.name)
        self.pool = list(dict.fromkeys([*begin, *target.seeds()])) or [b""]
        self.result.corpus = len(self.pool)
        self._random = Random(f"{seed} {target.name}")
        self._outcomes: set[Hashable] = set()
        self._coverage = coverage.of(target.modules)
        self._large: list[bytes] = []  # some long ones, for the look at memory

    def run(self, *, seconds: float = 0.0, inputs: int = 0) -> Result:
        """Fuzz for some seconds of processor time, or a number of inputs; then look at memory."""
        clock = _Clock(seconds * (1 - MEMORY), inputs)
        gc.collect()
        gc.freeze()  # of what is there already nothing need be looked at again
        try:
            for data in self.pool.copy():
                self._try(data)
            while not clock.is_over(self.result.inputs) and not self._enough():
                self._step()
            self.result.seconds = clock.spent()
            if self.result.slowest <= measure.LIMIT:  # else it would take for ever
                self._look_at_memory(seconds * MEMORY if seconds else 1.0)
        finally:
            self._coverage.close()
            gc.unfreeze()
        return self.result

    def replay(self) -> Result:
        """Run what there is, and nothing else."""
        try:
            for data in self.pool:
                self._try(data)
        finally:
            self._coverage.close()
        return self.result

    def _enough(self) -> bool:
        return len(self.result.failures) >= FAILURES

    # --- one input -----------------------------------------------------------------------------

    def _step(self) -> None:
        random = self._random
        # The newest are changed most: what they reached is not looked at yet.
        newest = random.randrange(len(self.pool)) if random.randrange(2) else -1
        data = self.pool[max(newest, random.randrange(len(self.pool)))]
        mutator = random.choice(self.target.mutators)
        if self.result.inputs % LARGE_EVERY == 0:
            self._try_large(mutator.swell(random, data, self._length())[: self.target.most])
            return
        made = mutator.change(random, data, random.choice(self.pool))[: self.target.most]
        if self._try(made):
            self.pool.append(made)
            self.result.new.append(made)

    def _length(self) -> int:
        """Mostly as long as may be; some that are shorter, for what gives up early."""
        return self.target.most >> self._random.choice((0, 0, 0, 1, 3, 6))

    def _try(self, data: bytes) -> bool:
        """Run an input; whether it reached anything new."""
        self.result.inputs += 1
        self._coverage.begin()
        began = time.thread_time()
        outcome, error = self._outcome(data)
        took = time.thread_time() - began
        lines = self._coverage.end()
        self._judge(data, error, took)
        if error is not None:
            return False
        fresh = outcome not in self._outcomes
        self._outcomes.add(outcome)
        return fresh or bool(lines)

    def _try_large(self, data: bytes) -> None:
        self.result.inputs += 1
        if len(self._large) < ROUND // 10:
            self._large.append(data)
        error: BaseException | None = None
        began = time.thread_time()
        try:
            self.target.parse(data)
        except BaseException as raised:
            error = raised
        self._judge(data, error, time.thread_time() - began)

    def _outcome(self, data: bytes) -> tuple[Hashable, BaseException | None]:
        try:
            return self.target.run(data), None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return None, error

    def _judge(self, data: bytes, error: BaseException | None, took: float) -> None:
        """Note a failure. `took` was measured while lines were counted: only a hint."""
        if isinstance(error, KeyboardInterrupt):
            raise error
        if error is not None:
            self._fail(Failure("error", _told(error), data, place(error)))
        elif took > self.result.slowest:
            least = measure.least(lambda: self.target.cost(data))
            self.result.slowest = max(self.result.slowest, least)
            if least > measure.LIMIT:
                text = f"{least * 1e3:.0f} ms of processor time for {len(data):,} bytes"
                self._fail(Failure("slow", text, data, "slow"))

    def _fail(self, failure: Failure) -> None:
        known = {(one.kind, one.where) for one in self.result.failures}
        if (failure.kind, failure.where) in known:
            return
        if failure.kind == "error":
            failure.data = shrunk(failure.data, lambda data: self._fails_alike(failure, data))
        self.result.failures.append(failure)

    def _fails_alike(self, failure: Failure, data: bytes) -> bool:
        _, error = self._outcome(data)
        return error is not None and place(error) == failure.where

    # --- memory --------------------------------------------------------------------------------

    def _look_at_memory(self, seconds: float) -> None:
        count = self._affordable(seconds / (2 * measure.ROUNDS))
        rounds = [[self._any_input() for _ in range(count)] for _ in range(measure.ROUNDS)]
        work = self.target.parse
        self.result.growth = measure.growth(work, rounds)
        if self.result.growth > measure.GROWTH:
            text = f"{self.result.growth:,} bytes are left of every {count} inputs"
            self._fail(Failure("leak", text, b"".join(rounds[-1][:1])))
        feed = self.target.feeder()
        if feed is None:
            return
        inputs: list[bytes] = []
        size = 0
        while size < ENDLESS and len(inputs) < count * measure.ROUNDS:
            inputs.append(self._any_input())
            size += len(inputs[-1])
        self.result.held = measure.held(feed, inputs)
        if self.result.held > self.target.bound:
            text = f"one parser held {self.result.held:,} bytes of {size:,}"
            self._fail(Failure("holds", text, inputs[-1]))

    def _affordable(self, seconds: float) -> int:
        """How many inputs make a round of so many seconds."""
        sample = [self._any_input() for _ in range(20)]
        took = sum(measure.seconds(lambda given=data: self.target.parse(given)) for data in sample)  # type: ignore[misc]
        # Noting every allocation makes it some three times slower.
        return max(20, min(ROUND, int(seconds / max(3 * took / len(sample), 1e-6))))

    def _any_input(self) -> bytes:
        random = self._random
        if self._large and random.randrange(10) == 0:
            return random.choice(self._large)
        mutator = random.choice(self.target.mutators)
        data, other = random.choice(self.pool), random.choice(self.pool)
        return mutator.change(random, data, other)[: self.target.most]


class _Clock:
    """When a run is over: by processor time, or by the number of inputs."""

    def __init__(self, seconds: float, inputs: int) -> None:
        self._seconds = seconds
        self._inputs = inputs
        self._began = time.thread_time()
        self._wall = time.monotonic() + WALL * seconds

    def spent(self) -> float:
        return time.thread_time() - self._began

    def is_over(self, inputs: int) -> bool:
        if self._inputs:
            return inputs >= self._inputs
        return self.spent() >= self._seconds or time.monotonic() >= self._wall


# --- smaller inputs -------------------------------------------------------------------------------


def shrunk(data: bytes, holds: Callable[[bytes], bool], runs: int = SHRINKING) -> bytes:
    """The smallest input found in some runs for which it still holds."""
    size = max(1, len(data) // 2)
    while True:
        at, before = 0, len(data)
        while at < len(data) and runs > 0:
            shorter = data[:at] + data[at + size :]
            runs -= 1
            if holds(shorter):
                data = shorter
            else:
                at += size
        if runs <= 0 or (size == 1 and len(data) == before):
            return data
        size = max(1, size // 2)


def minimal(target: Target, inputs: list[bytes], known: list[bytes]) -> list[bytes]:
    """Of `inputs` those that reach what `known` and the ones before do not, made smaller.

    Those that reach lines come first: outcomes are many.
    """
    kept: list[bytes] = []
    reached = _Reached(target)
    for data in known:
        reached.take(data)
    for of in (reached.lines_of, reached.of):
        for data in sorted(inputs, key=len):
            new = of(data) - reached.all
            if new:
                kept.append(shrunk(data, lambda less, of=of, new=new: new <= of(less), 100))  # type: ignore[misc]
                reached.take(kept[-1])
            if len(kept) >= MOST_KEPT:
                return kept
    return kept


class _Reached:
    """What inputs reach: lines and outcomes, of each input all."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.all: set[Hashable] = set()

    def of(self, data: bytes) -> set[Hashable]:
        seen = coverage.of(self._target.modules)
        outcome: Hashable = None
        try:
            seen.begin()
            with contextlib.suppress(Exception, SystemExit):
                outcome = self._target.run(data)
            lines: set[Line] = seen.end()
        finally:
            seen.close()
        return {*lines, ("outcome", outcome)}

    def lines_of(self, data: bytes) -> set[Hashable]:
        return {one for one in self.of(data) if one[0] != "outcome"}  # type: ignore[index]

    def take(self, data: bytes) -> None:
        self.all |= self.of(data)


# --- errors ---------------------------------------------------------------------------------------


def place(error: BaseException) -> Hashable:
    """What tells two errors apart: the kind, and the innermost line in Python."""
    last = None
    for frame, line in _walk(error.__traceback__):
        last = (frame, line)
    return type(error).__name__, last if not isinstance(error, RecursionError) else None


def _walk(trace: TracebackType | None) -> Iterator[Line]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


def _told(error: BaseException) -> str:
    lines = traceback.format_exception(error)
    return "".join(lines if len(lines) < 10 else [lines[0], *lines[-8:]]).rstrip()
