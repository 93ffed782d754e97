"""How often passwords may be tried and accounts be made: per account, address and device. Pure.

A try counts from when it begins, so that guesses made at the same time are all counted; one that
turns out right is given back. Names that nobody has are counted like those of accounts, so that
nothing here tells whether a name exists.

`tries` failures within a minute are free of charge. Then each one makes the next wait twice as
long, from a minute up to fifteen. What has failed is forgotten evenly, `tries` of them in an hour:
so an account that is guessed at without a pause takes eight guesses in the first ten minutes,
and then five an hour. Being let in forgives nothing but itself: else each visit of the owner would
hand the next five guesses to whoever is at it.

Who shows the token of a device of the account is counted by that device alone. So strangers cannot
lock the owner out there, neither by guessing nor from the same address. From a new device the
owner waits as long as the strangers make it: this cannot be told from a guess.

This lives in the owner's memory: a worker that takes over begins with nothing counted, which gives
away `tries` guesses each time, and is nothing that a stranger can bring about.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

from hubbub.addresses import address_key, is_loopback
from hubbub.errors import Code, Refused
from hubbub.settings import Settings

MINUTE = 60.0
LONGEST_WAIT = 15 * MINUTE
FORGOTTEN_AFTER = 60 * MINUTE
BUSY = 1.0  # seconds to wait while others of the same account or address are looked at
# Of accounts, of addresses and of devices. A failure costs the hash some 20 ms on one of two
# threads and is forgotten within twelve minutes: about this many can be remembered at all.
MOST_KEPT = 50_000
NEARLY_FULL = MOST_KEPT * 3 // 4
SWEPT_FROM = 1000  # keys: fewer are not worth a look

K = TypeVar("K", bound=Hashable)


class _Failures:
    """What failed under one key. `level` counts it as of `at`, and falls as it is forgotten."""

    __slots__ = ("at", "level", "pending", "until")

    def __init__(self) -> None:
        self.level = 0.0
        self.at = 0.0
        self.until = float("-inf")  # nobody is let through before
        self.pending = 0  # tries that have begun and count as failures meanwhile


class _Ledger:
    """Failures by key, at most `MOST_KEPT` of them."""

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self._forgets = tries / FORGOTTEN_AFTER  # a second
        # So many failures within a minute, less what is forgotten in it, and there is a wait.
        self._full = tries * (1 - MINUTE / FORGOTTEN_AFTER)
        self._of: dict[Hashable, _Failures] = {}
        self._sweep_at = SWEPT_FROM

    def __len__(self) -> int:
        return len(self._of)

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds until a try may begin; 0.0: it may now."""
        found = self._of.get(key)
        if found is None:
            return 0.0
        if now < found.until:
            return found.until - now
        # After a wait one at a time; before there was one, as many as are free of charge.
        if found.pending and self._level(found, now) + found.pending >= self._full:
            return BUSY
        return 0.0

    def begin(self, key: Hashable, now: float) -> None:
        """Count a try."""
        found = self._of.get(key)
        if found is None:
            if len(self._of) >= self._sweep_at:
                self._sweep(now)
            found = self._of[key] = _Failures()
            found.at = now
        found.pending += 1

    def fail(self, key: Hashable, now: float) -> None:
        """A try that has begun was wrong."""
        found = self._of[key]
        found.pending -= 1
        found.level = self._level(found, now) + 1
        found.at = now
        if found.level >= self._full:
            doubled = min(max(0.0, found.level - self._tries), 16.0)
            found.until = now + min(MINUTE * 2**doubled, LONGEST_WAIT)

    def give_back(self, key: Hashable, now: float) -> None:
        """A try that has begun was right, or was not looked at."""
        found = self._of[key]
        found.pending -= 1
        if not found.pending and self._level(found, now) <= 0:
            del self._of[key]

    def _level(self, found: _Failures, now: float) -> float:
        return max(0.0, found.level - (now - found.at) * self._forgets)

    def _sweep(self, now: float) -> None:
        """Let go of what is forgotten, and of more where that is not enough.

        What is looked at now stays: its number is bounded by the queue for the hash.
        """
        levels = {
            key: self._level(found, now) for key, found in self._of.items() if not found.pending
        }
        for key in _dispensable(levels, len(self._of)):
            del self._of[key]
        self._sweep_at = _next_sweep(len(self._of))


class Attempt:
    """A try that has begun. One of its methods is called, once, when it is over."""

    __slots__ = ("_counted",)

    def __init__(self, counted: list[tuple[_Ledger, Hashable]]) -> None:
        self._counted = counted

    def failed(self, now: float) -> None:
        """The password was wrong."""
        for ledger, key in self._counted:
            ledger.fail(key, now)
        self._counted = []

    def give_back(self, now: float) -> None:
        """The password was right, or nobody looked at it."""
        for ledger, key in self._counted:
            ledger.give_back(key, now)
        self._counted = []


