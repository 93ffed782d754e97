"""How often passwords may be tried: worker/throttle.py."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings as configured, strategies as st

from hubbub.errors import Code, Refused
from hubbub.settings import Settings
from worker import throttle as module
from worker.throttle import Attempt, Throttle, spoken

HOME = (7, 3)  # the owner's sender, and a device of theirs


def begin(
    throttle: Throttle,
    now: float,
    *,
    account: str = "alice",
    address: str = "192.0.2.1",
    device: tuple[int, int] | None = None,
) -> Attempt | float:
    """The try that has begun, or how long to wait."""
    try:
        return throttle.begin(account, address, now, device=device)
    except Refused as refused:
        return seconds_of(refused)


def seconds_of(refused: Refused) -> float:
    """“Refusal says how long to wait.”"""
    assert refused.code is Code.LIMIT
    assert refused.retry_after is not None
    assert refused.retry_after > 0
    return refused.retry_after


def guess(
    throttle: Throttle, now: float, *, account: str = "alice", address: str = "192.0.2.1"
) -> float:
    """Try a wrong password: 0.0 when it reached the hash, else how long to wait."""
    tried = begin(throttle, now, account=account, address=address)
    if isinstance(tried, float):
        return tried
    tried.failed(now)
    return 0.0


def guesses(
    throttle: Throttle, begins: float, seconds: float, *, account: str = "alice"
) -> list[float]:
    """When guesses reach the hash, of somebody with an address for each who never pauses."""
    reached, now = [], begins
    number = 0
    while now < begins + seconds:
        number += 1
        wait = guess(throttle, now, account=account, address=f"198.51.{number // 256}.{number}")
        if not wait:
            reached.append(now)
        now += wait or 0.05
    return reached


class TestAccounts:
    def test_ten_thousand_guesses_reach_the_hash_sixty_times_at_most_and_the_owner_gets_in(
        self,
    ) -> None:
        """“10,000 guesses at one account from 1,000 addresses over ten minutes of injected clock:
        at most 60 reach the hash, and its owner logs in from a known device meanwhile”"""
        throttle = Throttle(Settings())
        reached = 0
        let_in = 0
        for number in range(10_000):
            now = 1000.0 + number * 0.06
            address = f"203.0.{number % 1000 // 250}.{number % 250}"
            reached += not guess(throttle, now, address=address)
            if number % 1000 == 999:
                tried = begin(throttle, now, address=address, device=HOME)
                assert isinstance(tried, Attempt)
                tried.give_back(now)
                let_in += 1
        assert 5 <= reached <= 60
        assert let_in == 10

    def test_in_no_minute_more_than_five_guesses_reach_the_hash(self) -> None:
        """“5 failures a minute and account”"""
        times = guesses(Throttle(Settings()), 0.0, 3 * 3600.0)
        for begins in times:
            assert sum(begins <= time < begins + 60 for time in times) <= 5

    @given(st.lists(st.floats(0, 30), min_size=6, max_size=60))
    @configured(deadline=None)
    def test_however_they_are_spread_no_minute_has_more_than_five(self, steps: list[float]) -> None:
        """“5 failures a minute and account”"""
        throttle = Throttle(Settings())
        now, times = 1000.0, []
        for number, step in enumerate(steps):
            now += step
            if not guess(throttle, now, address=f"192.0.2.{number}"):
                times.append(now)
        for begins in times:
            assert sum(begins <= time < begins + 60 for time in times) <= 5

    def test_who_goes_on_failing_waits_longer_each_time_up_to_fifteen_minutes(self) -> None:
        """“exponential”"""
        throttle = Throttle(Settings())
        now, waits = 1000.0, []
        for _ in range(200):
            if wait := guess(throttle, now):
                waits.append(wait)
                now += wait
        assert waits[0] == pytest.approx(60)
        assert 1.6 < waits[1] / waits[0] < 2.0
        assert 1.4 < waits[2] / waits[1] < 2.0
        assert all(later >= sooner * 0.99 for sooner, later in pairwise(waits))
        assert 600 < waits[-1] <= 900

    def test_a_day_of_guessing_is_some_hundred_guesses(self) -> None:
        times = guesses(Throttle(Settings()), 0.0, 24 * 3600.0)
        assert len(times) < 150

    def test_what_failed_is_forgotten_within_an_hour_or_two(self) -> None:
        throttle = Throttle(Settings())
        guesses(throttle, 0.0, 600.0)
        later = 600.0 + 2 * 3600.0
        assert [guess(throttle, later) for _ in range(5)] == [0.0] * 5

    def test_guesses_made_at_the_same_time_are_counted(self) -> None:
        """A try counts from when it begins."""
        throttle = Throttle(Settings())
        tried = [begin(throttle, 10.0, address=f"192.0.2.{n}") for n in range(50)]
        assert sum(isinstance(one, Attempt) for one in tried) == 5

    def test_after_a_wait_they_are_looked_at_one_at_a_time(self) -> None:
        throttle = Throttle(Settings())
        for _ in range(5):
            guess(throttle, 10.0)
        tried = [begin(throttle, 71.0, address=f"192.0.2.{n}") for n in range(50)]
        assert sum(isinstance(one, Attempt) for one in tried) == 1

    def test_being_let_in_costs_nothing(self) -> None:
        """A right password is given back, however often."""
        throttle = Throttle(Settings())
        for number in range(1000):
            tried = begin(throttle, 10.0 + number / 100)
            assert isinstance(tried, Attempt)
            tried.give_back(10.0 + number / 100)

    def test_being_let_in_does_not_forgive_what_strangers_guessed(self) -> None:
        """Else each visit of the owner would hand the next five guesses to whoever is at it."""
        throttle = Throttle(Settings())
        for _ in range(4):
            guess(throttle, 10.0)
        mine = begin(throttle, 11.0, address="192.0.2.9")
        assert isinstance(mine, Attempt)
        mine.give_back(11.0)
        assert guess(throttle, 12.0) == 0.0
        assert guess(throttle, 13.0) > 0

    def test_refusals_do_not_prolong_the_wait(self) -> None:
        throttle = Throttle(Settings())
        for _ in range(5):
            guess(throttle, 10.0)
        first = guess(throttle, 10.0)
        for number in range(1000):
            guess(throttle, 10.0 + number / 1000 * first * 0.9)
        assert guess(throttle, 10.0 + first + 0.01) == 0.0

    def test_names_that_nobody_has_wait_like_others(self) -> None:
        """“same timing for unknown names”: nor does the throttle tell them apart."""
        throttle = Throttle(Settings())
        for name in ("alice", "no-such-name"):
            waits = [guess(throttle, 10.0, account=name, address=f"{name}") for _ in range(6)]
            assert waits[:5] == [0.0] * 5
            assert waits[5] > 0
        one, other = (guess(throttle, 20.0, account=name) for name in ("alice", "no-such-name"))
        assert one == other

    def test_loopback_does_not_spare_an_account(self) -> None:
        throttle = Throttle(Settings())
        assert sum(not guess(throttle, 10.0, address="127.0.0.1") for _ in range(50)) == 5


class TestDevices:
    def test_strangers_at_the_same_address_do_not_delay_a_known_device(self) -> None:
        """“never locking out the owner on a known device”"""
        throttle = Throttle(Settings())
        for number in range(100):
            guess(throttle, 10.0, account=f"name-{number % 30}")
            guess(throttle, 10.0)
        assert guess(throttle, 10.0) > 0
        assert isinstance(begin(throttle, 10.0, device=HOME), Attempt)

    def test_a_device_is_no_way_around_the_throttle(self) -> None:
        """Who has stolen a token guesses no more often than others."""
        throttle = Throttle(Settings())
        reached = 0
        for _ in range(100):
            tried = begin(throttle, 10.0, device=HOME)
            if isinstance(tried, Attempt):
                tried.failed(10.0)
                reached += 1
        assert reached == 5

    def test_one_device_does_not_delay_another_nor_the_account(self) -> None:
        throttle = Throttle(Settings())
        for _ in range(5):
            tried = begin(throttle, 10.0, device=HOME)
            assert isinstance(tried, Attempt)
            tried.failed(10.0)
        assert isinstance(begin(throttle, 10.0, device=(7, 4)), Attempt)
        assert guess(throttle, 10.0) == 0.0


class TestAddresses:
    def test_an_address_has_twenty_failures_a_minute_for_all_accounts(self) -> None:
        """“20 a minute and /32 or /64”"""
        throttle = Throttle(Settings())
        waits = [guess(throttle, 10.0, account=f"name-{n}") for n in range(50)]
        assert sum(not wait for wait in waits) == 20
        assert guess(throttle, 69.0, account="another") > 0
        assert guess(throttle, 71.0, account="another") == 0.0

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
            ("192.0.2.1", "192.0.2.2", False),
            ("::ffff:192.0.2.1", "192.0.2.1", True),
        ],
    )
    def test_an_address_is_a_32_or_a_64(self, one: str, other: str, same: bool) -> None:
        """“20 a minute and /32 or /64”"""
        throttle = Throttle(Settings())
        for number in range(20):
            guess(throttle, 10.0, account=f"name-{number}", address=one)
        assert (guess(throttle, 10.0, account="another", address=other) > 0) is same

    @pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
    def test_loopback_is_limited_only_when_asked_for(self, address: str) -> None:
        for limit, reached in ((False, 100), (True, 20)):
            throttle = Throttle(Settings(limit_loopback=limit))
            waits = [guess(throttle, 10.0, account=f"n{n}", address=address) for n in range(100)]
            assert sum(not wait for wait in waits) == reached

    def test_a_refused_account_costs_the_address_nothing(self) -> None:
        """Neither is counted unless both may go on."""
        throttle = Throttle(Settings())
        for number in range(5):
            guess(throttle, 10.0, address=f"198.51.100.{number}")
        for _ in range(100):
            assert guess(throttle, 10.0) > 0
        assert guess(throttle, 10.0, account="another") == 0.0


class TestMemory:
    def test_a_flood_of_names_and_addresses_is_held_within_bounds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """“No queue anywhere is unbounded.”"""
        monkeypatch.setattr(module, "MOST_KEPT", 400)
        monkeypatch.setattr(module, "NEARLY_FULL", 300)
        monkeypatch.setattr(module, "SWEPT_FROM", 100)
        throttle = Throttle(Settings(accounts_per_address=1))
        most = 0
        for number in range(5000):
            address = f"10.{number // 65536}.{number // 256}.{number % 256}"
            guess(throttle, 10.0 + number / 100, account=f"name-{number}", address=address)
            throttle.make_account(address, 10.0 + number / 100)
            kept = len(throttle._accounts), len(throttle._addresses), len(throttle._made._full_at)
            most = max(most, *kept)
        assert 300 < most <= 400

    def test_a_flood_does_not_make_room_for_more_guesses_at_one_account(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An attacker must not be able to evict its own entry cheaply."""
        monkeypatch.setattr(module, "MOST_KEPT", 400)
        monkeypatch.setattr(module, "NEARLY_FULL", 300)
        monkeypatch.setattr(module, "SWEPT_FROM", 100)
        throttle = Throttle(Settings(login_tries_per_address=1000))
        for _ in range(5):
            guess(throttle, 10.0)
        for number in range(5000):
            guess(throttle, 11.0, account=f"name-{number}", address=f"192.0.2.{number % 250}")
            assert guess(throttle, 11.0, address="198.51.100.1") > 0

    def test_what_is_forgotten_takes_no_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "SWEPT_FROM", 100)
        throttle = Throttle(Settings())
        for number in range(10_000):
            now = number * 20.0  # each is forgotten after 12 minutes
            guess(throttle, now, account=f"name-{number}", address=f"192.0.2.{number % 250}")
        assert len(throttle._accounts) <= 100

    def test_who_gets_in_leaves_nothing_behind(self) -> None:
        throttle = Throttle(Settings())
        for number in range(100):
            tried = begin(throttle, 10.0, account=f"name-{number}")
            assert isinstance(tried, Attempt)
            tried.give_back(10.0)
        assert len(throttle._accounts) == len(throttle._addresses) == 0


