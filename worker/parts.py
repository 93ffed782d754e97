"""The answer to Sync, in parts that each fit into a bus message with room to spare. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from hubbub.frames import Person, RoomState
from hubbub.wire import Snapshot

# A person takes at most 180 bytes (a name of 32 characters, two numbers, a state): about 1 MiB.
PART_OF_SYNC = 6000  # people, and what stands for them, in one part
ROOM = 2  # a room's own fields, counted as people
CHARACTERS = 45  # of titles and of what people say of being away: counted as one of these people

Own: TypeAlias = tuple[int, list[tuple[int, RoomState]]]  # a session, and its rooms
T = TypeVar("T")


def in_parts(
    snapshots: Sequence[Snapshot], inside: Sequence[Own]
) -> list[tuple[list[Snapshot], list[Own]]]:
    """Both in bundles; at least one. Neither a room nor a session is divided."""
    parts: list[tuple[list[Snapshot], list[Own]]] = [
        (some, []) for some in _bundles(snapshots, _of_room)
    ]
    parts += [([], some) for some in _bundles(inside, _of_session)]
    return parts or [([], [])]


def _bundles(what: Iterable[T], weigh: Callable[[T], int]) -> list[list[T]]:
    bundles: list[list[T]] = []
    left = 0
    for each in what:
        weight = weigh(each)
        if weight > left or not bundles:
            bundles.append([])
            left = PART_OF_SYNC
        bundles[-1].append(each)
        left -= weight
    return bundles


def _of_room(snapshot: Snapshot) -> int:
    people = [*snapshot.roster, *snapshot.pair]
    return ROOM + len(people) + _of_texts(people, len(snapshot.title))


def _of_session(own: Own) -> int:
    states = [state for _, state in own[1]]
    peers = [state.peer for state in states if state.peer is not None]
    titles = sum(len(state.title) for state in states)
    return ROOM * len(states) + len(peers) + _of_texts(peers, titles)


def _of_texts(people: Iterable[Person], others: int) -> int:
    return (others + sum(len(each.away) for each in people)) // CHARACTERS
