"""What recorder.c has noted, read and put together: one list of what was done to which file.

Several processes may have written one after the other (a worker, the migration that it starts, the
next worker): their recordings are merged by time, which is one clock for the whole machine.
"""

from __future__ import annotations

import enum
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("recorder.c")
NO_COMPILER = "power cuts are recorded by a C library: install a C compiler (cc: gcc or clang)"
_HEADER = struct.Struct("<IHHIiqQqQQ")


class _Op(enum.IntEnum):
    OPEN = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    RENAME = 5
    UNLINK = 6
    UNSEEN = 7


class RecordingError(Exception):
    """Something was done to the directory that the recorder does not understand."""


class Write(NamedTuple):
    """Bytes into a file, at an offset."""

    began: float  # seconds, as time.monotonic() tells them
    ended: float  # when the call had returned
    file: int
    offset: int
    data: memoryview


class Truncate(NamedTuple):
    """A file has this length now."""

    began: float
    ended: float
    file: int
    length: int


class Name(NamedTuple):
    """A name in the directory is that of `file` now; `old` is no name any more.

    A file that was made (`old` empty), renamed (`file` and `old`), or unlinked (`file` is 0).
    """

    began: float
    ended: float
    file: int
    name: str
    old: str


class Sync(NamedTuple):
    """fsync or fdatasync of a file; of the directory itself: `file` is DIRECTORY."""

    began: float
    ended: float
    file: int


Act = Write | Truncate | Name | Sync
DIRECTORY = 0


class Recording(NamedTuple):
    """All that was done, in the order in which it began. Files have numbers from 1."""

    acts: list[Act]
    names: dict[int, str]  # each file's first name
    before: dict[int, bytes]  # what files held when the recording began, all of it safe


def build(into: Path) -> Path:
    """Compile the recorder.

    Raises:
        FileNotFoundError: there is no C compiler.
        subprocess.CalledProcessError: it could not.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError(NO_COMPILER)
    library = into / "recorder.so"
    flags = ["-shared", "-fPIC", "-O2", "-o", str(library)]
    subprocess.run([compiler, *flags, str(SOURCE), "-ldl", "-lpthread"], check=True)
    return library


def environment(library: Path, root: Path, into: Path) -> dict[str, str]:
    """What a process is to be given, besides its own environment, to be recorded.

    Args:
        root: the directory, as it is without symbolic links.
        into: where the recordings go; not below the root.
    """
    return {
        "LD_PRELOAD": str(library),
        "FAULTS_RECORD_ROOT": os.path.realpath(root),
        "FAULTS_RECORD_INTO": str(into),
    }


class _Note(NamedTuple):
    """One record, as it was read."""

    process: int  # number of the recording
    op: _Op
    path: str
    opened: int
    flags: int
    offset: int
    data: memoryview
    result: int
    began: float
    ended: float | None


def read(into: Path, before: Mapping[str, bytes] | None = None) -> Recording:
    """All recordings of a directory, merged.

    Args:
        before: the files that were there before, by name.

    Raises:
        RecordingError: they do not tell all that was done.
    """
    notes: list[_Note] = []
    for process, path in enumerate(sorted(into.glob("*.rec"))):
        notes += _notes(process, path)
    notes.sort(key=lambda note: note.began)
    return _Merge(before or {}).merge(notes)


def _notes(process: int, path: Path) -> Iterator[_Note]:
    with path.open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    at = 0
    while True:
        size, op, names, opened, flags, offset, count, result, began, ended = _HEADER.unpack_from(
            mapped, at
        )
        if not size:
            return
        begin = at + _HEADER.size
        yield _Note(
            process,
            _Op(op),
            bytes(mapped[begin : begin + names]).decode(),
            opened,
            flags,
            offset,
            mapped[begin + names : begin + names + count],
            result,
            began / 1e9,
            ended / 1e9 if ended else None,
        )
        at += size


class _Merge:
    """Finds out which file each record is about."""

    def __init__(self, before: Mapping[str, bytes]) -> None:
        self._acts: list[Act] = []
        self._first: dict[int, str] = dict(enumerate(before, 1))
        self._before = dict(enumerate(before.values(), 1))
        # As they are at the moment.
        self._names = {name: file for file, name in self._first.items()} | {"": DIRECTORY}
        self._opened: dict[tuple[int, int], int] = {}

    def merge(self, notes: list[_Note]) -> Recording:
        """The whole."""
        for note in notes:
            if note.ended is not None and note.result < 0:
                continue  # it failed, and changed nothing
            self._take(note)
        return Recording(self._acts, self._first, self._before)

    def _take(self, note: _Note) -> None:
        if "/" in note.path:
            raise RecordingError(f"{note.path} is not in the directory itself")
        # Of a call that never returned the kernel had done all before it let the process die.
        began, ended = note.began, note.began if note.ended is None else note.ended
        match note.op:
            case _Op.OPEN:
                self._open(note, began, ended)
            case _Op.WRITE:
                data = note.data if note.ended is None else note.data[: note.result]
                self._acts.append(Write(began, ended, self._file(note), note.offset, data))
            case _Op.TRUNCATE:
                self._acts.append(Truncate(began, ended, self._file(note), note.offset))
            case _Op.SYNC:
                if note.ended is not None:
                    self._acts.append(Sync(began, ended, self._file(note)))
            case _Op.RENAME:
                old, _, new = note.path.partition("\0")
                if old not in self._names:
                    raise RecordingError(f"{old} was renamed, and nobody has made it")
                file = self._names[new] = self._names.pop(old)
                self._acts.append(Name(began, ended, file, new, old))
            case _Op.UNLINK:
                if self._names.pop(note.path, None) is not None:
                    self._acts.append(Name(began, ended, 0, "", note.path))
            case _Op.UNSEEN:
                # SQLite's index of its log is memory that happens to have a name.
                if not self._first.get(self._file(note), "").endswith("-shm"):
                    raise RecordingError(f"{note.path} on {self._first.get(self._file(note))}")

    def _open(self, note: _Note, began: float, ended: float) -> None:
        file = self._names.get(note.path)
        if file is None:
            if not note.flags & os.O_CREAT:
                return  # somebody else's; it is an error to change it
            file = len(self._first) + 1
            self._first[file] = note.path
            self._names[note.path] = file
            self._acts.append(Name(began, ended, file, note.path, ""))
        elif note.flags & os.O_TRUNC:
            self._acts.append(Truncate(began, ended, file, 0))
        self._opened[note.process, note.opened] = file

    def _file(self, note: _Note) -> int:
        if note.op in (_Op.WRITE, _Op.TRUNCATE, _Op.SYNC, _Op.UNSEEN) and note.opened:
            file = self._opened.get((note.process, note.opened))
            if file is None:
                raise RecordingError(f"{note.op.name} on what nobody has made")
            return file
        return self._names.get(note.path, -1)