class TestNewAccounts:
    def make(self, throttle: Throttle, now: float, address: str = "192.0.2.1") -> float:
        try:
            throttle.make_account(address, now)
        except Refused as refused:
            return seconds_of(refused)
        return 0.0

    def test_an_address_makes_so_many_accounts_an_hour(self) -> None:
        """“new accounts and connections per address”"""
        throttle = Throttle(Settings(accounts_per_address=4))
        waits = [self.make(throttle, 10.0) for _ in range(10)]
        assert waits[:4] == [0.0] * 4
        assert waits[4:] == [pytest.approx(900.0)] * 6
        assert self.make(throttle, 10.0, "192.0.2.2") == 0.0
        assert self.make(throttle, 10.0 + 890.0) > 0
        assert self.make(throttle, 10.0 + 900.1) == 0.0
        waits = [self.make(throttle, 1e6) for _ in range(10)]
        assert sum(not wait for wait in waits) == 4  # a long rest saves up no more

    def test_loopback_makes_as_many_as_it_likes_unless_limited(self) -> None:
        for limit, made in ((False, 100), (True, 4)):
            throttle = Throttle(Settings(accounts_per_address=4, limit_loopback=limit))
            waits = [self.make(throttle, 10.0, "127.0.0.1") for _ in range(100)]
            assert sum(not wait for wait in waits) == made

    def test_an_account_that_was_not_made_is_not_counted(self) -> None:
        throttle = Throttle(Settings(accounts_per_address=1))
        self.make(throttle, 10.0)
        assert self.make(throttle, 11.0) > 0
        throttle.unmake_account("192.0.2.1", 12.0)
        assert self.make(throttle, 12.0) == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 second"), (1.5, "2 seconds"), (118.5, "119 seconds"), (121, "3 minutes")],
)
def test_a_wait_is_spoken_and_never_too_short(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
