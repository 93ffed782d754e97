"""Parsers with one fault each, for the test of the fuzzer."""

from __future__ import annotations

LEAKED: list[bytes] = []


class DeclaredError(Exception):
    """What may come of it."""


def magic(data: bytes) -> int:
    """Fails on one word; no byte of it is told of before all earlier ones are right."""
    if data[:1] != b"H":
        return 0
    if data[1:2] != b"B":
        return 1
    if data[2:3] != b"U":
        return 2
    if data[3:4] != b"B":
        return 3
    raise KeyError("magic")


def quadratic(data: bytes) -> int:
    """Looks from each bracket to the end."""
    if len(data) % 7 == 3:
        raise DeclaredError
    brackets = [at for at, byte in enumerate(data) if byte == ord("[")]
    return sum(len(data[at:].split(b"[")) for at in brackets for _ in range(5))


def leaking(data: bytes) -> int:
    """Remembers every input."""
    LEAKED.append(bytes(400) + data)
    return len(data)


class Hoard:
    """Keeps all it is fed with."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> None:
        self._kept += data + bytes(1000)
