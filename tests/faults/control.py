"""The word of the fault machine to a process it started: a small file, looked at when used."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

VARIABLE = "FAULTS_CONTROL"
POINTS = ("before_commit", "after_commit", "after_publish", "after_answers")
REFUSALS = ("begin", "commit", "outcome")


class Wishes(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a process is to do to itself.

    Attributes:
        crash: of a turn that stores events: die `before_commit`; `after_commit`, with nothing
            published or acknowledged; `after_publish`, with nothing acknowledged; `after_answers`.
        after: so many such turns are let pass before.
        slow: seconds that each commit takes longer.
        refuse: `begin` fails, `commit` fails and is not done, or its `outcome` is unknown: it is
            done, and fails.
        clock: seconds that the wall clock is ahead.
        gauges: every so many seconds it notes how large it is (see `tests/faults/gauges.py`).
    """

    crash: str = ""
    after: int = 0
    slow: float = 0.0
    refuse: str = ""
    clock: float = 0.0
    gauges: float = 0.0


NOTHING = Wishes()


class Control:
    """The file of one process, from both sides."""

    def __init__(self, directory: Path, process: str) -> None:
        self._path = directory / f"{process}.json"
        self.crashed = directory / f"{process}.crashed"
        self.gauges = directory / f"{process}.gauges"
        self._stamp: tuple[int, int] | None = None
        self._wishes = NOTHING

    def read(self) -> Wishes:
        """What is wished now; costs a look at the file's date, mostly."""
        try:
            found = os.stat(self._path)  # noqa: PTH116  (a microsecond, where Path takes three)
        except FileNotFoundError:
            self._stamp = None
            self._wishes = NOTHING
            return NOTHING
        stamp = found.st_mtime_ns, found.st_ino
        if stamp != self._stamp:
            self._wishes = msgspec.json.decode(self._path.read_bytes(), type=Wishes)
            self._stamp = stamp
        return self._wishes

    def wish(self, **wishes: object) -> None:
        """Change some; the others stay."""
        changed = msgspec.structs.replace(self.read(), **wishes)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(changed))
        fresh.replace(self._path)
