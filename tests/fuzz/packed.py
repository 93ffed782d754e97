"""Changing msgpack by its values: what comes out is mostly well-formed, and mostly wrong."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from random import Random
from typing import Any

import msgpack

from tests.fuzz.mutate import NUMBERS, WIDE, repeated

# Heads that announce much, and those of every type.
HEADS = [bytes([first]) for first in range(0xC0, 0xE0)] + [
    bytes([first]) + b"\xff" * width
    for first, width in (
        (0xC4, 1), (0xC5, 2), (0xC6, 4), (0xC7, 2), (0xC8, 3), (0xC9, 5), (0xD9, 1), (0xDA, 2),
        (0xDB, 4), (0xDC, 2), (0xDD, 4), (0xDE, 2), (0xDF, 4), (0xCF, 8), (0xD3, 8),
    )
]  # fmt: skip
_MOST_OBJECTS = 50


class Packed:
    """Objects one after the other: values and keys replaced, doubled, taken out, nested."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._words = [token.decode("utf-8", "replace") for token in tokens] or ["t"]

    def change(self, random: Random, data: bytes, other: bytes) -> bytes:
        objects, rest = _unpack(data)
        if not objects:
            return data + random.choice(HEADS)
        for _ in range(random.choice((1, 1, 2, 4))):
            at = random.randrange(len(objects))
            way = random.randrange(8)
            if way == 0:
                objects.insert(at, copy.deepcopy(random.choice(objects)))
            elif way == 1 and len(objects) > 1:
                del objects[at]
            elif way == 2:
                objects[at:at] = _unpack(other)[0][:3]
            else:
                objects[at] = self._changed(random, objects[at], _unpack(other)[0])
        return _pack(objects, data) + (rest if random.randrange(4) else b"")

    def swell(self, random: Random, data: bytes, most: int) -> bytes:
        objects, _ = _unpack(data)
        if not objects:
            return repeated(b"", random.choice(HEADS), b"", most)
        at = random.randrange(len(objects))
        whole = _pack([objects[at]], data)
        way = random.randrange(6)
        if way == 0:
            return repeated(b"", whole, b"", most)
        path = random.choice(_paths(objects[at]))
        value = _at(objects[at], path)
        room = max(1, most - len(whole))
        small = max(1, len(_pack([value], data)))
        big: Any = random.choice(self._words) * (room // 8)
        if way == 1:
            big = [value] * (room // small)
        elif way == 2:
            big = {f"{number}": value for number in range(room // (small + 6))}
        elif way == 3:
            big = random.choice("a\0\x1bé漢\u0301\u202e") * (room // 3)
        elif way == 4:
            big = bytes(room)
            for _ in range(random.choice((3, 100, 900))):
                value = [value]
            big = value if random.randrange(2) else big
        objects[at] = _with(objects[at], path, big)
        return _pack(objects, data)[:most]

    def _changed(self, random: Random, value: Any, others: list[Any]) -> Any:
        path = random.choice(_paths(value))
        old = _at(value, path)
        new: Any
        way = random.randrange(8)
        if way == 0 and isinstance(old, dict) and old:
            new = dict(old)
            key = random.choice(list(new))
            new[random.choice(self._words)] = new.pop(key)
        elif way == 1 and isinstance(old, dict):
            new = old | {random.choice(self._words): self._value(random)}
        elif way == 2 and isinstance(old, dict | list) and old:
            new = old.copy()
            del new[
                random.choice(list(new)) if isinstance(new, dict) else random.randrange(len(new))
            ]
        elif way == 3 and isinstance(old, list):
            new = [*old, random.choice(old) if old else self._value(random)]
        elif way == 4 and others:
            new = random.choice(others)
        elif way == 5:
            new = _bent(random, old)
        elif way == 6:
            new = [old] if random.randrange(2) else {random.choice(self._words): old}
        else:
            new = self._value(random)
        return _with(value, path, new)

    def _value(self, random: Random) -> Any:
        return random.choice(
            [
                None, True, False, b"", b"0123456789abcdef", "", [], {}, 1.5, -1, -(2**63),
                float("inf"), float("nan"), random.choice(self._words), random.choice(self._words),
                random.choice(NUMBERS), random.choice(WIDE), random.randbytes(3),
                msgpack.ExtType(random.randrange(128), random.randbytes(random.choice((0, 4, 12)))),
                msgpack.Timestamp(random.choice(NUMBERS), 999_999_999),
                "x" * random.choice((32, 33, 64, 65, 300)), "\u202e\x1b[2J\r\n",
            ]
        )  # fmt: skip


def _bent(random: Random, old: Any) -> Any:
    if isinstance(old, int):
        return old + random.choice((-1, 1, 2, 256)) if abs(old) < 2**60 else 0
    if isinstance(old, str):
        at = random.randint(0, len(old))
        return old[:at] + random.choice(" \n\0@#:é\u0301\u202e\x1bA1") + old[at:]
    if isinstance(old, bytes):
        return old[: random.randint(0, len(old))]
    return old


def _unpack(data: bytes) -> tuple[list[Any], bytes]:
    """The objects that `data` begins with, and what follows them."""
    unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=0, unicode_errors="replace")
    unpacker.feed(data)
    objects: list[Any] = []
    end = 0
    try:
        while len(objects) < _MOST_OBJECTS:
            objects.append(unpacker.unpack())
            end = unpacker.tell()
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError, OverflowError):
        pass
    return objects, data[end:]


def _pack(objects: list[Any], instead: bytes) -> bytes:
    try:
        return b"".join(map(msgpack.packb, objects))
    except (ValueError, OverflowError, RecursionError, TypeError):  # too deep, or a number too far
        return instead


def _paths(value: Any) -> list[tuple[Any, ...]]:
    """Where in a value there are values, itself first; of very large ones not all."""
    found: list[tuple[Any, ...]] = [()]
    for path in found:
        inner = _at(value, path)
        if len(found) > 200:
            break
        if isinstance(inner, dict):
            found += [(*path, key) for key in inner]
        elif isinstance(inner, list):
            found += [(*path, at) for at in range(min(len(inner), 20))]
    return found


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    made = value.copy()
    made[path[0]] = _with(value[path[0]], path[1:], new)
    return made
