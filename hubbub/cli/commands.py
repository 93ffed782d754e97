"""What a typed line means: text, or one of the slash commands. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from hubbub.frames.base import MAX_REASON, MAX_SECONDS, MAX_TITLE

MAX_REACTION, MAX_QUERY = 32, 200  # characters, as in hubbub.frames
ROLES = ("owner", "operator", "member")
SWITCHES = ("on", "off")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}  # seconds
_NUMBER = re.compile(r"#?([0-9]{1,15})")
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")


class Text(NamedTuple):
    """Something to say."""

    text: str


class Command(NamedTuple):
    """A slash command, its arguments taken apart."""

    name: str
    text: str = ""  # what is free: a text, a reason, a title, a reaction, a role; or a room
    who: str = ""  # a name
    number: int = 0  # of a message, or how many; 0: not given
    seconds: int = 0  # 0: without an end
    private: bool = False
    on: bool | None = None  # None: not given


class WrongLineError(Exception):
    """The line is no command and must not be sent; the text says why."""


class _WrongArgumentsError(Exception):
    """The arguments are not those of the command; the text says more, where there is more."""


Arguments: TypeAlias = dict[str, Any]  # fields of a Command


class Spec(NamedTuple):
    """One command. `completes`: what Tab offers for each of its words."""

    arguments: str
    does: str
    take: Callable[[str], Arguments]
    completes: tuple[str, ...] = ()
    secret: bool = False  # asks for a password; its line is kept in no history


# --- arguments --------------------------------------------------------------------------------


def duration(text: str) -> int:
    """The seconds of `10m`, `2h`, `3d`.

    Raises:
        ValueError: it is no such thing, or nothing, or longer than may be.
    """
    found = _DURATION.fullmatch(text)
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(f"{text!r} is no time such as 10m, 2h or 3d")
    return seconds


def _nothing(rest: str) -> Arguments:
    if rest:
        raise _WrongArgumentsError("nothing follows it")
    return {}


def _text(rest: str) -> Arguments:
    if not rest:
        raise _WrongArgumentsError
    return {"text": rest}


def _bounded(longest: int, *, needed: bool = False) -> Callable[[str], Arguments]:
    def take(rest: str) -> Arguments:
        if needed and not rest:
            raise _WrongArgumentsError
        return {"text": _at_most(longest, rest)}

    return take


def _at_most(longest: int, text: str) -> str:
    if len(text) > longest:
        raise _WrongArgumentsError(f"at most {longest} characters")
    return text


def _name(rest: str) -> Arguments:
    first, rest = _word(rest)
    if not first.removeprefix("@") or rest:
        raise _WrongArgumentsError
    return {"who": first.removeprefix("@")}


def _name_text(rest: str) -> Arguments:
    first, rest = _word(rest)
    return {**_name(first), "text": rest}


def _name_reason(rest: str) -> Arguments:
    found = _name_text(rest)
    return found | {"text": _at_most(MAX_REASON, found["text"])}


def _name_for(rest: str) -> Arguments:
    found = _name_text(rest)
    word, reason = _word(found["text"])
    seconds = 0
    if word == "for":
        length, reason = _word(reason)
        try:
            seconds = duration(length)
        except ValueError as error:
            raise _WrongArgumentsError(str(error)) from None
    else:
        reason = found["text"]
    return {**found, "seconds": seconds, "text": _at_most(MAX_REASON, reason)}


def _name_role(rest: str) -> Arguments:
    found = _name_text(rest)
    role = found["text"].lower()
    if role not in ROLES:
        raise _WrongArgumentsError
    return found | {"text": role}


def _number_text(rest: str) -> Arguments:
    first, rest = _word(rest)
    number = _NUMBER.fullmatch(first)
    if number is None or not rest:
        raise _WrongArgumentsError
    return {"number": int(number[1]), "text": rest}


def _number_reaction(rest: str) -> Arguments:
    found = _number_text(rest)
    return found | {"text": _at_most(MAX_REACTION, found["text"])}


def _may_number_text(rest: str) -> Arguments:
    try:
        return _number_text(rest)
    except _WrongArgumentsError:
        return _text(rest)


def _may_number(rest: str) -> Arguments:
    found = _NUMBER.fullmatch(rest or "0")
    if found is None:
        raise _WrongArgumentsError
    return {"number": int(found[1])}


def _count(rest: str) -> Arguments:
    if rest and (not re.fullmatch("[0-9]{1,15}", rest) or int(rest) == 0):
        raise _WrongArgumentsError("it takes a number of entries, from 1 on")
    return {"number": int(rest or 0)}


def _may_room(rest: str) -> Arguments:
    return {"text": _room(rest) if rest else ""}


def _new_room(rest: str) -> Arguments:
    words = rest.split()
    private = [word for word in words if word in ("private", "--private")]
    if len(words) == 2 and len(private) == 1:
        words.remove(private[0])
    else:
        private = []
    if len(words) != 1:
        raise _WrongArgumentsError
    return {"text": _room(words[0]), "private": bool(private)}


def _room(word: str) -> str:
    room = word.removeprefix("#")  # as people of IRC write it
    if not room or len(room.split()) != 1:
        raise _WrongArgumentsError
    return room


def _switch(rest: str) -> Arguments:
    if rest and rest.lower() not in SWITCHES:
        raise _WrongArgumentsError
    return {"on": rest.lower() == "on" if rest else None}


def _command(rest: str) -> Arguments:
    name = rest.removeprefix("/").lower()
    if name and name not in COMMANDS:
        raise _WrongArgumentsError(f"there is no command /{name}")
    return {"text": name}


def _word(text: str) -> tuple[str, str]:
    first, _, rest = text.partition(" ")
    return first, rest.strip()


# --- the commands -----------------------------------------------------------------------------

_FOR = "NAME [for 2h] [REASON]"
_TOPICS: dict[str, dict[str, Spec]] = {
    "talking": {
        "me": Spec("TEXT", 'do something: shown as "* Name text"', _text),
        "msg": Spec("NAME [TEXT]", "talk to one person alone, also one who is away",
                    _name_text, ("name",)),
        "reply": Spec("N TEXT", "answer message number N", _number_text),
        "react": Spec("N EMOJI", "react to message number N", _number_reaction),
        "unreact": Spec("N EMOJI", "take a reaction back", _number_reaction),
        "edit": Spec("[N] TEXT", "give your last message, or number N, another text",
                     _may_number_text),
        "delete": Spec("[N]", "delete your last message, or number N", _may_number),
        "history": Spec("[COUNT]", "what was said last (default: 20 entries)", _count),
        "search": Spec("WORDS", "messages with these words; from:NAME in:ROOM before:2026-01-31",
                       _bounded(MAX_QUERY, needed=True)),
    },
    "rooms": {
        "join": Spec("ROOM [private]", "enter a room, or go to one you are in", _new_room,
                     ("room", "private")),
        "leave": Spec("[ROOM]", "leave a room (default: the one you are in)", _may_room, ("room",)),
        "rooms": Spec("[SEARCH]", "list the rooms", _bounded(64)),
        "who": Spec("[ROOM]", "who is in the room", _may_room, ("room",)),
        "unread": Spec("", "what you have not read, in all your rooms", _nothing),
        "mark": Spec("[ROOM]", "mark a room as read", _may_room, ("room",)),
        "topic": Spec("[TEXT]", "show the title of the room, or give it another",
                      _bounded(MAX_TITLE)),
        "invite": Spec("NAME", "ask somebody into the room", _name, ("name",)),
        "private": Spec("", "only who is invited may enter the room", _nothing),
        "public": Spec("", "all may enter the room", _nothing),
    },
    "order in the room": {
        "kick": Spec("NAME [REASON]", "put somebody out", _name_reason, ("name",)),
        "ban": Spec(_FOR, "put somebody out and keep them out", _name_for, ("name",)),
        "unban": Spec("NAME", "let somebody in again", _name, ("name",)),
        "bans": Spec("", "who is banned or muted", _nothing),
        "mute": Spec(_FOR, "let somebody read, but not write", _name_for, ("name",)),
        "unmute": Spec("NAME", "let somebody write again", _name, ("name",)),
        "role": Spec("NAME ROLE", "make somebody owner, operator or member", _name_role,
                     ("name", "role")),
    },
    "you": {
        "nick": Spec("NAME", "take another name", _text),
        "away": Spec("[TEXT]", "say that you are away", _bounded(MAX_REASON)),
        "busy": Spec("[TEXT]", "say that you are busy", _bounded(MAX_REASON)),
        "back": Spec("", "say that you are here again", _nothing),
        "block": Spec("NAME", "take nothing from somebody any more", _name, ("name",)),
        "unblock": Spec("NAME", "take it again", _name, ("name",)),
        "register": Spec("", "make an account of your name; asks for a password", _nothing,
                         secret=True),
        "login": Spec("NAME", "go on as your account; asks for its password", _name, (), True),
        "logout": Spec("", "forget your account on this machine, and leave", _nothing),
        "passwd": Spec("", "change your password; asks for it", _nothing, secret=True),
        "announce": Spec("TEXT", "tell everybody something (operators of the cluster)", _text),
    },
    "this program": {
        "bell": Spec("[on|off]", "ring when somebody names you", _switch, ("switch",)),
        "numbers": Spec("[on|off]", "show the numbers of messages", _switch, ("switch",)),
        "help": Spec("[COMMAND]", "this list", _command, ("command",)),
        "quit": Spec("", "leave everything", _nothing),
    },
}  # fmt: skip
COMMANDS: dict[str, Spec] = {
    name: spec for commands in _TOPICS.values() for name, spec in commands.items()
}
_MORE = {
    "msg": "Without TEXT what you type from then on goes to that person.",
    "reply": "Numbers stand dimmed behind the messages: 12 and #12 are the same.",
    "edit": "A TEXT that begins with a number needs N before it.",
    "search": 'A "phrase in quotes" is searched as such. The best come first.',
    "join": "A room that does not exist is made; with `private` only who is invited may enter it.",
    "ban": "Times: 30s, 10m, 2h, 3d, 1w. Without one it lasts until /unban.",
    "mute": "Times: 30s, 10m, 2h, 3d, 1w. Without one it lasts until /unmute.",
    "block": "Nothing they say is shown, and they can neither write to you alone nor invite you.",
    "register": "The password is asked for twice and not shown. You keep your name and rooms.",
    "logout": "`hubbub login NAME` logs in again.",
    "passwd": "All other devices are logged out.",
}


def parse_line(line: str) -> Text | Command | None:
    """What the line asks for; None for an empty one. "//" begins a text with a literal slash.

    Raises:
        WrongLineError: an unknown command, or one with the wrong arguments.
    """
    line = line.rstrip("\r\n")  # of what was pasted as a whole
    if not line.strip():
        return None
    if not line.startswith("/"):
        return Text(line)
    if line.startswith("//"):
        return Text(line[1:])
    name, _, rest = line[1:].partition(" ")
    name = name.lower()
    spec = COMMANDS.get(name)
    if spec is None:
        raise WrongLineError(
            f"unknown command /{name}; /help lists them, // begins a text with a slash"
        )
    try:
        return Command(name, **spec.take(rest.strip()))
    except _WrongArgumentsError as error:
        why = f" ({error})" if str(error) else ""
        raise WrongLineError(f"it is {usage(name)}{why}") from None


def asks_secret(line: str) -> bool:
    """Whether the line has to do with a password, so that nothing may keep it."""
    name = line.lstrip().removeprefix("/").lstrip("/").partition(" ")[0].lower()
    return line.lstrip().startswith("/") and name in COMMANDS and COMMANDS[name].secret


def usage(name: str) -> str:
    """`/kick NAME [REASON]`"""
    return f"/{name} {COMMANDS[name].arguments}".rstrip()


def help_lines(name: str = "") -> list[str]:
    """What /help prints, about everything or one command."""
    if name:
        more = [_MORE[name]] if name in _MORE else []
        return [f"{usage(name)}  {COMMANDS[name].does}", *more]
    width = max(len(usage(each)) for each in COMMANDS)
    lines = []
    for topic, commands in _TOPICS.items():
        lines.append(f"{topic}:")
        lines += [f"{usage(each).ljust(width)}  {spec.does}" for each, spec in commands.items()]
    return [*lines, f"{'//TEXT'.ljust(width)}  say a text that begins with a slash"]
