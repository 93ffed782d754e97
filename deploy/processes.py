"""The processes of this machine that belong to a cluster, found in /proc.

Never by name alone: a process is ours when it is of one of our kinds and its data directory, or
the supervisord socket it was started under, is ours.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.place import ROOT, Address, Place

PROC = Path("/proc")
KINDS = ("gateway", "worker", "broker")  # in the order of stopping
STOP_WITHIN = 12.0  # seconds from SIGTERM to SIGKILL; above what a gateway takes to drain
LISTENING = "0A"  # the state in /proc/net/tcp


@dataclass(frozen=True)
class Process:
    """One process as it was found."""

    pid: int
    parent: int
    started: str  # ticks since boot: with the pid, names this process for ever
    kind: str  # one of KINDS, or "supervisord"
    data: Path | None  # its data directory
    supervised: str  # SUPERVISOR_SERVER_URL, empty when started by hand

    def belongs_to(self, place: Place) -> bool:
        return self.data == place.data or self.supervised == f"unix://{place.socket}"


def every() -> Iterator[Process]:
    """All processes of all clusters whose environment may be read."""
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            process = look(int(entry.name))
            if process is not None:
                yield process


def of_cluster(place: Place) -> list[Process]:
    """Everything that belongs to this cluster, supervisord too, also what was started by hand."""
    return [process for process in every() if process.belongs_to(place)]


def look(pid: int) -> Process | None:
    """The process with this pid if it is one of ours to judge, else None."""
    entry = PROC / str(pid)
    try:
        arguments = _fields(entry / "cmdline")
        kind = _kind(arguments)
        if not kind:
            return None
        environ = dict(field.split("=", 1) for field in _fields(entry / "environ") if "=" in field)
        # After the command in brackets, which may hold anything: state, parent, ... start time.
        line = (entry / "stat").read_text(errors="replace")
        state, parent, *stat = line.rpartition(")")[2].split()
        if state in "ZX":
            return None
        named = _flag(arguments, "--data") or environ.get("HUBBUB_DATA") or "var"
        data = ((entry / "cwd").readlink() / named).resolve()
    except (OSError, RuntimeError):
        return None  # gone meanwhile, or somebody else's; or its directory is a link to itself
    url = environ.get("SUPERVISOR_SERVER_URL", "") if kind != "supervisord" else ""
    return Process(pid, int(parent), stat[17], kind, data, url)


def thaw(processes: Iterable[Process]) -> None:
    """SIGCONT: one that was frozen could neither end by itself nor let the others go on."""
    for process in processes:
        with contextlib.suppress(OSError):
            os.kill(process.pid, signal.SIGCONT)


def stop(processes: Iterable[Process], *, within: float = STOP_WITHIN) -> None:
    """SIGTERM, kind by kind and people's doors first; SIGKILL to what is left after `within`."""
    waiting = list(processes)
    for kind in ("supervisord", *KINDS):
        _stop_together([process for process in waiting if process.kind == kind], within)


def _stop_together(processes: list[Process], within: float) -> None:
    handles: dict[int, Process] = {}
    for process in processes:
        try:
            handle = os.pidfd_open(process.pid)
        except OSError:
            continue
        # The pid may have passed to another since we looked; behind the handle it no longer can.
        found = look(process.pid)
        if found is not None and found.started == process.started:
            handles[handle] = process
        else:
            os.close(handle)
    for signum in (signal.SIGTERM, signal.SIGKILL):
        for handle in handles:
            try:
                signal.pidfd_send_signal(handle, signum)
            except OSError:
                continue
        for handle in await_end(handles, within):
            os.close(handle)
            del handles[handle]
    for handle in handles:
        os.close(handle)


def await_end(handles: Iterable[int], within: float) -> list[int]:
    """Those of the process handles whose process has ended, after all have or `within` is over."""
    poll = select.poll()
    left = set(handles)
    for handle in left:
        poll.register(handle, select.POLLIN)
    ended: list[int] = []
    until = time.monotonic() + within
    while left and (wait := until - time.monotonic()) > 0:
        for handle, _ in poll.poll(wait * 1000):
            poll.unregister(handle)
            left.discard(handle)
            ended.append(handle)
    return ended


def holders(port: int) -> list[tuple[int, str]]:
    """(pid, command line) of each process that listens on this TCP port, as far as may be seen."""
    sockets = {name for name, (_, bound) in _listeners(PROC / "net").items() if bound == port}
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if any(name in sockets for name in _descriptors(entry)):
                found.append((int(entry.name), " ".join(_fields(entry / "cmdline"))))
        except OSError:
            continue
    return found


def listening(pid: int) -> set[Address]:
    """The addresses that this process listens on; none when it is gone, or somebody else's."""
    entry = PROC / str(pid)
    listeners = _listeners(entry / "net")
    try:
        return {listeners[name] for name in _descriptors(entry) if name in listeners}
    except OSError:
        return set()


def _descriptors(entry: Path) -> Iterator[str]:
    """What the descriptors of a process are, but for those that it closes meanwhile."""
    for descriptor in (entry / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield str(descriptor.readlink())


def _listeners(net: Path) -> dict[str, Address]:
    """Every TCP socket that is listened on: its name among a process's descriptors -> address."""
    found = {}
    for table in ("tcp", "tcp6"):
        try:
            lines = (net / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING:
                host, _, port = fields[1].rpartition(":")
                # Words of 32 bits in the machine's own order, whatever the network's is.
                words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
                packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
                address = str(ipaddress.ip_address(packed)), int(port, 16)
                found[f"socket:[{fields[9]}]"] = address
    return found


def _fields(path: Path) -> list[str]:
    return os.fsdecode(path.read_bytes()).rstrip("\0").split("\0")


def _kind(arguments: list[str]) -> str:
    if len(arguments) > 2 and arguments[1] == str(ROOT / "deploy" / "run"):
        return arguments[2] if arguments[2] in KINDS else ""  # the shell, before it became Python
    if not Path(arguments[0]).name.startswith("python"):
        return ""
    for place, argument in enumerate(arguments):
        if argument == "-m" and place + 1 < len(arguments):
            module = arguments[place + 1]
            if module == "supervisor.supervisord":
                return "supervisord"
            return module if module in KINDS else ""
        if place and not argument.startswith("-"):
            return "supervisord" if Path(argument).name == "supervisord" else ""
    return ""


def _flag(arguments: list[str], name: str) -> str:
    for place, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
        if argument == name and place + 1 < len(arguments):
            return arguments[place + 1]
    return ""
