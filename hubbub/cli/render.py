"""Frames as lines for people and for programs. Nothing of others reaches a terminal alive. Pure."""

from __future__ import annotations

import time
import unicodedata

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
from hubbub.frames import Event, Frame, Message, Presence, Roster

MARKS = 8  # combining marks on one character; no script needs more, and floods cover other lines
_JOINERS = "\u200c\u200d"  # shape emoji and several scripts; harmless after a letter of those


def visible(text: str) -> str:
    r"""`text` with all that a terminal would obey or hide made visible, as in `\x1b` or `\u202e`.

    Control characters (also line ends), bidirectional and other format characters, separators
    other than the space, private and unassigned characters, and floods of combining marks.
    """
    if text.isascii() and text.isprintable():
        return text
    shown = []
    marks = 0
    before = ""
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if _is_harmless(character, category, before) and marks <= MARKS:
            shown.append(character)
        else:
            shown.append(_escaped(character))
        before = character
    return "".join(shown)


def _is_harmless(character: str, category: str, before: str) -> bool:
    if category == "Cn":
        # New emoji are unassigned to an older Python; the rest may turn out to be anything.
        return "\U0001f000" <= character <= "\U0001faff"
    if category in ("Mn", "Me") and not before:
        return False  # would hang on what stands before the text
    if category[0] == "C" or category in ("Zl", "Zp"):
        return character in _JOINERS and before > "\x7f" and before not in _JOINERS
    return category != "Zs" or character in " \u3000"


def _escaped(character: str) -> str:
    number = ord(character)
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def json_line(frame: Frame | Notice) -> str:
    """A frame as one line of ASCII JSON with the protocol's field names."""
    import json

    return json.dumps(msgspec.to_builtins(frame), ensure_ascii=True)


def time_of(event: ClientEvent) -> str:
    """When it happened, in the reader's local time: `2026-01-01 12:00:00`."""
    at = getattr(event, "at", 0)
    seconds = at / 1000 if at else time.time()
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "????-??-?? ??:??:??"  # a time that no clock has


def line_of(event: ClientEvent) -> str | None:
    """What a person is shown of an event; None when there is nothing to see."""
    if isinstance(event, Message):
        name, text = visible(event.name), visible(event.text)
        return f"* {name} {text}" if event.action else f"{name}: {text}"
    if isinstance(event, Event):
        name = visible(event.name)
        if event.kind == "renamed":
            return f"* {name} is now {visible(event.to)}"
        return f"* {name}: {visible(event.kind)}"
    if isinstance(event, Presence):
        if event.change not in ("entered", "left"):
            return None
        why = f" ({visible(event.why)})" if event.why else ""
        return f"* {visible(event.name)} {event.change}{why}"
    return None


def notice_of(event: ClientEvent) -> str | None:
    """What a person is told of the client's own state; None when it is no notice."""
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


def roster_line(roster: Roster, own: int) -> str:
    """Who else is in a room."""
    others = [
        visible(person.name) + ("" if person.state == "here" else f" ({visible(person.state)})")
        for person in sorted(roster.members, key=lambda person: person.name.casefold())
        if person.sender != own
    ]
    room = visible(roster.room)
    if not others:
        return f"* You are in {room}; nobody else is here"
    return f"* You are in {room} with {', '.join(others)}"
