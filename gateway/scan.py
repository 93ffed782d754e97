"""Where a msgpack object ends and how much it announces, while its bytes still come. Pure."""

from __future__ import annotations

from hubbub.errors import Code, RemoteProtocolError

# What follows the first byte: bytes that tell a length, and fixed bytes more.
_LENGTHS = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}
_LENGTHS |= {0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_FIXED |= {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}
_CONTAINERS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}  # count bytes, items each


class Scanner:
    """Walks one object, a piece at a time; a length is judged when it is announced.

    Each byte is looked at once, and an error depends only on the bytes up to it: so it does not
    matter how the object is cut.

    Args:
        most: bytes that the object may have.
        deepest: how deep maps and arrays may be nested.
    """

    __slots__ = ("_at", "_deepest", "_most", "_open", "_pending")

    def __init__(self, most: int, deepest: int) -> None:
        self._most = most
        self._deepest = deepest
        self._at = 0
        self._open = [1]  # items still to come, of each container that is open
        self._pending = 1  # their sum: so many bytes at least will follow

    def scan(self, data: bytes) -> int | None:
        """The length of the object that `data` begins with; None: it is not all there.

        Call again with the same bytes and more.

        Raises:
            RemoteProtocolError: too long, too deep, or no msgpack.
        """
        open_items = self._open
        while open_items:
            if open_items[-1] == 0:
                open_items.pop()
                continue
            if self._at >= len(data) or not self._step(data):
                return None
            if self._at + self._pending > self._most:
                text = f"a frame has at most {self._most} bytes"
                raise RemoteProtocolError(text, Code.TOO_LARGE)
        return self._at if self._at <= len(data) else None

    def _step(self, data: bytes) -> bool:
        """Take one item, or the head of a container; False when its head is not all there."""
        first, at, children, length = data[self._at], self._at + 1, -1, 0
        if first <= 0x7F or first >= 0xE0:
            pass
        elif first <= 0x8F:
            children = 2 * (first & 0x0F)
        elif first <= 0x9F:
            children = first & 0x0F
        elif first <= 0xBF:
            length = first & 0x1F
        elif first in _FIXED:
            length = _FIXED[first]
        elif first in _LENGTHS:
            width, more = _LENGTHS[first]
            if len(data) < at + width:
                return False
            length = width + int.from_bytes(data[at : at + width], "big") + more
        elif first in _CONTAINERS:
            length, each = _CONTAINERS[first]
            if len(data) < at + length:
                return False
            children = each * int.from_bytes(data[at : at + length], "big")
        else:
            raise RemoteProtocolError("this is no msgpack")
        self._at = at + length
        self._open[-1] -= 1
        self._pending -= 1
        if children >= 0:
            self._open.append(children)
            self._pending += children
            if len(self._open) - 1 > self._deepest:
                raise RemoteProtocolError(f"a frame is nested deeper than {self._deepest}")
        return True