class Throttle:
    """Who may try a password or make an account now. The clock is the caller's."""

    def __init__(self, settings: Settings) -> None:
        self._limit_loopback = settings.limit_loopback
        self._accounts = _Ledger(settings.login_tries_per_account)
        self._devices = _Ledger(settings.login_tries_per_account)
        self._addresses = _Ledger(settings.login_tries_per_address)
        self._made = _Hourly(settings.accounts_per_address)

    def begin(
        self, account: str, address: str, now: float, *, device: tuple[int, int] | None = None
    ) -> Attempt:
        """Begin to try a password.

        Args:
            account: the key of its name, whether there is such an account or not.
            address: the peer's, as the kernel gives it.
            device: (sender, device) when the peer has shown that it was let in there before.

        Raises:
            Refused: it has to wait; nothing is counted.
        """
        counted: list[tuple[_Ledger, Hashable]] = []
        if device is not None:
            counted.append((self._devices, device))
        else:
            counted.append((self._accounts, account))
            if self._is_limited(address):
                counted.append((self._addresses, address_key(address)))
        wait = max(ledger.wait(key, now) for ledger, key in counted)
        if wait > 0:
            raise must_wait("too many passwords were tried", wait)
        for ledger, key in counted:
            ledger.begin(key, now)
        return Attempt(counted)

    def make_account(self, address: str, now: float) -> None:
        """Count a new account of an address.

        Raises:
            Refused: it has made too many within the hour.
        """
        if not self._is_limited(address):
            return
        wait = self._made.take(address_key(address), now)
        if wait > 0:
            raise must_wait("too many accounts were made from your address", wait)

    def unmake_account(self, address: str, now: float) -> None:
        """An account that was counted was not made."""
        if self._is_limited(address):
            self._made.give_back(address_key(address), now)

    def _is_limited(self, address: str) -> bool:
        return self._limit_loopback or not is_loopback(address)


class _Hourly:
    """So many an hour by key: a bucket each, kept as the time at which it is full again."""

    def __init__(self, most: int) -> None:
        self._interval = 60 * MINUTE / most
        self._window = 60 * MINUTE
        self._full_at: dict[str, float] = {}
        self._sweep_at = SWEPT_FROM

    def take(self, key: str, now: float) -> float:
        """0.0, or the seconds until there is one more."""
        full_at = max(self._full_at.get(key, now), now)
        wait = full_at + self._interval - now - self._window
        if wait > 1e-6 * self._interval:
            return wait
        if len(self._full_at) >= self._sweep_at and key not in self._full_at:
            lefts = {key: max(0.0, at - now) for key, at in self._full_at.items()}
            for other in _dispensable(lefts, len(lefts)):
                del self._full_at[other]
            self._sweep_at = _next_sweep(len(self._full_at))
        self._full_at[key] = full_at + self._interval
        return 0.0

    def give_back(self, key: str, now: float) -> None:
        """One that was taken was not used."""
        self._full_at[key] = max(self._full_at.get(key, now) - self._interval, now)


def _dispensable(weights: Mapping[K, float], size: int) -> list[K]:
    """Keys to let go of, of a table of `size`: those that weigh nothing; were it still nearly full
    after that, a quarter of them, the lightest first.

    So nobody gets rid of a key that has failed much but by failing as much under some `MOST_KEPT`
    other keys, each of which costs a hash. To drop the oldest would be cheaper to abuse.
    """
    gone = [key for key, weight in weights.items() if weight <= 0]
    if size - len(gone) <= NEARLY_FULL:
        return gone
    heavy = sorted((key for key, weight in weights.items() if weight > 0), key=weights.__getitem__)
    return gone + heavy[: MOST_KEPT // 4]


def _next_sweep(size: int) -> int:
    """When to look again: the work stays in proportion to what was added."""
    return max(SWEPT_FROM, 2 * size) if 2 * size <= NEARLY_FULL else MOST_KEPT


def must_wait(why: str, wait: float) -> Refused:
    """The refusal of who comes too early; it never says less than there is to wait."""
    text = f"{why}; try again in {spoken(wait)}"
    return Refused(Code.LIMIT, text, retry_after=math.ceil(wait * 1000) / 1000)


def spoken(seconds: float) -> str:
    """A time to wait, for people."""
    whole = max(1, math.ceil(seconds))
    if whole < 2 * MINUTE:
        return f"{whole} second{'s' if whole > 1 else ''}"
    return f"{math.ceil(whole / MINUTE)} minutes"
