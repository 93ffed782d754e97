"""What an input costs: the processor's time, and memory that is not given back."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Sequence

LIMIT = 0.05  # seconds of processor time that one input may take
AGAIN = 3  # measurements; the least of them counts, since a neighbour can only add to it
GROWTH = 64 * 1024  # bytes that a round of inputs may leave behind
ROUNDS = 4  # of the same number of inputs; the first warms the caches up


def seconds(work: Callable[[], object]) -> float:
    """The processor time that this thread needs for it, whatever else runs; errors are let go."""
    began = time.thread_time()
    try:
        work()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
    return time.thread_time() - began


def least(cost: Callable[[], float], limit: float = LIMIT) -> float:
    """The least of AGAIN measurements; the first that is within the limit ends it."""
    found = cost()
    for _ in range(AGAIN - 1):
        if found <= limit:
            break
        found = min(found, cost())
    return found


def growth(work: Callable[[bytes], object], rounds: Sequence[Sequence[bytes]]) -> int:
    """Bytes that each round after the first left behind at least: of a leak, in all of them.

    Caches that fill up grow in some rounds, not in each.
    """
    left = []
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for inputs in rounds:
            for data in inputs:
                seconds(lambda given=data: work(given))  # type: ignore[misc]
            gc.collect()
            now = tracemalloc.get_traced_memory()[0]
            left.append(now - before)
            before = now
    finally:
        tracemalloc.stop()
    return min(left[1:])


def held(work: Callable[[bytes], object], inputs: Sequence[bytes]) -> int:
    """Bytes that one parser holds at most, fed with all of these."""
    most = 0
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for data in inputs:
            seconds(lambda given=data: work(given))  # type: ignore[misc]
            most = max(most, tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    return most
