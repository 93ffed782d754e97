"""What a disk may hold after the power was cut at a moment. Pure, and the same for the same seed.

The model, from what POSIX and the makers of SQLite let a program count on:

- What a file held when a completed fsync or fdatasync of it began is there.
- Of every later write to it, any of its sectors (512 bytes) may be there or not, in any
  combination and whatever the order in which they were written; the file may have any length that
  it has had since. What lies between is zeros.
- Names made, changed and removed in a directory since its last fsync may each be so or not, also
  that of a file which was itself synced. A rename is done or not done, never half.
- A call that had not returned is one more that may be done in part.
- A sector is written whole or not at all, and no byte beside the written ones changes: SQLite's
  "powersafe overwrite", which it takes for granted unless told otherwise.

Sources: sqlite.org/atomiccommit.html, sections 2 and 9; sqlite.org/psow.html; sqlite.org/wal.html;
fsync(2); Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014 (the abstract
persistence model, which gives up order between any two operations that no sync divides).

Real file systems lose much less, and mostly the newest first. So each cut chooses one of several
ways to lose (`Loss`), from what an honest journal does to the worst that is allowed.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import NamedTuple, TypeVar

from tests.power.recording import DIRECTORY, Act, Name, Recording, Sync, Truncate, Write

SECTOR = 512  # bytes
_Change = Write | Truncate
_A = TypeVar("_A", Write | Truncate, Name)


class Loss(enum.Enum):
    """What becomes of the changes that no sync has made safe."""

    NONE = "all of it is there"
    ALL = "nothing of it is there"
    NEWEST = "what was done first is there, up to a random point"
    OLDEST = "what was done last is there, from a random point on"
    WRITES = "each write is there or not"
    SECTORS = "each sector of each write is there or not"


class Cut(NamedTuple):
    """When the power is cut, and how much is lost then."""

    at: float  # seconds, as in the recording
    loss: Loss
    names: Loss  # the same for names; of SECTORS and WRITES the same is meant
    seed: int
    why: str  # this moment was chosen


class Disk:
    """The disk while a recording is played to it.

    Args:
        honours_sync: False: it says that things are safe, and they are not.
    """

    def __init__(self, recording: Recording, *, honours_sync: bool = True) -> None:
        acts = [act for act in recording.acts if honours_sync or not isinstance(act, Sync)]
        # A sync counts when it returns, everything else from when it begins.
        self._acts = sorted(acts, key=lambda a: a.ended if isinstance(a, Sync) else a.began)
        self._next = 0
        self._safe: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._safe.update((file, bytearray(data)) for file, data in recording.before.items())
        self._pending: defaultdict[int, list[_Change]] = defaultdict(list)
        self._names = {recording.names[file]: file for file in recording.before}
        self._pending_names: list[Name] = []

    def play(self, until: float) -> None:
        """Go on to a moment; never back."""
        while self._next < len(self._acts):
            act = self._acts[self._next]
            if (act.ended if isinstance(act, Sync) else act.began) > until:
                return
            self._next += 1
            self._take(act)

    def _take(self, act: Act) -> None:
        if isinstance(act, Name):
            self._pending_names.append(act)
        elif not isinstance(act, Sync):
            self._pending[act.file].append(act)
        elif act.file == DIRECTORY:
            names, self._pending_names = _divide(self._pending_names, act.began)
            for name in names:
                _rename(self._names, name)
        else:
            changes, self._pending[act.file] = _divide(self._pending[act.file], act.began)
            for change in changes:
                _apply(self._safe[act.file], change)

    def after(self, cut: Cut) -> dict[str, bytes | bytearray]:
        """The files that are there when the power is back, by name."""
        self.play(cut.at)
        random = Random(cut.seed)
        names = dict(self._names)
        for act in _survivors(self._pending_names, cut.names, random):
            _rename(names, act)
        changes = (change for each in self._pending.values() for change in each)
        order = sorted(changes, key=lambda change: change.began)
        kept = set(map(id, _survivors(order, cut.loss, random)))
        found: dict[str, bytes | bytearray] = {}
        for name, file in sorted(names.items()):
            found[name] = self._content(file, cut.loss, random, lambda change: id(change) in kept)
        return found

    def _content(
        self, file: int, loss: Loss, random: Random, is_kept: Callable[[_Change], bool]
    ) -> bytearray:
        content = bytearray(self._safe[file])
        lengths = [len(content)]
        length = lengths[0]
        share = random.random()
        for change in self._pending[file]:
            length = _length_after(length, change)
            lengths.append(length)
            if loss is Loss.SECTORS and isinstance(change, Write):
                for piece in _sectors(change):
                    if random.random() < share:
                        _apply(content, piece)
            elif is_kept(change):
                _apply(content, change)
        if loss in (Loss.SECTORS, Loss.WRITES) and random.random() < 0.5:
            _apply(content, Truncate(0.0, 0.0, file, random.choice(lengths)))
        return content


def _divide(acts: Iterable[_A], at: float) -> tuple[list[_A], list[_A]]:
    """Those that had returned at a moment, and the others."""
    before: list[_A] = []
    others: list[_A] = []
    for act in acts:
        (before if act.ended <= at else others).append(act)
    return before, others


def _survivors(acts: list[_A], loss: Loss, random: Random) -> list[_A]:
    """The ones that are there, as whole ones."""
    point = random.randint(0, len(acts))
    share = random.random()
    match loss:
        case Loss.NONE:
            return acts
        case Loss.ALL:
            return []
        case Loss.NEWEST:
            return acts[:point]
        case Loss.OLDEST:
            return acts[point:]
        case _:
            return [act for act in acts if random.random() < share]


def _rename(names: dict[str, int], act: Name) -> None:
    names.pop(act.old, None)
    if act.file:
        names[act.name] = act.file


def _apply(content: bytearray, change: _Change) -> None:
    if isinstance(change, Truncate):
        del content[change.length :]
        content.extend(bytes(change.length - len(content)))
        return
    end = change.offset + len(change.data)
    if len(content) < change.offset:
        content.extend(bytes(change.offset - len(content)))
    content[change.offset : end] = change.data


def _length_after(length: int, change: _Change) -> int:
    if isinstance(change, Truncate):
        return change.length
    return max(length, change.offset + len(change.data))


def _sectors(write: Write) -> Iterator[Write]:
    """The write cut where sectors of the file begin."""
    at, end = write.offset, write.offset + len(write.data)
    while at < end:
        until = min(end, (at // SECTOR + 1) * SECTOR)
        piece = write.data[at - write.offset : until - write.offset]
        yield write._replace(offset=at, data=piece)
        at = until
