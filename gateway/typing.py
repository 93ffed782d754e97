"""Who is typing: what this gateway tells the others of it, and what it shows. Pure.

All of it may be lost, so whatever would be too much is dropped.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TypeAlias

import msgspec

from hubbub.errors import RemoteProtocolError
from hubbub.wire import TypingBatch

BATCH_EVERY = 0.3  # seconds between bus messages of one gateway
AGAIN_AFTER = 3.0  # seconds until the same person is told of again in the same room
DOUBLE_WITHIN = 1.0  # seconds in which the same news is one that came by two ways
BATCH_MOST = 500  # of one bus message: 16 KiB
KNOWN_MOST = 10_000  # typing at once, as far as one gateway cares
ROOM_MOST = 5  # shown in one room within a second: nobody reads more names
WINDOW = 1.0  # seconds

Typist: TypeAlias = tuple[int, int, str]  # room id, sender, name

_decoder = msgspec.msgpack.Decoder(TypingBatch)


def decode(payload: bytes | memoryview) -> list[Typist]:
    """Decode what came as TYPING.

    Raises:
        RemoteProtocolError: it is no such frame.
    """
    try:
        return _decoder.decode(payload).typing
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"bad typing batch: {error}") from None


class _Lately:
    """What was there within the last seconds; no more than KNOWN_MOST of it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._keys: set[tuple[int, int]] = set()
        self._times: deque[tuple[float, tuple[int, int]]] = deque()

    def is_new(self, key: tuple[int, int], now: float) -> bool:
        """Whether it was not there lately, nor is too much; then it is, from now on."""
        while self._times and now - self._times[0][0] >= self._seconds:
            self._keys.discard(self._times.popleft()[1])
        if key in self._keys or len(self._keys) >= KNOWN_MOST:
            return False
        self._keys.add(key)
        self._times.append((now, key))
        return True


class Typing:
    """Gathers who types here, and sifts who is said to type in the rooms that are followed."""

    def __init__(self) -> None:
        self.due = float("-inf")  # before that nothing is to be taken
        self._told = _Lately(AGAIN_AFTER)
        self._waiting: list[Typist] = []
        self._seen = _Lately(DOUBLE_WITHIN)
        self._shown: Counter[int] = Counter()  # by room, since _window began
        self._window = float("-inf")

    def note(self, typist: Typist, now: float) -> bool:
        """Somebody types here: whether there is something to `take` when it is `due`."""
        if len(self._waiting) < BATCH_MOST and self._told.is_new(typist[:2], now):
            self._waiting.append(typist)
        return bool(self._waiting)

    def take(self, now: float) -> list[Typist]:
        """What is to be told to all gateways now."""
        self.due = now + BATCH_EVERY
        taken, self._waiting = self._waiting, []
        return taken

    def is_shown(self, typist: Typist, now: float) -> bool:
        """Whether to show what a gateway told of."""
        if now - self._window >= WINDOW:
            self._window = now
            self._shown.clear()
        if self._shown[typist[0]] >= ROOM_MOST or not self._seen.is_new(typist[:2], now):
            return False
        self._shown[typist[0]] += 1
        return True
