"""How often somebody may ask: token buckets by kind of frame, for gateways and the worker. Pure.

A bucket holds `burst` tokens, is refilled with `rate` of them a second, and a request takes one.
It is kept as one number, the time at which it will be full again, so nothing has to tick.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from hubbub import frames
from hubbub.settings import Settings

# Of a token: what a thousand additions of floats may be wrong by without costing one.
SLACK = 1e-3
# Seconds for which a kind stays closed after a refusal, at least. Lines that were on their way
# behind the refused one must not be let in before it: they stand in the order they were said.
PAUSE = 0.5


class Kind(enum.IntEnum):
    """What a request is counted as. An index, too: `Limits` and `Buckets` hold one entry each."""

    SAY = 0  # goes to everybody in a room, and stays
    CHANGE = 1  # moves people, rooms or accounts
    READ = 2  # costs an answer
    SEARCH = 3  # costs a search


# Every client frame stands here: one that does not fails a test. None: never counted.
_PLACES: dict[type, Kind | None] = {
    # The three greetings come once per connection, and passwords have a throttle of their own.
    frames.Hello: None,
    frames.Login: None,
    frames.Resume: None,
    frames.Bye: None,  # leaving is never refused
    frames.Ping: None,  # asked for once per turn for all that ping
    frames.Status: None,
    frames.Say: Kind.SAY,
    frames.Edit: Kind.SAY,
    frames.Delete: Kind.SAY,
    frames.React: Kind.SAY,
    frames.Register: Kind.CHANGE,
    frames.Passwd: Kind.CHANGE,
    frames.Unregister: Kind.CHANGE,
    frames.Revoke: Kind.CHANGE,
    frames.Block: Kind.CHANGE,
    frames.Nick: Kind.CHANGE,
    frames.Away: Kind.CHANGE,
    frames.Join: Kind.CHANGE,
    frames.Leave: Kind.CHANGE,
    frames.Topic: Kind.CHANGE,
    frames.Visibility: Kind.CHANGE,
    frames.Invite: Kind.CHANGE,
    frames.Kick: Kind.CHANGE,
    frames.Ban: Kind.CHANGE,
    frames.Unban: Kind.CHANGE,
    frames.Mute: Kind.CHANGE,
    frames.Role: Kind.CHANGE,
    frames.Promote: Kind.CHANGE,
    frames.Suspend: Kind.CHANGE,
    frames.Rename: Kind.CHANGE,
    frames.Close: Kind.CHANGE,
    frames.Announce: Kind.CHANGE,
    frames.Typing: Kind.READ,
    frames.Read: Kind.READ,
    frames.History: Kind.READ,
    frames.Members: Kind.READ,
    frames.Rooms: Kind.READ,
    frames.Peers: Kind.READ,
    frames.Unread: Kind.READ,
    frames.Devices: Kind.READ,
    frames.Restrictions: Kind.READ,
    frames.Audit: Kind.READ,
    frames.Search: Kind.SEARCH,
}


def kind_of(frame_type: type) -> Kind | None:
    """What a request of this type is counted as; None: it is not counted."""
    return _PLACES.get(frame_type)


class Rate(NamedTuple):
    """The limit of one kind, as seconds."""

    interval: float  # until there is one more token; 0: there is no limit
    window: float  # until an empty bucket is full


class Limits(NamedTuple):
    """The limits of all kinds, by `Kind`."""

    rates: tuple[Rate, ...]

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """What the operator allows."""
        pairs = {
            Kind.SAY: (settings.say_rate, settings.say_burst),
            Kind.CHANGE: (settings.change_rate, settings.change_burst),
            Kind.READ: (settings.read_rate, settings.read_burst),
            Kind.SEARCH: (settings.search_rate, settings.search_burst),
        }
        rates = []
        for kind in Kind:
            rate, burst = pairs[kind]
            interval = 1.0 / rate if rate else 0.0
            rates.append(Rate(interval, burst * interval))
        return cls(tuple(rates))


class Buckets:
    """One bucket per kind, full at first: of a connection, or of an account."""

    __slots__ = ("_closed_until", "_full_at")

    def __init__(self) -> None:
        self._full_at = [float("-inf")] * len(Kind)
        self._closed_until = [float("-inf")] * len(Kind)

    def take(self, kind: Kind, limits: Limits, now: float, cost: int = 1) -> float:
        """Take `cost` tokens, or all that a full bucket has: 0.0, or the seconds until they may be
        taken. A refusal costs nothing, but nothing of that kind is let in for at least PAUSE after
        it.

        A clock that stands still gives no tokens; one that goes back delays by one request at
        most, and never fills a bucket.
        """
        interval, window = limits.rates[kind]
        if not interval:
            return 0.0
        closed = self._closed_until[kind] - now
        if 0 < closed <= max(interval, PAUSE):  # more than that: the clock went back
            return closed
        full_at = self._full_at[kind]
        if full_at < now:
            full_at = now
        taken = min(cost * interval, window)
        wait = full_at + taken - now - window
        if wait <= interval * SLACK:
            self._full_at[kind] = full_at + taken
            return 0.0
        if wait > taken:  # the clock went back
            self._full_at[kind] = now + window
            wait = taken
        wait = max(wait, PAUSE)
        # What costs little need not wait as long as what costs much.
        self._closed_until[kind] = now + min(wait, max(interval, PAUSE))
        return wait

    def is_full(self, now: float) -> bool:
        """Whether all are full, so that new ones would be the same: they need not be kept."""
        return max(self._full_at) <= now
