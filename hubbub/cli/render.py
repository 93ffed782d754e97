"""Frames as lines for people and for programs. Nothing of others reaches a terminal alive. Pure."""

from __future__ import annotations

import time
from typing import NamedTuple

import msgspec

from hubbub.client_events import (
    ClientEvent,
    Disconnected,
    EpochReset,
    Lacking,
    Notice,
    Reconnected,
    RoomLost,
)
from hubbub.frames import (
    TOLD_BY_EVENT,
    Announcement,
    Event,
    Frame,
    Invited,
    Joined,
    Message,
    News,
    Parted,
    Person,
    Presence,
    RoomState,
    Roster,
)
from hubbub.visible import visible as visible


class Shown(NamedTuple):
    """One line for a person. `number`: of the message; a terminal shows it dimmed."""

    text: str
    number: int = 0
    loud: bool = False  # it names the reader
    quiet: bool = False  # it is about the conversation, not part of it


def json_line(frame: Frame | Notice | object) -> str:
    """A frame as one line of ASCII JSON with the protocol's field names."""
    import json

    return json.dumps(msgspec.to_builtins(frame), ensure_ascii=True)


def time_of(event: object) -> str:
    """When it happened, in the reader's local time: `2026-01-01 12:00:00`; now, if it has none."""
    return clock(getattr(event, "at", 0) or time.time() * 1000)


def clock(at: float) -> str:
    """A time of the protocol (milliseconds since 1970, UTC) in local time."""
    seconds = at / 1000
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "????-??-?? ??:??:??"  # a time that no clock has


# --- what happens in a room -------------------------------------------------------------------


def line_of(event: ClientEvent | News) -> str | None:
    """What a person is shown of an event; None when there is nothing to see."""
    if isinstance(event, Message):
        return _message(event)
    if isinstance(event, Event):
        return _event(event)
    if isinstance(event, Presence):
        if event.change not in ("entered", "left") or event.why in TOLD_BY_EVENT:
            return None  # the entry in the log is what is shown
        if is_direct(event.room):
            return None  # how the other is, not who comes and goes
        why = f" ({visible(event.why)})" if event.why else ""
        return f"* {visible(event.name)} {event.change}{why}"
    if isinstance(event, Joined):
        return None if is_direct(event.room) else f"* You are in {visible(event.room)} now"
    if isinstance(event, Parted):
        return _parted(event)
    if isinstance(event, Invited):
        room, title = visible(event.room), f" ({visible(event.title)})" if event.title else ""
        return f"* {visible(event.by)} invites you to {room}{title}; /join {room} accepts"
    if isinstance(event, Announcement):
        return f"*** {visible(event.by)} to everybody: {visible(event.text)}"
    return None


def is_direct(room: str) -> bool:
    """Whether a room is a conversation of two."""
    return room.startswith("@")


def _message(message: Message) -> str:
    name, text = visible(message.name), visible(message.text)
    if message.deleted:
        text = "(deleted)"
    if message.reply:
        text = f"(to #{message.reply}) {text}"
    return f"* {name} {text}" if message.action else f"{name}: {text}"


def _event(event: Event) -> str:
    name, to, text = visible(event.name), visible(event.to), visible(event.text)
    of, why = f"#{event.of}", f" ({text})" if text else ""
    until = f" until {clock(event.until)}" if event.until else ""
    # Who inherits a room, or steps back, is not made something by anybody else.
    became = "is now" if event.whom == event.sender else f"made {to}"
    does = {
        "renamed": f"is now {to}",
        "joined": "joined",
        "parted": "left the room",
        "topic": f"set the topic: {text}" if text else "took the topic away",
        "private": "made the room private",
        "public": "opened the room to all",
        "invited": f"invited {to}",
        "kicked": f"put {to} out{why}",
        "banned": f"banned {to}{until}{why}",
        "unbanned": f"let {to} in again",
        "muted": f"muted {to}{until}{why}",
        "unmuted": f"let {to} write again",
        "role": f"{became} {'an' if text[:1] == 'o' else 'a'} {text} of the room",
        # Of an edit that was edited again the text is not kept.
        "edited": f"edited {of}: {text}" if text else f"edited {of}",
        "deleted": f"deleted {of}{why}",
        "reacted": f"reacted to {of} with {text}",
        "unreacted": f"took {text} back from {of}",
        "closed": f"closed the room{why}",
    }.get(event.kind)
    return f"* {name}: {visible(event.kind)}" if does is None else f"* {name} {does}"


def _parted(parted: Parted) -> str:
    room, by = visible(parted.room), f" by {visible(parted.by)}" if parted.by else ""
    text = f" ({visible(parted.text)})" if parted.text else ""
    if parted.why == "parted":
        return f"* You left {room}"
    how = {"kicked": "were put out of", "banned": "are banned from"}.get(parted.why)
    if how is not None:
        return f"* You {how} {room}{by}{text}"
    return f"* You are no longer in {room}: {visible(parted.why)}{by}{text}"


def notice_of(event: ClientEvent) -> str | None:
    """What a person is told of the client's own state; None when it is no notice."""
    if isinstance(event, Disconnected) and event.over:
        return f"the session is over ({visible(event.why)})"
    if isinstance(event, Disconnected):
        return f"connection lost ({visible(event.why)}); trying again"
    if isinstance(event, Reconnected):
        again = "" if event.resumed else f" as {visible(event.name)}, in a new session"
        return f"connected again{again}"
    if isinstance(event, EpochReset):
        return "the server's history was put back to an older state; going on from its newest entry"
    if isinstance(event, Lacking):
        return f"{visible(event.room)}: entries {event.first} to {event.last} are no longer kept"
    if isinstance(event, RoomLost):
        return f"no longer in {visible(event.room)}: {visible(event.why)}"
    return None


# --- who and where ----------------------------------------------------------------------------


def state_of(person: Person) -> str:
    """What is to be said of a person beside the name: ` (away: lunch)`, ` (owner)`, or nothing."""
    notes = [] if person.role == "member" else [visible(person.role)]
    if person.state != "here":
        said = f": {visible(person.away)}" if person.away else ""
        notes.append(visible(person.state) + said)
    return f" ({', '.join(notes)})" if notes else ""


def people_line(people: list[Person]) -> str:
    """Names with what is to be said of each."""
    ordered = sorted(people, key=lambda person: (person.state == "offline", person.name.casefold()))
    return ", ".join(visible(person.name) + state_of(person) for person in ordered)


def roster_line(roster: Roster, own: int) -> str:
    """Who else is in a room."""
    room = visible(roster.room)
    if is_direct(roster.room):
        peer = roster.peer
        state = state_of(peer) if peer is not None else ""
        return f"* You are talking to {room[1:]} alone{state}"
    others = people_line([person for person in roster.members if person.sender != own])
    title = f": {visible(roster.title)}" if roster.title else ""
    if not others:
        return f"* You are in {room}{title}; nobody else is here"
    return f"* You are in {room}{title} with {others}"


def unread_of(state: RoomState) -> int:
    """How many messages of a room one has not read."""
    return max(0, state.count - state.marked)


def unread_line(state: RoomState) -> str:
    """`3 unread, 1 of them to you`"""
    mentions = f", {state.mentions} of them to you" if state.mentions else ""
    return f"{unread_of(state)} unread{mentions}"
