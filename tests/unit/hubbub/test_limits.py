"""Token buckets by kind of frame: hubbub/limits.py."""

from __future__ import annotations

import typing

import pytest
from hypothesis import given, strategies as st

from hubbub import frames, limits
from hubbub.limits import PAUSE, Buckets, Kind, Limits, Rate, kind_of
from hubbub.settings import Settings

UNCOUNTED = {
    frames.Hello,
    frames.Login,
    frames.Resume,
    frames.Bye,
    frames.Ping,
    frames.Status,
}
SLOW = Limits.of(Settings(say_rate=2, say_burst=3, search_rate=0))


def taken(buckets: Buckets, kind: Kind, bounds: Limits, now: float, tries: int) -> int:
    """How many of so many tries at one time succeed."""
    return sum(not buckets.take(kind, bounds, now) for _ in range(tries))


class TestPlaces:
    def test_every_client_frame_is_placed_on_purpose(self) -> None:
        """“token buckets per connection and account by kind of frame”"""
        assert set(limits._PLACES) == set(typing.get_args(frames.ClientFrame))

    def test_only_greetings_goodbyes_pings_and_status_are_not_counted(self) -> None:
        every = typing.get_args(frames.ClientFrame)
        assert {frame for frame in every if kind_of(frame) is None} == UNCOUNTED

    @pytest.mark.parametrize(
        ("frame", "kind"),
        [
            (frames.Say, Kind.SAY),
            (frames.React, Kind.SAY),
            (frames.Join, Kind.CHANGE),
            (frames.Announce, Kind.CHANGE),
            (frames.Typing, Kind.READ),
            (frames.Audit, Kind.READ),
            (frames.Search, Kind.SEARCH),
        ],
    )
    def test_a_frame_is_counted_as_its_kind(self, frame: type, kind: Kind) -> None:
        assert kind_of(frame) is kind


class TestLimits:
    def test_each_kind_has_its_own_settings(self) -> None:
        """“all in settings, on by default”"""
        settings = Settings(
            say_rate=1,
            say_burst=10,
            change_rate=2,
            change_burst=20,
            read_rate=4,
            read_burst=40,
            search_rate=8,
            search_burst=80,
        )
        bounds = Limits.of(settings)
        assert [bounds.rates[kind] for kind in Kind] == [
            Rate(1.0, 10.0),
            Rate(0.5, 10.0),
            Rate(0.25, 10.0),
            Rate(0.125, 10.0),
        ]

    def test_every_kind_is_limited_by_default(self) -> None:
        """“all in settings, on by default”"""
        bounds = Limits.of(Settings())
        assert all(rate.interval > 0 for rate in bounds.rates)


