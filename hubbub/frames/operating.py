"""What operators of the cluster ask for. Each is answered by one frame that repeats its `ref`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from hubbub.frames.base import (
    Frame,
    Id,
    Limit,
    Name,
    Reason,
    Ref,
    RoomName,
    Seconds,
    SecretFrame,
    Seq,
    Text,
)


class Promote(SecretFrame, frozen=True):
    """Make an account an operator of the cluster, or no longer. Answered by `ok`.

    By an operator, or by whoever has the key in the file `operator.key` of the data directory.
    """

    ref: Ref
    id: Id
    name: Name
    on: bool = True
    key: Annotated[str, Meta(max_length=128)] = ""


class Suspend(Frame, frozen=True):
    """Shut an account out and end its sessions, or let it in again. Answered by `ok`."""

    ref: Ref
    id: Id
    name: Name
    text: Reason = ""
    seconds: Seconds = 0
    on: bool = True


class Rename(Frame, frozen=True):
    """Give an account or guest another name. Answered by `ok`."""

    ref: Ref
    id: Id
    name: Name
    to: Name


class Close(Frame, frozen=True):
    """End a room: everybody is out, its name is free. Answered by `ok`."""

    ref: Ref
    id: Id
    room: RoomName
    text: Reason = ""


class Announce(Frame, frozen=True):
    """Tell everybody who is connected something. Answered by `ok`."""

    ref: Ref
    id: Id
    text: Text


class Audit(Frame, frozen=True):
    """What operators of the cluster did, the newest first. Answered by `auditlog`."""

    ref: Ref
    before: Seq = 0  # entries below this number; 0: the newest
    limit: Limit = 100
