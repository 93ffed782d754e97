"""What a typed line means: text, or one of the slash commands. Pure."""

from __future__ import annotations

from typing import NamedTuple

# name: (argument as shown by /help, what it does)
COMMANDS = {
    "join": ("ROOM", "enter a room, or go to one you are in"),
    "leave": ("[ROOM]", "leave a room (default: the one you are in)"),
    "me": ("TEXT", 'do something: shown as "* Name text"'),
    "nick": ("NAME", "take another name"),
    "who": ("[ROOM]", "who is in the room"),
    "rooms": ("", "list the rooms"),
    "history": ("[COUNT]", "what was said last (default: 20 entries)"),
    "quit": ("", "leave everything"),
    "help": ("", "this list"),
}
_NEEDS_ARGUMENT = frozenset({"join", "me", "nick"})


class Text(NamedTuple):
    """Something to say."""

    text: str


class Command(NamedTuple):
    """A slash command."""

    name: str
    argument: str


class WrongLineError(Exception):
    """The line is no command and must not be sent; the text says why."""


def parse_line(line: str) -> Text | Command | None:
    """What the line asks for; None for an empty one. "//" begins a text with a literal slash.

    Raises:
        WrongLineError: an unknown command, or one without its argument.
    """
    if not line.strip():
        return None
    if not line.startswith("/"):
        return Text(line)
    if line.startswith("//"):
        return Text(line[1:])
    name, _, argument = line[1:].partition(" ")
    name, argument = name.lower(), argument.strip()
    if name not in COMMANDS:
        raise WrongLineError(
            f"unknown command /{name}; /help lists them, // begins a text with a slash"
        )
    if name in _NEEDS_ARGUMENT and not argument:
        raise WrongLineError(f"/{name} needs {COMMANDS[name][0]}")
    if name == "history" and argument and not (argument.isascii() and argument.isdigit()):
        raise WrongLineError("/history takes a number of entries")
    return Command(name, argument)


def help_lines() -> list[str]:
    """What /help prints."""
    width = max(len(f"/{name} {argument}") for name, (argument, _) in COMMANDS.items())
    rows = [
        f"{f'/{name} {argument}'.rstrip().ljust(width)}  {line}"
        for name, (argument, line) in COMMANDS.items()
    ]
    return [*rows, f"{'//TEXT'.ljust(width)}  say a text that begins with a slash"]
