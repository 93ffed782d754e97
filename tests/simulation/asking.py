"""What a client asks for, from the first time on until it is answered; the same on every way."""

from __future__ import annotations

from collections.abc import Callable

from hubbub import frames
from hubbub.frames import ClientFrame


class Ask:
    """One request with its id. Devices of one person may ask it at the same time.

    Attributes:
        sent: how often it was sent.
        tries: how often it was answered that nobody knows, or not now.
        is_done: answered, refused, or given up.
        term: of the owner, when it was sent last.
        at: when that was.
        behind: what was sent before it in one go, and could not be stored: it has to wait for that.
    """

    __slots__ = (
        "at", "behind", "id", "is_done", "make", "of", "op", "room", "sent", "since", "term",
        "text", "tries",
    )  # fmt: skip

    def __init__(
        self,
        op: str,
        id: bytes,
        room: str,
        make: Callable[[int], ClientFrame],
        *,
        text: str = "",
        of: int = 0,
        since: int | None = None,
    ) -> None:
        self.op = op
        self.id = id
        self.room = room
        self.make = make
        self.text = text
        self.of = of
        self.since = since  # of a join: what was had before
        self.sent = 0
        self.tries = 0
        self.is_done = False
        self.term = 0
        self.at = 0.0
        self.behind: Ask | None = None


def say(id: bytes, room: str, text: str) -> Ask:
    """A message."""
    return Ask("say", id, room, lambda ref: frames.Say(ref, id, room, text), text=text)


def edit(id: bytes, room: str, of: int, text: str) -> Ask:
    """Another text for a message."""
    return Ask("edit", id, room, lambda ref: frames.Edit(ref, id, room, of, text), text=text, of=of)


def delete(id: bytes, room: str, of: int) -> Ask:
    """No text any more for a message."""
    return Ask("delete", id, room, lambda ref: frames.Delete(ref, id, room, of), of=of)


def react(id: bytes, room: str, of: int, reaction: str) -> Ask:
    """A sign to a message."""
    return Ask(
        "react",
        id,
        room,
        lambda ref: frames.React(ref, id, room, of, reaction),
        text=reaction,
        of=of,
    )


def join(
    id: bytes, room: str, *, since: int | None = None, epoch: int = 0, private: bool = False
) -> Ask:
    """Into a room."""
    return Ask(
        "join", id, room, lambda ref: frames.Join(ref, id, room, since, epoch, private), since=since
    )


def leave(id: bytes, room: str) -> Ask:
    """Out of a room."""
    return Ask("leave", id, room, lambda ref: frames.Leave(ref, id, room))


def invite(id: bytes, room: str, name: str) -> Ask:
    """Somebody else into a room."""
    return Ask("invite", id, room, lambda ref: frames.Invite(ref, id, room, name))


def kick(id: bytes, room: str, name: str) -> Ask:
    """Somebody else out of a room."""
    return Ask("kick", id, room, lambda ref: frames.Kick(ref, id, room, name))


def ban(id: bytes, room: str, name: str) -> Ask:
    """Somebody else out of a room, and kept out."""
    return Ask("ban", id, room, lambda ref: frames.Ban(ref, id, room, name))


def unban(id: bytes, room: str, name: str) -> Ask:
    """They may come again."""
    return Ask("unban", id, room, lambda ref: frames.Unban(ref, id, room, name))


def mute(id: bytes, room: str, name: str) -> Ask:
    """Somebody else may read and not write in a room."""
    return Ask("mute", id, room, lambda ref: frames.Mute(ref, id, room, name))


def unmute(id: bytes, room: str, name: str) -> Ask:
    """They may write again."""
    return Ask("unmute", id, room, lambda ref: frames.Mute(ref, id, room, name, on=False))


def topic(id: bytes, room: str, text: str) -> Ask:
    """Another title for a room."""
    return Ask("topic", id, room, lambda ref: frames.Topic(ref, id, room, text), text=text)


def bye(id: bytes) -> Ask:
    """The end of the session."""
    return Ask("bye", id, "", lambda ref: frames.Bye(ref, id))