class TestBuckets:
    def test_after_a_rest_a_burst_may_come_and_no_more(self) -> None:
        assert taken(Buckets(), Kind.SAY, SLOW, 100.0, 50) == 3

    def test_a_refusal_says_how_long_to_wait_and_waiting_so_long_helps(self) -> None:
        """“refusal says how long to wait”"""
        buckets = Buckets()
        taken(buckets, Kind.SAY, SLOW, 100.0, 3)
        wait = buckets.take(Kind.SAY, SLOW, 100.1)
        assert wait == PAUSE  # a token would be there after 0.4 s
        assert buckets.take(Kind.SAY, SLOW, 100.1 + wait / 2) > 0
        assert buckets.take(Kind.SAY, SLOW, 100.1 + wait) == 0.0

    def test_what_follows_a_refusal_is_not_let_in_before_it_can_come_again(self) -> None:
        """“What one connection says in one room stands in the order it said it.”"""
        bounds = Limits.of(Settings(say_rate=1000, say_burst=3))
        buckets = Buckets()
        taken(buckets, Kind.SAY, bounds, 100.0, 3)
        assert buckets.take(Kind.SAY, bounds, 100.0) == PAUSE
        # Tokens are there again, and lines that were on their way behind the refused one come.
        assert buckets.take(Kind.SAY, bounds, 100.0 + PAUSE / 2) == pytest.approx(PAUSE / 2)
        assert buckets.take(Kind.SAY, bounds, 100.0 + PAUSE) == 0.0

    def test_refusals_cost_nothing(self) -> None:
        """Who asks all the time is served as often as who waits."""
        buckets = Buckets()
        taken(buckets, Kind.SAY, SLOW, 100.0, 1000)
        assert taken(buckets, Kind.SAY, SLOW, 100.5, 1000) == 1

    def test_what_counts_as_several_takes_as_many_and_keeps_nothing_small_waiting(self) -> None:
        bounds = Limits.of(Settings(change_rate=10, change_burst=20))
        buckets = Buckets()
        assert buckets.take(Kind.CHANGE, bounds, 100.0, 15) == 0.0
        wait = buckets.take(Kind.CHANGE, bounds, 100.0, 15)
        assert wait == pytest.approx(1.0)
        assert buckets.take(Kind.CHANGE, bounds, 100.0 + PAUSE) == 0.0
        assert buckets.take(Kind.CHANGE, bounds, 101.2, 15) == 0.0

    def test_what_counts_as_more_than_a_full_bucket_waits_for_a_full_one(self) -> None:
        """“all in settings”: whatever they are, nothing is refused for ever."""
        bounds = Limits.of(Settings(change_rate=10, change_burst=20))
        buckets = Buckets()
        assert buckets.take(Kind.CHANGE, bounds, 100.0, 1000) == 0.0
        assert buckets.take(Kind.CHANGE, bounds, 100.0, 1000) == pytest.approx(2.0)
        assert buckets.take(Kind.CHANGE, bounds, 102.0, 1000) == 0.0
        assert 0 < buckets.take(Kind.CHANGE, bounds, 50.0, 1000) <= 2.0  # the clock went back

    def test_a_rate_of_zero_is_no_limit(self) -> None:
        buckets = Buckets()
        assert taken(buckets, Kind.SEARCH, SLOW, 100.0, 10_000) == 10_000
        assert taken(buckets, Kind.SEARCH, SLOW, 10.0, 10_000) == 10_000

    def test_kinds_do_not_take_each_others_tokens(self) -> None:
        buckets = Buckets()
        taken(buckets, Kind.SAY, SLOW, 100.0, 50)
        assert buckets.take(Kind.CHANGE, SLOW, 100.0) == 0.0

    @pytest.mark.parametrize("rate", [0.3, 3.0, 7.0, 50.0, 333.0])
    def test_a_clock_that_stands_still_gives_the_burst_and_nothing_back(self, rate: float) -> None:
        bounds = Limits.of(Settings(say_rate=rate, say_burst=1000))
        buckets = Buckets()
        assert taken(buckets, Kind.SAY, bounds, 12345678.9, 5000) == 1000
        assert taken(buckets, Kind.SAY, bounds, 12345678.9, 5000) == 0

    def test_a_clock_that_goes_back_delays_by_one_interval_at_most(self) -> None:
        buckets = Buckets()
        taken(buckets, Kind.SAY, SLOW, 1000.0, 3)
        wait = buckets.take(Kind.SAY, SLOW, 10.0)
        assert 0 < wait <= 0.5
        assert buckets.take(Kind.SAY, SLOW, 10.0 + wait) == 0.0

    def test_what_is_full_need_not_be_kept(self) -> None:
        buckets = Buckets()
        assert buckets.is_full(0.0)
        taken(buckets, Kind.SAY, SLOW, 100.0, 2)
        assert not buckets.is_full(100.9)
        assert buckets.is_full(101.0)

    @given(
        rate=st.floats(0.1, 1000),
        burst=st.integers(1, 100),
        steps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
    )
    def test_in_no_stretch_of_time_is_more_taken_than_rate_and_burst_allow(
        self, rate: float, burst: int, steps: list[float]
    ) -> None:
        bounds = Limits.of(Settings(say_rate=rate, say_burst=burst))
        buckets = Buckets()
        now = 1000.0
        times = []
        for step in steps:
            now += step
            if not buckets.take(Kind.SAY, bounds, now):
                times.append(now)
        for first, begin in enumerate(times):
            for last in range(first, len(times)):
                most = burst + rate * (times[last] - begin)
                assert last - first + 1 <= most + 0.01
