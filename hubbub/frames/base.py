"""What all frames are made of: the base class, and the types of their fields with their bounds."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

PROTOCOL = 1  # raised only by a change that old clients could not ignore
MAX_TEXT = 4_000  # characters, unless the operator sets another number
LONGEST_TEXT = 16_000  # characters that the operator can allow
MAX_TITLE = 300  # characters of a room's title
MAX_REASON = 200  # characters
MAX_FRAME = 64 * 1024  # bytes of one frame from a client
MAX_DEPTH = 4  # nesting of one frame from a client
MAX_PAGE = 500  # events of one page of history
MAX_HITS = 50  # messages of one answer to a search
MAX_CONTEXT = 5  # messages on each side of a hit
MAX_RESUMED_ROOMS = 500  # rooms that one `resume` may name
MAX_SECONDS = 10 * 365 * 24 * 3600  # of a ban, mute or suspension

Ref: TypeAlias = Annotated[
    int, Meta(ge=0, le=2**53 - 1, description="names this request; its answer repeats it")
]
Id: TypeAlias = Annotated[
    bytes,
    Meta(
        min_length=16,
        max_length=16,
        description="16 random bytes chosen by the sender and kept when it asks again: done once",
    ),
]
# Coarse nets; hubbub.names has the rules. "$" would let "lobby\n" through.
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[^\s,:#@|/!*?]+\Z")]
RoomName: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=64, pattern=r"\A(@?[^\s,:#@|/!*?]+|@[0-9]{1,16}:[0-9]{1,16})\Z"),
]
Seq: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
Title: TypeAlias = Annotated[str, Meta(max_length=MAX_TITLE)]
Reason: TypeAlias = Annotated[str, Meta(max_length=MAX_REASON, description="shown to people")]
Reaction: TypeAlias = Annotated[str, Meta(min_length=1, max_length=32)]
Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Password: TypeAlias = Annotated[str, Meta(max_length=256)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_PAGE)]
Seconds: TypeAlias = Annotated[
    int, Meta(ge=0, le=MAX_SECONDS, description="for how many seconds; 0: until it is taken back")
]
# Bounded, since a timer is set to it: neither NaN nor infinity is within bounds.
Wait: TypeAlias = Annotated[float, Meta(ge=0, le=MAX_SECONDS, description="seconds")]
# Bounded in the same way, since it is printed as JSON, which has neither of the two.
Elapsed: TypeAlias = Annotated[float, Meta(ge=0, le=MAX_SECONDS)]
Agent: TypeAlias = Annotated[
    str, Meta(max_length=64, description="what client this is, for the operator")
]
Query: TypeAlias = Annotated[str, Meta(max_length=200)]


class Frame(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag=str.lower):
    """Base of every frame. On the wire: one map whose "t" key is the class name."""


class SecretFrame(Frame, frozen=True):
    """Base of frames that carry a password or token: not to be seen where a frame is printed."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"
