"""What people put into requests: as the client checks it, and the owner after it."""

from __future__ import annotations

import typing
from collections.abc import Hashable, Iterable

import msgspec

from hubbub import client_requests, frames
from hubbub.client_requests import encode_checked
from hubbub.errors import LocalProtocolError, Refused
from hubbub.frames import LONGEST_TEXT
from tests.fuzz import examples
from tests.fuzz.mutate import Bytes, Text
from tests.fuzz.target import Target, clipped
from tests.hostile import HOSTILE
from worker import messages, passwords
from worker.messages import check_reaction
from worker.passwords import check_new

LEAST = 8  # characters of a password


class Asked(Target):
    """A text in any field of any request: bytes that a server takes for that frame, or an error.

    What the client refuses nothing is asked with, or every connection would be closed for it. As a
    password and as a reaction a text has one form. Of an input the first byte says which frame.
    """

    name = "asked"
    modules = (client_requests, passwords, messages)
    most = LONGEST_TEXT * 2

    def __init__(self) -> None:
        words = [b"@Radha", b"@1:2", b"lobby", b"  ", b"\xff", b"x" * 200, "e\u0301".encode()]
        self.mutators = (Text(words), Bytes(words))
        made = [examples.example(kind, True) for kind in typing.get_args(frames.ClientFrame)]
        self._frames = [frame for frame in made if _texts_of(frame)]

    def seeds(self) -> Iterable[bytes]:
        for number in range(len(self._frames)):
            for text in (b"lobby", b"@Radha", b"a b", b"", b"\xff", b"x" * 300):
                yield bytes([number]) + text
        yield from (b"\0" + text.encode("utf-8", "surrogatepass") for text in HOSTILE[::12])

    def run(self, data: bytes) -> Hashable:
        text = data[1:].decode("utf-8", "surrogateescape")  # as the command line gives it
        frame = self._frames[(data[0] if data else 0) % len(self._frames)]
        frame = msgspec.structs.replace(frame, **dict.fromkeys(_texts_of(frame), text))
        kind = type(frame).__name__
        try:
            encoded = encode_checked(frame, LONGEST_TEXT)
        except (Refused, LocalProtocolError) as error:
            return kind, clipped(error)
        assert frames.client_decoder.decode(encoded) == frame
        return kind, self._as_password(text), self._as_reaction(text)

    def _as_password(self, text: str) -> Hashable:
        text = text[: passwords.MAX_PASSWORD]
        try:
            prepared = check_new(text, "Radha", LEAST)
        except Refused as error:
            return clipped(error)
        assert check_new(prepared, "Radha", LEAST) == prepared, "prepared again it is another"
        return prepared == text

    def _as_reaction(self, text: str) -> Hashable:
        try:
            normal = check_reaction(text[:32])
        except Refused as error:
            return clipped(error)
        assert check_reaction(normal) == normal
        return normal == text


def _texts_of(frame: msgspec.Struct) -> list[str]:
    return [name for name in frame.__struct_fields__ if isinstance(getattr(frame, name), str)]
