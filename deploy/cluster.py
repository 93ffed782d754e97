"""What `deploy/up` and `deploy/down` do."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from deploy import config, listening, processes, ready
from deploy.errors import DeployError
from deploy.place import ROOT, SHIPPED, Place, resolve, shown
from deploy.rpc import Supervisor
from deploy.watch import PAUSE, await_serving, log_sizes

SHUTDOWN_WITHIN = 20.0  # seconds for supervisord, once its programs have ended


def up(place: Place, *, within: float) -> None:
    """Have the whole cluster serve, whatever is there already.

    Raises:
        DeployError: it can't; what this call started is stopped again.
    """
    with lock(place):
        supervisor = Supervisor(place.socket)
        until = time.monotonic() + within
        if supervisor.answers():
            _extend(place, supervisor, until)
            return
        _refuse_silent_supervisor(place)
        leftovers = [process for process in processes.of_cluster(place) if process.supervised]
        if leftovers:
            print(f"Stopping {len(leftovers)} processes whose supervisord is gone.")
            processes.stop(leftovers)
        for address in place.addresses:
            check_port(place, *address)
        for section in place.programs.glob("*.conf"):
            section.unlink()
        gateways = place.gateways or SHIPPED
        path = config.choose(place, gateways)
        names = [f"gateway-{number}" for number in range(1, gateways + 1)]
        others = [f"broker-{number}" for number in range(1, place.brokers + 1)]
        others += [f"worker-{number}" for number in range(1, SHIPPED + 1)]
        begins = log_sizes(place, names + others)
        try:
            _start_supervisord(place, path)
            await_serving(place, supervisor, names, begins, until)
        except BaseException:
            _stop_all(place, supervisor)
            raise
        _say_up(place, "Hubbub is up", len(names))


def down(place: Place) -> None:
    """Have nothing left of the cluster, whatever has happened to its supervisord."""
    if not place.data.is_dir():
        print("Hubbub is not running.")
        return
    with lock(place):
        stopped = _stop_all(place, Supervisor(place.socket))
        with contextlib.suppress(OSError):
            for section in place.programs.glob("*.conf"):
                section.unlink()
        print("Hubbub is down." if stopped else "Hubbub is not running.")
        for process in processes.of_cluster(place):
            print(f"A {process.kind} that was started by hand goes on: process {process.pid}.")


@contextlib.contextmanager
def lock(place: Place) -> Iterator[None]:
    """One deploy command at a time for one data directory."""
    try:
        handle = os.open(place.data / "deploy.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DeployError(
            f"the data directory {place.data} cannot be used: {error.strerror}."
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


# --- starting -----------------------------------------------------------------------------------


def check_port(place: Place, host: str, port: int) -> None:
    """Raises DeployError unless the port is free, or held by a gateway of this very cluster.

    Gateways share their port (SO_REUSEPORT), so another cluster of the same user would be let in
    without an error and take half of the people; a bind without that option tells.
    """
    where = shown(host, port)
    for family, kind, protocol, _, address in resolve(host, port):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise DeployError(f"cannot listen on {where}: {error.strerror}.") from None
                _refuse_port(place, where, port)


def _refuse_port(place: Place, where: str, port: int) -> None:
    who = []
    for pid, command in processes.holders(port):
        process = processes.look(pid)
        if process is None:
            who.append(f"process {pid} ({command[:60]})")
        elif not process.belongs_to(place):
            who.append(f"the cluster in {process.data} (process {pid})")
        else:
            return
    raise DeployError(
        f"{where} is in use by {who[0] if who else 'somebody else'};"
        " stop that, or choose another address with HUBBUB_LISTEN."
    )


def _refuse_silent_supervisor(place: Place) -> None:
    for process in _supervisords(place):
        raise DeployError(
            f"supervisord (process {process.pid}) runs this cluster, but does not answer at"
            f" {place.socket}; {place.down} ends it, then deploy/up starts anew."
        )


def _supervisords(place: Place) -> list[processes.Process]:
    """The supervisords of this cluster: by their own data directory, or by what they started."""
    found = processes.of_cluster(place)
    parents = {process.parent for process in found if process.supervised}
    return [
        process
        for process in processes.every()
        if process.kind == "supervisord" and (process in found or process.pid in parents)
    ]


def _start_supervisord(place: Place, path: Path) -> None:
    environ = dict(os.environ, HUBBUB_DATA=str(place.data))
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)]
    if os.getuid() == 0:
        command += ["-u", "root"]  # as it is; said, so that supervisord does not warn of it
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=environ, capture_output=True, text=True
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no word why"]
        reason = next((line for line in lines if line.startswith("Error: ")), lines[-1])
        raise DeployError(f"supervisord did not start: {reason}")


def _extend(place: Place, supervisor: Supervisor, until: float) -> None:
    """Add the gateways that are missing and start what stands still; touch nothing else."""
    there = {program.name: program for program in supervisor.programs()}
    listening.check(place, there.values(), settled=True)
    still = [name for name, program in there.items() if program.stands_still]
    running = {name for name, program in there.items() if program.kind == "gateway"}
    wanted = {f"gateway-{number}" for number in range(1, (place.gateways or 0) + 1)}
    missing = sorted(wanted - running, key=lambda name: int(name.partition("-")[2]))
    for name in missing:
        number = int(name.partition("-")[2])
        config.write(place.programs / f"{name}.conf", config.gateway_section(number, place))
    if missing:
        supervisor.reread()
    begins = log_sizes(place, still + missing)
    for name in still:
        supervisor.start(name)
    try:
        for name in missing:
            supervisor.add(name)
        await_serving(place, supervisor, sorted(running | wanted), begins, until)
    except BaseException:
        _take_back(place, supervisor, missing)
        raise
    if missing:
        _say_up(place, f"Hubbub is up, with {' '.join(missing)} added", len(running | wanted))
    else:
        _say_up(place, "Hubbub is up already", len(running))
    if place.gateways is not None and place.gateways < len(running):
        print(f"HUBBUB_GATEWAYS={place.gateways} asks for fewer; none was stopped.")


def _take_back(place: Place, supervisor: Supervisor, names: list[str]) -> None:
    with contextlib.suppress(DeployError):
        for name in names:
            (place.programs / f"{name}.conf").unlink(missing_ok=True)
            supervisor.stop(name)
        _await_stopped(supervisor, set(names))
        for name in names:
            supervisor.remove(name)
        supervisor.reread()


def _say_up(place: Place, headline: str, gateways: int) -> None:
    addresses = ", ".join(shown(*address) for address in place.addresses)
    server = shown(*ready.reachable(place.addresses[0]))
    hubbub = Path(os.environ.get("HUBBUB_VENV", ".venv")) / "bin" / "hubbub"
    with contextlib.suppress(ValueError):
        hubbub = hubbub.relative_to(ROOT)
    option = "" if server == "127.0.0.1:7000" else f" --server {server}"
    count = f"{gateways} gateway{'s' if gateways != 1 else ''}"
    print(f"{headline}: {count} on {addresses}, data in {place.data}.")
    print(f"Talk:  {hubbub} chat{option} --name YOU --room lobby")
    print(f"Look:  {hubbub} status{option}")
    print(f"Stop:  {place.down}")


# --- stopping -----------------------------------------------------------------------------------


def _stop_all(place: Place, supervisor: Supervisor) -> bool:
    """Stop everything that was not started by hand; whether there was anything."""
    there = False
    processes.thaw(processes.of_cluster(place))
    if supervisor.answers():
        there = True
        with contextlib.suppress(DeployError):
            _stop_through(supervisor)
    # What is left now answers to nobody: a silent supervisord first, then what it has left behind.
    # Twice, since one that was just being started may have had no face yet.
    for _ in range(2):
        supervisords = _supervisords(place)
        processes.stop(supervisords, within=SHUTDOWN_WITHIN)
        leftovers = [process for process in processes.of_cluster(place) if process.supervised]
        processes.stop(leftovers)
        there = there or bool(supervisords) or bool(leftovers)
    return there


def _stop_through(supervisor: Supervisor) -> None:
    """One kind after the other, but all of a kind at once: supervisord itself would take them one
    by one, and each gateway may drain for seconds."""
    handle = os.pidfd_open(supervisor.pid())
    try:
        for kind in processes.KINDS:
            names = {program.name for program in supervisor.programs() if program.kind == kind}
            for name in names:
                supervisor.stop(name)
            _await_stopped(supervisor, names)
        supervisor.shutdown()
        processes.await_end([handle], SHUTDOWN_WITHIN)
    finally:
        os.close(handle)


def _await_stopped(supervisor: Supervisor, names: set[str]) -> None:
    until = time.monotonic() + SHUTDOWN_WITHIN
    while time.monotonic() < until:
        if not any(program.pid for program in supervisor.programs() if program.name in names):
            return
        time.sleep(PAUSE)
