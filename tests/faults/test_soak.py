"""The statistics of the soak: what leaks is caught, and what does not is not suspected."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given, strategies as st

from tests.faults.gauges import Gauge, held_here
from tests.faults.soak import (
    LEAST_SECONDS,
    MIB,
    Growth,
    Sample,
    growths,
    of_gauges,
    pooled_slope,
)

EVERY = 5.0  # seconds between samples
WARM_UP = 120.0  # here, where lives are short


def lives(
    *,
    count: int = 8,
    seconds: float = 900,
    leak: float = 0.0,
    noise: float = 0.2,
    likeness: float = 0.0,
    start: float = 0.0,
    seed: int = 1,
) -> list[Sample]:
    """Samples of processes, one life after the other.

    Args:
        leak: MiB an hour.
        noise, likeness: of the readings: MiB, and how much each resembles the one before.
        start: MiB that each gathers in its first 60 seconds.
    """
    random = Random(seed)
    found = []
    for number in range(count):
        wander = 0.0
        level = 40 + random.random() * 20  # they do not begin alike
        for step in range(int(seconds / EVERY)):
            age = step * EVERY
            wander = likeness * wander + (1 - likeness**2) ** 0.5 * random.gauss(0, noise)
            weight = level + start * min(age / 60, 1) + leak * age / 3600 + wander
            found.append(_sample(number, number * seconds + age, age, round(weight * MIB)))
    return found


def _sample(
    number: int, at: float, age: float, weight: int, descriptors: int = 30, connections: int = 0
) -> Sample:
    name = f"worker-1/{number}"
    return Sample(
        at=at,
        age=age,
        kind="worker",
        incarnation=name,
        memory=weight,
        held=0,
        descriptors=descriptors,
        threads=3,
        connections=connections,
    )


def memory(samples: list[Sample]) -> Growth:
    return next(one for one in growths(samples, warm_up=WARM_UP) if one.measure.name == "memory")


# --- what is said -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_is_caught_and_its_size_is_right(seed: int) -> None:
    """6 MiB an hour are 1.5 in a life of a quarter of an hour, less than lives differ."""
    growth = memory(lives(leak=6, seed=seed))
    assert growth.says == "growing"
    assert abs(growth.slope.per_hour - 6) < 3 * growth.slope.error
    assert growth.slope.error < 1


@pytest.mark.parametrize("seed", range(5))
def test_what_does_not_leak_is_not_suspected(seed: int) -> None:
    growth = memory(lives(count=16, noise=0.1, seed=seed))
    assert growth.says == "ok"
    assert abs(growth.slope.per_hour) < 0.5


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_what_wanders_is_seldom_suspected(count: int) -> None:
    """Caches and arenas go up and down slowly; by the usual error a third of these would leak."""
    wandering = [lives(count=count, likeness=0.97, noise=0.5, seed=seed) for seed in range(50)]
    assert sum(memory(samples).says == "growing" for samples in wandering) <= 4


def test_a_leak_is_caught_in_a_single_long_life() -> None:
    growth = memory(lives(count=1, seconds=3600, leak=4))
    assert growth.says == "growing"
    assert growth.slope.per_hour == pytest.approx(4, abs=0.5)


def test_lives_that_differ_are_not_suspected_for_one_or_two_of_them() -> None:
    """Some grow by chance of what was asked of them, some shrink; on average none does."""
    suspected = 0
    for seed in range(40):
        random = Random(seed)
        samples = []
        for number in range(8):
            alone = lives(count=1, leak=random.gauss(0, 6), noise=1, seed=100 * seed + number)
            samples += [
                msgspec.structs.replace(one, incarnation=f"worker-1/{number}") for one in alone
            ]
        suspected += memory(samples).says == "growing"
    assert suspected <= 3


def test_a_restart_is_not_taken_for_shrinking() -> None:
    """Each life leaks and the next begins small again: over all of them nothing grows."""
    leaking = lives(leak=8, noise=0.05)
    mean = [sum(one.memory for one in leaking if one.at // 900 == n) for n in (0, 7)]
    assert abs(mean[1] - mean[0]) / mean[0] < 0.5
    growth = memory(leaking)
    assert growth.says == "growing"
    assert growth.slope.per_hour == pytest.approx(8, abs=0.5)


def test_a_smaller_successor_hides_no_leak() -> None:
    """Every life is 5 MiB lighter than the one before."""
    found = []
    for number in range(6):
        for step in range(150):
            age = 120 + step * EVERY
            weight = round((60 - 5 * number + 4 * age / 3600) * MIB)
            found.append(_sample(number, number * 900 + age, age, weight))
    assert memory(found).says == "growing"
    assert memory(found).slope.per_hour == pytest.approx(4, abs=0.01)


def test_a_heavier_successor_is_no_leak() -> None:
    found = [
        _sample(number, number * 900 + step * EVERY, 120 + step * EVERY, (40 + 5 * number) * MIB)
        for number in range(6)
        for step in range(150)
    ]
    assert memory(found).says == "ok"
    assert memory(found).slope.per_hour == pytest.approx(0, abs=1e-6)


def test_what_a_young_process_gathers_is_left_out() -> None:
    young = lives(start=10, noise=0.05)
    assert memory(young).says == "ok"
    early = next(one for one in growths(young, warm_up=0) if one.measure.name == "memory")
    assert early.slope.per_hour > 5


@pytest.mark.parametrize(
    "samples",
    [
        lives(count=1, seconds=120 + LEAST_SECONDS - EVERY, leak=50),
        lives(count=3, leak=50)[::40],  # a dozen samples in half an hour
        lives(count=8, seconds=140, leak=50),  # 20 seconds each after the warm-up
        lives(count=8, seconds=100, leak=50),  # nothing after it
        lives(count=40, seconds=121 + EVERY, leak=50),  # one moment each
    ],
)
def test_from_too_little_nothing_is_concluded(samples: list[Sample]) -> None:
    growth = memory(samples)
    assert growth.says == "unclear"
    assert "too little was seen to tell" in str(growth)


def test_what_may_or_may_not_be_a_leak_is_called_unclear() -> None:
    growth = memory(lives(leak=1, count=4, noise=1.0))
    assert growth.says == "unclear"
    assert str(growth).startswith("worker memory: unclear, ")


def test_one_life_that_grows_among_many_that_do_not_is_not_the_rule_of_all() -> None:
    """It widens the error: other lives might have had none such."""
    steady = lives(count=10, noise=0.05)
    sick = [
        _sample(99, one.at, one.age, round((40 + 40 * one.age / 3600) * MIB))
        for one in lives(count=1)
    ]
    growth = memory(steady + sick)
    assert growth.slope.error > 10 * memory(steady).slope.error
    assert growth.says == "unclear"


def test_descriptors_that_are_left_open_are_caught() -> None:
    """One with every fault, a fault a minute."""
    leaking = [
        _sample(number, number * 900 + age, age, 40 * MIB, descriptors=30 + int(age / 60))
        for number in range(5)
        for age in range(0, 900, 5)
    ]
    says = {one.measure.name: one.says for one in growths(leaking, warm_up=WARM_UP)}
    assert says == {"memory": "ok", "descriptors": "growing"}


def test_people_who_come_and_go_are_not_taken_for_descriptors_left_open() -> None:
    random = Random(3)
    found = [
        _sample(number, number * 900 + age, age, 40 * MIB, descriptors=30 + random.randrange(6))
        for number in range(8)
        for age in range(0, 900, 5)
    ]
    assert {one.measure.name: one.says for one in growths(found, warm_up=WARM_UP)}[
        "descriptors"
    ] == "ok"


def coming_over(*, leak: float) -> list[Sample]:
    """Gateways to which clients of a quarter of a MiB come over, and go again by themselves.

    Args:
        leak: MiB an hour, besides.
    """
    random = Random(5)
    found = []
    for number in range(6):
        clients = 4
        for age in range(0, 900, 5):
            if age % 120 == 0:
                clients += 6
            elif age % 15 == 0:
                clients -= random.randrange(2)
            weight = 40 + clients / 4 + leak * age / 3600 + random.gauss(0, 0.05)
            at = number * 900 + age
            found.append(_sample(number, at, age, round(weight * MIB), connections=clients))
    return found


def test_clients_who_come_over_are_not_taken_for_a_leak() -> None:
    without = [msgspec.structs.replace(one, connections=0) for one in coming_over(leak=0)]
    assert memory(without).says == "growing"
    assert memory(coming_over(leak=0)).says == "ok"


def test_clients_who_come_over_hide_no_leak() -> None:
    growth = memory(coming_over(leak=5))
    assert growth.says == "growing"
    assert growth.slope.per_hour == pytest.approx(5, abs=0.5)


def test_where_clients_tell_the_time_nothing_is_concluded() -> None:
    """One comes with every reading: whether time or they weigh cannot be told."""
    found = [
        _sample(number, number * 900 + age, age, 40 * MIB + 1000 * age, connections=age // 5)
        for number in range(4)
        for age in range(0, 900, 5)
    ]
    assert memory(found).says == "unclear"


def test_each_kind_is_judged_alone() -> None:
    brokers = [
        msgspec.structs.replace(one, kind="broker", incarnation=f"b{one.incarnation}")
        for one in lives(leak=20)
    ]
    says = {
        (one.kind, one.measure.name): one.says
        for one in growths(brokers + lives(count=16), warm_up=WARM_UP)
    }
    assert says[("broker", "memory")] == "growing"
    assert says[("worker", "memory")] == "ok"


# --- the slope --------------------------------------------------------------------------------


@given(
    st.floats(-100, 100),
    st.lists(st.floats(-1000, 1000), min_size=1, max_size=5),
    st.permutations(range(20)),
)
def test_without_noise_the_slope_is_exact_whatever_the_levels_and_the_order(
    slope: float, levels: list[float], order: list[int]
) -> None:
    found = pooled_slope(
        [[(1e6 + at, level + slope * at / 3600, 0.0) for at in order] for level in levels]
    )
    assert found.per_hour == pytest.approx(slope, abs=1e-3)
    assert found.error < 1e-2
    assert (found.lives, found.samples) == (len(levels), 20 * len(levels))
    assert found.seconds == 19 * len(levels)


def test_the_error_is_right_where_readings_are_independent() -> None:
    """Of many experiments without a leak about 1 in 20 is off by more than two errors."""
    off = sum(
        abs(growth.slope.per_hour) > 2 * growth.slope.error
        for growth in (memory(lives(count=10, seconds=400, seed=seed)) for seed in range(200))
    )
    assert off <= 24


# --- samples ----------------------------------------------------------------------------------


def test_readings_of_the_processes_themselves_become_lives() -> None:
    readings = [
        Gauge(10.0, 7, 4, 20, 3, 5 * MIB, MIB, 9),
        Gauge(15.0, 7, 5, 21, 3, 6 * MIB, MIB, 9),
    ]
    successor = Gauge(30.0, 8, 6, 22, 3, 7 * MIB, MIB, 12)
    first, second, third = of_gauges("gateway-2", [*readings, successor])
    assert (first.age, second.age, third.age) == (0.0, 5.0, 0.0)
    assert first.incarnation == second.incarnation != third.incarnation
    assert (third.kind, third.tasks, third.descriptors) == ("gateway", 6, 22)
    assert (third.memory, third.connections) == (7 * MIB, 12)


def test_what_a_process_holds_is_what_it_has_not_given_back() -> None:
    """In blocks of malloc, and in small ones of Python."""
    before = held_here()
    if not before:
        pytest.skip("mallinfo2 is glibc's, from 2.33 on")
    large = bytearray(64 * MIB)
    small = [object() for _ in range(100_000)]
    with_both = held_here()
    assert 64 * MIB < with_both - before < 96 * MIB
    del large, small
    assert abs(held_here() - before) < MIB


def test_memory_has_longer_to_warm_up_than_what_is_held() -> None:
    """It is a high-water mark: 2 MiB more within half an hour, and none after that, is no leak."""
    rising = [
        _sample(1, age, age, round((22 + 2 * min(age / 1800, 1)) * MIB))
        for age in range(0, 6000, 5)
    ]
    held = [msgspec.structs.replace(one, held=one.memory) for one in rising]
    says = {one.measure.name: one.slope.per_hour for one in growths(held)}
    assert abs(says["memory"]) < 0.1
    assert says["memory held"] > 0.3


def test_buffers_that_fill_and_empty_within_a_minute_hide_no_leak_and_are_none() -> None:
    random = Random(2)

    def slope(leak: float) -> Growth:
        found = []
        for age in range(0, 5400, 5):
            burst = 3 * (random.random() < 0.6)
            one = _sample(1, age, age, 40 * MIB)
            held = round((16 + burst + leak * age / 3600) * MIB)
            found.append(msgspec.structs.replace(one, held=held))
        return next(one for one in growths(found) if one.measure.name == "memory held")

    assert slope(0).says == "ok"
    assert abs(slope(0).slope.per_hour) < 0.01
    assert slope(2).slope.per_hour == pytest.approx(2, abs=0.1)
