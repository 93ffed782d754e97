"""Inputs made of other inputs: by bytes, by characters, by msgpack values; and very long ones.

Deterministic: all chance comes from the generator that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

NUMBERS = (0, 1, 2, 15, 16, 31, 32, 64, 127, 128, 200, 255, 256, 500, 2**15, 2**16 - 1, 2**16)
WIDE = (2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1)


class Mutator(Protocol):
    """One way to make inputs of others."""

    def change(self, random: Random, data: bytes, other: bytes) -> bytes:
        """`data` a little different; `other` is another input, to take from."""

    def swell(self, random: Random, data: bytes, most: int) -> bytes:
        """`data` made long by repeating one thing in it: up to about `most` bytes."""


class Bytes:
    """Bits, bytes, stretches, numbers of one to eight bytes, and the tokens of a language."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._tokens = tokens or (b"\0",)
        self._ways: tuple[Callable[[Random, bytearray, bytes], None], ...] = (
            self._flip, self._set, self._insert, self._delete, self._double, self._move,
            self._splice, self._token, self._token, self._overwrite, self._number,
        )  # fmt: skip

    def change(self, random: Random, data: bytes, other: bytes) -> bytes:
        made = bytearray(data)
        for _ in range(1 << random.randrange(4)):
            random.choice(self._ways)(random, made, other)
        return bytes(made)

    def swell(self, random: Random, data: bytes, most: int) -> bytes:
        start, end = _stretch(random, data, 16)
        unit = random.choice(
            [data[start:end], random.choice(self._tokens), data[start : start + 1], data]
        )
        return repeated(data[:start], unit or b"\0", data[end:], most)

    def _flip(self, random: Random, made: bytearray, other: bytes) -> None:
        if made:
            made[random.randrange(len(made))] ^= 1 << random.randrange(8)

    def _set(self, random: Random, made: bytearray, other: bytes) -> None:
        if made:
            made[random.randrange(len(made))] = random.randrange(256)

    def _insert(self, random: Random, made: bytearray, other: bytes) -> None:
        at = random.randint(0, len(made))
        made[at:at] = random.randbytes(1 << random.randrange(5))

    def _delete(self, random: Random, made: bytearray, other: bytes) -> None:
        start, end = _stretch(random, made, 64)
        del made[start:end]

    def _double(self, random: Random, made: bytearray, other: bytes) -> None:
        start, end = _stretch(random, made, 64)
        made[end:end] = made[start:end] * random.choice((1, 1, 2, 8))

    def _move(self, random: Random, made: bytearray, other: bytes) -> None:
        start, end = _stretch(random, made, 64)
        taken = made[start:end]
        del made[start:end]
        at = random.randint(0, len(made))
        made[at:at] = taken

    def _splice(self, random: Random, made: bytearray, other: bytes) -> None:
        start, end = _stretch(random, made, 64)
        first, last = _stretch(random, other, 256)
        made[start:end] = other[first:last]

    def _token(self, random: Random, made: bytearray, other: bytes) -> None:
        at = random.randint(0, len(made))
        made[at:at] = random.choice(self._tokens)

    def _overwrite(self, random: Random, made: bytearray, other: bytes) -> None:
        at = random.randint(0, len(made))
        token = random.choice(self._tokens)
        made[at : at + len(token)] = token

    def _number(self, random: Random, made: bytearray, other: bytes) -> None:
        width = random.choice((1, 2, 4, 8))
        number = random.choice(NUMBERS + WIDE) % (1 << 8 * width)
        at = random.randint(0, len(made))
        made[at : at + width] = number.to_bytes(width, "big")


# Characters that some code treats unlike others, in groups that hurt together.
_GROUPS = (
    "abzAZ09_-",
    " \t\n\r\v\f\x1c\x85\u00a0\u1680\u2003\u2028\u2029\u3000",
    "\0\x01\x07\x08\x1b\x7f\x80\x9b\x9d\x9f",
    "\u0300\u0301\u0316\u0323\u0345\u0315\u05b0\u064b\u0fb2\u20dd",  # marks, of several classes
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2066\u2069\u00ad\u061c\ufeff\u180e",
    "\ufe00\ufe0e\ufe0f\u034f\u115f\u17b4\u2800\u3164\uffa0\U000e0100\U000e0041",
    "éßİıŒſΣςÅﬃ①ͺᾳἂ̈́ΐ\u1e9e\u2126\ufdfa\u3300",
    "абеорсухΑΒΕ٣٤۳߃०１٪漢字かなカ각\uac01ไทยမြန်",
    "😀👨\U0001f3fd\U0001f1e6\U0001fbff\u2764\u231a\U0001faff",
    "\ue000\ud7ff\uffff\ufdd0\U0010ffff\ufff9\u0378",
    ",:#@|/!*?\"'“”„‟«»()[]{}<>\\%&=~^$.;",
)


class Text:
    """Characters and words of a text in UTF-8; bytes that are none are kept as they are."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._tokens = [_text(token) for token in tokens] or [" "]

    def change(self, random: Random, data: bytes, other: bytes) -> bytes:
        made = _text(data)
        for _ in range(1 << random.randrange(4)):
            start, end = _stretch(random, made, random.choice((0, 0, 1, 8)))
            made = made[:start] + self._piece(random, made, _text(other)) + made[end:]
        return _bytes(made)

    def swell(self, random: Random, data: bytes, most: int) -> bytes:
        text = _text(data)
        start, end = _stretch(random, text, 4)
        group = random.choice(_GROUPS)
        unit = random.choice(
            [
                random.choice(self._tokens),
                text[start:end],
                random.choice(group),
                random.choice(group) + random.choice(group),
                random.choice(group) + random.choice(random.choice(_GROUPS)),
                random.choice(self._tokens) + random.choice(random.choice(_GROUPS)),
            ]
        )
        return repeated(_bytes(text[:start]), _bytes(unit or " "), _bytes(text[end:]), most)

    def _piece(self, random: Random, text: str, other: str) -> str:
        way = random.randrange(5)
        if way == 0:
            return random.choice(random.choice(_GROUPS))
        if way == 1:
            return "".join(random.choices(random.choice(_GROUPS), k=random.randint(1, 6)))
        if way == 2:
            start, end = _stretch(random, other, 32)
            return other[start:end]
        if way == 3:
            start, end = _stretch(random, text, 8)
            return text[start:end] * random.choice((1, 2, 9))
        return random.choice(self._tokens)


def repeated(before: bytes, unit: bytes, after: bytes, most: int) -> bytes:
    """The unit as often as it fits in `most` bytes, between the others as far as they do."""
    room = max(1, (most - len(before) - len(after)) // len(unit))
    return (before + unit * room + after)[:most]


def _stretch(random: Random, data: Sequence[object] | bytearray, most: int) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.randint(0, most))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
