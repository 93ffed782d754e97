"""The stream's positions, and its last minute for gateways that missed something. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from hubbub.wire import BATCH_BYTES, Item, pack_stream

ITEM_OVERHEAD = 29  # bytes of an item besides its body
REFILL_AT_ONCE = 64  # batches, 4 MiB at most in a peer's queue of 256; the gateway asks again


class Stream:
    """What this owner publishes, by position; kept for `seconds` within `most_bytes`."""

    def __init__(self, *, term: int, epoch: int, most_bytes: int, seconds: float) -> None:
        self.term = term
        self.epoch = epoch
        self.position = 0
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._kept: deque[tuple[int, float, bytes]] = deque()  # position, when, payload
        self._bytes = 0

    def add(self, items: Sequence[Item], now: float) -> list[bytes]:
        """The payloads that tell of `items`, under the next positions, to be published in order."""
        payloads = []
        for part in split(items):
            self.position += 1
            payload = pack_stream(self.term, self.position, self.epoch, part)
            self._kept.append((self.position, now, payload))
            self._bytes += len(payload)
            payloads.append(payload)
        self._trim(now)
        return payloads

    def repeat(self) -> bytes:
        """The payload that says where the stream stands."""
        return pack_stream(self.term, self.position, self.epoch, [])

    def refill(self, first: int, last: int) -> list[bytes] | None:
        """Payloads of the positions first..last, as many as go at once; None: kept no more."""
        last = min(last, self.position, first + REFILL_AT_ONCE - 1)
        if first > last:
            return []
        if not self._kept or self._kept[0][0] > first:
            return None
        start = first - self._kept[0][0]
        return [self._kept[index][2] for index in range(start, start + last - first + 1)]

    def _trim(self, now: float) -> None:
        kept = self._kept
        while kept and (self._bytes > self._most_bytes or kept[0][1] + self._seconds < now):
            self._bytes -= len(kept.popleft()[2])


def split(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in order, in parts that each make about one bus message."""
    part: list[Item] = []
    size = 0
    for item in items:
        size += ITEM_OVERHEAD + len(item.body)
        if part and size > BATCH_BYTES:
            yield part
            part, size = [], ITEM_OVERHEAD + len(item.body)
        part.append(item)
    if part:
        yield part
