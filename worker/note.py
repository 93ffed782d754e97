"""The file `epoch` beside the database: its numbers, so that an old copy is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Note(NamedTuple):
    """Never ahead of the database: written after the commit that it tells of."""

    epoch: int
    term: int
    events: int  # stored in all rooms


def read(path: Path) -> Note | None:
    """What was noted; None when nothing was, or it cannot be understood.

    Its numbers can be stored, and counted on from, or it is not understood.
    """
    try:
        epoch, term, events = (int(word) for word in path.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return None
    found = Note(epoch, term, events)
    return found if all(0 <= number < 2**53 for number in found) else None


def write(path: Path, note: Note) -> None:
    """Replace what was noted, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(f"{note.epoch} {note.term} {note.events}\n", encoding="ascii")
    fresh.replace(path)
