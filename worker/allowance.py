"""How much each person may ask, over all their connections. In the store's thread alone."""

from __future__ import annotations

from hubbub.limits import Buckets, Limits, kind_of
from hubbub.settings import Settings

SWEEP_AT = 256  # people: then those who have asked nothing lately are forgotten


class Allowances:
    """The token buckets of everybody who has asked something lately."""

    def __init__(self, settings: Settings) -> None:
        self._limits = Limits.of(settings)
        self._buckets: dict[int, Buckets] = {}
        self._sweep_at = SWEEP_AT

    def wait(self, sender: int, frame: type, now: float, cost: int = 1) -> float:
        """Count one request: 0.0, or the seconds after which it may be made.

        Args:
            now: the monotonic clock.
            cost: as how many it counts.
        """
        kind = kind_of(frame)
        if kind is None:
            return 0.0
        buckets = self._buckets.get(sender)
        if buckets is None:
            buckets = self._buckets[sender] = Buckets()
            if len(self._buckets) > self._sweep_at:
                self._sweep(now)
        return buckets.take(kind, self._limits, now, cost)

    def _sweep(self, now: float) -> None:
        kept = {sender: each for sender, each in self._buckets.items() if not each.is_full(now)}
        self._buckets = kept
        self._sweep_at = max(SWEEP_AT, 2 * len(kept))
