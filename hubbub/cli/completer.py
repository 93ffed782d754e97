"""What the Tab key offers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hubbub.cli.commands import COMMANDS, ROLES, SWITCHES
from hubbub.cli.render import visible
from hubbub.names import name_key

MOST = 100  # candidates; nobody reads more


class Known(NamedTuple):
    """What there is to be named."""

    names: Sequence[str] = ()
    rooms: Sequence[str] = ()


class Offer(NamedTuple):
    """Replace the last `back` characters before the cursor by one of `texts`."""

    back: int
    texts: list[str]


def complete(before: str, known: Known) -> Offer:
    """What may stand where the cursor is; `before` is the line up to it."""
    word = before[before.rfind(" ") + 1 :]
    if before.startswith("/") and not before.startswith("//"):
        found = _of_command(before, word, known)
    elif word.startswith("@"):
        found = _matching(word, (f"@{name}" for name in known.names), " ")
    elif word:
        found = _matching(word, known.names, ": " if word == before else " ")
    else:
        found = []
    return Offer(len(word), found)


def _of_command(before: str, word: str, known: Known) -> list[str]:
    name, space, _ = before[1:].partition(" ")
    if not space:
        return [f"/{each}{_space(each)}" for each in sorted(COMMANDS) if f"/{each}".startswith(
            word.lower())]  # fmt: skip
    spec = COMMANDS.get(name.lower())
    if spec is None:
        return []
    at = len(before.split(" ")) - 2
    kind = spec.completes[at] if at < len(spec.completes) else ""
    if kind == "name":
        at_sign = "@" if word.startswith("@") else ""
        return _matching(word, (at_sign + each for each in known.names), " ")
    if kind == "room":
        sharp = "#" if word.startswith("#") else ""
        return _matching(word, (sharp + each for each in known.rooms), "")
    if kind:
        words = {"role": ROLES, "switch": SWITCHES, "private": ("private",)}
        return _matching(word, words.get(kind) or sorted(COMMANDS), "")
    if word.startswith("@"):
        return _matching(word, (f"@{each}" for each in known.names), " ")
    return []


def _space(name: str) -> str:
    return " " if COMMANDS[name].arguments else ""


def _matching(word: str, candidates: Iterable[str], end: str) -> list[str]:
    key = name_key(word)
    found = {
        each for each in candidates if name_key(each).startswith(key) and visible(each) == each
    }
    return [each + end for each in sorted(found, key=name_key)[:MOST]]
