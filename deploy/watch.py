"""Watching processes start, until the cluster serves or one of them says why it can't."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path

from deploy import listening, ready
from deploy.errors import DeployError
from deploy.place import Place
from deploy.rpc import Program, Supervisor

PAUSE = 0.03  # seconds between two looks
DEATHS = 4  # of one process while starting, then it is said not to start
READY = re.compile(r"\bwhat=(?:ready|standby)\b")
MOST_TOLD = 500  # characters of the last line of a log
READY_WITHIN = 3.0  # seconds for the rest, once the cluster serves


def log_sizes(place: Place, programs: Iterable[str]) -> dict[str, int]:
    """How much each program's log holds from earlier lives: no reason for what happens today."""
    sizes = {}
    for name in programs:
        path = place.log / f"{name}.log"
        sizes[name] = path.stat().st_size if path.exists() else 0
    return sizes


def await_serving(
    place: Place,
    supervisor: Supervisor,
    gateways: list[str],
    begins: dict[str, int],
    until: float,
) -> None:
    """Return when the cluster serves through these gateways and what was started is ready.

    Args:
        begins: `log_sizes` of the programs that are being started, from before their start.

    Raises:
        DeployError: one of them refuses, keeps dying or listens elsewhere, or the time is over;
            with its last words.
    """
    pids: dict[str, set[int]] = {}
    trouble = "nobody was asked"
    while True:
        programs = supervisor.programs()
        for program in programs:
            seen = pids.setdefault(program.name, set())
            seen.add(program.pid)
            if program.gave_up or len(seen - {0}) >= DEATHS:
                raise DeployError(_why(program, begins.get(program.name, 0)))
        if trouble:
            trouble = ready.trouble(place.addresses[0], gateways, until, data=place.data)
            if trouble:
                listening.check(place, programs, settled=False)
            else:
                until = min(until, time.monotonic() + READY_WITHIN)
        if not trouble and (not place.says_ready or _all_ready(programs, begins)):
            return
        if time.monotonic() > until:
            break
        time.sleep(PAUSE)
    if trouble:
        dead = [program for program in programs if not program.pid]
        words = " ".join(_why(program, begins.get(program.name, 0)) for program in dead)
        raise DeployError(
            f"the cluster does not serve in time: {trouble}."
            f" {words or f'Its logs are in {place.log}.'}"
        )


def _all_ready(programs: list[Program], begins: dict[str, int]) -> bool:
    """Whether each that is being started has said so.

    Serving needs one broker and one worker; the others may be about to refuse.
    """
    return all(
        READY.search(_written(program.log, begins[program.name]))
        for program in programs
        if program.name in begins
    )


def _written(log: Path, since: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _why(program: Program, since: int) -> str:
    """The last thing a process said, and where the rest stands."""
    lines = _written(program.log, since).strip().splitlines() or ["it said nothing"]
    return f"{program.name} does not start: {lines[-1].strip()[:MOST_TOLD]} (log: {program.log})"
